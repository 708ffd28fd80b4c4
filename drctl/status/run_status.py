"""What a run is doing, put together from its engine (which parts live) and its trainer (what they do)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from drctl.engines.choice import engine_of_run
from drctl.engines.state import EngineState, PartState, read_state
from drctl.errors import DrctlError, Problem
from drctl.formats.object_keys import ModelKeys
from drctl.stack.plan import RunPlan, read_plan
from drctl.status.community import START_PHASES, read_account
from drctl.status.waiting import Wait, describe_waits

if TYPE_CHECKING:
    from drctl.storage.objects import ObjectStore

PartCondition = Literal["alive", "late", "suspended", "restarting", "ended", "gone", "elsewhere"]
JOINED = ("idle", "driving", "setting_up")
READY = ("idle", "driving")
ITERATIONS_READ = 20


@dataclass(frozen=True)
class PartStatus:
    """One part of a run.

    Attributes:
        name: ``trainer``, ``worker-0`` or the name of a worker on another machine.
        kind: ``trainer`` or ``worker``.
        condition: ``alive``; ``late`` (runs, but has not joined or reported yet); ``suspended`` (stopped by a signal);
            ``restarting``; ``ended``; ``gone`` (died and nobody restarts it); ``elsewhere`` (on another machine).
        doing: What it says it does, or why it is not there.
        pid: Its process, None when it was never started.
        since: Start of that process, or its end while it is to be started again; epoch seconds.
        restarts: How often it was started again.
        last_heard_s: Seconds since it last said something, or None.
        container: Short id of the container it runs in, or None.
        node: The machine of a swarm on which it is, or None.
    """

    name: str
    kind: str
    condition: PartCondition
    doing: str
    pid: int | None
    since: float | None
    restarts: int
    last_heard_s: float | None
    container: str | None = None
    node: str | None = None


@dataclass(frozen=True)
class RunStatus:
    """A run at one moment.

    Attributes:
        run_id: ``DR_RUN_ID``.
        prefix: Model prefix.
        run_folder: Folder of its state and logs.
        is_running: Somebody is there who will bring it to its end.
        is_orphaned: Its supervisor was killed: nothing will happen any more, and nothing was recorded.
        phase: What it does: the trainer's word, or ``starting``, ``stopping``, ``ended``, ``dead``.
        phase_since: Since when, epoch seconds.
        heartbeat_s: Seconds since the trainer last wrote its status; None before the first time.
        parts: The trainer, then the workers.
        waits: Who waits for whom, since when and why.
        stack: Which software simulates and trains.
        trainer: The trainer's own account (``status.json``), empty before the first one of this start; for the
            community images what their files tell.
        seconds_per_phase: Seconds of each phase in each of the last iterations, oldest first.
        reason: Why it ended, see `EngineState`.
        message: The same as a sentence.
        exit_status: What a command that waits for the run returns; None until its end is decided, which its supervisor
            may still be carrying out.
        problems: Details of a failure; of a run that goes on, what must be mended before its parts can start.
    """

    run_id: int
    prefix: str
    run_folder: str
    is_running: bool
    is_orphaned: bool
    phase: str
    phase_since: float
    heartbeat_s: float | None
    parts: tuple[PartStatus, ...]
    waits: tuple[Wait, ...]
    stack: str = "drctl"
    trainer: Mapping[str, Any] = field(default_factory=dict)
    seconds_per_phase: tuple[Mapping[str, float], ...] = ()
    reason: str | None = None
    message: str = ""
    exit_status: int | None = None
    problems: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the facts for ``--output json``."""
        return asdict(self)

    @property
    def is_ready(self) -> bool:
        """Whether the trainer is past its start and each of the run's own workers has joined it."""
        if self.trainer.get("phase", "starting") in ("starting", *START_PHASES):
            return False
        if self.stack == "community":  # their workers need minutes, and are heard of after their first episode
            return all(part.condition == "alive" for part in self.parts)
        states = {view["name"]: view["state"] for view in self.trainer.get("workers", ())}
        own = [part for part in self.parts if part.kind == "worker" and part.condition != "elsewhere"]
        return all(part.condition == "alive" and states[part.name] in READY for part in own)


def find_runs(root: Path) -> list[Path]:
    """Return the run folders of a project in which something was started, by run id."""
    folders = [path for path in (root / "tmp").glob("run-*") if path.name[4:].isdigit() and read_state(path)]
    return sorted(folders, key=lambda path: int(path.name[4:]))


