"""The network between the machines of a swarm."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

from drctl.engines.docker import Echo, change, clashes, free_subnet, run_docker
from drctl.engines.subnet import OVERLAY_SUBNETS
from drctl.errors import ConflictError


def overlay_argv(name: str, subnet: IPv4Network) -> list[str]:
    """Return the command, behind ``docker``, that makes it: encrypted, and open to containers that are no services."""
    how = ["--driver", "overlay", "--attachable", "--opt", "encrypted"]
    return ["network", "create", *how, "--subnet", str(subnet), name]


def provide_overlay(name: str, echo: Echo, release: Callable[[], object]) -> None:
    """Make the network unless it is there; one of this machine alone, as Compose has it, is replaced.

    A network of the swarm that is there stays as whoever made it wanted it, unless nobody uses it and this machine
    reaches something else under its addresses.

    Args:
        name: Of the network.
        echo: Gets each command that changes something.
        release: Stops what of this project is on the network of this machine.

    Raises:
        ConflictError: Others are on that one, or the network of the swarm takes no containers.
    """
    facts = _inspect(name)
    if facts is not None and facts["Scope"] == "swarm":
        if not facts["Attachable"]:
            raise _not_attachable(name)
        # Docker refuses to remove one that any machine of the swarm uses.
        if not clashes(facts) or run_docker(["network", "rm", name], echo).returncode:
            return
    elif facts is not None:
        if facts["Containers"]:
            release()
            facts = _inspect(name) or {"Containers": {}}
        names = sorted(one["Name"] for one in facts["Containers"].values())
        if names:
            raise ConflictError(
                f"the network {name} is one of this machine alone, and containers use it: {', '.join(names)}",
                expected=f"no network {name}, or one that spans the swarm, because DR_DOCKER_STYLE is swarm",
                fix=f"stop what uses it (drctl stop-all in its project), then docker network rm {name}",
            )
        change(["network", "rm", name], echo)
    change(overlay_argv(name, free_subnet(OVERLAY_SUBNETS)), echo)


def _inspect(name: str) -> dict[str, Any] | None:
    found = run_docker(["network", "inspect", name])
    if found.returncode:
        return None
    facts: dict[str, Any] = json.loads(found.stdout)[0]
    return facts


def _not_attachable(name: str) -> ConflictError:
    return ConflictError(
        f"the network {name} of the swarm takes no containers but services",
        expected="an attachable network, so that the store can be on it",
        fix=f"docker network rm {name}; drctl start-training makes it anew",
    )
