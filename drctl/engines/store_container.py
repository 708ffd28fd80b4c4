"""The S3 server container: a Compose project of its own, so that the runs of a project share it."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Final

from drctl.engines.compose import give_to_container, refuse_foreign
from drctl.engines.container_logs import read_log
from drctl.engines.docker import (
    Echo,
    change,
    ensure_network,
    ensure_volume,
    find_containers,
    last_words,
    network_argv,
    run_docker,
    volume_argv,
)
from drctl.engines.engine import Preview
from drctl.errors import UnavailableError
from drctl.secrets import Secret, secrets_folder
from drctl.stack.container_stack import COMPOSE_FILE, NETWORK, STORE_PROJECT, STORE_VOLUME
from drctl.stack.render import render_store
from drctl.storage.location import STORE_PORT, write_store_keys

_READY_LIMIT_S: Final = 90
_LOG_LINES: Final = 8


class StoreContainer:
    """The S3 server of a project.

    Args:
        project: The project's folder.
        keys: File with its access key; made where it is missing.
        image: What it is started from.
        user_id: Its user.
        echo: Gets each command that changes something.
    """

    def __init__(self, project: Path, keys: Path, *, image: str, user_id: int, echo: Echo) -> None:
        self._project = project
        self._keys = keys
        self._image = image
        self._user_id = user_id
        self._echo = echo
        self._folder = project / "tmp" / STORE_PROJECT

    def preview(self) -> Preview:
        """Tell what `start` would do where nothing is there yet; nothing is started, written or asked."""
        commands = (network_argv(NETWORK), volume_argv(STORE_VOLUME), self._up())
        return Preview(
            {str(self._folder / COMPOSE_FILE): self._render()}, tuple(("docker", *words) for words in commands)
        )

    def start(self) -> bool:
        """Start the server and wait until it is well.

        Returns:
            False when it was running already.

        Raises:
            ConflictError: The containers of that name belong to another project.
            UnavailableError: Its port is taken, or it does not become well; nothing is left of it.
        """
        refuse_foreign(STORE_PROJECT, str(self._project))
        is_new = not any(one.status == "running" for one in find_containers(STORE_PROJECT))
        if is_new:
            _check_port()
        secrets_folder(self._project)
        if not self._keys.exists():
            from drctl.storage.s3 import StoreKeys

            write_store_keys(self._keys, StoreKeys(f"drctl-{secrets.token_hex(8)}", Secret(secrets.token_urlsafe(32))))
        give_to_container(self._keys)
        ensure_network(NETWORK, self._echo)
        ensure_volume(STORE_VOLUME, self._echo)
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / COMPOSE_FILE
        if is_new or not file.exists():
            file.write_text(self._render())
        done = run_docker(self._up(), self._echo)
        if done.returncode:
            words = [line for one in find_containers(STORE_PROJECT) for line in read_log(one.name, _LOG_LINES)]
            if is_new:
                self.stop()
            raise UnavailableError(
                "the store cannot be started",
                where="\n".join([str(file), *last_words(done), *words]),
                expected=f"an S3 server that is well within {_READY_LIMIT_S} s",
                fix=f"docker compose --file {file} up shows all of it",
            )
        return is_new

    def stop(self) -> bool:
        """Stop the server; its objects stay in their volume.

        Returns:
            False when this project has none.
        """
        own = [one for one in find_containers(STORE_PROJECT) if one.owner == str(self._project)]
        if own:
            change([*self._compose(), "down", "--timeout", "10"], self._echo)
        return bool(own)

    def _render(self) -> str:
        return render_store(image=self._image, user_id=self._user_id, keys=self._keys, project=self._project)

    def _up(self) -> list[str]:
        up = ["up", "--detach", "--no-build", "--wait", "--wait-timeout", str(_READY_LIMIT_S)]
        return [*self._compose(), *up]

    def _compose(self) -> list[str]:
        return ["compose", "--ansi", "never", "--file", str(self._folder / COMPOSE_FILE)]


def _check_port() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", STORE_PORT))
        except OSError as error:
            raise UnavailableError(
                f"the store cannot listen on 127.0.0.1:{STORE_PORT}: the port is taken",
                expected="a free port",
                fix=f"ss -ltnp 'sport = :{STORE_PORT}' names the program that has the port; end it",
            ) from error
