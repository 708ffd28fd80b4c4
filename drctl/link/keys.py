"""The two CURVE key pairs of a run: the trainer's and the one that every worker with a ticket shares."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from drctl.errors import FormatError
from drctl.secrets import Secret, write_secret


@dataclass(frozen=True)
class LinkKeys:
    """Keys in Z85 text, 40 letters each (ZeroMQ RFC 26 and 32).

    Attributes:
        server_public: Lets workers know the trainer.
        server_secret: Stays with the trainer.
        client_public: Whom the trainer lets in.
        client_secret: Goes into tickets.
    """

    server_public: str
    server_secret: Secret
    client_public: str
    client_secret: Secret


def keys_file(local_ticket: Path, run_id: int) -> Path:
    """Return the file in which a run's keys are kept: beside its local ticket."""
    return local_ticket.with_name(f"run-{run_id}-link-keys.json")


def new_keys() -> LinkKeys:
    """Make two fresh pairs."""
    import zmq

    server_public, server_secret = zmq.curve_keypair()
    client_public, client_secret = zmq.curve_keypair()
    return LinkKeys(
        server_public.decode(), Secret(server_secret.decode()), client_public.decode(), Secret(client_secret.decode())
    )


def load_or_create_keys(path: Path) -> LinkKeys:
    """Read the keys of a run, or make and keep them: tickets given out stay good when the trainer is started again.

    Args:
        path: File with access for its owner alone.

    Raises:
        FormatError: The file is there but does not hold keys.
    """
    if not path.exists():
        keys = new_keys()
        content = {
            "server_public": keys.server_public,
            "server_secret": keys.server_secret.reveal(),
            "client_public": keys.client_public,
            "client_secret": keys.client_secret.reveal(),
        }
        write_secret(path, Secret(json.dumps(content)))
        return keys
    try:
        content = json.loads(path.read_text())
        return LinkKeys(
            content["server_public"],
            Secret(content["server_secret"]),
            content["client_public"],
            Secret(content["client_secret"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError("the keys of the link cannot be read", where=str(path), fix=f"rm {path}") from error
