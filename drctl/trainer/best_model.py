"""Judge a checkpoint by its evaluation (contract 7, best model; 3.3, BEST_MODEL_METRIC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drctl.formats.manifest import EvaluationRecord

if TYPE_CHECKING:
    from drctl.simulation.episode import EpisodeRecord

UNFINISHED_LAP_MS = 999_999.0
"""Lap time that counts for a trial without a complete lap (contract 7)."""


def judge(records: Sequence[EpisodeRecord], best_model_metric: str) -> EvaluationRecord:
    """Sum an evaluation up.

    Args:
        records: The evaluation's episodes, at least one.
        best_model_metric: ``progress``, ``reward`` or ``laptime``.
    """
    laps = [record for record in records if record.is_lap]
    progress = _mean([record.progress_percent for record in records])
    reward = _mean([record.reward for record in records])
    lap_time_ms = _mean([record.duration_s * 1000.0 if record.is_lap else UNFINISHED_LAP_MS for record in records])
    return EvaluationRecord(
        metric={"progress": progress, "reward": reward, "laptime": lap_time_ms}[best_model_metric],
        trials=len(records),
        laps=len(laps),
        progress_mean_percent=progress,
        reward_mean=reward,
        lap_times_s=tuple(record.duration_s for record in laps),
    )


def is_better(metric: float, best: float | None, best_model_metric: str) -> bool:
    """Tell whether a checkpoint takes the place of the best one; equal ones do, because they are newer."""
    if best is None:
        return True
    return metric <= best if best_model_metric == "laptime" else metric >= best


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
