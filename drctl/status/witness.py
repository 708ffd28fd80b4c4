"""The state of a run in containers for somebody who may not ask Docker: what its files tell, and its network."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from drctl.engines.state import EngineState, PartState, read_state
from drctl.errors import ObjectNotFoundError, Problem
from drctl.formats.object_keys import ModelKeys
from drctl.stack.plan import RunPlan, read_plan
from drctl.status.waiting import SILENT_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from drctl.storage.objects import ObjectStore

_ASK_S: Final = 5.0
"""So long an answer of the network holds; for a name that is gone it may take seconds to come."""


def has_address(name: str) -> bool:
    """Tell whether a container of that name runs: the network knows the address of those alone."""
    try:
        socket.getaddrinfo(name, None, socket.AF_INET)
    except OSError:
        return False
    return True


class Witness:
    """Concludes again and again what a run's containers do.

    Args:
        run_folder: Holds the plan and the state that was written when the run was started.
        store: The run's bucket.
        is_there: Tells whether a container runs, by its name.
    """

    def __init__(self, run_folder: Path, store: ObjectStore, is_there: Callable[[str], bool] = has_address) -> None:
        self._run_folder = run_folder
        self._store = store
        self._is_there = is_there
        self._answers: dict[str, tuple[float, bool]] = {}
        self._first_seen: dict[str, float] = {}

    def state(self, now: float) -> EngineState | None:
        """Return what can be concluded.

        Args:
            now: Epoch seconds.

        Returns:
            The recorded state, with parts that run where the trainer has spoken, or has heard of them, lately; for the
            community images, whose trainer says nothing, where the network has their containers. None when nothing was
            started in the folder.

        Raises:
            UnavailableError: The store does not answer.
        """
        plan, recorded = read_plan(self._run_folder), read_state(self._run_folder)
        if plan is None or recorded is None or recorded.phase == "ended":
            return recorded
        if plan.stack == "community":
            return self._look_at_network(plan, recorded, now)
        told = _read_status(self._store, ModelKeys(plan.prefix).status, recorded.run_token)
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

    def _look_at_network(self, plan: RunPlan, recorded: EngineState, now: float) -> EngineState:
        names = {part.name: part.container.name for part in plan.parts if part.container}
        parts = tuple(self._find(part, names[part.name], now) for part in recorded.parts)
        return replace(recorded, phase="running" if self._first_seen else recorded.phase, parts=parts)

    def _find(self, part: PartState, name: str, now: float) -> PartState:
        asked, is_running = self._answers.get(name, (float("-inf"), False))
        if time.monotonic() - asked > _ASK_S:
            is_running = self._is_there(name)
            self._answers[name] = (time.monotonic(), is_running)
        if is_running:
            self._first_seen.setdefault(name, now)
        # What was never seen has not begun yet; what was is gone now.
        return replace(part, container=name, is_running=is_running, since=self._first_seen.get(name, 0.0))


def _part(part: PartState, told: Mapping[str, Any], view: Mapping[str, Any] | None, now: float) -> PartState:
    if part.kind == "trainer":
        is_running = now - told["heartbeat"] < SILENT_S
        return replace(part, is_running=is_running, container=part.name, since=told["run"].get("started", 0.0))
    if view is None:
        return replace(part, is_running=True, container=part.name)
    is_running = view["state"] not in ("lost", "left")
    return replace(part, is_running=is_running, container=view["host"], since=view["last_heard"])


def _read_status(store: ObjectStore, key: str, run_token: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(store.get(key))
        return found if found and found["run"]["token"] == run_token else {}
    except (ObjectNotFoundError, ValueError, KeyError, TypeError):
        return {}
