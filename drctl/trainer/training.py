"""The main loop of a training: collect, update, publish, evaluate, until the stop rule ends the run (DESIGN 4.5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from drctl.formats import log_lines
from drctl.formats.manifest import Counters, Manifest, SlotState
from drctl.formats.training_metrics import EpisodeMetrics, parse_training_metrics
from drctl.storage.objects import ObjectStore
from drctl.trainer.best_model import is_better, judge
from drctl.trainer.collection import CollectionProgress, CollectionStopped, Collector
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
        self._manifest = resumed or self._publish_first()
        self._report_checkpoint()

    def run(self) -> str:
        """Go on until the stop rule is met.

        Returns:
            Why the run is over, as a sentence.

        Raises:
            CollectionStopped: The process was asked to end; the last checkpoint is in the store.
        """
        if self._manifest.number > 0 and self._manifest.evaluation is None:
            self._evaluate()
        self._refill()
        while True:
            reason = self._rule.reason_to_stop(self._manifest.counters)
            if reason is not None:
                return reason
            self._iterate()

    @property
    def manifest(self) -> Manifest:
        """Manifest of the newest checkpoint."""
        return self._manifest

    def _iterate(self) -> None:
        parts, iteration = self._parts, self._manifest.number
        started = time.monotonic()
        episodes = self._collect(iteration)
        collected = time.monotonic()
        parts.status.update("updating")
        update = parts.learner.update(episodes, iteration, self._during_update)
        for line in update.lines:
            parts.say(line)
        updated = time.monotonic()
        parts.status.update("publishing")
        seconds = {"collect": collected - started, "update": updated - collected}
        self._publish(iteration, episodes, update, seconds)
        published = time.monotonic()
        del episodes
        self._evaluate(published - updated)
        steps = self._manifest.summary["steps"] if self._manifest.summary else 0
        parts.status.update(steps_per_s=steps / (time.monotonic() - started))
        parts.say(
            f"Iteration {iteration} took {time.monotonic() - started:.1f} s: collecting {collected - started:.1f}, "
            f"updating {updated - collected:.1f}, publishing {published - updated:.1f}, "
            f"evaluating {time.monotonic() - published:.1f}"
        )

    def _refill(self) -> None:
        """Drive the last iterations' episodes again where the algorithm remembers what no checkpoint holds.

        The present policy drives them, and nothing is learned, counted or recorded meanwhile.
        """
        parts, counters, iteration = self._parts, self._manifest.counters, self._manifest.number
        missing = parts.learner.missing_steps(counters.steps)
        if not missing:
            return
        parts.say(f"Refilling the replay buffer, which no checkpoint holds: {missing} steps are driven again")
        wanted, cap = parts.snapshot.hyperparameters.episodes_per_iteration, parts.spec.max_steps_per_iteration
        while iteration > 0 and parts.learner.missing_steps(counters.steps):
            iteration -= 1
            parts.status.update("refilling", iteration=iteration, episodes_done=0, episodes_wanted=wanted)
            episodes = parts.collector.collect(
                training_starts(parts.snapshot.worlds, iteration, wanted, cap),
                parts.learner.sampler(counters.steps),
                on_tick=self._watch("refilling"),
                should_stop=parts.should_stop,
            )
            parts.learner.remember(episodes)
        parts.say(f"The replay buffer is filled again by {self._manifest.number - iteration} iterations of episodes")

    def _collect(self, iteration: int) -> list[Episode]:
        parts = self._parts
        wanted = parts.snapshot.hyperparameters.episodes_per_iteration
        starts = training_starts(parts.snapshot.worlds, iteration, wanted, parts.spec.max_steps_per_iteration)
        steps = self._manifest.counters.steps
        exploration = parts.learner.exploration(steps)
        parts.status.update("collecting", iteration=iteration, episodes_done=0, episodes_wanted=wanted)
        episodes = parts.collector.collect(
            starts, parts.learner.sampler(steps), on_tick=self._watch("collecting"), should_stop=parts.should_stop
        )
        for episode in episodes:
            steps += episode.record.steps
            parts.say(
                log_lines.training_episode(
                    episode=self._manifest.counters.episodes + episode.start.episode + 1,
                    total_reward=episode.record.reward,
                    exploration=exploration,
                    steps=steps,
                    iteration=iteration,
                )
            )
        return episodes

    def _during_update(self, done: int, total: int) -> None:
        self._parts.collector.poll()
        self._parts.status.update(update_fraction=done / total)
        if self._parts.should_stop():
            raise CollectionStopped

    def _publish(
        self, iteration: int, episodes: Sequence[Episode], update: UpdateStats, seconds: dict[str, float]
    ) -> None:
        parts = self._parts
        records = [episode.record for episode in episodes]
        counters = _count_training(self._manifest.counters, episodes)
        laps = [record.duration_s for record in records if record.is_lap]
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
        content = CheckpointContent(
            parts.learner.weights(), parts.learner.optimizer_state(), parts.learner.frozen_graph()
        )
        self._manifest = parts.publisher.publish_checkpoint(
            iteration + 1,
            content,
            counters=counters,
            slots=self._slots,
            traces=traces,
            conditions=self._manifest.conditions,
            summary=summary,
            previous=self._manifest,
        )
        parts.say(log_lines.checkpoint_saving(self._manifest.number, self._manifest.steps))
        parts.say(log_lines.saved_frozen_graph(parts.keys.frozen_graph(self._manifest.number)))
        parts.events.add_iteration(self._manifest)
        self._report_checkpoint()

    def _evaluate(self, publish_s: float = 0.0) -> None:
        parts, manifest = self._parts, self._manifest
        iteration, started = manifest.number - 1, time.monotonic()
        starts = evaluation_starts(
            parts.snapshot.worlds, parts.snapshot.is_closed, iteration, parts.snapshot.min_eval_trials
        )
        parts.status.update("evaluating", episodes_done=0, episodes_wanted=len(starts))
        episodes = parts.collector.collect(
            starts, parts.learner.greedy(), on_tick=self._watch("evaluating"), should_stop=parts.should_stop
        )
        records = [episode.record for episode in episodes]
        evaluation = judge(records, self._metric)
        is_best = is_better(evaluation.metric, manifest.best.metric, self._metric)
        trial_metrics = [judge([record], self._metric).metric for record in records]
        parts.say(log_lines.evaluations(self._metric, trial_metrics))
        parts.say(log_lines.evaluation_mean(self._metric, evaluation.metric))
        if is_best:
            parts.say(log_lines.new_best_checkpoint(manifest.name, manifest.best.name))
        is_clean = evaluation.laps == evaluation.trials
        fastest = [manifest.counters.best_lap_s, *evaluation.lap_times_s]
        counters = replace(
            manifest.counters,
            lap_streak=manifest.counters.lap_streak + 1 if is_clean else 0,
            best_lap_s=min((lap for lap in fastest if lap is not None), default=None),
        )
        if manifest.summary is not None:
            seconds = {
                **manifest.summary["seconds"],
                "publish": publish_s,
                "evaluate": time.monotonic() - started,
            }
            manifest = replace(manifest, summary={**manifest.summary, "seconds": seconds})
        self._slots.add_evaluation(records)
        self._manifest = parts.publisher.publish_evaluation(
            manifest, evaluation, counters=counters, slots=self._slots, is_best=is_best
        )
        parts.say(log_lines.best_and_last(self._manifest.best.number, self._manifest.number))
        parts.events.add_evaluation(self._manifest)
        self._report_checkpoint()

    def _watch(self, phase: str) -> Callable[[CollectionProgress], None]:
        status = self._parts.status

        def on_tick(progress: CollectionProgress) -> None:
            current = "waiting_for_workers" if progress.is_waiting_for_workers else phase
            if progress.steps and not self._has_stepped:
                self._has_stepped = True
                status.update(first_step_at=time.time())
            status.update(current, episodes_done=progress.finished, steps_this_phase=progress.steps)

        return on_tick

    def _publish_first(self) -> Manifest:
        """Publish checkpoint 0: the network before its first update, untrained or an earlier model's."""
        parts = self._parts
        content = CheckpointContent(
            parts.learner.weights(), parts.learner.optimizer_state(), parts.learner.frozen_graph()
        )
        conditions = parts.snapshot.conditions(
            parts.spec, parts.learner.precision, parts.learner.shards, self._slots.count
        )
        if parts.inherited is not None:
            conditions["pretrained"] = parts.inherited.origin
        manifest = parts.publisher.publish_checkpoint(
            0,
            content,
            counters=parts.inherited.counters if parts.inherited else Counters(),
            slots=self._slots,
            traces={},
            conditions=conditions,
            summary=None,
            previous=None,
        )
        parts.say(log_lines.checkpoint_saving(manifest.number, manifest.steps))
        return manifest

    def _report_checkpoint(self) -> None:
        manifest = self._manifest
        counters, evaluation = manifest.counters, manifest.evaluation
        self._parts.status.update(
            episodes_total=counters.episodes,
            steps_total=counters.steps,
            laps_training=counters.laps,
            best_lap_s=counters.best_lap_s,
            progress_mean=manifest.summary["progress_mean"] if manifest.summary else None,
            evaluation=None
            if evaluation is None
            else {
                "checkpoint": manifest.number,
                "trials": evaluation.trials,
                "laps": evaluation.laps,
                "progress_mean": evaluation.progress_mean_percent,
                "best_lap_s": min(evaluation.lap_times_s, default=None),
            },
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
