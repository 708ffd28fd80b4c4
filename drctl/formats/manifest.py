"""The record that makes a checkpoint complete: what belongs to it and where the run stood.

A checkpoint exists from the moment its manifest is in the store. Publish 1 writes the manifest after every file it
names; publish 2 writes it again with the evaluation. The checkpoint index, the best model and all counters follow
from the newest one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from drctl.errors import FormatError

VERSION = 1


@dataclass(frozen=True)
class FileRecord:
    """One object of a checkpoint: its size in bytes and the SHA-256 of its content in hexadecimal digits."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """Return the record of a content."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class SlotState:
    """Where one slot of the metrics and trace files stands (DESIGN 4.6).

    Attributes:
        clock_ms: Simulated time on the slot's own clock, in ms: the durations of its episodes laid end to end.
        entries: Entries in the slot's metrics file.
    """

    clock_ms: float = 0.0
    entries: int = 0


@dataclass(frozen=True)
class Counters:
    """What the run has done so far.

    Attributes:
        episodes: Training episodes.
        steps: Environment steps of training episodes.
        laps: Complete laps in training episodes.
        recent_scores: Rewards of the last training episodes, oldest first, at most 100.
        lap_streak: Evaluations in a row, up to now, in which every trial was a complete lap.
        best_lap_s: Fastest complete lap in simulated seconds, or None.
    """

    episodes: int = 0
    steps: int = 0
    laps: int = 0
    recent_scores: tuple[float, ...] = ()
    lap_streak: int = 0
    best_lap_s: float | None = None


@dataclass(frozen=True)
class EvaluationRecord:
    """Outcome of the greedy episodes that judged a checkpoint.

    Attributes:
        metric: Value of the best-model metric: progress in percent, reward, or lap time in ms.
        trials: Episodes driven.
        laps: How many of them were complete laps.
        progress_mean_percent: Mean progress at their ends.
        reward_mean: Mean sum of rewards.
        lap_times_s: Durations of the complete laps, simulated seconds.
    """

    metric: float
    trials: int
    laps: int
    progress_mean_percent: float
    reward_mean: float
    lap_times_s: tuple[float, ...]


@dataclass(frozen=True)
class BestRecord:
    """The checkpoint that the best-model metric prefers so far; `metric` is None until one was evaluated."""

    number: int
    name: str
    metric: float | None
    time_stamp: float


@dataclass(frozen=True)
class Manifest:
    """Everything a trainer needs to go on from a checkpoint as if it had never stopped.

    Attributes:
        number: Checkpoint number; 0 is the untrained network.
        steps: Environment steps trained on; part of the checkpoint's name.
        name: Name in the checkpoint index, such as ``7_Step-3120.ckpt``.
        created: Epoch seconds of publish 1.
        run_token: Start of the run that wrote it.
        lease_epoch: Epoch of the lease under which it was written.
        files: Objects of this checkpoint by key relative to the prefix.
        counters: State after publish 1 or, once evaluated, after publish 2.
        slots: Likewise, one per metrics file.
        conditions: What must stay the same for equal results: seed, physics, precision, shards, heads, slots, digests
            of the files.
        summary: Figures of the iteration that made it, or None for checkpoint 0.
        evaluation: None until publish 2.
        best: Best checkpoint so far.
    """

    number: int
    steps: int
    name: str
    created: float
    run_token: str
    lease_epoch: int
    files: dict[str, FileRecord]
    counters: Counters
    slots: tuple[SlotState, ...]
    conditions: dict[str, Any]
    best: BestRecord
    summary: dict[str, Any] | None = None
    evaluation: EvaluationRecord | None = None
    version: int = field(default=VERSION)


def render_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as indented JSON with sorted keys."""
    return (json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n").encode()


def parse_manifest(data: bytes, source: str) -> Manifest:
    """Read a manifest.

    Args:
        data: Content of the object.
        source: Key or path for error messages.

    Raises:
        FormatError: It is cut short, from a newer version, or not a manifest.
    """
    try:
        raw = json.loads(data)
        if raw["version"] != VERSION:
            raise FormatError(
                f"the manifest has version {raw['version']}",
                where=source,
                expected=f"version {VERSION}",
                fix="use the version of drctl that wrote it",
            )
        counters = {**raw["counters"], "recent_scores": tuple(raw["counters"]["recent_scores"])}
        evaluation = raw["evaluation"]
        return Manifest(
            **{
                **raw,
                "files": {key: FileRecord(**value) for key, value in raw["files"].items()},
                "counters": Counters(**counters),
                "slots": tuple(SlotState(**slot) for slot in raw["slots"]),
                "best": BestRecord(**raw["best"]),
                "evaluation": evaluation
                and EvaluationRecord(**{**evaluation, "lap_times_s": tuple(evaluation["lap_times_s"])}),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"this is not a checkpoint manifest: {error}", where=source, fix="restore the object or remove it"
        ) from error
