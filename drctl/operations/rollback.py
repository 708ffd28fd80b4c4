"""Taking back, step by step, what was done before something failed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from drctl.errors import DrctlError


class Rollback:
    """Takes back, newest first, what was done before something failed."""

    def __init__(self) -> None:
        self._actions: list[Callable[[], Any]] = []

    def __enter__(self) -> Rollback:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: object) -> None:
        if kind is not None:
            with _deaf_to_ctrl_c():
                for action in reversed(self._actions):
                    # One thing that cannot be taken back must not keep the others; the cause is already on its way.
                    with contextlib.suppress(DrctlError, OSError):
                        action()

    def add(self, action: Callable[[], Any]) -> None:
        """Note how to take the next step back."""
        self._actions.append(action)

    def forget(self) -> None:
        """Everything is done: nothing will be taken back."""
        self._actions.clear()


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
