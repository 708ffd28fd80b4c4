"""A limit on how long one call of the user's code may take."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType, TracebackType

LIMIT_S: Final = 5.0
"""Longest call of a reward function (DESIGN 4, Reward function)."""

_TICK_S: Final = 0.25


class TimeLimitError(BaseException):
    """A call took too long; no `Exception`, so that user code which catches those does not catch this."""


class Watchdog:
    """Raises `TimeLimitError` inside calls that take too long, while it is entered.

    It works through the alarm signal and so only in the main thread; elsewhere it does nothing. One timer serves many
    calls: what a call costs is one look at the clock. An alarm that other code has set is put back afterwards.

    Args:
        limit_s: Longest time of a call.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self._started_s = 0.0
        self._is_armed = False

    def __enter__(self) -> Watchdog:
        self._is_armed = threading.current_thread() is threading.main_thread()
        if self._is_armed:
            self.call_begins()
            self._previous = signal.signal(signal.SIGALRM, self._look)
            signal.setitimer(signal.ITIMER_REAL, min(_TICK_S, self.limit_s), min(_TICK_S, self.limit_s))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._is_armed:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, self._previous)
            self._is_armed = False

    def call_begins(self) -> None:
        """Start the clock of the next call."""
        self._started_s = time.monotonic()

    def _look(self, _number: int, _frame: FrameType | None) -> None:
        if time.monotonic() - self._started_s > self.limit_s:
            raise TimeLimitError
