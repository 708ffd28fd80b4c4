"""Tell whether a part of a run is well: the health check of the images.

``health.py trainer FILE``: it listens on the port that its start file names.
``health.py worker FILE``: it is connected with the trainer that its ticket names.
``health.py viewer FILE``: it answers on the port that its start file names.
``health.py store``: its S3 server answers.

It runs every few seconds, so it imports little, and for the link it looks at the kernel's list of connections instead
of making one: a connection that says nothing would be a failed login there.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

STORE_ADDRESS = ("127.0.0.1", 9000)
TIMEOUT_S = 2.0

# States of connections in /proc/net/tcp (include/net/tcp_states.h).
ESTABLISHED = "01"
LISTEN = "0A"


def connections(table: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (local port, remote port, state) of a file such as ``/proc/net/tcp``."""
    for line in table.read_text().splitlines()[1:]:
        _, local, remote, state = line.split()[:4]
        yield int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16), state


def all_connections() -> list[tuple[int, int, str]]:
    """Return those of IPv4 and, where there is one, of IPv6."""
    found = list(connections(Path("/proc/net/tcp")))
    with contextlib.suppress(FileNotFoundError):
        found += connections(Path("/proc/net/tcp6"))
    return found


def trainer(start_file: str) -> str | None:
    """Return what is wrong with the trainer, or None."""
    port = json.loads(Path(start_file).read_text())["link"]["tcp_port"]
    if any(local == port and state == LISTEN for local, _, state in all_connections()):
        return None
    return f"nobody listens on port {port}"


def worker(ticket_file: str) -> str | None:
    """Return what is wrong with the worker, or None."""
    endpoint = json.loads(Path(ticket_file).read_text())["endpoint"]
    port = int(endpoint.rpartition(":")[2])
    if any(remote == port and state == ESTABLISHED for _, remote, state in all_connections()):
        return None
    return f"no connection with the trainer at {endpoint}"


def viewer(start_file: str) -> str | None:
    """Return what is wrong with the viewer, or None; that it wants a token (403) is well."""
    answer = ask(("127.0.0.1", json.loads(Path(start_file).read_text())["port"]), "/page/icon.svg")
    return None if b" 200 " in answer or b" 403 " in answer else f"the viewer answered {answer[:20]!r}"


def store() -> str | None:
    """Return what is wrong with the store, or None."""
    answer = ask(STORE_ADDRESS, "/healthz")
    return None if b" 200 " in answer else f"the S3 server answered {answer[:20]!r}"


def ask(address: tuple[str, int], path: str) -> bytes:
    """Return the beginning of what an HTTP server answers."""
    with socket.create_connection(address, TIMEOUT_S) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return connection.recv(64)


def main(part: str, *arguments: str) -> int:
    """Print what is wrong and return the exit status: 0 for well."""
    checks: dict[str, Callable[..., str | None]] = {
        "trainer": trainer,
        "worker": worker,
        "viewer": viewer,
        "store": store,
    }
    try:
        trouble = checks[part](*arguments)
    except (OSError, ValueError, KeyError) as error:
        trouble = f"{type(error).__name__}: {error}"
    sys.stdout.write(f"{trouble or 'well'}\n")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
