"""The main loop of a training: collect, update, publish, evaluate, until the stop rule ends the run (DESIGN 4.5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from drctl.formats import log_lines
from drctl.formats.manifest import Counters, Manifest, SlotState
from drctl.formats.training_metrics import EpisodeMetrics, parse_training_metrics
from drctl.storage.objects import ObjectStore
from drctl.trainer.best_model import is_better, judge
from drctl.trainer.collection import CollectionProgress, CollectionStopped, Collector, Group, GroupProgress
from drctl.trainer.memory import release_free_memory
from drctl.trainer.phases import SECONDS_KEYS, PhaseWatch
from drctl.trainer.publish import CheckpointContent, Publisher
from drctl.trainer.rollout import Episode
from drctl.trainer.schedule import evaluation_starts, training_starts
from drctl.trainer.slots import SlotBook, slot_count
from drctl.trainer.stop_rule import LAP_STREAK, SCORE_WINDOW, StopRule

if TYPE_CHECKING:
    from drctl.formats.object_keys import ModelKeys
    from drctl.trainer.events import EventWriter
    from drctl.trainer.learner import Learner, UpdateStats
    from drctl.trainer.pretrained import Inheritance
    from drctl.trainer.snapshot import Snapshot
    from drctl.trainer.spec import TrainerSpec
    from drctl.trainer.status_file import StatusFile


@dataclass(frozen=True)
class Parts:
    """What the loop works with; `main` puts them together.

    Attributes:
        spec: What the trainer was started with.
        snapshot: The user's files.
        store: Bucket.
        keys: Object keys of the model.
        learner: Policy and its update.
        collector: Gives episodes.
        publisher: Writes checkpoints.
        status: Account of what goes on.
        events: TensorBoard file.
        say: Prints one log line.
        should_stop: Tells whether the process was asked to end.
        inherited: What a new model has of an earlier one; None for a network that begins untrained.
    """

    spec: TrainerSpec
    snapshot: Snapshot
    store: ObjectStore
    keys: ModelKeys
    learner: Learner
    collector: Collector
    publisher: Publisher
    status: StatusFile
    events: EventWriter
    say: Callable[[str], None]
    should_stop: Callable[[], bool]
    inherited: Inheritance | None = None


class Training:
    """A training from its first checkpoint, or from the one it is resumed at, to its end.

    A checkpoint is judged while the next iteration's episodes are collected: both are played by the same weights. Its
    files are written by a thread meanwhile; publish 2, the next update and the end of the run wait for them.

    Args:
        parts: See `Parts`.
        resumed: Manifest to go on from; None starts with the untrained network. The learner holds its weights already.
    """

    def __init__(self, parts: Parts, resumed: Manifest | None) -> None:
        self._parts = parts
        self._rule = StopRule.of(parts.spec.stop_when, parts.snapshot.hyperparameters)
        self._metric = parts.snapshot.best_model_metric
        self._slots = _open_slots(parts, resumed)
        self._has_stepped = False
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publish")
        self._publication: Future[Manifest] | None = None
        self._manifest = resumed
        if resumed is not None:
            self._number, self._counters = resumed.number, resumed.counters
            self._report_checkpoint()
        else:
            self._number = 0
            self._counters = parts.inherited.counters if parts.inherited else Counters()
            self._publish_first()

    def run(self) -> str:
        """Go on until the stop rule is met.

        Returns:
            Why the run is over, as a sentence.

        Raises:
            CollectionStopped: The process was asked to end; the last checkpoint is in the store.
        """
        try:
            self._refill()
            while True:
                reason = self._rule.reason_to_stop(self._counters)
                if reason is not None and not self._is_unjudged:
                    return reason
                trials, episodes, seconds = self._collect(learns=reason is None)
                self._settle()
                if self._is_unjudged:
                    self._judge(trials, seconds.get("evaluating", 0.0))
                    reason = self._rule.reason_to_stop(self._counters)
                if reason is not None:
                    return reason
                del trials  # their frames: the update is when memory is scarce
                self._learn(episodes, seconds["collecting"])
                del episodes
        finally:
            self._finish_publication()

    def _collect(self, *, learns: bool) -> tuple[list[Episode], list[Episode], dict[str, float]]:
        """Play the trials of a checkpoint that is not judged yet and, where the run goes on, the next iteration.

        Returns:
            Trials, training episodes, and the seconds that each phase took.
        """
        parts, iteration, steps = self._parts, self._number, self._counters.steps
        wanted = parts.snapshot.hyperparameters.episodes_per_iteration
        groups: dict[str, Group] = {}
        if self._is_unjudged:
            trials = parts.snapshot.min_eval_trials
            starts = evaluation_starts(parts.snapshot.worlds, parts.snapshot.is_closed, iteration - 1, trials)
            groups["evaluating"] = Group(starts, parts.learner.greedy())
        if learns:
            starts = training_starts(parts.snapshot.worlds, iteration, wanted, parts.spec.max_steps_per_iteration)
            groups["collecting"] = Group(starts, parts.learner.sampler(steps))
        parts.status.update(iteration=iteration)
        watch = self._watch(*groups)
        played = parts.collector.collect(
            *groups.values(), at_once=parts.learner.decide_at_once, on_tick=watch, should_stop=parts.should_stop
        )
        episodes = dict(zip(groups, played, strict=True))
        return episodes.get("evaluating", []), episodes.get("collecting", []), watch.seconds

    def _learn(self, episodes: list[Episode], collect_s: float) -> None:
        """Make the next checkpoint from an iteration's episodes, and begin to publish it."""
        parts, iteration, started = self._parts, self._number, time.monotonic()
        exploration, steps = parts.learner.exploration(self._counters.steps), self._counters.steps
        for episode in episodes:
            steps += episode.record.steps
            parts.say(
                log_lines.training_episode(
                    episode=self._counters.episodes + episode.start.episode + 1,
                    total_reward=episode.record.reward,
                    exploration=exploration,
                    steps=steps,
                    iteration=iteration,
                )
            )
        parts.status.update("updating")
        update = parts.learner.update(episodes, iteration, self._during_update)
        for line in update.lines:
            parts.say(line)
        self._publish(iteration, episodes, update, {"collect": collect_s, "update": time.monotonic() - started})

    def _refill(self) -> None:
        """Drive the last iterations' episodes again where the algorithm remembers what no checkpoint holds.

        The present policy drives them, and nothing is learned, counted or recorded meanwhile.
        """
        parts, counters, iteration = self._parts, self._counters, self._number
        missing = parts.learner.missing_steps(counters.steps)
        if not missing:
            return
        parts.say(f"Refilling the replay buffer, which no checkpoint holds: {missing} steps are driven again")
        wanted, cap = parts.snapshot.hyperparameters.episodes_per_iteration, parts.spec.max_steps_per_iteration
        while iteration > 0 and parts.learner.missing_steps(counters.steps):
            iteration -= 1
            parts.status.update("refilling", iteration=iteration, episodes_done=0, episodes_wanted=wanted)
            starts = training_starts(parts.snapshot.worlds, iteration, wanted, cap)
            (episodes,) = parts.collector.collect(
                Group(starts, parts.learner.sampler(counters.steps)),
                on_tick=self._watch("refilling"),
                should_stop=parts.should_stop,
            )
            parts.learner.remember(episodes)
        parts.say(f"The replay buffer is filled again by {self._number - iteration} iterations of episodes")

    def _during_update(self, done: int, total: int) -> None:
        self._parts.collector.poll()
        self._parts.status.update(update_fraction=done / total)
        if self._parts.should_stop():
            raise CollectionStopped

    def _publish(
        self, iteration: int, episodes: Sequence[Episode], update: UpdateStats, seconds: dict[str, float]
    ) -> None:
        records = [episode.record for episode in episodes]
        laps = [record.duration_s for record in records if record.is_lap]
        self._number = iteration + 1
        self._counters = _count_training(self._counters, episodes)
        summary: dict[str, Any] = {
            "iteration": iteration,
            "checkpoint": iteration + 1,
            "episodes": len(records),
            "steps": sum(record.steps for record in records),
            "reward_mean": sum(record.reward for record in records) / len(records),
            "progress_mean": sum(record.progress_percent for record in records) / len(records),
            "laps": len(laps),
            "lap_times_s": laps,
            **update.figures,
            "seconds": seconds,
        }
        traces = self._slots.add_training(iteration, records)
        self._begin_publication(summary=summary, traces=traces, conditions=self._latest.conditions)

    def _publish_first(self) -> None:
        """Publish checkpoint 0: the network before its first update, untrained or an earlier model's."""
        parts = self._parts
        conditions = parts.snapshot.conditions(
            parts.spec, parts.learner.precision, parts.learner.shards, self._slots.count
        )
        if parts.inherited is not None:
            conditions["pretrained"] = parts.inherited.origin
        self._begin_publication(summary=None, traces={}, conditions=conditions)

    def _begin_publication(
        self, *, summary: dict[str, Any] | None, traces: Mapping[str, bytes], conditions: Mapping[str, Any]
    ) -> None:
        learner, started = self._parts.learner, time.monotonic()
        # Copied by this thread: a GPU that records a policy bears no other work.
        content = CheckpointContent(learner.weights(), learner.optimizer_state(), learner.frozen_graph())
        if summary is not None:
            summary["seconds"]["publish"] = time.monotonic() - started
        self._publication = self._writer.submit(
            self._parts.publisher.publish_checkpoint,
            self._number,
            content,
            counters=self._counters,
            slots=self._slots,
            traces=traces,
            conditions=conditions,
            summary=summary,
            previous=self._manifest,
        )

    def _settle(self) -> None:
        """Wait for the publication under way and tell that the checkpoint is there."""
        parts, publication = self._parts, self._publication
        if publication is None:
            return
        if not publication.done():
            parts.status.update("publishing")
        started = time.monotonic()
        manifest, self._publication = publication.result(), None
        release_free_memory()  # the copies that were written
        if manifest.summary is not None:
            seconds = manifest.summary["seconds"]
            waited = {**seconds, "publish": seconds["publish"] + time.monotonic() - started}
            manifest = replace(manifest, summary={**manifest.summary, "seconds": waited})
        self._manifest = manifest
        parts.say(log_lines.checkpoint_saving(manifest.number, manifest.steps))
        if manifest.number:
            parts.say(log_lines.saved_frozen_graph(parts.keys.frozen_graph(manifest.number)))
        parts.events.add_iteration(manifest)
        self._report_checkpoint()

    def _finish_publication(self) -> None:
        """Wait, however the run ends, until the checkpoint under way is in the store."""
        try:
            self._settle()
        finally:
            self._writer.shutdown()

    def _judge(self, trials: Sequence[Episode], evaluate_s: float) -> None:
        """Do publish 2 of the newest checkpoint."""
        parts, manifest = self._parts, self._latest
        records = [episode.record for episode in trials]
        evaluation = judge(records, self._metric)
        is_best = is_better(evaluation.metric, manifest.best.metric, self._metric)
        trial_metrics = [judge([record], self._metric).metric for record in records]
        parts.say(log_lines.evaluations(self._metric, trial_metrics))
        parts.say(log_lines.evaluation_mean(self._metric, evaluation.metric))
        if is_best:
            parts.say(log_lines.new_best_checkpoint(manifest.name, manifest.best.name))
        is_clean = evaluation.laps == evaluation.trials
        fastest = [self._counters.best_lap_s, *evaluation.lap_times_s]
        self._counters = replace(
            self._counters,
            lap_streak=self._counters.lap_streak + 1 if is_clean else 0,
            best_lap_s=min((lap for lap in fastest if lap is not None), default=None),
        )
        if (summary := manifest.summary) is not None:
            seconds = {**summary["seconds"], "evaluate": evaluate_s}
            manifest = replace(manifest, summary={**summary, "seconds": seconds})
            self._report_pace(manifest.number - 1, summary["steps"], seconds)
        self._slots.add_evaluation(records)
        self._manifest = parts.publisher.publish_evaluation(
            manifest, evaluation, counters=self._counters, slots=self._slots, is_best=is_best
        )
        parts.say(log_lines.best_and_last(self._manifest.best.number, self._manifest.number))
        parts.events.add_evaluation(self._manifest)
        self._report_checkpoint()

    def _report_pace(self, iteration: int, steps: int, seconds: Mapping[str, float]) -> None:
        total = sum(seconds.values())
        self._parts.status.update(steps_per_s=steps / total)
        each = ", ".join(f"{phase} {seconds.get(key, 0.0):.1f}" for phase, key in SECONDS_KEYS.items())
        self._parts.say(f"Iteration {iteration} took {total:.1f} s: {each}")

    def _watch(self, *phases: str) -> PhaseWatch:
        return PhaseWatch(phases, self._follow)

    def _follow(self, phase: str, group: GroupProgress, progress: CollectionProgress) -> None:
        status = self._parts.status
        if self._publication is not None and self._publication.done():
            self._settle()
        if progress.steps and not self._has_stepped:
            self._has_stepped = True
            status.update(first_step_at=time.time())
        status.update(
            "waiting_for_workers" if progress.is_waiting_for_workers else phase,
            episodes_done=group.finished,
            episodes_wanted=group.wanted,
            steps_this_phase=group.steps,
        )

    @property
    def _is_unjudged(self) -> bool:
        """Whether the newest checkpoint awaits its trials; the one before the first update has none."""
        manifest = self._manifest
        is_judged = manifest is not None and manifest.number == self._number and manifest.evaluation is not None
        return self._number > 0 and not is_judged

    @property
    def _latest(self) -> Manifest:
        """Manifest of the newest checkpoint in the store."""
        if self._manifest is None:
            raise ValueError("the first checkpoint is not published yet")
        return self._manifest

    def _report_checkpoint(self) -> None:
        manifest = self._latest
        counters, evaluation = manifest.counters, manifest.evaluation
        if evaluation is not None:  # until there is one of this checkpoint, that of the one before stands there
            self._parts.status.update(
                evaluation={
                    "checkpoint": manifest.number,
                    "trials": evaluation.trials,
                    "laps": evaluation.laps,
                    "progress_mean": evaluation.progress_mean_percent,
                    "best_lap_s": min(evaluation.lap_times_s, default=None),
                }
            )
        self._parts.status.update(
            episodes_total=counters.episodes,
            steps_total=counters.steps,
            laps_training=counters.laps,
            best_lap_s=counters.best_lap_s,
            progress_mean=manifest.summary["progress_mean"] if manifest.summary else None,
            checkpoint={"last": manifest.number, "best": manifest.best.number},
            pretrained=manifest.conditions.get("pretrained"),
            stop_rule={
                "name": self._rule.name,
                "text": self._rule.describe(),
                "streak": counters.lap_streak,
                "needed": LAP_STREAK,
                "max_episodes": self._rule.max_episodes,
            },
        )


