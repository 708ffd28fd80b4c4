"""What a container printed: read from Docker while it is there, kept in the run's log folder when it is removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from drctl.engines.docker import ContainerFacts, open_client
from drctl.engines.logs import RotatingLog
from drctl.stack.plan import LogPolicy

_POLL_S: Final = 0.2
_KEPT_LINES: Final = 100_000


def read_log(container: str, lines: int) -> list[str]:
    """Return the last lines of a container's log; none when it is gone.

    Args:
        container: Its name.
        lines: How many.
    """
    found = _find(container)
    if found is None or not lines:
        return []
    data: bytes = found.logs(tail=lines)
    return data.decode(errors="replace").splitlines()


def save_log(container: ContainerFacts, path: Path, policy: LogPolicy) -> None:
    """Append a container's log to a file before the container is removed.

    Args:
        container: Whose.
        path: Newest file of the log.
        policy: Its size.
    """
    log = RotatingLog(path, policy)
    for line in read_log(container.name, _KEPT_LINES):
        log.write(f"{line}\n".encode())
    log.close()


def follow_container(container: str, is_over: Callable[[], bool], *, lines: int) -> Iterator[str]:
    """Give the last lines of a container's log and then each new one, also after it was started again.

    Args:
        container: Its name.
        is_over: Asked when nothing new comes; True ends the iteration.
        lines: How many old lines to begin with.
    """
    last = ""
    while True:
        over = is_over()
        found = _find(container)
        if found is not None:
            options: dict[str, Any] = {"since": _second(last)} if last else {"tail": lines}
            for stamp, text in _stamped(found.logs(stream=True, follow=not over, timestamps=True, **options)):
                if stamp > last:
                    last = stamp
                    yield text
        if over or found is None:
            return
        time.sleep(_POLL_S)


def _find(container: str) -> Any:
    import docker

    try:
        return open_client().containers.get(container)
    except docker.errors.NotFound:
        return None


def _stamped(chunks: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """Split a stream into lines and Docker's time before each, which sorts as text."""
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            stamp, _, text = line.decode(errors="replace").partition(" ")
            yield stamp, text.rstrip("\r")


def _second(stamp: str) -> int:
    return int(datetime.fromisoformat(f"{stamp[:19]}+00:00").timestamp())
