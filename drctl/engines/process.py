"""The process engine: a run's parts are processes of this machine under one detached supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import drctl
from drctl.engines.engine import Preview
from drctl.engines.identity import ProcessIdentity
from drctl.engines.lock import RunLock
from drctl.engines.logs import FOLDER, follow, last_lines, log_path
from drctl.engines.state import STATE_FILE, EngineState, read_state, write_state
from drctl.engines.supervisor import ENDPOINTS_FILE, OUTCOME_FILE, STOP_FILE
from drctl.errors import FailedError, FormatError
from drctl.stack.plan import LINK_FOLDER, PLAN_FILE, RunPlan, read_plan, write_plan

TRAINER_FILE = "trainer.json"
_POLL_S = 0.05
_MARGIN_S = 6.0
"""How much longer than promised a supervisor may take before its processes are ended without it."""

_KILL_S = 5.0
_STOPPED: dict[str, Any] = {"reason": "stopped", "message": "stopped by its user at once", "exit_status": 0}


class ProcessEngine:
    """`Engine` for this machine."""

    def preview(self, plan: RunPlan) -> Preview:
        """See `Engine.preview`."""
        return Preview(commands=tuple(part.argv for part in plan.parts))

    def up(self, plan: RunPlan, lock: RunLock) -> None:
        """See `Engine.up`."""
        folder = Path(plan.run_folder)
        for name in (STOP_FILE, OUTCOME_FILE, STATE_FILE):
            (folder / name).unlink(missing_ok=True)
        write_plan(plan)
        (folder / TRAINER_FILE).write_text(json.dumps(dict(plan.trainer), indent=1) + "\n")
        (folder / FOLDER).mkdir(exist_ok=True)
        is_ready, ready = os.pipe()
        try:
            self._start_supervisor(folder, lock, ready)
        finally:
            os.close(ready)
        with os.fdopen(is_ready, "rb") as pipe:
            has_started = pipe.read(1) == b"+"
        if not has_started:
            path = log_path(folder, "supervisor")
            raise FailedError(
                "the supervisor of the run did not start",
                where="\n".join([str(path), *last_lines(path, 10)]),
                fix=f"cat {path}",
            )

    def down(self, run_folder: Path, *, at_once: bool = False) -> bool:
        """See `Engine.down`."""
        state = read_state(run_folder)
        if state is None or state.supervisor is None:
            return False
        was_running = state.supervisor.is_alive
        if was_running:
            (run_folder / STOP_FILE).touch()
            if at_once:
                state.supervisor.send(signal.SIGKILL)
            else:
                state.supervisor.send(signal.SIGTERM)
                plan = read_plan(run_folder)
                _wait_for_end([state.supervisor], (plan.stop_grace_s if plan else 0.0) + _MARGIN_S)
        # Normally nothing is left. A supervisor that was killed leaves children that end by themselves, but later.
        left = [state.supervisor, *_processes(read_state(run_folder) or state)]
        for process in left:
            process.send(signal.SIGKILL)
        if not _wait_for_end(left, _KILL_S):
            alive = ", ".join(str(process.pid) for process in left if process.is_alive)
            raise FailedError(
                f"processes of the run cannot be ended: {alive}",
                where=str(run_folder),
                expected="none; they hang in the kernel or belong to another user",
                fix=f"ps -o pid,user,stat,wchan,args -p {alive.replace(' ', '')}",
            )
        now = read_state(run_folder) or state
        if now.phase != "ended":
            write_state(run_folder, replace(now, phase="ended", phase_since=time.time(), **_STOPPED))
        return was_running

    def state(self, run_folder: Path) -> EngineState | None:
        """See `Engine.state`."""
        return read_state(run_folder)

    def is_running(self, run_folder: Path) -> bool:
        """See `Engine.is_running`."""
        state = read_state(run_folder)
        return bool(state and state.phase != "ended" and state.supervisor and state.supervisor.is_alive)

    def logs(self, run_folder: Path, part: str, *, lines: int, is_following: bool) -> Iterator[str]:
        """See `Engine.logs`."""
        path = log_path(run_folder, part)
        if is_following:
            return follow(path, lambda: not self.is_running(run_folder), lines=lines)
        return iter(last_lines(path, lines))

    def _start_supervisor(self, folder: Path, lock: RunLock, ready: int) -> None:
        argv = [sys.executable, "-m", "drctl.engines.supervisor", str(folder)]
        argv += ["--lock-fd", str(lock.descriptor), "--ready-fd", str(ready)]
        with log_path(folder, "supervisor").open("wb") as log:
            # Returns at once: what goes on is a child of the process that ends here.
            subprocess.run(
                argv,
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock.descriptor, ready),
                check=False,
            )


def _environment() -> dict[str, str]:
    """Make the processes of a run use this very package, also when it runs from a checkout that is not installed."""
    home = Path(drctl.__file__).resolve().parent.parent
    if home.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))}


def clear_run(run_folder: Path) -> None:
    """Remove what a start that failed left in a run folder; the logs stay, they say why."""
    with contextlib.suppress(FormatError):
        plan = read_plan(run_folder)
        if plan is not None:
            Path(plan.ticket).unlink(missing_ok=True)
    for name in (PLAN_FILE, STATE_FILE, STOP_FILE, OUTCOME_FILE, ENDPOINTS_FILE, TRAINER_FILE):
        (run_folder / name).unlink(missing_ok=True)
    shutil.rmtree(run_folder / LINK_FOLDER, ignore_errors=True)


def _processes(state: EngineState) -> list[ProcessIdentity]:
    return [part.process for part in state.parts if part.process is not None]


def _wait_for_end(processes: list[ProcessIdentity], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while any(process.is_alive for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
