"""The trainer's own account of what it is doing: ``<P>/.drctl/status.json`` (DESIGN 4.6).

Readers (status, viewer, report) need nothing but the store, whatever engine runs the trainer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drctl.errors import DrctlError

if TYPE_CHECKING:
    from drctl.storage.objects import ObjectStore

VERSION = 1
INTERVAL_S = 5.0


class StatusFile:
    """Keeps a status object fresh from a thread of its own, and at once when the phase changes.

    A store that cannot be written is not an error here: a stale heartbeat says as much.

    Args:
        store: Bucket.
        key: Key of the status object.
        facts: First content; `update` changes it.
        workers: Gives the list of workers for each write.
        interval_s: Seconds between writes.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        facts: dict[str, Any],
        workers: Callable[[], list[dict[str, Any]]],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._store = store
        self._key = key
        self._facts = {"version": VERSION, "phase": "starting", "phase_since": time.time(), "outcome": None, **facts}
        self._workers = workers
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._write_forever, name="status", daemon=True)
        self._thread.start()

    def update(self, phase: str | None = None, **facts: Any) -> None:
        """Change facts; a new phase is written without delay."""
        with self._lock:
            self._facts.update(facts)
            if phase is not None and phase != self._facts["phase"]:
                self._facts.update(phase=phase, phase_since=time.time())
                self._wake.set()

    def close(self, outcome: dict[str, Any] | None) -> None:
        """Write the last state and end the thread.

        Args:
            outcome: Why the run ended, or None when it only pauses and another trainer goes on.
        """
        if outcome is not None:
            self.update("ended", outcome=outcome)
        self._is_closed = True
        self._wake.set()
        self._thread.join()

    def _write_forever(self) -> None:
        while True:
            is_last = self._is_closed
            self._write()
            if is_last:
                return
            self._wake.wait(self._interval_s)
            self._wake.clear()

    def _write(self) -> None:
        with self._lock:
            content = {**self._facts, "heartbeat": time.time()}
        content["workers"] = self._workers()
        try:
            self._store.put(self._key, json.dumps(content, indent=1).encode())
        except DrctlError:
            return
