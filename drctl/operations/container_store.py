"""The store of trainings in containers: a server of this machine's own, or one elsewhere with keys for the trainer."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import drctl
from drctl.engines.container_run import give_to_container
from drctl.engines.docker import ensure_network, network_argv
from drctl.engines.engine import Preview
from drctl.engines.store_container import StoreContainer
from drctl.engines.subnet import OVERLAY_SUBNETS, choose_subnet, host_routes
from drctl.engines.swarm_network import overlay_argv, provide_overlay
from drctl.errors import Problem, UnavailableError
from drctl.result import Message
from drctl.stack.container_stack import (
    COMPOSE_FILE,
    NETWORK,
    STORE_KEYS_INSIDE,
    STORE_PROJECT,
    STORE_SERVICE,
    image_name,
    user_id_for,
)
from drctl.stack.store_server import (
    MinioFiles,
    StoreServer,
    minio_reference,
    minio_server,
    minio_warning,
    own_server,
)
from drctl.storage.location import (
    STORE_KEYS_FILE,
    STORE_PORT,
    StoreLocation,
    create_bucket,
    find_keys,
    project_store_location,
    write_store_keys,
)

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.docker import Echo

MINIO_FOLDER: Final = "minio"
"""In ``data/``: where DeepRacer-for-Cloud keeps MinIO's objects."""


def has_own_server(project: Project) -> bool:
    """Tell whether the store of a project's containers is a server that drctl starts."""
    return project.settings.cloud == "local"


def store_image(project: Project) -> str:
    """Return the image of the store's server."""
    name = project.settings.minio_image
    return minio_reference(name) if name else image_name("store", drctl.__version__)


def store_notes(project: Project) -> tuple[Message, ...]:
    """Return what is worth knowing about the store and wrong in no way."""
    if not has_own_server(project):
        keys = find_keys(project_store_location(project))
        if keys is None or keys.session_token is None:
            return ()
        text = "the store's keys are temporary, and a trainer in a container cannot renew them: it stops storing then"
        return (Message(text, "warning"),)
    warning = minio_warning(project.settings.minio_image or "")
    return (Message(warning, "warning"),) if project.settings.minio_image and warning else ()


def store_problems(project: Project) -> list[Problem]:
    """List what keeps containers from reaching a store elsewhere."""
    settings = project.settings
    host = urlsplit(settings.remote_minio_url or "").hostname if settings.cloud == "remote" else None
    if host is None or not _is_loopback(host):
        return []
    return [
        Problem(
            f"DR_REMOTE_MINIO_URL is {settings.remote_minio_url}, which inside a container is the container itself",
            where=str(settings.origin("DR_REMOTE_MINIO_URL")),
            expected="an address of the server that other machines reach too, or DR_DOCKER_STYLE=process",
            fix="drctl config set DR_REMOTE_MINIO_URL=http://HOST:9000",
        )
    ]


def provide_store(project: Project, echo: Echo) -> bool:
    """Make the store reachable for containers: their network, then server and bucket, or the trainer's keys.

    Args:
        project: The project.
        echo: Gets each command that changes something.

    Returns:
        Whether a server was started.

    Raises:
        DrctlError: It cannot be started; nothing is left of it.
    """
    if project.settings.engine == "swarm":
        provide_overlay(NETWORK, echo, release=lambda: stop_store(project, echo))
    if not has_own_server(project):
        ensure_network(NETWORK, echo)
        keys = find_keys(project_store_location(project))
        if keys is not None:
            project.secrets_folder  # noqa: B018 - made by asking for it
            write_store_keys(trainer_keys_file(project), keys)
            give_to_container(trainer_keys_file(project))
        return False
    store = _server(project, echo)
    is_new = store.start()
    try:
        create_bucket(project_store_location(project))
    except BaseException:
        if is_new:
            store.stop()
        raise
    return is_new


def preview_store(project: Project) -> Preview:
    """Tell how the network of a project's containers and its store's server would be made, where nothing is there."""
    server = _server(project, lambda _command: None).preview() if has_own_server(project) else Preview()
    routes = [route.network for route in host_routes()]
    if project.settings.engine == "swarm":
        network = overlay_argv(NETWORK, choose_subnet(routes, OVERLAY_SUBNETS))
    else:
        network = network_argv(NETWORK, choose_subnet(routes))
    return replace(server, commands=(("docker", *network), *server.commands))


def has_store(project: Project) -> bool:
    """Tell whether this project ever started a store's server."""
    return (project.root / "tmp" / STORE_PROJECT / COMPOSE_FILE).exists()


def stop_store(project: Project, echo: Echo = lambda _command: None) -> bool:
    """Stop the store's server; False when it did not run. Its objects stay."""
    return _server(project, echo).stop()


def trainer_keys_file(project: Project) -> Path:
    """Return the file with the keys that containers of this run take."""
    name = STORE_KEYS_FILE if has_own_server(project) else f"run-{project.settings.run_id}-store-keys.json"
    return project.secrets_path / name


def location_inside(project: Project) -> StoreLocation:
    """Return the store as it looks from inside a container; without keys the machine's role lets it in."""
    location = project_store_location(project)
    if has_own_server(project):
        endpoint = f"http://{STORE_SERVICE}:{STORE_PORT}"
        return replace(location, endpoint_url=endpoint, keys_file=STORE_KEYS_INSIDE, folder=None)
    has_keys = find_keys(location) is not None
    return replace(location, keys_file=STORE_KEYS_INSIDE if has_keys else None, profile=None)


def _server(project: Project, echo: Echo) -> StoreContainer:
    keys = project.secrets_path / STORE_KEYS_FILE
    return StoreContainer(project.root, keys, server=_describe_server(project, keys), echo=echo)


def _describe_server(project: Project, keys: Path) -> StoreServer:
    image, user_id = store_image(project), user_id_for(os.getuid())
    if not project.settings.minio_image:
        return own_server(image, user_id, keys)
    secrets = project.secrets_path
    files = MinioFiles(project.data_folder / MINIO_FOLDER, secrets / "minio-user", secrets / "minio-password")
    return minio_server(image, _owner(files.data, user_id), files)


def _owner(folder: Path, user_id: int) -> int:
    """Return the user whose objects a folder holds: MinIO must be that one to read them."""
    try:
        owner = folder.stat().st_uid
    except FileNotFoundError:
        return user_id
    if os.getuid() not in (0, owner):
        raise UnavailableError(
            f"MinIO's folder belongs to user {owner}",
            where=str(folder),
            expected=f"user {os.getuid()}, who runs drctl",
            fix=f"sudo chown -R {os.getuid()} {folder}",
        )
    return owner


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