def _count_training(counters: Counters, episodes: Sequence[Episode]) -> Counters:
    records = [episode.record for episode in episodes]
    laps = [record.duration_s for record in records if record.is_lap]
    scores = (*counters.recent_scores, *(record.reward for record in records))
    fastest = [counters.best_lap_s, *laps]
    return replace(
        counters,
        episodes=counters.episodes + len(records),
        steps=counters.steps + sum(record.steps for record in records),
        laps=counters.laps + len(laps),
        recent_scores=scores[-SCORE_WINDOW:],
        best_lap_s=min((lap for lap in fastest if lap is not None), default=None),
    )


def _open_slots(parts: Parts, resumed: Manifest | None) -> SlotBook:
    episodes = parts.snapshot.hyperparameters.episodes_per_iteration
    metric = parts.snapshot.best_model_metric
    if resumed is None:
        count = slot_count(parts.spec.workers, episodes)
        return SlotBook(parts.keys, episodes, metric, [SlotState()] * count, [[]] * count)
    entries: list[Sequence[EpisodeMetrics]] = [
        parse_training_metrics(parts.store.get(key), key).episodes if state.entries else []
        for key, state in ((parts.keys.metrics(slot), state) for slot, state in enumerate(resumed.slots))
    ]
    return SlotBook(parts.keys, episodes, metric, resumed.slots, entries)
