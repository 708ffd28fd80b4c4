"""The S3 server container: a Compose project of its own, so that the runs of a project share it."""

from __future__ import annotations

import secrets
import shlex
import time
import urllib.request
from collections import deque
from pathlib import Path
from typing import Final

from drctl.engines.compose import refuse_foreign
from drctl.engines.container_logs import read_log
from drctl.engines.container_run import give_to_container
from drctl.engines.docker import (
    Echo,
    change,
    compose_argv,
    ensure_network,
    ensure_volume,
    find_containers,
    last_words,
    missing_images,
    run_build,
    run_docker,
    up_argv,
    volume_argv,
)
from drctl.engines.engine import Preview
from drctl.errors import UnavailableError
from drctl.link.listening import probe_port
from drctl.secrets import Secret, secrets_folder, write_secret
from drctl.stack.container_stack import COMPOSE_FILE, NETWORK, STORE_PROJECT
from drctl.stack.render import render_store
from drctl.stack.store_server import StoreServer
from drctl.storage.location import STORE_PORT, read_store_keys, write_store_keys

_READY_LIMIT_S: Final = 90
_MOST_RESTARTS: Final = 2
_ANSWER_S: Final = 2.0
_POLL_S: Final = 0.2
_LOG_LINES: Final = 8


class StoreContainer:
    """The S3 server of a project.

    Args:
        project: The project's folder.
        keys: File with its access key; made where it is missing.
        server: How it runs.
        echo: Gets each command that changes something.
    """

    def __init__(self, project: Path, keys: Path, *, server: StoreServer, echo: Echo) -> None:
        self._project = project
        self._keys = keys
        self._server = server
        self._echo = echo
        self._file = project / "tmp" / STORE_PROJECT / COMPOSE_FILE

    def preview(self) -> Preview:
        """Tell what `start` would do where nothing is there yet; nothing is started, written or asked."""
        volume = [volume_argv(self._server.volume)] if self._server.volume else []
        commands = (*volume, up_argv(self._file))
        return Preview({str(self._file): self._render()}, tuple(("docker", *words) for words in commands))

    def start(self) -> bool:
        """Start the server and wait until it is well.

        Returns:
            False when it was running already.

        Raises:
            ConflictError: The containers of that name belong to another project.
            UnavailableError: Its port is taken, its image cannot be had, or it is not well in time; nothing is left.
        """
        refuse_foreign(STORE_PROJECT, str(self._project))
        is_new = not any(one.status == "running" for one in find_containers(STORE_PROJECT))
        if is_new:
            for port in self._server.ports:
                _check_port(int(port.published))
        self._provide_image()
        self._provide_keys()
        ensure_network(NETWORK, self._echo)
        if self._server.volume:
            ensure_volume(self._server.volume, self._echo)
        file = self._file
        file.parent.mkdir(parents=True, exist_ok=True)
        done = None
        if is_new or not file.exists():
            file.write_text(self._render())
            done = run_docker(up_argv(self._file), self._echo)
        if (done is not None and done.returncode) or not self._is_well():
            words = [line for one in find_containers(STORE_PROJECT) for line in read_log(one.name, _LOG_LINES)]
            if is_new:
                self.stop()
            raise UnavailableError(
                "the store cannot be started",
                where="\n".join([str(file), *(last_words(done) if done else ()), *words]),
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
            change([*compose_argv(self._file), "down", "--timeout", "10"], self._echo)
        return bool(own)

    def _provide_image(self) -> None:
        """Pull an image that is not ours where it is missing; ours is built."""
        image = self._server.image
        if self._server.minio is None or not missing_images([image]):
            return
        argv = ["docker", "pull", image]
        self._echo(shlex.join(argv))
        tail: deque[str] = deque(maxlen=_LOG_LINES)
        if run_build(argv, tail.append):
            raise UnavailableError(
                f"the store's image {image} cannot be pulled",
                where="\n".join(tail),
                expected="the image that DR_MINIO_IMAGE names, here or at its registry",
                fix="drctl config set DR_MINIO_IMAGE= takes drctl's own store, which drctl build-images makes",
            )

    def _provide_keys(self) -> None:
        secrets_folder(self._project)
        if not self._keys.exists():
            from drctl.storage.s3 import StoreKeys

            write_store_keys(self._keys, StoreKeys(f"drctl-{secrets.token_hex(8)}", Secret(secrets.token_urlsafe(32))))
        user_id = int(self._server.user.partition(":")[0])
        give_to_container(self._keys, user_id)
        if self._server.minio is None:
            return
        keys, files = read_store_keys(self._keys), self._server.minio
        write_secret(files.user, Secret(keys.access_key_id))
        write_secret(files.password, keys.secret_access_key)
        files.data.mkdir(parents=True, exist_ok=True)
        for path in (files.user, files.password, files.data):
            give_to_container(path, user_id)

    def _is_well(self) -> bool:
        """Wait until the server answers; Docker's own health check would look for the first time after seconds."""
        address = f"http://127.0.0.1:{STORE_PORT}{self._server.health_path}"
        deadline = time.monotonic() + _READY_LIMIT_S
        while time.monotonic() < deadline:
            if any(one.status == "exited" or one.restarts > _MOST_RESTARTS for one in find_containers(STORE_PROJECT)):
                return False
            try:
                urllib.request.urlopen(address, timeout=_ANSWER_S).close()
            except OSError:
                time.sleep(_POLL_S)
            else:
                return True
        return False

    def _render(self) -> str:
        return render_store(self._server, self._project)


def _check_port(port: int) -> None:
    try:
        probe_port("127.0.0.1", port)
    except OSError as error:
        raise UnavailableError(
            f"the store cannot listen on 127.0.0.1:{port}: the port is taken",
            expected="a free port",
            fix=f"ss -ltnp 'sport = :{port}' names the program that has the port; end it",
        ) from error
