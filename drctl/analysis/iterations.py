"""A training, iteration by iteration: from our trainer's summaries, or from the metrics that every stack writes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from drctl.formats.episode_status import EpisodeStatus

if TYPE_CHECKING:
    from drctl.formats.training_metrics import EpisodeMetrics

_LAP: Final = EpisodeStatus.LAP_COMPLETE.label
_COUNTS: Final = ("iteration", "checkpoint", "episodes", "steps", "reward_mean", "progress_mean", "laps", "lap_times_s")
_APART: Final = ("seconds", "evaluation")


@dataclass(frozen=True)
class Outcome:
    """What some episodes came to.

    Attributes:
        episodes: How many there were.
        laps: How many of them were complete laps.
        reward_mean: Mean of their sums of rewards.
        progress_mean_percent: Mean progress at their ends.
        lap_times_s: Durations of the complete laps, simulated seconds.
    """

    episodes: int
    laps: int
    reward_mean: float
    progress_mean_percent: float
    lap_times_s: tuple[float, ...] = ()

    @property
    def best_lap_s(self) -> float | None:
        """The fastest complete lap, or None."""
        return min(self.lap_times_s, default=None)


@dataclass(frozen=True)
class Iteration:
    """One rollout, the update that followed, and what the checkpoint was judged by.

    Attributes:
        number: From 0.
        training: Its training episodes.
        evaluation: The greedy episodes after it; None where there were none.
        steps: Environment steps of the training episodes; None where nothing tells.
        learning: Figures of the update, such as ``entropy`` in nats; empty for the community images.
        seconds: Wall-clock seconds per phase; empty for the community images.
    """

    number: int
    training: Outcome
    evaluation: Outcome | None = None
    steps: int | None = None
    learning: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def iteration_from_summary(summary: Mapping[str, Any]) -> Iteration:
    """Read one of our trainer's summaries (``.drctl/iterations/<i>.json``).

    Raises:
        KeyError: It lacks a figure.
    """
    judged = summary.get("evaluation")
    return Iteration(
        number=int(summary["iteration"]),
        training=_outcome(summary, summary["episodes"]),
        evaluation=_outcome(judged, judged["trials"]) if judged else None,
        steps=int(summary["steps"]),
        learning={
            name: float(value)
            for name, value in summary.items()
            if name not in (*_COUNTS, *_APART) and isinstance(value, int | float)
        },
        seconds=dict(summary.get("seconds") or {}),
    )


def iterations_from_metrics(
    slots: Sequence[Sequence[EpisodeMetrics]], episodes_per_iteration: int | None
) -> tuple[Iteration, ...]:
    """Tell iterations apart in the metrics files of a training.

    Our files and worker 0 of the community images begin each iteration with trial 1. The images' other workers never
    reset ``trial`` (contract 4.1); there the number of episodes that a worker plays per iteration decides.

    Args:
        slots: Entries of each file, oldest first.
        episodes_per_iteration: ``num_episodes_between_training``; None where it is unknown.
    """
    training: dict[int, list[EpisodeMetrics]] = {}
    evaluation: dict[int, list[EpisodeMetrics]] = {}
    for slot, entries in enumerate(slots):
        share = _share(slot, len(slots), entries, episodes_per_iteration)
        for number, entry in zip(_numbers(entries, share), entries, strict=True):
            group = training if entry.phase == "training" else evaluation
            group.setdefault(number, []).append(entry)
    return tuple(
        Iteration(
            number, _outcome_of(entries), _outcome_of(evaluation[number]) if number in evaluation else None, steps=None
        )
        for number, entries in sorted(training.items())
    )


def _share(slot: int, slots: int, entries: Sequence[EpisodeMetrics], total: int | None) -> int:
    """Return how many episodes of an iteration a slot has (contract 2.3)."""
    if total is None:
        return max((entry.trial for entry in entries), default=1)
    return max(1, len(range(slot, total, slots)))


def _numbers(entries: Sequence[EpisodeMetrics], share: int) -> list[int]:
    trials = [entry.trial for entry in entries if entry.phase == "training"]
    # A last worker's share may be one short of what others play: one more is no sign of a count that never resets.
    counts_on = max(trials, default=0) > share + 1 and all(a < b for a, b in itertools.pairwise(trials))
    numbers, current, last = [], -1, math.inf
    for entry in entries:
        if entry.phase == "training":
            if counts_on:
                current = (entry.episode - 1) // share
            elif entry.trial <= last:
                current += 1
            last = entry.trial
        numbers.append(max(0, current))
    return numbers


def _outcome(figures: Mapping[str, Any], episodes: int) -> Outcome:
    return Outcome(
        episodes=int(episodes),
        laps=int(figures["laps"]),
        reward_mean=float(figures["reward_mean"]),
        progress_mean_percent=float(figures["progress_mean"]),
        lap_times_s=tuple(map(float, figures.get("lap_times_s") or ())),
    )


def _outcome_of(entries: Sequence[EpisodeMetrics]) -> Outcome:
    laps = [entry for entry in entries if entry.episode_status == _LAP]
    return Outcome(
        episodes=len(entries),
        laps=len(laps),
        reward_mean=sum(entry.reward_score for entry in entries) / len(entries),
        progress_mean_percent=sum(entry.completion_percentage for entry in entries) / len(entries),
        lap_times_s=tuple(entry.elapsed_time_in_milliseconds / 1000 for entry in laps),
    )
