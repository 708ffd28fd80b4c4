"""The parent of a run's processes: ``python -m drctl.engines.supervisor RUN_FOLDER --lock-fd N --ready-fd M``.

It is detached from whoever started it: its own session, deaf to hang-ups. It starts the parts of the plan, keeps their
output, starts the dead again, and ends the run when the trainer says so, when its user says so or when a part dies too
often. It imports nothing heavy: it lives as long as the run and must not be what the system kills for memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from drctl.engines.child import Child, describe_exit
from drctl.engines.identity import ProcessIdentity
from drctl.engines.lock import RunLock
from drctl.engines.logs import last_lines, log_path
from drctl.engines.state import EnginePhase, EngineState, write_state
from drctl.errors import ConflictError, FailedError, Problem, UnavailableError
from drctl.stack.plan import RunPlan, read_plan

STOP_FILE = "stop"
"""In the run folder: its presence says that the user asked for the end of the run."""

OUTCOME_FILE = "outcome.json"
ENDPOINTS_FILE = "endpoints.json"
EXIT_INTERRUPTED = 143

_TICK_S = 0.5
_LEAVE_S = 2.0
"""How long workers may take to leave once the trainer has ended: it told them to."""

_TERMINATE_S = 1.0
_WORKER_LEFT_S = 3.0
"""After so long a worker that was told the run is over is started again; normally the trainer's end comes first."""

_TAIL_LINES = 12


@dataclass(frozen=True)
class Ending:
    """Why a run ends; see `EngineState` for the words."""

    reason: str
    message: str
    exit_status: int
    problems: tuple[Problem, ...] = ()


