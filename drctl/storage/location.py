"""Where a store is, in a form that plans and start files can carry: it names secrets and never holds one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from drctl.errors import ConfigError, FormatError, UnavailableError
from drctl.secrets import Secret, write_secret

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.storage.objects import ObjectStore
    from drctl.storage.s3 import S3Store, StoreKeys

STORE_PORT = 9000
"""Port of the S3 server container on this machine (DESIGN 2)."""

STORE_KEYS_FILE = "store-keys.json"
"""File in ``tmp/secrets`` with the access key of that container."""

_NO_UPLOAD_BUCKET = "not-defined"  # what DeepRacer-for-Cloud's set-up writes where it knows of none


@dataclass(frozen=True)
class StoreLocation:
    """Where one bucket is and how to get in.

    Attributes:
        kind: ``directory`` or ``s3``.
        bucket: Its name.
        folder: Absolute path of the bucket's folder; None for S3.
        endpoint_url: Address of the S3 server; None for Amazon S3 and for folders.
        region: AWS region, or None.
        keys_file: JSON file with the access key, see `read_store_keys`; goes before `profile`.
        profile: AWS profile. Without it and `keys_file` the AWS default chain decides.
        setting: What names the bucket, for messages.
    """

    kind: Literal["directory", "s3"]
    bucket: str
    folder: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    keys_file: str | None = None
    profile: str | None = None
    setting: str = "DR_LOCAL_S3_BUCKET"

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoreLocation:
        """Read what `to_json` gave.

        Raises:
            FormatError: A key is missing or unknown, or the kind is.
        """
        try:
            location = cls(**data)
        except TypeError as error:
            raise FormatError(f"this is not a store's location: {error}", expected="what to_json wrote") from error
        if location.kind not in ("directory", "s3") or (location.kind == "directory") != (location.folder is not None):
            raise FormatError(f"this is not a store's location: {dict(data)!r}", expected="kind directory or s3")
        return location

    def with_bucket(self, bucket: str) -> StoreLocation:
        """Return another bucket of the same server or data folder."""
        folder = None if self.folder is None else str(Path(self.folder).with_name(bucket))
        return replace(self, bucket=bucket, folder=folder)


def describe(location: StoreLocation) -> str:
    """Return a line for people: the folder, or the bucket and its server."""
    if location.kind == "directory":
        return str(location.folder)
    return f"s3://{location.bucket} at {location.endpoint_url or f'Amazon S3 ({location.region})'}"


def open_store(location: StoreLocation) -> ObjectStore:
    """Return the store at a location; nothing is created and, for S3, nothing is asked yet.

    Raises:
        UnavailableError: The keys file or the profile is missing.
        FormatError: The keys file is not one.
    """
    if location.folder is not None:
        from drctl.storage.directory import DirectoryStore

        return DirectoryStore(Path(location.folder))
    return _open_s3(location)


def create_bucket(location: StoreLocation) -> bool:
    """Make the bucket unless it is there; a folder needs no making.

    Returns:
        Whether one was made.

    Raises:
        UnavailableError: The server does not answer or does not allow it.
    """
    return location.kind == "s3" and _open_s3(location).create_bucket_if_missing()


def project_store_location(project: Project) -> StoreLocation:
    """Return where a project keeps its bucket (DESIGN 2, ``DR_CLOUD``).

    Raises:
        ConfigError: ``DR_CLOUD`` is remote and ``DR_REMOTE_MINIO_URL`` has no value.
    """
    settings = project.settings
    bucket = settings.local_s3_bucket
    if settings.cloud == "aws":
        return StoreLocation("s3", bucket, region=settings.aws_app_region, profile=settings.local_s3_profile)
    if settings.cloud == "remote":
        if not settings.remote_minio_url:
            raise ConfigError(
                "DR_REMOTE_MINIO_URL has no value",
                where=str(settings.origin("DR_CLOUD")),
                expected="the address of the S3 server, because DR_CLOUD is remote",
                fix="drctl config set DR_REMOTE_MINIO_URL=http://HOST:9000",
            )
        return StoreLocation(
            "s3",
            bucket,
            endpoint_url=settings.remote_minio_url,
            region=settings.aws_app_region,
            profile=settings.local_s3_profile,
        )
    if settings.docker_style == "process":
        return StoreLocation("directory", bucket, folder=str((project.data_folder / bucket).absolute()))
    return StoreLocation(
        "s3",
        bucket,
        endpoint_url=f"http://127.0.0.1:{STORE_PORT}",
        keys_file=str((project.secrets_path / STORE_KEYS_FILE).absolute()),
    )


def upload_store_location(project: Project, bucket: str | None = None) -> StoreLocation:
    """Return the bucket that models are uploaded to (``DR_UPLOAD_S3_BUCKET``).

    It is in Amazon S3, or on the server that ``DR_UPLOAD_S3_ENDPOINT_URL`` names.

    Args:
        project: The project.
        bucket: Another bucket there.

    Raises:
        ConfigError: There is none.
    """
    settings = project.settings
    name = bucket or settings.upload_s3_bucket
    if name in (None, _NO_UPLOAD_BUCKET):
        raise ConfigError(
            "there is no bucket to upload to",
            where=str(settings.origin("DR_UPLOAD_S3_BUCKET")),
            expected="the name of a bucket in Amazon S3; -L uploads to the project's own",
            fix="drctl config set DR_UPLOAD_S3_BUCKET=NAME",
        )
    return StoreLocation(
        "s3",
        name,
        endpoint_url=settings.upload_s3_endpoint_url,
        region=settings.aws_app_region,
        profile=settings.upload_s3_profile,
        setting="DR_UPLOAD_S3_BUCKET",
    )


def find_keys(location: StoreLocation) -> StoreKeys | None:
    """Return the access key that opens a bucket in S3 from this machine; None where the machine's role does.

    Raises:
        UnavailableError: The keys file or the profile is missing.
    """
    from drctl.storage.s3 import keys_on_this_machine

    if location.keys_file:
        return read_store_keys(Path(location.keys_file))
    return keys_on_this_machine(location.profile)


def read_store_keys(path: Path) -> StoreKeys:
    """Read an access key: ``{"access_key_id": ..., "secret_access_key": ...}``.

    Raises:
        UnavailableError: The file is missing or may not be read.
        FormatError: It is something else; the message never quotes it.
    """
    from drctl.storage.s3 import StoreKeys

    try:
        data = json.loads(path.read_text())
        token = data.get("session_token")
        return StoreKeys(
            str(data["access_key_id"]), Secret(str(data["secret_access_key"])), Secret(str(token)) if token else None
        )
    except OSError as error:
        raise UnavailableError(
            f"the store's access key cannot be read: {error.strerror}",
            where=str(path),
            expected='a file with {"access_key_id": ..., "secret_access_key": ...}',
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FormatError(
            "this is not an access key",
            where=str(path),
            expected='{"access_key_id": ..., "secret_access_key": ...}',
        ) from None


def write_store_keys(path: Path, keys: StoreKeys) -> None:
    """Write an access key to a file that only its owner can read."""
    content = {"access_key_id": keys.access_key_id, "secret_access_key": keys.secret_access_key.reveal()}
    if keys.session_token is not None:
        content["session_token"] = keys.session_token.reveal()
    write_secret(path, Secret(json.dumps(content)))


def _open_s3(location: StoreLocation) -> S3Store:
    from drctl.storage.s3 import S3Store

    return S3Store(
        location.bucket,
        endpoint_url=location.endpoint_url,
        region=location.region,
        keys=read_store_keys(Path(location.keys_file)) if location.keys_file else None,
        profile=location.profile,
        keys_hint=location.keys_file,
        bucket_setting=location.setting,
    )
