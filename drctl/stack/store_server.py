"""The S3 server container, as pure data: our store image, or MinIO as ``DR_MINIO_IMAGE`` names it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from drctl.stack.plan import Mount, Port
from drctl.storage.location import STORE_PORT

CONSOLE_PORT: Final = 9001
STORE_VOLUME: Final = "s3_data"

MINIO_REPOSITORY: Final = "minio/minio"
FIXED_MINIO: Final = "RELEASE.2025-10-15T17-29-55Z"
"""First release with the fix of CVE-2025-62506; minio/minio has no image of it or of any later one."""

_LOOPBACK: Final = "127.0.0.1"
_KEYS_INSIDE: Final = "/run/secrets/store_keys"
_USER_INSIDE: Final = "/run/secrets/minio_user"
_PASSWORD_INSIDE: Final = "/run/secrets/minio_password"  # noqa: S105 - a path
_RELEASE: Final = re.compile(r"RELEASE\.\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}Z")


@dataclass(frozen=True)
class MinioFiles:
    """What MinIO takes of this machine.

    Attributes:
        data: Folder of its objects, as DeepRacer-for-Cloud has it: ``data/minio``.
        user: File with the name half of its access key.
        password: File with the secret half.
    """

    data: Path
    user: Path
    password: Path


@dataclass(frozen=True)
class StoreServer:
    """How the S3 server of a project runs.

    Attributes:
        image: What it is started from.
        user: ``uid:gid`` inside.
        mounts: Objects and keys; a named volume holds objects of this machine, whichever project they are of.
        ports: What this machine reaches, and nobody else.
        command: Arguments behind the image's own program; empty for its own.
        environment: Its variables; they name the files of its keys and hold none.
        health_path: Path of its S3 port that answers once it is well.
        minio: What MinIO takes of this machine; None for our own image, which runs with a read-only root.
    """

    image: str
    user: str
    mounts: tuple[Mount, ...]
    ports: tuple[Port, ...]
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    health_path: str = "/healthz"
    minio: MinioFiles | None = None

    @property
    def volume(self) -> str | None:
        """Name of the volume with the objects; None when they lie in a folder."""
        return next((mount.source for mount in self.mounts if mount.is_volume), None)


def minio_reference(name: str) -> str:
    """Return the image that ``DR_MINIO_IMAGE`` names: a tag of minio/minio, or a full reference.

    Args:
        name: Such as ``latest`` or ``alpine/minio:RELEASE.2025-10-15T17-29-55Z``.
    """
    return name if any(mark in name for mark in "/:@") else f"{MINIO_REPOSITORY}:{name}"


def minio_warning(name: str) -> str | None:
    """Return why an image should not be used any more, or None."""
    repository, _, tag = minio_reference(name).rpartition(":")
    is_old = tag == "latest" or (_RELEASE.fullmatch(tag) is not None and tag < FIXED_MINIO)
    if repository.removeprefix("docker.io/") != MINIO_REPOSITORY or not is_old:
        return None
    return (
        f"DR_MINIO_IMAGE={name} is MinIO without the fix of CVE-2025-62506: {MINIO_REPOSITORY} got no image after "
        f"September 2025; drctl config set DR_MINIO_IMAGE=alpine/minio:{FIXED_MINIO} takes a community build that has "
        "it, no value takes drctl's own store"
    )


def own_server(image: str, user_id: int, keys: Path) -> StoreServer:
    """Return our store image's server.

    Args:
        image: Its name.
        user_id: Its user inside.
        keys: File with its access key.
    """
    return StoreServer(
        image=image,
        user=f"{user_id}:0",
        mounts=(Mount(STORE_VOLUME, "/data"), Mount(str(keys), _KEYS_INSIDE, is_read_only=True)),
        ports=(Port(STORE_PORT, STORE_PORT, _LOOPBACK),),
    )


def minio_server(image: str, user_id: int, files: MinioFiles) -> StoreServer:
    """Return MinIO's server, with the command line, ports and folder that DeepRacer-for-Cloud gives it.

    Args:
        image: Full reference.
        user_id: Its user inside: the owner of the folder.
        files: See `MinioFiles`.
    """
    return StoreServer(
        image=image,
        user=f"{user_id}:0",
        mounts=(
            Mount(str(files.data), "/data"),
            Mount(str(files.user), _USER_INSIDE, is_read_only=True),
            Mount(str(files.password), _PASSWORD_INSIDE, is_read_only=True),
        ),
        ports=(Port(STORE_PORT, STORE_PORT, _LOOPBACK), Port(CONSOLE_PORT, CONSOLE_PORT, _LOOPBACK)),
        command=("server", "/data", "--console-address", f":{CONSOLE_PORT}"),
        environment={
            "HOME": "/tmp",  # noqa: S108 - in the container; it looks for certificates there
            "MINIO_ROOT_USER_FILE": _USER_INSIDE,
            "MINIO_ROOT_PASSWORD_FILE": _PASSWORD_INSIDE,
        },
        health_path="/minio/health/live",
        minio=files,
    )
