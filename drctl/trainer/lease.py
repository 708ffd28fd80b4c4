"""The lease that makes one trainer the only writer under a model prefix (DESIGN 4.6).

A holder renews it every 10 s; it expires 30 s after its last renewal. Each take-over raises the epoch. A trainer that
finds a higher epoch than its own has been replaced and stops writing.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from drctl.errors import ConflictError, ObjectNotFoundError, PreconditionFailedError, UnavailableError
from drctl.storage.objects import ObjectStore

RENEW_S = 10.0
EXPIRE_S = 30.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    Attributes:
        token: Start of the run; a restarted trainer of the same start has the same.
        host: Host name.
        pid: Process id on that host.
        started: Start time of that process in clock ticks since boot, guards against a reused pid; 0 where unknown.
        epoch: Take-overs so far, from 1.
        renewed: Epoch seconds of the last renewal on the holder's clock, for people.
        is_released: Set when the holder gave the lease back.
    """

    token: str
    host: str
    pid: int
    started: int
    epoch: int
    renewed: float
    is_released: bool = False


def process_start(pid: int) -> int:
    """Return the start time of a process in clock ticks since boot, or 0 where it cannot be told or has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def is_gone(holder: Holder) -> bool:
    """Tell whether a holder on this host has ended; False for holders on other hosts, which cannot be seen."""
    if holder.host != socket.gethostname():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return holder.started != 0 and process_start(holder.pid) != holder.started


class LeaseLostError(ConflictError):
    """Another trainer holds the lease now: this one must write nothing more."""


class Lease:
    """A held lease; `acquire` makes one.

    Args:
        store: Bucket of the prefix.
        key: Key of the lease object.
        holder: What was written.
        version: Version of the object that was written.
        on_lost: Called once, from the renewing thread, when another trainer has taken over.
    """

    def __init__(
        self, store: ObjectStore, key: str, holder: Holder, version: str, on_lost: Callable[[str], None]
    ) -> None:
        self._store = store
        self._key = key
        self._holder = holder
        self._version = version
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_forever, name="lease", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> int:
        """Epoch of this lease."""
        return self._holder.epoch

    def check(self) -> None:
        """Make sure, by asking the store, that this trainer still holds the lease.

        Raises:
            LeaseLostError: Another trainer holds it.
            UnavailableError: The store does not answer.
        """
        self._find_own_version()

    def _find_own_version(self) -> str:
        """Return the version of the lease object, which is still this trainer's; raises as `check` does."""
        current, version = _read(self._store, self._key)
        if current is None or (current.token, current.epoch) != (self._holder.token, self._holder.epoch):
            who = f"{current.host} pid {current.pid}" if current else "nobody"
            raise LeaseLostError(
                "another trainer has taken this model over",
                where=f"{self._store.name}/{self._key}",
                expected=f"epoch {self._holder.epoch}; now epoch {current.epoch if current else 0}, held by {who}",
                fix="drctl status",
            )
        return version

    def release(self) -> None:
        """Give the lease back, so that the next trainer need not wait; quiet when it is lost already."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(PreconditionFailedError, UnavailableError):
            self._write(is_released=True)

    def _write(self, *, is_released: bool = False) -> None:
        with self._lock:
            holder = Holder(**{**asdict(self._holder), "renewed": time.time(), "is_released": is_released})
            self._version = self._store.put(self._key, _render(holder), if_version=self._version)

    def _renew_forever(self) -> None:
        while not self._stop.wait(RENEW_S):
            try:
                self._write()
            except PreconditionFailedError:
                # A put whose answer was lost looks the same: only another holder means that the lease is gone.
                try:
                    self._version = self._find_own_version()
                except LeaseLostError as error:
                    self._on_lost(error.problems[0].expected or str(error))
                    return
                except UnavailableError:
                    continue
            except UnavailableError:
                continue


def read_holder(store: ObjectStore, key: str) -> Holder | None:
    """Return who holds the lease, or None when there is none (or an unreadable one, which nobody can hold)."""
    return _read(store, key)[0]


def acquire(
    store: ObjectStore,
    key: str,
    token: str,
    *,
    on_lost: Callable[[str], None],
    on_wait: Callable[[Holder], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> Lease:
    """Take the lease, waiting while another live trainer holds it.

    A released lease, one with the same token and one whose holder on this host is gone are taken at once. Any other
    is taken after its object has not changed for `EXPIRE_S` seconds on this host's own monotonic clock, so clocks
    need not agree.

    Args:
        store: Bucket of the prefix.
        key: Key of the lease object.
        token: Start of the run.
        on_lost: See `Lease`.
        on_wait: Called about once a second while waiting, with the holder.
        should_stop: Asked while waiting.

    Raises:
        ConflictError: `should_stop` said so while another trainer held the lease.
    """
    seen_version, seen_at = "", time.monotonic()
    while True:
        holder, version = _read(store, key)
        if version != seen_version:
            seen_version, seen_at = version, time.monotonic()
        is_free = holder is None or holder.is_released or holder.token == token or is_gone(holder)
        if is_free or time.monotonic() - seen_at > EXPIRE_S:
            mine = Holder(
                token=token,
                host=socket.gethostname(),
                pid=os.getpid(),
                started=process_start(os.getpid()),
                epoch=(holder.epoch if holder else 0) + 1,
                renewed=time.time(),
            )
            try:
                written = store.put(key, _render(mine), if_version=version or None, if_absent=not version)
            except PreconditionFailedError:
                continue
            return Lease(store, key, mine, written, on_lost)
        assert holder is not None  # noqa: S101 - a missing holder is free
        if should_stop():
            raise ConflictError(
                f"the model is held by the trainer on {holder.host} (pid {holder.pid})",
                where=f"{store.name}/{key}",
                fix="drctl stop-training",
            )
        on_wait(holder)
        time.sleep(1.0)


def _read(store: ObjectStore, key: str) -> tuple[Holder | None, str]:
    try:
        data, version = store.get_versioned(key)
    except ObjectNotFoundError:
        return None, ""
    try:
        return Holder(**json.loads(data)), version
    except (ValueError, TypeError):
        return None, version


def _render(holder: Holder) -> bytes:
    return json.dumps(asdict(holder), indent=1).encode()