class RunReader:
    """Reads the status of one run again and again, asking the store for what can have changed alone.

    Args:
        run_folder: ``tmp/run-<RUN_ID>``.
        store: Its bucket; None when it cannot be reached: then only what the engine knows is told.
        state: Tells which parts live, given the time, in place of the run's engine.
    """

    def __init__(
        self,
        run_folder: Path,
        store: ObjectStore | None,
        state: Callable[[float], EngineState | None] | None = None,
    ) -> None:
        self._run_folder = run_folder
        self._store = store
        self._state = state
        self._seconds: dict[int, Mapping[str, float]] = {}

    def read(self, now: float | None = None) -> RunStatus | None:
        """Read the status.

        Args:
            now: Epoch seconds; None for the clock's.

        Returns:
            None when nothing was started in the folder.

        Raises:
            FormatError: The run was started by another version.
            UnavailableError: It runs in containers, and Docker does not answer.
        """
        status = self._read(now)
        # Its supervisor may have ended the run and left after the state was read; what it wrote last is there by now.
        return self._read(now) if status is not None and status.is_orphaned else status

    def _read(self, now: float | None) -> RunStatus | None:
        now = time.time() if now is None else now
        plan = read_plan(self._run_folder)
        state = self._state(now) if self._state else engine_of_run(self._run_folder).state(self._run_folder)
        if plan is None or state is None:
            return None
        keys = ModelKeys(plan.prefix)
        if plan.stack == "community":
            return combine(plan, state, read_account(self._store, plan, state), (), time.time() if now is None else now)
        trainer = _read_trainer(self._store, keys, plan.run_token)
        seconds = self._read_seconds(keys, int(trainer.get("iteration", 0)))
        return combine(plan, state, trainer, seconds, now)

    def _read_seconds(self, keys: ModelKeys, iteration: int) -> tuple[Mapping[str, float], ...]:
        numbers = range(max(0, iteration - ITERATIONS_READ), iteration)
        for number in numbers if self._store is not None else ():
            if number in self._seconds:
                continue
            try:
                summary = json.loads(self._store.get(keys.iteration_summary(number)))  # type: ignore[union-attr]
                self._seconds[number] = summary["seconds"]
            except (DrctlError, ValueError, KeyError, TypeError):
                continue
        return tuple(self._seconds[number] for number in numbers if number in self._seconds)


def read_run(run_folder: Path, store: ObjectStore | None) -> RunStatus | None:
    """Read the status of a run once; see `RunReader`."""
    return RunReader(run_folder, store).read()


def combine(
    plan: RunPlan,
    state: EngineState,
    trainer: Mapping[str, Any],
    seconds_per_phase: tuple[Mapping[str, float], ...],
    now: float,
) -> RunStatus:
    """Put together what engine and trainer say.

    Args:
        plan: Of the run.
        state: The engine's.
        trainer: The trainer's, empty when there is none of this start.
        seconds_per_phase: See `RunStatus`.
        now: Epoch seconds.
    """
    is_here = state.host == socket.gethostname()
    is_alive = state.phase != "ended" and (state.supervisor is None or state.supervisor.is_alive or not is_here)
    is_orphaned = state.phase != "ended" and not is_alive
    is_ending = "ended" in (state.phase, trainer.get("phase")) or state.phase == "stopping"
    phase, since = _phase(state, trainer, is_orphaned=is_orphaned)
    parts = _parts(state, trainer, now, is_orphaned=is_orphaned, is_restarted=plan.restart.limit > 0)
    heartbeat = trainer.get("heartbeat")
    return RunStatus(
        run_id=plan.run_id,
        prefix=plan.prefix,
        run_folder=plan.run_folder,
        is_running=is_alive,
        is_orphaned=is_orphaned,
        phase=phase,
        phase_since=since,
        heartbeat_s=None if heartbeat is None else max(0.0, now - heartbeat),
        parts=parts,
        # A run that is ending loses its parts one by one, as it should.
        waits=describe_waits(phase, since, parts, trainer, seconds_per_phase, now)
        if is_alive and not is_ending
        else (),
        stack=plan.stack,
        trainer=trainer,
        seconds_per_phase=seconds_per_phase,
        reason=state.reason,
        message="its supervisor is gone: killed, or the machine was restarted" if is_orphaned else state.message,
        exit_status=state.exit_status,
        problems=state.problems,
    )


def _read_trainer(store: ObjectStore | None, keys: ModelKeys, run_token: str) -> Mapping[str, Any]:
    """Read the trainer's account of this start; one of an earlier start says nothing about this one."""
    if store is None:
        return {}
    try:
        found = json.loads(store.get(keys.status))
        return found if found["run"]["token"] == run_token else {}
    except (DrctlError, ValueError, KeyError, TypeError):
        return {}


