"""One process of a run under its supervisor: started, listened to, restarted, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from pathlib import Path

from drctl.engines.identity import ProcessIdentity
from drctl.engines.logs import RotatingLog, log_path
from drctl.engines.state import PartState
from drctl.stack.plan import PARENT_PID, LogPolicy, Part, RestartPolicy

EXIT_NOT_STARTED = 127
"""What a shell returns for a program that cannot be started."""

_CHUNK_BYTES = 65_536


class Child:
    """A part of the plan and the process that plays it now.

    Args:
        part: What to run.
        run_folder: Folder of the run.
        restart: When it is started again.
        log: How much of its output is kept.
    """

    def __init__(self, part: Part, run_folder: Path, restart: RestartPolicy, log: LogPolicy) -> None:
        self.part = part
        self._restart = restart
        self._log = RotatingLog(log_path(run_folder, part.name), log)
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: ProcessIdentity | None = None
        self._since = 0.0
        self._restart_times: deque[float] = deque()
        self._restarts = 0
        self._next_start: float | None = None
        self._last_exit: int | None = None
        self._last_exit_time: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process has not been seen to end."""
        return self._process is not None

    @property
    def output(self) -> int | None:
        """Descriptor with what it prints, while it runs."""
        return self._process.stdout.fileno() if self._process is not None and self._process.stdout else None

    @property
    def next_start(self) -> float | None:
        """When it is due to be started again, epoch seconds."""
        return self._next_start

    @property
    def last_exit(self) -> int | None:
        """How it ended last; see `PartState`."""
        return self._last_exit

    def state(self) -> PartState:
        """Return the facts for the state file."""
        return PartState(
            name=self.part.name,
            kind=self.part.kind,
            process=self._identity,
            since=self._since,
            restarts=self._restarts,
            is_running=self.is_running,
            next_start=self._next_start,
            last_exit=self._last_exit,
            last_exit_time=self._last_exit_time,
        )

    def start(self) -> None:
        """Start the process; one that cannot be started counts as one that ended at once."""
        self._next_start = None
        argv = [word.replace(PARENT_PID, str(os.getpid())) for word in self.part.argv]
        self.note(f"starting: {' '.join(argv)}")
        try:
            self._process = subprocess.Popen(
                argv,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,  # so that what it starts itself can be ended with it
            )
        except OSError as error:
            self.note(f"cannot be started: {error}")
            self._last_exit, self._last_exit_time = EXIT_NOT_STARTED, time.time()
            return
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        os.set_blocking(self._process.stdout.fileno(), False)
        self._identity = ProcessIdentity.of(self._process.pid)
        self._since = time.time()

    def read_output(self) -> None:
        """Move what it printed into its log."""
        descriptor = self.output
        if descriptor is None:
            return
        while True:
            try:
                data = os.read(descriptor, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not data:
                return
            self._log.write(data)

    def has_ended(self) -> bool:
        """Look whether the process has ended; if so its last words are in the log and `last_exit` tells how."""
        if self._process is None:
            return self._last_exit == EXIT_NOT_STARTED and self._next_start is None
        status = self._process.poll()
        if status is None:
            return False
        self.read_output()
        # What it started itself goes with it.
        self._signal_group(signal.SIGKILL)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        self._last_exit, self._last_exit_time = status, time.time()
        self.note(f"ended: {describe_exit(status)}")
        return True

    def schedule_restart(self) -> bool:
        """Plan the next start after a pause that doubles with each restart.

        Returns:
            False when the restarts that are allowed within the window are used up.
        """
        now = time.time()
        while self._restart_times and now - self._restart_times[0] > self._restart.window_s:
            self._restart_times.popleft()
        used = len(self._restart_times)
        if used >= self._restart.limit:
            return False
        delay = self._restart.first_delay_s * 2**used
        self._restart_times.append(now)
        self._restarts += 1
        self._next_start = now + delay
        self.note(f"starting again in {delay:.1f} s ({used + 1} of {self._restart.limit} restarts)")
        return True

    def schedule_return(self, delay_s: float) -> None:
        """Plan the next start of a part that left as it should; this does not count as a restart."""
        self._next_start = time.time() + delay_s
        self.note(f"has left; it returns in {delay_s:.0f} s unless the run ends before")

    def cancel_restart(self) -> None:
        """Leave it ended."""
        self._next_start = None

    def terminate(self) -> None:
        """Ask the process to end."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process and what it started."""
        if self._process is not None:
            self.note("killed: it did not end in time")
            self._signal_group(signal.SIGKILL)

    def note(self, text: str) -> None:
        """Write a line of the supervisor's into the log."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        self._log.write(f"[drctl {stamp}] {self.part.name} {text}\n".encode())

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _environment(self) -> dict[str, str]:
        dropped = self.part.dropped_environment
        kept = {name: value for name, value in os.environ.items() if not (dropped and name.startswith(dropped))}
        return {**kept, **self.part.environment}

    def _signal_group(self, number: signal.Signals) -> None:
        if self._identity is not None:
            try:
                os.killpg(self._identity.pid, number)
            except (ProcessLookupError, PermissionError):
                return


def describe_exit(status: int) -> str:
    """Return how a process ended, for people: ``exit status 3`` or ``killed by SIGKILL (out of memory?)``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (by somebody, or the system ran out of memory)" if -status == signal.SIGKILL else ""
    return f"killed by {name}{hint}"
