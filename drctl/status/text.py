"""The status of a run in words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drctl.result import Message

if TYPE_CHECKING:
    from drctl.status.run_status import PartStatus, RunStatus

_MINUTE = 60.0
_HOUR = 3600.0


def describe_run(status: RunStatus, now: float | None = None) -> list[Message]:
    """Return a few lines about a run: what it does, how far it is, its parts, who waits for whom.

    Args:
        status: Of the run.
        now: Epoch seconds; None for the clock's.
    """
    now = time.time() if now is None else now
    lines = [Message(_headline(status, now))]
    if status.is_running and status.trainer:
        lines += [Message(f"  {text}") for text in describe_progress(status)]
    if status.is_running or status.is_orphaned:
        lines += [Message(f"  {_describe_part(part)}") for part in status.parts]
    lines += [
        Message(
            f"run {status.run_id}: {wait.who} waits for {wait.for_whom} since {duration(wait.since_s)}: {wait.why}",
            "warning" if wait.is_trouble else "info",
        )
        for wait in status.waits
    ]
    if status.is_orphaned:
        text = f"run {status.run_id}: {status.message}; nothing goes on, drctl start-training --resume continues"
        lines.append(Message(text, "warning"))
    return lines


def describe_progress(status: RunStatus) -> list[str]:
    """Return how far a training is, as lines."""
    facts = status.trainer
    episodes = f"{facts.get('episodes_done', 0)}/{facts.get('episodes_wanted', 0)} episodes"
    steps = f"{facts.get('steps_total', 0)} steps in all{_rate(facts)}"
    lines = [f"iteration {facts.get('iteration', 0)}, {episodes}, {steps}"]
    origin = facts.get("pretrained")
    if origin:
        lines.append(f"began with {origin['bucket']}/{origin['prefix']}, checkpoint {origin['checkpoint']}")
    results = describe_results(facts)
    if results:
        lines.append(results)
    rule = describe_rule(status)
    if rule:
        lines.append(rule)
    return lines


def describe_results(facts: Mapping[str, Any]) -> str:
    """Return mean progress, laps and best lap of a trainer's account; empty before the first iteration."""
    parts = []
    if facts.get("progress_mean") is not None:
        parts.append(f"mean progress {facts['progress_mean']:.0f} %")
    evaluation = facts.get("evaluation")
    if evaluation:
        parts.append(
            f"evaluation {evaluation['laps']}/{evaluation['trials']} laps at {evaluation['progress_mean']:.0f} %"
        )
    if facts.get("laps_training"):
        parts.append(f"{facts['laps_training']} laps in training")
    if facts.get("best_lap_s"):
        parts.append(f"best lap {facts['best_lap_s']:.2f} s")
    return ", ".join(parts)


def describe_rule(status: RunStatus) -> str:
    """Return when the training will end, and an estimate where there is one."""
    rule = status.trainer.get("stop_rule")
    if not rule:
        return ""
    text = f"stop rule: {rule['text']}"
    if rule["name"] == "laps":
        text += f" ({rule['streak']} of {rule['needed']} in a row)"
    left = seconds_left(status)
    return text if left is None else f"{text}, in about {duration(left)}"


def seconds_left(status: RunStatus) -> float | None:
    """Estimate when the stop rule will be met, or None where nothing tells.

    Episodes are counted; laps in a row are known to be near once the first evaluation was clean.
    """
    facts, rule = status.trainer, status.trainer.get("stop_rule")
    past = [sum(seconds.values()) for seconds in status.seconds_per_phase]
    if not rule or not past:
        return None
    per_iteration = sum(past[-5:]) / len(past[-5:])
    if rule["name"] == "laps" and rule["streak"]:
        return per_iteration * float(rule["needed"] - rule["streak"])
    wanted = rule.get("max_episodes")
    if rule["name"] == "max_episodes" and wanted and facts.get("iteration"):
        done = facts.get("episodes_total", 0)
        each = done / max(1, facts["iteration"])
        return per_iteration * max(0.0, wanted - done) / each if each else None
    return None


def duration(seconds: float) -> str:
    """Return a time span for people: ``12 s``, ``3 min``, ``2 h 05 min``."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:02.0f} min"


def _headline(status: RunStatus, now: float) -> str:
    head = f"run {status.run_id}: {status.prefix}: {status.phase.replace('_', ' ')}"
    if not status.is_running:
        ended = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.phase_since))
        return f"{head} since {ended}" + (f": {status.message}" if status.message and not status.is_orphaned else "")
    heard = "no report yet" if status.heartbeat_s is None else f"last report {duration(status.heartbeat_s)} ago"
    facts = [status.trainer[name] for name in ("physics", "precision", "device") if status.trainer.get(name)]
    about = f" ({', '.join(map(str, facts))})" if facts else ""
    return f"{head} for {duration(max(0.0, now - status.phase_since))}, {heard}{about}"


def _describe_part(part: PartStatus) -> str:
    pid = f"pid {part.pid}" if part.pid else f"container {part.container}" if part.container else "not started"
    if part.node:
        pid += f" on {part.node}"
    restarts = f", restarted {part.restarts} times" if part.restarts else ""
    heard = f", heard {duration(part.last_heard_s)} ago" if part.last_heard_s is not None else ""
    doing = f": {part.doing}" if part.doing else ""
    return f"{part.name:<10} {part.condition:<10} {pid}{heard}{restarts}{doing}"


def _rate(facts: Mapping[str, Any]) -> str:
    return f", {facts['steps_per_s']:.0f} steps/s" if facts.get("steps_per_s") else ""
