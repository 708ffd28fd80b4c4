"""Metrics and trace files, one set per slot, as the log tools expect them from several workers (DESIGN 4.6).

Which worker drove an episode does not matter: slot e mod K decides the file, so the files are the same however work
was shared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from drctl.formats.manifest import SlotState
from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import TRACE_DTYPE, render_rows
from drctl.formats.training_metrics import (
    BestModelMetric,
    EpisodeMetrics,
    Phase,
    make_episode_metrics,
    render_training_metrics,
)
from drctl.simulation.episode import EpisodeRecord

MAX_SLOTS = 10
"""Log tools recognise worker folders by one character (libraries 7)."""


def slot_count(workers: int, episodes_per_iteration: int) -> int:
    """Return K, the number of slots of a new model."""
    return min(workers, episodes_per_iteration, MAX_SLOTS)


class SlotBook:
    """The metrics entries and clocks of every slot, kept in step with the files.

    Args:
        keys: Object keys of the model.
        episodes_per_iteration: N.
        best_model_metric: Word for the head of the metrics files.
        states: Where each slot stands; as many as there are slots.
        entries: Metrics entries of each slot; those beyond a state's count are from a publish that was cut off and
            are dropped.
    """

    def __init__(
        self,
        keys: ModelKeys,
        episodes_per_iteration: int,
        best_model_metric: BestModelMetric,
        states: Sequence[SlotState],
        entries: Sequence[Sequence[EpisodeMetrics]],
    ) -> None:
        self._keys = keys
        self._episodes = episodes_per_iteration
        self._metric = best_model_metric
        self._clocks_ms = [state.clock_ms for state in states]
        self._entries = [list(known[: state.entries]) for state, known in zip(states, entries, strict=True)]

    @property
    def count(self) -> int:
        """Number of slots, K."""
        return len(self._clocks_ms)

    @property
    def states(self) -> tuple[SlotState, ...]:
        """Where each slot stands now."""
        return tuple(
            SlotState(clock, len(entries)) for clock, entries in zip(self._clocks_ms, self._entries, strict=True)
        )

    def add_training(self, iteration: int, records: Sequence[EpisodeRecord]) -> dict[str, bytes]:
        """Enter an iteration's training episodes and return its trace files by key.

        Args:
            iteration: From 0.
            records: One per episode, in order of e.
        """
        files = {}
        for slot in range(self.count):
            mine = records[slot :: self.count]
            rows = [np.empty(0, TRACE_DTYPE)]
            for position, record in enumerate(mine):
                trace = record.rows.copy()
                trace["episode"] = iteration * len(mine) + position
                trace["tstamp"] += self._clocks_ms[slot] / 1000.0
                rows.append(trace)
                episode = iteration * math.ceil(self._episodes / self.count) + position + 1
                self._enter(slot, record, "training", episode, position + 1)
            files[self._keys.trace(slot, iteration, self.count)] = render_rows(np.concatenate(rows))
        return files

    def add_evaluation(self, records: Sequence[EpisodeRecord]) -> None:
        """Enter a checkpoint's evaluation episodes: all in slot 0, under its last training episode and trial."""
        last = self._entries[0][-1]
        for record in records:
            self._enter(0, record, "evaluation", last.episode, last.trial)

    def metrics_files(self, slots: Sequence[int] | None = None) -> dict[str, bytes]:
        """Return the whole metrics files of some slots (default: all) by key."""
        return {
            self._keys.metrics(slot): render_training_metrics(self._entries[slot], self._metric)
            for slot in (range(self.count) if slots is None else slots)
        }

    def _enter(self, slot: int, record: EpisodeRecord, phase: Phase, episode: int, trial: int) -> None:
        start_ms = self._clocks_ms[slot]
        self._clocks_ms[slot] = start_ms + record.duration_s * 1000.0
        self._entries[slot].append(
            make_episode_metrics(
                reward=record.reward,
                start_time_s=start_ms / 1000.0,
                end_time_s=self._clocks_ms[slot] / 1000.0,
                episode=episode,
                trial=trial,
                phase=phase,
                progress_percent=record.progress_percent,
                status=record.status,
            )
        )