class Supervisor:
    """Carries one plan out.

    Args:
        plan: What to run.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._folder = Path(plan.run_folder)
        self._children = [Child(part, self._folder, plan.restart, plan.log) for part in plan.parts]
        self._trainer = next(child for child in self._children if child.part.kind == "trainer")
        self._workers = [child for child in self._children if child.part.kind == "worker"]
        self._me = ProcessIdentity.of(os.getpid())
        self._phase: EnginePhase = "starting"
        self._phase_since = time.time()
        self._ending: Ending | None = None
        self._deadline = 0.0
        self._is_leaving = False
        self._is_asked_to_end = False
        self._wake, self._woken = socket.socketpair()

    def run(self, ready_descriptor: int | None = None) -> None:
        """Start everything and return when nothing of the run is left.

        Args:
            ready_descriptor: Gets one byte and is closed once the parts are started.
        """
        self._listen_to_signals()
        for child in self._children:
            child.start()
        self._enter("running")
        if ready_descriptor is not None:
            os.write(ready_descriptor, b"+")
            os.close(ready_descriptor)
        while not self._is_over():
            self._wait()
            self._take_notice()
            self._restart_due()
            if self._is_asked_to_end and self._ending is None:
                self._end(self._ending_by_signal())
            if self._ending is not None:
                self._press()
        self._finish()

    def _listen_to_signals(self) -> None:
        for one in (self._wake, self._woken):
            one.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_request)

    def _note_request(self, _number: int, _frame: FrameType | None) -> None:
        self._is_asked_to_end = True

    def _wait(self) -> None:
        """Sleep until a part prints or ends, a signal comes, or the tick is over; keep what was printed."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for child in self._children:
                if child.output is not None:
                    selector.register(child.output, selectors.EVENT_READ, child)
            for key, _ in selector.select(_TICK_S):
                if key.data is not None:
                    key.data.read_output()
                else:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(4096)

    def _take_notice(self) -> None:
        for child in self._children:
            if child.has_ended():
                if self._ending is None:
                    self._answer_end(child)
                self._write()

    def _answer_end(self, child: Child) -> None:
        status = child.last_exit
        if child is self._trainer and status == 0:
            self._end(self._ending_of_trainer())
        elif child is self._trainer and status == ConflictError.exit_status:
            self._end(_failure(child, self._folder, "another trainer has taken the model over", "conflict", 5))
        elif status == 0:
            # A worker goes when the trainer says goodbye, which may be seen before the trainer's own end.
            child.schedule_return(_WORKER_LEFT_S)
        elif not child.schedule_restart():
            limit = self._plan.restart
            what = (
                f"{child.part.name} died {limit.limit + 1} times within {limit.window_s / 60:g} minutes, "
                f"at last with {describe_exit(status or 0)}"
            )
            is_unavailable = status == UnavailableError.exit_status
            kind = UnavailableError if is_unavailable else FailedError
            self._end(_failure(child, self._folder, what, kind.code, kind.exit_status))

    def _restart_due(self) -> None:
        for child in self._children:
            if child.next_start is not None and time.time() >= child.next_start:
                child.start()
                self._write()

    def _end(self, ending: Ending) -> None:
        self._ending = ending
        self._deadline = time.monotonic() + self._plan.stop_grace_s
        for child in self._children:
            child.cancel_restart()
        self._trainer.terminate()
        self._enter("stopping")

    def _press(self) -> None:
        """Take the next step towards the end: first the trainer, then, once it is gone, the workers."""
        now = time.monotonic()
        if self._trainer.is_running:
            if now > self._deadline:
                self._trainer.kill()
            return
        if not self._is_leaving:
            self._is_leaving = True
            # A trainer that ended by itself told the workers; one that died could not.
            if self._trainer.last_exit == 0:
                self._deadline = now + _LEAVE_S
                return
            self._deadline = now
        if now < self._deadline:
            return
        for worker in self._workers:
            if now > self._deadline + _TERMINATE_S:
                worker.kill()
            else:
                worker.terminate()

    def _is_over(self) -> bool:
        return self._ending is not None and not any(child.is_running for child in self._children)

    def _ending_by_signal(self) -> Ending:
        if (self._folder / STOP_FILE).exists():
            return Ending("stopped", "stopped by its user", 0)
        message = (
            "its supervisor was asked to end, as when the machine shuts down; drctl start-training --resume goes on"
        )
        return Ending("interrupted", message, EXIT_INTERRUPTED)

    def _ending_of_trainer(self) -> Ending:
        try:
            found = json.loads((self._folder / OUTCOME_FILE).read_text())
            problems = tuple(Problem(**problem) for problem in found.get("problems", ()))
            return Ending(found["reason"], found["message"], found["exit_status"], problems)
        except (OSError, ValueError, KeyError, TypeError):
            what = "the trainer ended without saying why"
            return _failure(self._trainer, self._folder, what, FailedError.code, FailedError.exit_status)

    def _finish(self) -> None:
        ending = self._ending
        if ending is not None and ending.reason == "stopped":
            if (self._folder / OUTCOME_FILE).exists():
                self._ending = self._ending_of_trainer()
            elif self._trainer.last_exit == -signal.SIGKILL:
                self._ending = replace(
                    ending, message=f"{ending.message}; the trainer did not end in time and was killed"
                )
        self._enter("ended")
        for child in self._children:
            child.close()

    def _enter(self, phase: EnginePhase) -> None:
        self._phase, self._phase_since = phase, time.time()
        self._write()

    def _write(self) -> None:
        ending = self._ending
        state = EngineState(
            run_token=self._plan.run_token,
            host=socket.gethostname(),
            supervisor=self._me,
            phase=self._phase,
            phase_since=self._phase_since,
            parts=tuple(child.state() for child in self._children),
            reason=ending.reason if ending else None,
            message=ending.message if ending else "",
            exit_status=ending.exit_status if ending else None,
            problems=ending.problems if ending else (),
        )
        with contextlib.suppress(OSError):  # a full disk must not end the run
            write_state(self._folder, state)


def _failure(child: Child, folder: Path, what: str, code: str, exit_status: int) -> Ending:
    path = log_path(folder, child.part.name)
    tail = [line for line in last_lines(path, _TAIL_LINES + 6) if not line.startswith("[drctl ")][-_TAIL_LINES:]
    where = "\n".join([str(path), *tail])
    logs = "drctl logs-sagemaker" if child.part.kind == "trainer" else f"drctl logs-robomaker -n {child.part.name[7:]}"
    problem = Problem(what, where=where, fix=f"{logs} shows why; drctl start-training --resume goes on", code=code)
    return Ending("failed", what, exit_status, (problem,))


def main(arguments: list[str] | None = None) -> int:
    """Detach from the starter and supervise the run of a folder."""
    parser = argparse.ArgumentParser(prog="python -m drctl.engines.supervisor", description="Supervise a run.")
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--lock-fd", type=int, required=True, help="open file that holds the run's lock")
    parser.add_argument("--ready-fd", type=int, required=True, help="pipe that is told when the parts are started")
    options = parser.parse_args(arguments)
    # The starter waits for this process alone; the supervisor belongs to nobody.
    if os.fork():
        return 0
    os.set_inheritable(options.lock_fd, False)
    os.set_inheritable(options.ready_fd, False)
    plan = read_plan(options.run_folder)
    if plan is None:
        return UnavailableError.exit_status
    RunLock(options.lock_fd).describe(f"the training of {plan.prefix} runs", os.getpid())
    Supervisor(plan).run(options.ready_fd)
    return 0


if __name__ == "__main__":
    sys.exit(main())
