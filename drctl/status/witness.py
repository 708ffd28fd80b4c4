"""The state of a run in containers for somebody who may not ask Docker: what its trainer tells through the store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from drctl.engines.state import EngineState, PartState, read_state
from drctl.errors import DrctlError, Problem
from drctl.formats.object_keys import ModelKeys
from drctl.stack.plan import read_plan
from drctl.status.waiting import SILENT_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from drctl.storage.objects import ObjectStore


def witness_state(run_folder: Path, store: ObjectStore | None, now: float) -> EngineState | None:
    """Return what can be concluded about a run's containers.

    Args:
        run_folder: Holds the plan and the state that was written when the run was started.
        store: The run's bucket; None when it cannot be reached.
        now: Epoch seconds.

    Returns:
        The recorded state, with parts that run where the trainer has spoken, or has heard of them, lately; None when
        nothing was started in the folder.
    """
    plan, recorded = read_plan(run_folder), read_state(run_folder)
    if plan is None or recorded is None or recorded.phase == "ended":
        return recorded
    told = _read_status(store, ModelKeys(plan.prefix).status, recorded.run_token)
    outcome = told.get("outcome")
    if outcome:
        problems = tuple(Problem(**problem) for problem in outcome.get("problems", ()))
        words = {name: outcome[name] for name in ("reason", "message", "exit_status")}
        return replace(recorded, phase="ended", phase_since=told["heartbeat"], problems=problems, **words)
    if not told:
        return recorded
    views = {view["name"]: view for view in told.get("workers", ())}
    parts = tuple(_part(part, told, views.get(part.name), now) for part in recorded.parts)
    return replace(recorded, phase="running", parts=parts)


def _part(part: PartState, told: Mapping[str, Any], view: Mapping[str, Any] | None, now: float) -> PartState:
    if part.kind == "trainer":
        is_running = now - told["heartbeat"] < SILENT_S
        return replace(part, is_running=is_running, container=part.name, since=told["run"].get("started", 0.0))
    if view is None:
        return replace(part, is_running=True, container=part.name)
    return replace(part, is_running=view["state"] not in ("lost", "left"), container=view["host"])


def _read_status(store: ObjectStore | None, key: str, run_token: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(store.get(key)) if store is not None else {}
        return found if found and found["run"]["token"] == run_token else {}
    except (DrctlError, ValueError, KeyError, TypeError):
        return {}
