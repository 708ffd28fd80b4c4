"""The worker process: ``python -m drctl.simulation.worker --join FILE --name worker-0``.

It dials the trainer that the ticket names, simulates what it is told and holds nothing of value: no policy, no
store keys. Killed at any moment it costs the run nothing but the time to play its episodes again. It exits 0
only when the trainer says that the run has ended (DESIGN 4.4, 4.8).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.errors import ConflictError, DrctlError, InterruptedByUserError, RewardError, UnavailableError
from drctl.formats import log_lines
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.formats.worker_slot import SLOT_VARIABLE, name_of_slot
from drctl.link.codec import Message, MessageError
from drctl.link.messages import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    Act,
    Bye,
    Ended,
    Heartbeat,
    Hello,
    Refused,
    RewardFailed,
    Setup,
    Tick,
)
from drctl.link.ticket import JoinTicket, read_ticket
from drctl.link.transport import WorkerLink
from drctl.simulation.stream.host import StreamHost
from drctl.simulation.stream.shelf import ClipShelf
from drctl.simulation.worker_cars import NO_CAR, BuildEnvironment, Cars, Environment, RewardTroubleError

if TYPE_CHECKING:
    from types import FrameType

HEARTBEAT_S: Final = 1.0
COMPLAINT_S: Final = 30.0
TICKET_CHECK_S: Final = 2.0
WAIT_S: Final = 0.5
FIRST_TICKET_CHECK_S: Final = 0.1
"""A worker that is started along with its trainer is ready first; from then on the run waits for it."""

PARENT_CHECK_S: Final = 1.0

EXIT_TERMINATED: Final = 143
EXIT_ORPHANED: Final = 1


class Worker:
    """One worker from its start to its end.

    Args:
        ticket_file: Ticket of the run; waited for when it is not there yet, and read again while the trainer is away.
        name: Name within the run.
        build: Makes the environment.
        say: Prints one line for people.
        leaving: Exit status with which the process was asked to leave, or None; asked between steps.
        clock: Seconds, monotonic.
        shelf: Gets the episodes, for people who watch.
        address: Where people watch, or empty.
    """

    def __init__(
        self,
        ticket_file: Path,
        name: str,
        build: BuildEnvironment,
        say: Callable[[str], None],
        leaving: Callable[[], int | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        shelf: ClipShelf | None = None,
        address: str = "",
    ) -> None:
        self._ticket_file = ticket_file
        self._name = name
        self._build = build
        self._say = say
        self._leaving = leaving
        self._clock = clock
        self._shelf = shelf or ClipShelf()
        self._address = address
        self._session = secrets.token_hex(16).encode()
        self._ticket: JoinTicket | None = None
        self._link: WorkerLink | None = None
        self._setup = ""
        self._cars: Cars | None = None
        self._state = "waiting"
        self._awaiting: int | None = None
        self._owes_hello = False
        self._was_connected = False
        self._alone_since = clock()
        self._complained = clock()
        self._checked_ticket = float("-inf")
        self._has_asked_for_ticket = False
        self._last_heartbeat = float("-inf")

    def run(self) -> int:
        """Serve the trainer until the run has ended.

        Returns:
            Exit status: 0 when the run has ended, otherwise what `leaving` says.

        Raises:
            DrctlError: The ticket is no ticket, the trainer refuses this worker, or the environment cannot be built.
        """
        reason = "the worker failed"
        try:
            while True:
                status = self._leaving()
                if status is not None:
                    reason = "asked to leave"
                    return status
                self._keep_in_touch()
                if self._cars is not None:
                    self._cars.show_running()
                message = self._receive()
                if isinstance(message, Ended):
                    self._say(log_lines.TERMINATION)
                    self._say(f"The run has ended: {message.reason}")
                    reason = "the run has ended"
                    return 0
                if message is not None:
                    self._handle(message)
        except BaseException as error:
            reason = str(error) if isinstance(error, DrctlError) else type(error).__name__
            raise
        finally:
            if self._link is not None:
                self._link.send(Bye(reason))
                self._link.close()

    def _receive(self) -> Message | None:
        if self._link is None:
            time.sleep(FIRST_TICKET_CHECK_S)
            return None
        try:
            return self._link.receive(WAIT_S)
        except MessageError as error:
            raise UnavailableError(
                f"the trainer's messages cannot be read: {error}",
                where=str(self._ticket_file),
            ) from error

    def _handle(self, message: Message) -> None:
        if isinstance(message, Setup):
            self._set_up(message)
        elif isinstance(message, Act):
            # Answers that were under way when the setup changed are for cars that are gone.
            if message.setup == self._setup and message.number == self._awaiting and self._cars is not None:
                self._play(message, self._cars)
        elif isinstance(message, Refused):
            raise ConflictError(f"the trainer refuses this worker: {message.reason}", where=self._name)

    def _set_up(self, setup: Setup) -> None:
        self._setup, self._cars, self._state, self._awaiting = setup.setup, None, "setting_up", None
        self._say(f"Setting up {setup.cars} cars")
        self._beat()
        started = self._clock()
        try:
            environment = self._build(setup.environment, setup.cars, self._pulse)
        except RewardError as error:
            self._report_reward(RewardTroubleError(error, NO_CAR))
            return
        self._shelf.clear(setup.environment, setup.cars)
        self._cars = Cars(environment, setup, self._say, self._shelf)
        self._say(f"Ready after {self._clock() - started:.1f} s")
        self._send_tick(_first_tick(setup))

    def _play(self, act: Act, cars: Cars) -> None:
        self._state, self._awaiting = "driving", None
        try:
            tick = cars.play(act)
        except RewardTroubleError as trouble:
            self._report_reward(trouble)
        else:
            self._send_tick(tick)

    def _report_reward(self, trouble: RewardTroubleError) -> None:
        self._cars, self._state = None, "failed"
        self._say(f"The reward function failed: {trouble}")
        if self._link is not None:
            self._link.send(_reward_message(self._setup, trouble))

    def _send_tick(self, tick: Tick) -> None:
        # When it cannot be sent the connection is gone, and with the next one everything starts over.
        self._state, self._awaiting = "waiting", tick.number
        if self._link is not None:
            self._link.send(tick)

    def _pulse(self) -> None:
        if self._clock() - self._last_heartbeat >= HEARTBEAT_S:
            self._beat()

    def _beat(self) -> None:
        self._last_heartbeat = self._clock()
        if self._link is not None:
            self._link.send(Heartbeat(self._setup, self._state, self._awaiting))

    def _keep_in_touch(self) -> None:
        link = self._link
        if link is None or not link.is_connected:
            self._seek_trainer()
            return
        if link.take_new_connection():
            self._say(f"Connected to the trainer at {self._ticket.endpoint if self._ticket else '?'}")
            self._owes_hello, self._was_connected = True, True
        if self._owes_hello:
            self._setup, self._cars, self._awaiting = "", None, None
            hello = Hello(self._name, socket.gethostname(), os.getpid(), self._address)
            self._owes_hello = not link.send(hello)
        self._pulse()

    def _seek_trainer(self) -> None:
        now = self._clock()
        if self._was_connected:
            self._was_connected, self._alone_since, self._complained = False, now, now
            self._say("The connection to the trainer is lost; trying again until it is back")
        if self._link is None or now - self._checked_ticket >= TICKET_CHECK_S:
            self._checked_ticket = now
            self._read_ticket()
        if now - self._complained >= COMPLAINT_S:
            self._complained = now
            self._say(f"Still no trainer after {now - self._alone_since:.0f} s: {self._obstacle()}")

    def _read_ticket(self) -> None:
        try:
            ticket = read_ticket(self._ticket_file)
        except FileNotFoundError:
            if not self._has_asked_for_ticket:
                self._has_asked_for_ticket = True
                self._say(f"Waiting for the ticket {self._ticket_file}")
            return
        if ticket != self._ticket:
            self._say(f"Looking for the trainer at {ticket.endpoint}")
            if self._link is not None:
                self._link.close()
            self._ticket, self._link = ticket, WorkerLink(ticket, self._session)

    def _obstacle(self) -> str:
        if self._ticket is None or self._link is None:
            return f"the ticket {self._ticket_file} is not there"
        if self._link.is_refused:
            return f"{self._ticket.endpoint} does not accept the ticket; make a new one with drctl worker-invite"
        return f"nobody answers at {self._ticket.endpoint}; trying again"


class _Leaving:
    """Notes SIGTERM and SIGINT.

    An exception raised by a handler could come up in the user's reward function and be taken for its failure.
    """

    def __init__(self) -> None:
        self._status: int | None = None
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def __call__(self) -> int | None:
        """Return the exit status to leave with, or None to stay."""
        return self._status

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._status = EXIT_TERMINATED if number == signal.SIGTERM else InterruptedByUserError.exit_status


def build_environment(data: dict[str, Any], cars: int, on_reward_call: Callable[[], None]) -> Environment:
    """Build the simulator's batch of cars.

    Args:
        data: `EnvironmentSpec` as mapping.
        cars: Number of cars.
        on_reward_call: Called before each call of the user's reward function.
    """
    from drctl.simulation.environment import BatchEnvironment, EnvironmentSpec

    return BatchEnvironment(EnvironmentSpec.from_json(data), cars, on_reward_call=on_reward_call)


def main(arguments: list[str] | None = None, build: BuildEnvironment | None = None) -> int:
    """Run a worker and return its exit status.

    Args:
        arguments: Command line without the program's name; None takes this process's.
        build: Makes environments; None takes the simulator.
    """
    parser = argparse.ArgumentParser(prog="python -m drctl.simulation.worker", description="Simulate cars for a run.")
    parser.add_argument("--join", required=True, type=Path, metavar="FILE", help="ticket of the run")
    parser.add_argument("--name", default=_default_name(), help="name within the run")
    parser.add_argument("--parent-pid", type=int, help="end at once when this process is no longer the parent")
    parser.add_argument(
        "--streams", metavar="ADDRESS", help="stream pictures of the cars on this address of the machine or container"
    )
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if options.parent_pid is not None:
        end_with(options.parent_pid)
    leaving = _Leaving()
    _say(f"Worker {options.name}, pid {os.getpid()}")
    try:
        if build is None:
            _load_simulator()
        shelf, address = ClipShelf(), ""
        if options.streams is not None:
            streams = StreamHost(options.streams, shelf, _say)
            streams.start()
            address = streams.address
        build = build or build_environment
        return Worker(options.join, options.name, build, _say, leaving, shelf=shelf, address=address).run()
    except DrctlError as error:
        _report(error)
        return error.exit_status


def _default_name() -> str:
    return name_of_slot(os.environ.get(SLOT_VARIABLE, "")) or f"{socket.gethostname()}-{os.getpid()}"


def end_with(parent_pid: int) -> None:
    """End this process from a thread, hard, within about a second after `parent_pid` is no longer its parent."""

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(PARENT_CHECK_S)
        os._exit(EXIT_ORPHANED)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _first_tick(setup: Setup) -> Tick:
    no_cars, no_frames = np.empty(0, np.int32), np.empty((0, FRAME_HEIGHT, FRAME_WIDTH), np.uint8)
    return Tick(
        setup=setup.setup,
        number=0,
        records=[],
        acted=no_cars,
        rewards=np.empty(0, np.float32),
        outcomes=np.empty(0, np.uint8),
        waiting=no_cars,
        frames=no_frames,
        final_frames=no_frames,
        rows=np.empty(0, TRACE_DTYPE),
    )


def _reward_message(setup: str, trouble: RewardTroubleError) -> RewardFailed:
    problem, details = trouble.error.problems[0], getattr(trouble.error, "details", None)
    params = getattr(details, "params", None) or {}
    return RewardFailed(
        setup=setup,
        car=trouble.car,
        step=int(params.get("steps", 0)),
        message=problem.what,
        file=str(getattr(details, "file", "reward_function.py")),
        line=getattr(details, "line", None),
        where=problem.where or "reward_function.py",
        expected=problem.expected or "",
        params=json.dumps(params, default=repr),
    )


def _load_simulator() -> None:
    """Import the simulator while the trainer does its own imports, before anybody waits for it."""
    try:
        import drctl.simulation.environment  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            f"the simulator cannot be loaded: {error}",
            where=sys.executable,
            expected="drctl with its part sim",
            fix="pip install 'drctl[sim]'",
        ) from error


def _report(error: DrctlError) -> None:
    for problem in error.problems:
        _say(f"error[{error.code}]: {problem.what}")
        for label, text in (("where", problem.where), ("expected", problem.expected), ("fix", problem.fix)):
            if text:
                _say(f"  {label}: {text}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
