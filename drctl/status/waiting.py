"""Who waits for whom, since when, and what the likely cause is: an answer to "why does nothing happen?"."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drctl.trainer.phases import SECONDS_KEYS

if TYPE_CHECKING:
    from drctl.status.run_status import PartStatus

SILENT_S = 20.0
"""A trainer writes its status every 5 s, to a folder every second; four times that is silence."""

STUCK_FACTOR = 5.0
"""A phase that takes this many times its median is stuck (user-needs 1.1)."""

SHORTEST_LIMIT_S = 60.0

_FIRST_LIMITS_S = {
    "starting": 60.0,
    "collecting": 600.0,
    "updating": 600.0,
    "publishing": 120.0,
    "evaluating": 600.0,
    "refilling": 3600.0,
}
"""Limits before there is an iteration to learn from."""

_CAUSES = {
    "starting": "the first start compiles the simulator (up to two minutes); else see drctl logs-sagemaker",
    "collecting": "a slow reward function, or other programs that take the processor; see drctl logs-robomaker",
    "updating": "other programs take the processor or the GPU, or memory is swapped out; see top",
    "publishing": "the store is slow or full; see drctl logs-sagemaker",
    "refilling": "other programs take the processor; a smaller DR_SAC_BUFFER_GB is filled sooner",
    "evaluating": "the car drives long episodes without progress; see drctl logs-sagemaker",
}


@dataclass(frozen=True)
class Wait:
    """Somebody waits.

    Attributes:
        who: Part that waits.
        for_whom: Part or thing it waits for.
        since_s: For how long, seconds.
        why: Likely cause and what to do.
        is_trouble: Whether it is more than the normal course of things.
    """

    who: str
    for_whom: str
    since_s: float
    why: str
    is_trouble: bool


def describe_waits(
    phase: str,
    phase_since: float,
    parts: Sequence[PartStatus],
    trainer: Mapping[str, Any],
    seconds_per_phase: Sequence[Mapping[str, float]],
    now: float,
) -> tuple[Wait, ...]:
    """Tell who waits for whom.

    Args:
        phase: Of the run.
        phase_since: Since when, epoch seconds.
        parts: Trainer and workers.
        trainer: The trainer's own account.
        seconds_per_phase: Of the last iterations.
        now: Epoch seconds.
    """
    lasted = max(0.0, now - phase_since)
    waits = [*_missing_parts(parts, now), *_silence(parts, trainer, now)]
    if trainer.get("store_trouble"):
        why = f"{trainer['store_trouble']}; the trainer tries again every 5 s"
        waits.append(Wait("trainer", "store", lasted, why, is_trouble=True))
    limit = stuck_after(phase, seconds_per_phase)
    if limit is not None and lasted > limit and not any(wait.is_trouble for wait in waits):
        why = f"{phase} normally takes less than {limit:.0f} s; likely: {_CAUSES[phase]}"
        waits.append(Wait("everybody", phase, lasted, why, is_trouble=True))
    return tuple(waits)


def stuck_after(phase: str, seconds_per_phase: Sequence[Mapping[str, float]]) -> float | None:
    """Return after how many seconds a phase counts as stuck, or None when it may last.

    Args:
        phase: As the trainer says it.
        seconds_per_phase: Of the last iterations: the limit is five times the median of this phase, at least a minute.
    """
    if phase not in _FIRST_LIMITS_S:
        return None
    past = [seconds[SECONDS_KEYS[phase]] for seconds in seconds_per_phase if SECONDS_KEYS.get(phase) in seconds]
    if not past:
        return _FIRST_LIMITS_S[phase]
    return max(SHORTEST_LIMIT_S, STUCK_FACTOR * statistics.median(past))


def _missing_parts(parts: Sequence[PartStatus], now: float) -> list[Wait]:
    waits = []
    for part in parts:
        if part.condition not in ("late", "restarting", "suspended", "gone"):
            continue
        other = "workers" if part.kind == "trainer" else "trainer"
        since = max(0.0, now - part.since) if part.since else 0.0
        is_trouble = part.condition in ("suspended", "gone") or since > _FIRST_LIMITS_S["starting"] or part.restarts > 0
        waits.append(Wait(other, part.name, since, f"{part.name} {part.doing}".rstrip(), is_trouble=is_trouble))
    return waits


def _silence(parts: Sequence[PartStatus], trainer: Mapping[str, Any], now: float) -> list[Wait]:
    heartbeat = trainer.get("heartbeat")
    if heartbeat is None or now - heartbeat < trainer.get("silent_after_s", SILENT_S):
        return []
    if not any(part.kind == "trainer" and part.condition == "alive" for part in parts):
        return []
    why = trainer.get("silent_cause") or (
        "its process lives but does not report: the store does not take its status, or the machine is out of memory"
    )
    return [Wait("everybody", "trainer", now - heartbeat, why, is_trouble=True)]
