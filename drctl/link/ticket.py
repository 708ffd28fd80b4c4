"""The file that lets a worker join a run: where the trainer listens and the keys to get in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drctl.errors import FormatError
from drctl.link.keys import LinkKeys
from drctl.secrets import Secret, write_secret

VERSION = 1


@dataclass(frozen=True)
class JoinTicket:
    """What a worker needs to reach its trainer.

    Attributes:
        run: ``DR_RUN_ID``.
        endpoint: ``tcp://HOST:PORT`` or ``ipc://PATH``.
        server_public_key: The trainer's CURVE key; None for a local socket, which only its owner can open.
        client_public_key: CURVE key the trainer lets in, or None.
        client_secret_key: Its secret half, or None.
    """

    run: int
    endpoint: str
    server_public_key: str | None = None
    client_public_key: str | None = None
    client_secret_key: Secret | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `from_json` reads; it holds the secret key, so it goes to a 0600 file only."""
        return {
            "version": VERSION,
            "run": self.run,
            "endpoint": self.endpoint,
            "server_public_key": self.server_public_key,
            "client_public_key": self.client_public_key,
            "client_secret_key": self.client_secret_key.reveal() if self.client_secret_key else None,
        }

    @classmethod
    def from_json(cls, data: Any, source: str) -> JoinTicket:
        """Read what `to_json` gave.

        Args:
            data: Parsed JSON.
            source: Name of the file for messages.

        Raises:
            FormatError: It is no ticket, or one of another version.
        """
        if not isinstance(data, dict) or data.get("version") != VERSION:
            version = data.get("version") if isinstance(data, dict) else None
            raise FormatError(
                f"not a ticket of this version of drctl (version {version!r})",
                where=source,
                expected=f"version {VERSION}",
                fix="drctl worker-invite",
            )
        keys = [data.get(name) for name in ("server_public_key", "client_public_key", "client_secret_key")]
        has_keys = all(isinstance(key, str) and len(key) == 40 for key in keys)
        endpoint = data.get("endpoint")
        is_known = isinstance(endpoint, str) and endpoint.startswith(("tcp://", "ipc://"))
        if not is_known or not isinstance(data.get("run"), int) or not (has_keys or keys == [None] * 3):
            raise FormatError(
                "the ticket is damaged",
                where=source,
                expected="run, endpoint (tcp:// or ipc://) and three keys of 40 letters, as drctl wrote them",
                fix="drctl worker-invite",
            )
        secret = Secret(data["client_secret_key"]) if has_keys else None
        return cls(data["run"], data["endpoint"], data["server_public_key"], data["client_public_key"], secret)


def make_ticket(run_id: int, endpoint: str, keys: LinkKeys) -> JoinTicket:
    """Return the ticket for an address that needs the run's keys."""
    return JoinTicket(run_id, endpoint, keys.server_public, keys.client_public, keys.client_secret)


def write_ticket(path: Path, ticket: JoinTicket) -> None:
    """Write a ticket to a file that only its owner can read, replacing it in one step."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secret(path, Secret(json.dumps(ticket.to_json(), indent=1) + "\n"))


def read_ticket(path: Path) -> JoinTicket:
    """Read a ticket.

    Raises:
        FileNotFoundError: There is none yet; a worker that is started along with its trainer waits for it.
        FormatError: The file is no ticket.
    """
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise FormatError(
            "the ticket is not JSON", where=str(path), expected="the file as drctl wrote it", fix="drctl worker-invite"
        ) from error
    return JoinTicket.from_json(data, str(path))