def _phase(state: EngineState, trainer: Mapping[str, Any], *, is_orphaned: bool) -> tuple[str, float]:
    if is_orphaned:
        return "dead", float(trainer.get("heartbeat", state.phase_since))
    if state.phase in ("stopping", "ended") or not trainer:
        return state.phase if state.phase != "running" else "starting", state.phase_since
    return trainer["phase"], float(trainer["phase_since"])


def _parts(
    state: EngineState, trainer: Mapping[str, Any], now: float, *, is_orphaned: bool, is_restarted: bool
) -> tuple[PartStatus, ...]:
    views = {view["name"]: view for view in trainer.get("workers", ())}
    own = [
        _part(part, state, trainer, views.get(part.name), now, is_orphaned=is_orphaned, is_restarted=is_restarted)
        for part in state.parts
    ]
    names = {part.name for part in state.parts}
    guests = [view for name, view in views.items() if name not in names and state.phase != "ended"]
    return (*own, *(_guest(view, now) for view in guests))


def _part(
    part: PartState,
    state: EngineState,
    trainer: Mapping[str, Any],
    view: Mapping[str, Any] | None,
    now: float,
    *,
    is_orphaned: bool,
    is_restarted: bool,
) -> PartStatus:
    condition, doing = _condition(part, state, trainer, view, is_orphaned=is_orphaned, is_restarted=is_restarted)
    heard = trainer.get("heartbeat") if part.kind == "trainer" else view and view["last_heard"]
    return PartStatus(
        name=part.name,
        kind=part.kind,
        condition=condition,
        doing=doing,
        pid=part.process.pid if part.process else None,
        since=(part.last_exit_time if condition == "restarting" else part.since) or None,
        restarts=part.restarts,
        last_heard_s=max(0.0, now - heard) if heard else None,
        container=part.container,
        node=part.node,
    )


def _condition(
    part: PartState,
    state: EngineState,
    trainer: Mapping[str, Any],
    view: Mapping[str, Any] | None,
    *,
    is_orphaned: bool,
    is_restarted: bool,
) -> tuple[PartCondition, str]:
    is_alive = part.is_running if part.container else part.process is not None and part.process.is_alive
    if state.phase == "ended":
        return "ended", ""
    if not is_alive and part.last_exit is None and not part.since:
        return "late", "is being started"
    if not is_alive:
        if part.trouble:
            return "late" if part.next_start is None else "restarting", part.trouble
        if not is_restarted:
            if part.last_exit is None:
                return "gone", "has ended"
            end = _exit(part.last_exit)
            return "gone", f"{'was' if end.startswith('killed') else 'ended with'} {end} and is not started again"
        if part.next_start is not None:
            return "restarting", f"ended with {_exit(part.last_exit)}"
        return ("gone", "its supervisor is gone") if is_orphaned else ("restarting", "has just ended")
    if part.process is not None and part.process.is_suspended:
        return "suspended", f"suspended; kill -CONT {part.process.pid} lets it go on"
    if part.kind == "trainer":
        return ("alive", str(trainer["phase"]).replace("_", " ")) if trainer else ("late", "is loading")
    if view is None or not _is_current(part, view):
        return "late", "has not joined the trainer yet"
    if view["state"] in JOINED:
        return "alive", _describe_worker(view)
    return "late", f"{view['state']}: {view['reason']}" if view.get("reason") else str(view["state"])


def _is_current(part: PartState, view: Mapping[str, Any]) -> bool:
    """Tell whether the worker that the trainer means is the one that runs now; process ids differ in a container."""
    if part.container:
        return bool(view["host"] == part.container)
    return part.process is not None and bool(view["pid"] == part.process.pid)


def _guest(view: Mapping[str, Any], now: float) -> PartStatus:
    return PartStatus(
        name=view["name"],
        kind="worker",
        condition="elsewhere",
        doing=f"{_describe_worker(view)} on {view['host']}",
        pid=view["pid"],
        since=None,
        restarts=0,
        last_heard_s=max(0.0, now - view["last_heard"]),
    )


def _describe_worker(view: Mapping[str, Any]) -> str:
    if "doing" in view:
        return str(view["doing"])
    if view["state"] == "driving":
        return f"driving {view['episodes_running']} of {view['cars']} cars"
    return str(view["state"]).replace("_", " ")


def _exit(status: int | None) -> str:
    from drctl.engines.child import describe_exit

    return describe_exit(status or 0)
