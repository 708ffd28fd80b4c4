"""Where a trainer listens: the local socket in a private folder and the TCP port with keys."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from drctl.errors import UnavailableError

SOCKET_NAME: Final = "link.sock"
LONGEST_SOCKET_PATH: Final = 107
"""Bytes in sockaddr_un.sun_path, less the closing zero (unix(7))."""


class ListenSpec(Protocol):
    """Where to listen; `trainer.spec.LinkSpec` is one."""

    @property
    def ipc_folder(self) -> str | None:
        """Folder for the local socket, or None."""

    @property
    def tcp_host(self) -> str | None:
        """Address to bind, or None for no TCP."""

    @property
    def tcp_port(self) -> int:
        """Port to bind; 0 for any free one."""

    @property
    def advertised_host(self) -> str:
        """Host that tickets name."""

    @property
    def local_ticket(self) -> str:
        """File for the ticket of this machine's workers."""

    @property
    def remote_ticket(self) -> str | None:
        """File for the ticket of other machines' workers, or None."""


@dataclass(frozen=True)
class Binding:
    """One address to bind.

    Attributes:
        endpoint: ZeroMQ endpoint; ``tcp://HOST:*`` for a free port.
        has_keys: Whether clients need the run's CURVE keys.
    """

    endpoint: str
    has_keys: bool


def tcp_endpoint(host: str, port: int) -> str:
    """Return the ZeroMQ endpoint of a host and port; port 0 stands for any free one."""
    shown = f"[{host}]" if ":" in host else host
    return f"tcp://{shown}:{port or '*'}"


def advertised_host(listen: str) -> str:
    """Return how workers on other machines reach a trainer that listens on an address of this one.

    Args:
        listen: ``DR_LINK_LISTEN``.
    """
    if listen not in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return listen
    # No packet is sent: connecting a UDP socket only chooses the address that would be used.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def probe_port(host: str, port: int) -> None:
    """Bind a TCP port and let it go again.

    Args:
        host: Address or name to bind.
        port: Which.

    Raises:
        OSError: It cannot be bound; `socket.gaierror` where `host` is no address.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def ipc_endpoint(folder: Path) -> str:
    """Return the endpoint of the local socket in a folder, and make the folder for its owner alone.

    Socket paths are at most 107 bytes long. In a deeper folder the socket goes to a folder of the user's under the
    system's temporary one, under a name that depends on `folder` alone: a trainer that is started again is found by the
    same ticket.

    Raises:
        UnavailableError: The folder belongs to somebody else.
    """
    path = folder.absolute() / SOCKET_NAME
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"drctl-{os.getuid()}" / f"{digest}.sock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = path.parent.lstat()
    if facts.st_uid != os.getuid() or not stat.S_ISDIR(facts.st_mode):
        raise UnavailableError(
            f"the folder for the local socket belongs to user {facts.st_uid}",
            where=str(path.parent),
            expected=f"a folder of user {os.getuid()}, who runs drctl",
            fix=f"sudo chown {os.getuid()} {path.parent}",
        )
    path.parent.chmod(0o700)
    return f"ipc://{path}"


def bind_error(endpoint: str, reason: str) -> UnavailableError:
    """Return the error for an address that cannot be bound."""
    port = endpoint.rpartition(":")[2]
    if endpoint.startswith("ipc://"):
        return UnavailableError(
            f"the local socket for workers cannot be made: {reason}",
            where=endpoint.removeprefix("ipc://"),
            expected="a folder that drctl may write to",
            fix=f"ls -ld {Path(endpoint.removeprefix('ipc://')).parent}",
        )
    return UnavailableError(
        f"the trainer cannot listen on {endpoint.removeprefix('tcp://')}: {reason}",
        where="DR_LINK_LISTEN, DR_RUN_ID (port 7300 + run id)",
        expected="a free port and an address of this machine",
        fix=f"ss -ltnp 'sport = :{port}' names the program that has the port; end it or set another DR_RUN_ID",
    )
