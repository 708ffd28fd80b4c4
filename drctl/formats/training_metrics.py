"""``TrainingMetrics.json``: one entry per finished episode, for consoles and dashboards (contract 4.1)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.fields import FieldReader
from drctl.formats.json_text import describe, read_json_object

if TYPE_CHECKING:
    from collections.abc import Iterable

Phase = Literal["training", "evaluation"]
BestModelMetric = Literal["progress", "reward", "laptime"]

BEST_MODEL_METRICS: Final = ("progress", "reward", "laptime")
_VERSION: Final = 2.0
_LARGEST: Final = 2**63 - 1
_LABELS: Final = tuple(status.label for status in EpisodeStatus)


@dataclass(frozen=True)
class EpisodeMetrics:
    """One entry; fields, order and whole numbers as in the file.

    Attributes:
        reward_score: Sum of the episode's rewards, rounded.
        metric_time: Simulated time at the episode's end, ms.
        start_time: Simulated time at its reset, ms.
        elapsed_time_in_milliseconds: Between the two.
        episode: Count of training episodes in this file, from 1; evaluation entries repeat the last one's.
        trial: Training episodes within the iteration, from 1; evaluation entries repeat the last one's.
        phase: ``training`` or ``evaluation``.
        completion_percentage: Progress at the end, at most 100, decimals cut off; may be negative.
        episode_status: How it ended, as a label such as ``Off track``.
    """

    reward_score: int
    metric_time: int
    start_time: int
    elapsed_time_in_milliseconds: int
    episode: int
    trial: int
    phase: Phase
    completion_percentage: int
    episode_status: str


@dataclass(frozen=True)
class TrainingMetrics:
    """The whole file."""

    episodes: tuple[EpisodeMetrics, ...]
    best_model_metric: BestModelMetric


@dataclass(frozen=True)
class Outcome:
    """What a file comes down to.

    Attributes:
        best_lap_s: Fastest complete lap, training and evaluation alike, in simulated seconds; None without one.
        best_model_metric: What judged the checkpoints; None where the file does not tell.
    """

    best_lap_s: float | None
    best_model_metric: str | None


def make_episode_metrics(
    *,
    reward: float,
    start_time_s: float,
    end_time_s: float,
    episode: int,
    trial: int,
    phase: Phase,
    progress_percent: float,
    status: EpisodeStatus,
) -> EpisodeMetrics:
    """Round an episode's figures the way the file has them.

    Args:
        reward: Sum of its rewards.
        start_time_s: Simulated time at its reset, on the clock of the file.
        end_time_s: Simulated time at its end, on the same clock.
        episode: See `EpisodeMetrics`.
        trial: See `EpisodeMetrics`.
        phase: See `EpisodeMetrics`.
        progress_percent: Progress at the end; decimals are cut off, not rounded.
        status: How it ended.
    """
    return EpisodeMetrics(
        reward_score=round(reward),
        metric_time=round(end_time_s * 1000),
        start_time=round(start_time_s * 1000),
        elapsed_time_in_milliseconds=round((end_time_s - start_time_s) * 1000),
        episode=episode,
        trial=trial,
        phase=phase,
        completion_percentage=int(progress_percent),
        episode_status=status.label,
    )


def render_training_metrics(episodes: Iterable[EpisodeMetrics], best_model_metric: BestModelMetric) -> bytes:
    """Return the file's content.

    Args:
        episodes: In the order in which they were played.
        best_model_metric: ``DR_TRAIN_BEST_MODEL_METRIC``.
    """
    document = {
        "metrics": [asdict(entry) for entry in episodes],
        "version": _VERSION,
        "best_model_metric": best_model_metric,
    }
    return json.dumps(document).encode()


def parse_training_metrics(data: bytes | str, source: str) -> TrainingMetrics:
    """Read a ``TrainingMetrics.json``.

    Args:
        data: The file's content.
        source: Its name for messages.

    Returns:
        The entries, oldest first.

    Raises:
        FormatError: Everything that is wrong with the file, at once.
    """
    fields = FieldReader(read_json_object(data, source), source)
    fields.refuse_unknown(("metrics", "version", "best_model_metric"))
    fields.number("version", _VERSION, low=_VERSION, high=_VERSION)
    metric = fields.choice("best_model_metric", "progress", BEST_MODEL_METRICS)
    entries = fields.raw("metrics")
    if not isinstance(entries, list):
        fields.report("metrics", f"metrics is {describe(entries)}", "a list of episodes")
        entries = []
    episodes = tuple(_read_entry(entry, index, fields) for index, entry in enumerate(entries))
    fields.raise_problems()
    return TrainingMetrics(episodes, cast("BestModelMetric", metric))


def read_outcome(data: bytes) -> Outcome | None:
    """Return what a ``TrainingMetrics.json`` comes down to, without checking every entry; None when it is none.

    Args:
        data: The file's content, also of other versions.
    """
    try:
        document = json.loads(data)
        complete = [
            entry for entry in document["metrics"] if entry["episode_status"] == EpisodeStatus.LAP_COMPLETE.label
        ]
        laps_ms = [float(entry["elapsed_time_in_milliseconds"]) for entry in complete]
        metric = document.get("best_model_metric")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return Outcome(min(laps_ms) / 1000.0 if laps_ms else None, metric if metric in BEST_MODEL_METRICS else None)


def _read_entry(entry: Any, index: int, fields: FieldReader) -> EpisodeMetrics:
    path = f"metrics[{index}]"
    if not isinstance(entry, dict):
        fields.report(path, f"{path} is {describe(entry)}", "an object")
        entry = {}
    reader = FieldReader(entry, fields.source, path=path, problems=fields.problems)
    names = tuple(EpisodeMetrics.__dataclass_fields__)
    reader.refuse_unknown(names)
    for name in names:
        if entry and not reader.has(name):
            reader.report(name, f'"{name}" is missing')
    return EpisodeMetrics(
        reward_score=reader.integer("reward_score", 0, low=-_LARGEST, high=_LARGEST),
        metric_time=reader.integer("metric_time", 0, low=0, high=_LARGEST),
        start_time=reader.integer("start_time", 0, low=0, high=_LARGEST),
        elapsed_time_in_milliseconds=reader.integer("elapsed_time_in_milliseconds", 0, low=0, high=_LARGEST),
        episode=reader.integer("episode", 1, low=0, high=_LARGEST),
        trial=reader.integer("trial", 1, low=0, high=_LARGEST),
        phase=cast("Phase", reader.choice("phase", "training", ("training", "evaluation"))),
        completion_percentage=reader.integer("completion_percentage", 0, low=-_LARGEST, high=100),
        episode_status=reader.choice("episode_status", _LABELS[0], _LABELS),
    )
