"""What a container printed: read from Docker while it is there, kept in the run's log folder when it is removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from drctl.engines.docker import ContainerFacts, open_client
from drctl.engines.logs import RotatingLog
from drctl.stack.plan import LogPolicy

_POLL_S: Final = 0.2
KEPT_LINES: Final = 100_000


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
    save_lines(read_log(container.name, KEPT_LINES), path, policy)


def save_lines(lines: Iterable[str], path: Path, policy: LogPolicy) -> None:
    """Append lines to a log."""
    log = RotatingLog(path, policy)
    for line in lines:
        log.write(f"{line}\n".encode())
    log.close()


def read_stamped(container: str, *, since: str, lines: int) -> list[tuple[str, str]]:
    """Return lines of a container's log, each with Docker's time before it; none when it is gone.

    Args:
        container: Its name or id.
        since: Time of the last line that is known; those of the same second come again. Empty for the last ones.
        lines: How many of the last ones.
    """
    found = _find(container)
    if found is None:
        return []
    options: dict[str, Any] = {"since": _second(since)} if since else {"tail": lines}
    return split_stamps(found.logs(timestamps=True, **options).decode(errors="replace"))


def split_stamps(text: str) -> list[tuple[str, str]]:
    """Split what Docker printed into lines and its time before each."""
    pairs = (line.partition(" ") for line in text.splitlines())
    return [(stamp, line.rstrip("\r")) for stamp, _, line in pairs]


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
