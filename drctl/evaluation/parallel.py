"""Several races at the same time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from drctl.errors import DrctlError, FailedError

if TYPE_CHECKING:
    from drctl.evaluation.job import JobOutcome, RaceJob
    from drctl.evaluation.race import RaceProgress

Report = Callable[[int, "RaceProgress"], None]

_END_S = 5.0


def run_jobs(jobs: Sequence[RaceJob], limit: int, report: Report) -> Generator[JobOutcome]:
    """Run jobs, at most `limit` of them at a time, and give each outcome as soon as it is there.

    A single job runs in this process. The others' processes end with the generator, whatever ends it, and also when
    this process is killed.

    Args:
        jobs: What to race, numbered from 0 in order.
        limit: Processes at a time, at least 1.
        report: Told (number of the job, where its race stands).

    Raises:
        DrctlError: What a job raised; FailedError when its process was killed.
    """
    if len(jobs) == 1:
        from drctl.evaluation.job import run_job

        yield run_job(jobs[0], lambda progress: report(0, progress))
        return
    waiting = list(jobs)
    running: dict[Connection, _Child] = {}
    try:
        while waiting or running:
            while waiting and len(running) < limit:
                child = _Child.start(waiting.pop(0))
                running[child.connection] = child
            for ready in wait(list(running)):
                connection = next(known for known in running if known is ready)
                finished = _receive(running[connection], report)
                if finished is not None:
                    running.pop(connection).end()
                    yield finished
    finally:
        for child in running.values():
            child.process.terminate()
        for child in running.values():
            child.end()


def _receive(child: _Child, report: Report) -> JobOutcome | None:
    try:
        kind, content = child.connection.recv()
    except EOFError:
        child.process.join(_END_S)
        raise FailedError(
            f"the race of checkpoint {child.job.checkpoint.number} on {child.job.track} ended without a result",
            where=f"process {child.process.pid}, exit status {child.process.exitcode}",
            fix="run it again; when the machine lacks memory, one track at a time",
        ) from None
    if kind == "error":
        raise content
    if kind == "bug":
        raise RuntimeError(content)
    if kind == "progress":
        report(child.job.number, content)
        return None
    outcome: JobOutcome = content
    return outcome


@dataclass(frozen=True)
class _Child:
    job: RaceJob
    process: BaseProcess
    connection: Connection

    @classmethod
    def start(cls, job: RaceJob) -> _Child:
        # A forked process would share locks of threads that it does not have.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_race, args=(job, theirs), daemon=True)
        process.start()
        theirs.close()
        return cls(job, process, ours)

    def end(self) -> None:
        self.process.join(_END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


def _race(job: RaceJob, connection: Connection) -> None:
    # Ctrl-C reaches every process of the terminal; the one that collects the outcomes ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def send(kind: str, content: Any) -> None:
        try:
            connection.send((kind, content))
        except OSError:  # nobody is left to listen
            os._exit(1)

    from drctl.evaluation.job import run_job

    try:
        outcome = run_job(job, lambda progress: send("progress", progress))
    except DrctlError as error:
        send("error", error)
    except Exception:  # noqa: BLE001 - told where it is seen; a traceback of this process would be lost
        send("bug", traceback.format_exc())
    else:
        send("done", outcome)
