"""What a run of the community images is doing, read from the files that they write (contract 1.2, 2, 4.1).

Their trainer and workers write no status of their own. The account made here has the keys of our trainer's
``status.json``, as far as the files tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import DrctlError
from drctl.formats.checkpoint_index import CheckpointIndex, checkpoint_number, parse_checkpoint_index
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.object_keys import ModelKeys
from drctl.formats.training_metrics import EpisodeMetrics, parse_training_metrics

if TYPE_CHECKING:
    from drctl.engines.state import EngineState, PartState
    from drctl.stack.plan import RunPlan
    from drctl.storage.objects import ObjectStore

STARTING_TRAINER: Final = "starting_trainer"
BUILDING_NETWORKS: Final = "building_networks"
STARTING_SIMULATION: Final = "starting_simulation"
START_PHASES: Final = (STARTING_TRAINER, BUILDING_NETWORKS)
"""Phases before the trainer listens for workers."""

SILENT_S: Final = 1200.0
"""Longer than an episode and an update take in practice; files are written after each, and nothing in between."""

_SILENT_CAUSE: Final = (
    "no file has changed; the trainer waits for ever when a worker hangs: drctl logs-robomaker, drctl logs-sagemaker"
)
_LAP: Final = EpisodeStatus.LAP_COMPLETE.label
_CHECKPOINT_BYTES: Final = 256  # contract 1.2: only these are looked at


@dataclass(frozen=True)
class WorkerMetrics:
    """What one worker has driven.

    Attributes:
        episodes: Its entries, oldest first.
        modified: When they were written, epoch seconds.
    """

    episodes: tuple[EpisodeMetrics, ...] = ()
    modified: float = 0.0

    @property
    def training(self) -> list[EpisodeMetrics]:
        """The training episodes."""
        return [entry for entry in self.episodes if entry.phase == "training"]

    @property
    def is_evaluating(self) -> bool:
        """Whether the last episode was an evaluation."""
        return bool(self.episodes) and self.episodes[-1].phase == "evaluation"

    @property
    def last_evaluation(self) -> list[EpisodeMetrics]:
        """The episodes of the last evaluation that is over: those before the newest training episodes."""
        rest = list(self.episodes)
        while rest and rest[-1].phase == "evaluation":
            rest.pop()
        while rest and rest[-1].phase == "training":
            rest.pop()
        start = max((place for place, entry in enumerate(rest) if entry.phase == "training"), default=-1)
        return rest[start + 1 :]


@dataclass(frozen=True)
class ModelFiles:
    """What lies under the model's prefix.

    Attributes:
        has_address: The trainer has told where it is (``ip/done``).
        is_ready: It listens, and its first checkpoint is there (``model/.ready``).
        is_publishing: A checkpoint is being replaced (``model/.lock``).
        is_finished: The trainer has left (``model/.finished``).
        checkpoint: Newest checkpoint's name, or None.
        checkpoint_time: When it was named, epoch seconds.
        index: Best and last checkpoint, or None.
        workers: By number.
    """

    has_address: bool = False
    is_ready: bool = False
    is_publishing: bool = False
    is_finished: bool = False
    checkpoint: str | None = None
    checkpoint_time: float = 0.0
    index: CheckpointIndex | None = None
    workers: tuple[WorkerMetrics, ...] = ()


def facts_for(*, workers: int, episodes_per_iteration: int, max_episodes: int, metrics_prefix: str) -> dict[str, Any]:
    """Return what `describe_model_files` needs to know of a run; its plan carries it.

    Args:
        workers: ``DR_WORKERS``.
        episodes_per_iteration: ``num_episodes_between_training``.
        max_episodes: ``term_cond_max_episodes``.
        metrics_prefix: Folder of the metrics files.
    """
    return {
        "workers": workers,
        "episodes_per_iteration": episodes_per_iteration,
        "max_episodes": max_episodes,
        "metrics_prefix": metrics_prefix,
    }


def read_account(store: ObjectStore | None, plan: RunPlan, state: EngineState) -> Mapping[str, Any]:
    """Return what a run of the images does, in the words of our trainer's own account.

    Args:
        store: Its bucket; None when it cannot be reached.
        plan: Of the run.
        state: What its engine knows.
    """
    if store is None:
        return {}
    try:
        files = read_model_files(store, plan)
    except DrctlError:
        return {}
    return describe_model_files(files, plan, state)


def read_model_files(store: ObjectStore, plan: RunPlan) -> ModelFiles:
    """Look at the files under a model's prefix.

    Raises:
        UnavailableError: The store does not answer.
    """
    keys = ModelKeys(plan.prefix, plan.trainer["metrics_prefix"])
    flags = {name: store.stat(key) is not None for name, key in _flag_keys(keys).items()}
    newest = store.stat(keys.coach_checkpoint)
    return ModelFiles(
        **flags,
        checkpoint=_read_text(store, keys.coach_checkpoint) if newest else None,
        checkpoint_time=newest.modified.timestamp() if newest else 0.0,
        index=_read_index(store, keys),
        workers=tuple(_read_metrics(store, keys.metrics(number)) for number in range(plan.trainer["workers"])),
    )


def describe_model_files(files: ModelFiles, plan: RunPlan, state: EngineState) -> Mapping[str, Any]:
    """Say what the files mean; see `read_account`."""
    per_iteration = plan.trainer["episodes_per_iteration"]
    driven = [worker.training for worker in files.workers]
    total = sum(map(len, driven))
    iteration, done = divmod(total, per_iteration)
    is_between = done == 0 and total > 0 and files.workers[0].is_evaluating
    heartbeat = max([files.checkpoint_time, *(worker.modified for worker in files.workers)])
    evaluation = files.workers[0].last_evaluation if files.workers else []
    laps = [entry for entries in driven for entry in entries if entry.episode_status == _LAP]
    lap_times = [entry.elapsed_time_in_milliseconds / 1000 for entry in (*laps, *_laps(evaluation))]
    account: dict[str, Any] = {
        "phase": _phase(files, total, is_between=is_between),
        "phase_since": heartbeat or state.phase_since,
        "heartbeat": heartbeat or None,
        "silent_after_s": SILENT_S,
        "silent_cause": _SILENT_CAUSE,
        "iteration": iteration,
        "episodes_done": done,
        "episodes_wanted": per_iteration,
        "episodes_total": total,
        "steps_total": _steps_of(files.checkpoint),
        "workers": _describe_workers(files, state),
        "stop_rule": {"name": "images", "text": _describe_limit(plan)},
        "laps_training": len(laps),
        "best_lap_s": min(lap_times, default=None),
    }
    if total:
        account["progress_mean"] = _mean(_newest(driven, per_iteration))
    if files.index and files.index.last.name and files.index.best.name:
        best, last = checkpoint_number(files.index.best.name), checkpoint_number(files.index.last.name)
        account["checkpoint"] = {"best": best, "last": last}
        if evaluation:
            account["evaluation"] = {
                "checkpoint": last,
                "laps": len(_laps(evaluation)),
                "trials": len(evaluation),
                "progress_mean": _mean(evaluation),
            }
    return account


def episodes_of_worker(number: int, episodes: int, workers: int) -> int:
    """Return how many episodes of an iteration a worker drives (contract 2.3)."""
    return episodes // workers + (number < episodes % workers)


def _flag_keys(keys: ModelKeys) -> dict[str, str]:
    return {
        "has_address": keys.trainer_is_known,
        "is_ready": keys.trainer_is_ready,
        "is_publishing": keys.checkpoint_lock,
        "is_finished": keys.trainer_has_left,
    }


def _phase(files: ModelFiles, episodes: int, *, is_between: bool) -> str:
    if files.is_finished:
        return "finishing"
    if not files.is_ready:
        return BUILDING_NETWORKS if files.has_address else STARTING_TRAINER
    if files.is_publishing:
        return "publishing_checkpoint"
    if episodes == 0:
        return STARTING_SIMULATION
    return "updating_policy" if is_between else "collecting_episodes"


def _describe_limit(plan: RunPlan) -> str:
    facts = plan.trainer
    episodes, limit = facts["episodes_per_iteration"], facts["max_episodes"]
    workers = min(facts["workers"], episodes)
    iterations = math.ceil(limit / episodes_of_worker(0, episodes, workers))
    return (
        f"the workers leave after {iterations} iterations, {iterations * episodes} episodes in all "
        f"(each counts term_cond_max_episodes {limit} for itself)"
    )


def _describe_workers(files: ModelFiles, state: EngineState) -> list[dict[str, Any]]:
    parts = [part for part in state.parts if part.kind == "worker"]
    return [
        _describe_worker(part, metrics, is_ready=files.is_ready)
        for part, metrics in zip(parts, files.workers, strict=False)
    ]


def _describe_worker(part: PartState, metrics: WorkerMetrics, *, is_ready: bool) -> dict[str, Any]:
    training = metrics.training
    doing = "starts the simulation" if is_ready else "waits for the trainer"
    if metrics.episodes:
        last = metrics.episodes[-1]
        evaluations = len(metrics.episodes) - len(training)
        doing = f"{len(training)} episodes, {evaluations} evaluations; the last one: {last.episode_status.lower()}"
        if last.episode_status != _LAP:
            doing += f" at {last.completion_percentage} %"
    return {
        "name": part.name,
        "host": part.container,
        "pid": None,
        "state": "driving" if metrics.episodes else "setting_up",
        "doing": doing,
        "cars": 1,
        "episodes_running": 1,
        "last_heard": metrics.modified or None,
        "address": "",
        "reason": "",
    }


def _read_index(store: ObjectStore, keys: ModelKeys) -> CheckpointIndex | None:
    try:
        return parse_checkpoint_index(store.get(keys.checkpoint_index), keys.checkpoint_index)
    except DrctlError:
        return None


def _read_metrics(store: ObjectStore, key: str) -> WorkerMetrics:
    found = store.stat(key)
    if found is None:
        return WorkerMetrics()
    try:
        return WorkerMetrics(parse_training_metrics(store.get(key), key).episodes, found.modified.timestamp())
    except DrctlError:
        return WorkerMetrics(modified=found.modified.timestamp())


def _read_text(store: ObjectStore, key: str) -> str | None:
    try:
        return store.get(key)[:_CHECKPOINT_BYTES].decode(errors="replace").strip()
    except DrctlError:  # replaced in this very moment
        return None


def _steps_of(checkpoint: str | None) -> int:
    steps = (checkpoint or "").partition("_Step-")[2].removesuffix(".ckpt")
    return int(steps) if steps.isdigit() else 0


def _newest(driven: Sequence[Sequence[EpisodeMetrics]], count: int) -> list[EpisodeMetrics]:
    """Return the last training episodes of all workers, about as many as an iteration has."""
    each = max(1, count // max(1, len(driven)))
    return [entry for entries in driven for entry in entries[-each:]]


def _laps(entries: Sequence[EpisodeMetrics]) -> list[EpisodeMetrics]:
    return [entry for entry in entries if entry.episode_status == _LAP]


def _mean(entries: Sequence[EpisodeMetrics]) -> float | None:
    return sum(entry.completion_percentage for entry in entries) / len(entries) if entries else None
