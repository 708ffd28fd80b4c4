"""A store in a bucket of Amazon S3 or of any server that speaks its protocol (MinIO, SeaweedFS)."""

from __future__ import annotations

import base64
import builtins
import contextlib
import hashlib
import random
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress
from typing import Any, TypeVar

from drctl.errors import DrctlError, ObjectNotFoundError, PreconditionFailedError
from drctl.secrets import Secret
from drctl.storage.objects import ObjectInfo, check_key, folder_of
from drctl.storage.s3_errors import code_of, explain, is_transient

T = TypeVar("T")

DEFAULT_REGION = "us-east-1"
"""Region for servers that have none; S3 signs requests with a region in any case."""

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
REQUESTS = 10
"""At the same time; as many connections as botocore keeps."""

ATTEMPTS = 5
FIRST_PAUSE_S = 0.2
"""Pause before the second try; each further one is twice as long, so a refused connection is told after 3 s."""

PUT_TOKEN = "drctl-put"  # noqa: S105 - a name, not a password
"""Metadata name under which a conditional put leaves a mark of its own."""


# What botocore calls the keys of an EC2 machine's and of a container task's role.
_ROLES_OF_MACHINES = ("iam-role", "container-role")


@dataclass(frozen=True)
class StoreKeys:
    """An access key.

    Attributes:
        access_key_id: Its public name.
        secret_access_key: What requests are signed with.
        session_token: Belongs to temporary keys; None for lasting ones.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


class S3Store:
    """Keeps a bucket in S3.

    Requests that fail for a passing reason are tried up to `ATTEMPTS` times. Objects go up in one request, so they are
    at most 5 GiB and appear whole.

    Args:
        bucket: Its name.
        endpoint_url: Address of the server, such as ``http://127.0.0.1:9000``; None for Amazon S3.
        region: AWS region; None for the profile's, else `DEFAULT_REGION`.
        keys: Access key; goes before `profile`.
        profile: Name of a profile in the AWS configuration files. Without it and `keys` the AWS default chain
            decides: environment, default profile, the role of the machine.
        keys_hint: Where the keys came from, for messages.
        bucket_setting: What names the bucket, for messages.
        pause: Called with the seconds to wait before another try.

    Raises:
        UnavailableError: The profile does not exist or the endpoint is not an address.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        keys: StoreKeys | None = None,
        profile: str | None = None,
        keys_hint: str | None = None,
        bucket_setting: str = "DR_LOCAL_S3_BUCKET",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bucket = bucket
        self._endpoint_url = endpoint_url
        self._profile = None if keys else profile
        self._keys_hint = keys_hint
        self._bucket_setting = bucket_setting
        self._pause = pause
        self._is_bucket_known = False
        try:
            self._client = _make_client(endpoint_url, region, keys, self._profile)
        except Exception as error:
            raise self._explained(error, "") from error

    @property
    def name(self) -> str:
        """Name for messages, such as ``s3://bucket``."""
        return f"s3://{self._bucket}"

    def get(self, key: str) -> bytes:
        """See `ObjectStore.get`."""
        return self.get_versioned(key)[0]

    def get_versioned(self, key: str) -> tuple[bytes, str]:
        """See `ObjectStore.get_versioned`."""
        check_key(key)

        def read() -> tuple[bytes, str]:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            with contextlib.closing(answer["Body"]) as body:
                return body.read(), answer["ETag"]

        return self._try(read, key)

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None) -> str:
        """See `ObjectStore.put`; the server checks what arrives against its MD5."""
        if if_absent and if_version is not None:
            raise ValueError("if_absent and if_version exclude each other")
        check_key(key)
        request: dict[str, Any] = {"Bucket": self._bucket, "Key": key, "Body": data, "ContentMD5": _md5(data)}
        if not if_absent and if_version is None:
            return str(self._try(lambda: self._client.put_object(**request), key)["ETag"])
        request |= {"IfNoneMatch": "*"} if if_absent else {"IfMatch": if_version}
        return self._put_conditionally(key, request)

    def stat(self, key: str) -> ObjectInfo | None:
        """See `ObjectStore.stat`."""
        check_key(key)
        try:
            answer = self._try(lambda: self._client.head_object(Bucket=self._bucket, Key=key), key)
        except ObjectNotFoundError:
            return None
        return ObjectInfo(key, answer["ContentLength"], answer["LastModified"], answer["ETag"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`."""
        found = [
            ObjectInfo(entry["Key"], entry["Size"], entry["LastModified"], entry["ETag"])
            for page in self._pages(Prefix=folder_of(prefix))
            for entry in page.get("Contents", [])
            if not entry["Key"].endswith("/")  # a folder marker of some console
        ]
        # Servers that keep folders give a/b before a-b; the protocol's order is that of the whole key.
        yield from sorted(found, key=lambda info: info.key)

    def list_folders(self, prefix: str = "") -> builtins.list[str]:
        """See `ObjectStore.list_folders`."""
        folder = folder_of(prefix)
        pages = self._pages(Prefix=folder, Delimiter="/")
        found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        if self._endpoint_url is not None:  # servers that keep folders name emptied ones for a while
            with ThreadPoolExecutor(max_workers=REQUESTS) as pool:
                found = list(compress(found, pool.map(self._has_objects, found)))
        return sorted(name[len(folder) :].rstrip("/") for name in found)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        check_key(key)
        self._try(lambda: self._client.delete_object(Bucket=self._bucket, Key=key), key)

    def copy(self, source: str, target: str, *, for_move: bool = False) -> None:  # noqa: ARG002 - for folder stores
        """See `ObjectStore.copy`; the server copies, nothing travels."""
        check_key(source)
        check_key(target)
        origin = {"Bucket": self._bucket, "Key": source}
        self._try(lambda: self._client.copy_object(Bucket=self._bucket, Key=target, CopySource=origin), source)

    def create_bucket_if_missing(self) -> bool:
        """Make the bucket unless it is there.

        Returns:
            Whether it was made.

        Raises:
            UnavailableError: As for every method, or the name is taken by somebody else.
        """
        region = self._client.meta.region_name
        request: dict[str, Any] = {"Bucket": self._bucket}
        if self._endpoint_url is None and region != DEFAULT_REGION:
            request["CreateBucketConfiguration"] = {"LocationConstraint": region}

        def create() -> bool:
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except Exception as error:
                if code_of(error) not in ("404", "NoSuchBucket"):
                    raise
            else:
                return False
            try:
                self._client.create_bucket(**request)
            except Exception as error:
                if code_of(error) != "BucketAlreadyOwnedByYou":
                    raise
                return False
            return True

        return self._try(create, "")

    def _put_conditionally(self, key: str, request: dict[str, Any]) -> str:
        token = secrets.token_hex(16)
        tries = 0

        def write() -> str:
            nonlocal tries
            tries += 1
            return str(self._client.put_object(**request, Metadata={PUT_TOKEN: token})["ETag"])

        try:
            return self._try(write, key)
        except PreconditionFailedError:
            if tries == 1:
                raise
            # An earlier try may have been done although its answer was lost: then the object there is ours.
            mine = self._version_with_token(key, token)
            if mine is None:
                raise
            return mine

    def _version_with_token(self, key: str, token: str) -> str | None:
        try:
            answer = self._try(lambda: self._client.head_object(Bucket=self._bucket, Key=key), key)
        except ObjectNotFoundError:
            return None
        return str(answer["ETag"]) if answer["Metadata"].get(PUT_TOKEN) == token else None

    def _pages(self, **request: str) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:

            def read(more: dict[str, str] = token) -> dict[str, Any]:
                return dict(self._client.list_objects_v2(Bucket=self._bucket, **request, **more))

            page = self._try(read, request["Prefix"])
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _has_objects(self, folder: str) -> bool:
        request = {"Bucket": self._bucket, "Prefix": folder, "MaxKeys": 1}
        return bool(self._try(lambda: self._client.list_objects_v2(**request), folder).get("Contents"))

    def _try(self, request: Callable[[], T], key: str) -> T:
        """Make a request, again while it fails for a passing reason, and translate its error."""
        delay_s = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = request()
            except Exception as error:
                if attempt == ATTEMPTS or not is_transient(error):
                    raise self._explained(error, key) from error
                self._pause(delay_s * random.uniform(0.75, 1.25))  # noqa: S311 - spreads clients, no secret
                delay_s *= 2
            else:
                self._is_bucket_known = True
                return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _explained(self, error: Exception, key: str) -> Exception:
        if code_of(error) == "404" and key and not self._is_bucket_known:
            # The answer to HEAD has no body and does not tell a missing object from a missing bucket.
            return self._explain_missing(error, key)
        return explain(
            error,
            place=f"{self.name}/{key}",
            bucket=self._bucket,
            endpoint=self._endpoint_url or "Amazon S3",
            profile=self._profile,
            keys_hint=self._keys_hint,
            bucket_setting=self._bucket_setting,
        )

    def _explain_missing(self, error: Exception, key: str) -> Exception:
        try:
            self._try(lambda: self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1), "")
        except DrctlError as found:
            return found
        return self._explained(error, key)


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _make_client(endpoint_url: str | None, region: str | None, keys: StoreKeys | None, profile: str | None) -> Any:
    from botocore.config import Config

    session = _open_session(profile)
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 1},  # tried again here, where a lost answer to a conditional put is understood
        # Servers other than Amazon's do not know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    client: Any = session.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=region or session.region_name or DEFAULT_REGION,
        config=config,
        aws_access_key_id=keys.access_key_id if keys else None,
        aws_secret_access_key=keys.secret_access_key.reveal() if keys else None,
        aws_session_token=keys.session_token.reveal() if keys and keys.session_token else None,
    )
    return client


def _open_session(profile: str | None) -> Any:
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        return boto3.Session(profile_name=profile)
    except ProfileNotFound:
        if profile != "default":
            raise
        return boto3.Session()  # no configuration files: the role of the machine


def keys_on_this_machine(profile: str | None) -> StoreKeys | None:
    """Return the access key that a profile, or without one the AWS default chain, gives here.

    Args:
        profile: Name of a profile in the AWS configuration files, or None.

    Returns:
        None when there is none, or the role of the machine gives it: its programs ask for it themselves.

    Raises:
        UnavailableError: The profile does not exist or cannot be read.
    """
    try:
        found = _open_session(profile).get_credentials()
        if found is None or found.method in _ROLES_OF_MACHINES:
            return None
        keys = found.get_frozen_credentials()
    except Exception as error:
        raise explain(
            error, place="AWS keys", bucket="", endpoint="Amazon S3", profile=profile, keys_hint=None
        ) from error
    return StoreKeys(keys.access_key, Secret(keys.secret_key), Secret(keys.token) if keys.token else None)
