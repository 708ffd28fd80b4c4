"""Which addresses a network of containers gets: none that this machine already reaches something else under."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from drctl.errors import UnavailableError

_ROUTES: Final = Path("/proc/net/route")
_BROADEST: Final = 8
"""Length of the shortest mask that counts: a broader route, such as the default one, clashes with everything."""

# What Docker gives networks too (RFC 1918), the range of its own default network first left out.
BRIDGE_SUBNETS: Final = (
    *(IPv4Network(f"172.{second}.0.0/16") for second in range(18, 32)),
    *(IPv4Network(f"192.168.{third}.0/20") for third in range(0, 256, 16)),
    *(IPv4Network(f"10.{second}.0.0/16") for second in range(200, 256)),
)


@dataclass(frozen=True)
class Route:
    """Addresses that this machine sends to one of its interfaces.

    Attributes:
        network: The addresses.
        interface: Such as ``eth0`` or ``tun0``.
    """

    network: IPv4Network
    interface: str


def parse_routes(text: str) -> Iterator[Route]:
    """Yield the routes of a table as ``/proc/net/route`` shows it (proc(5)): hexadecimal, host byte order."""
    for line in text.splitlines()[1:]:
        interface, target, _, _, _, _, _, mask = line.split()[:8]
        address, length = _address(target), bin(int(mask, 16)).count("1")
        if length >= _BROADEST:
            yield Route(IPv4Network(f"{address}/{length}", strict=False), interface)


def host_routes() -> list[Route]:
    """Return this machine's routes; none where the system does not tell."""
    try:
        return list(parse_routes(_ROUTES.read_text()))
    except OSError:
        return []


OVERLAY_SUBNETS: Final = tuple(IPv4Network(f"10.{second}.0.0/24") for second in range(200, 256))
"""For a network between machines: none of the addresses that Docker gives the networks of a single one."""


def choose_subnet(taken: Iterable[IPv4Network], candidates: Sequence[IPv4Network] = BRIDGE_SUBNETS) -> IPv4Network:
    """Return a private network that overlaps none of those that are taken.

    Args:
        taken: What is not free.
        candidates: To choose from, the best first.

    Raises:
        UnavailableError: Every candidate does.
    """
    taken = list(taken)
    for candidate in candidates:
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise UnavailableError(
        "no private network is left for containers: this machine has routes into all of them",
        where=", ".join(str(network) for network in taken),
        expected=f"one of {candidates[0]} to {candidates[-1]} free",
        fix="docker network create --subnet NETWORK sagemaker-local",
    )


def _address(digits: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(socket.inet_ntoa(struct.pack("=L", int(digits, 16))))
