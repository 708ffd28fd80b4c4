"""The one evaluation that a run may have at a time: who does it, in which process, and how it is ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drctl.engines.detached import START_S, end_process, failed_start, spawn_detached, wait_for
from drctl.engines.identity import ProcessIdentity
from drctl.engines.lock import RunLock
from drctl.errors import ConflictError

STATE_FILE: Final = "state.json"
LOG_FILE: Final = "evaluation.log"
_END_S: Final = 10.0
_KILL_S: Final = 5.0


@dataclass(frozen=True)
class EvaluationState:
    """An evaluation under way.

    Attributes:
        process: What runs it.
        description: What is evaluated.
        since: Epoch seconds of its start.
    """

    process: ProcessIdentity
    description: str
    since: float


def evaluation_folder(root: Path, run_id: int) -> Path:
    """Return the folder with lock, state and log of a run's evaluations."""
    return root / "tmp" / f"eval-{run_id}"


@contextlib.contextmanager
def only_evaluation(folder: Path, description: str) -> Iterator[None]:
    """Be the evaluation of a run for as long as the block lasts; `stop_evaluation` ends it as Ctrl-C does.

    Args:
        folder: As `evaluation_folder` returns it.
        description: What is evaluated.

    Raises:
        ConflictError: There is one already.
    """
    lock = _acquire(folder, description)
    path = folder / STATE_FILE
    try:
        own = ProcessIdentity.of(os.getpid())
        state = {"pid": own.pid, "started": own.started, "description": description, "since": time.time()}
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(state) + "\n")
        temporary.replace(path)
        with _sigterm_as_ctrl_c():
            yield
    finally:
        path.unlink(missing_ok=True)
        lock.close()


def refuse_second(folder: Path) -> None:
    """Make sure that no evaluation is under way.

    Raises:
        ConflictError: There is one.
    """
    _acquire(folder, "an evaluation is being started").close()


def read_evaluation(folder: Path) -> EvaluationState | None:
    """Return the evaluation under way, or None."""
    try:
        found: dict[str, Any] = json.loads((folder / STATE_FILE).read_text())
        state = EvaluationState(ProcessIdentity(found["pid"], found["started"]), found["description"], found["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if state.process.is_alive else None


def find_evaluations(root: Path) -> list[EvaluationState]:
    """Return the evaluations of a project that are under way, by run."""
    folders = sorted((root / "tmp").glob("eval-*"))
    return [state for state in map(read_evaluation, folders) if state is not None]


def start_detached(folder: Path, root: Path, words: Sequence[str]) -> ProcessIdentity:
    """Run a command of this program in a session of its own and return once its evaluation has begun, or is over.

    Args:
        folder: As `evaluation_folder` returns it; the output goes into a file there.
        root: Folder of the project.
        words: The command line without the program's name.

    Raises:
        FailedError: It ended before it began; the last lines of its output tell why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG_FILE
    process = spawn_detached("drctl", ("--project", str(root), *words), log, mode=0o644)
    if not wait_for(lambda: _has_begun(folder, process), START_S):
        process.send(signal.SIGKILL)
    state = read_evaluation(folder)
    if (state is None or state.process.pid != process.pid) and _exit_status(process.pid):
        raise failed_start("the evaluation", log)
    return process


def stop_evaluation(folder: Path) -> EvaluationState | None:
    """End the evaluation of a run and return what it was, or None when there is none.

    Raises:
        FailedError: Its process cannot be ended.
    """
    state = read_evaluation(folder)
    if state is None:
        return None
    end_process(state.process, "the evaluation", folder, patience_s=_END_S, kill_patience_s=_KILL_S)
    (folder / STATE_FILE).unlink(missing_ok=True)
    return state


def _acquire(folder: Path, description: str) -> RunLock:
    try:
        return RunLock.acquire(folder, description)
    except ConflictError as error:
        raise ConflictError(
            f"an evaluation of run {folder.name.removeprefix('eval-')} is under way",
            where=error.problems[0].where,
            expected="one evaluation per DR_RUN_ID at a time",
            fix="drctl stop-evaluation, or choose another DR_RUN_ID",
        ) from None


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        former = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread, which alone is interrupted
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _has_begun(folder: Path, process: ProcessIdentity) -> bool:
    state = read_evaluation(folder)
    return (state is not None and state.process.pid == process.pid) or not process.is_alive


def _exit_status(pid: int) -> int:
    """Return the exit status of a child that has ended; 0 when it is still at work."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else 0
