"""What the errors of S3 servers and of the way to them mean."""

from __future__ import annotations

from drctl.errors import DrctlError, ObjectNotFoundError, PreconditionFailedError, UnavailableError

# Amazon S3 API reference, "Error responses", and what MinIO and SeaweedFS send.
_TRANSIENT_CODES = frozenset(
    (
        "BadDigest",  # the content was damaged on its way
        "InternalError",
        "ServiceUnavailable",
        "SlowDown",
        "RequestTimeout",
        "ThrottlingException",
        "Throttling",
        "XMinioServerNotInitialized",
    )
)
# The setting that names a bucket -> the command that makes one.
_MAKE_BUCKET = {
    "DR_LOCAL_S3_BUCKET": "drctl upload-custom-files --create-bucket",
    "DR_UPLOAD_S3_BUCKET": "drctl upload-model --create-bucket",
}
_KEY_CODES = frozenset(
    ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired")
)
_REGION_CODES = frozenset(
    ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307")
)

# A conditional put that meets another one under way (Amazon S3 user guide, "conditional writes").
_CONDITION_CLASH = "ConditionalRequestConflict"

# Names of botocore's errors, so that telling them needs no import of botocore.
_CONNECTION_ERRORS = frozenset(
    (
        "ConnectionClosedError",
        "ConnectionError",
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
        "SSLError",
    )
)
_CREDENTIAL_ERRORS = frozenset(
    (
        "CredentialRetrievalError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "TokenRetrievalError",
        "NoAuthTokenError",
    )
)


def code_of(error: Exception) -> str:
    """Return the server's error code, the HTTP status where it sent none; empty when no server answered."""
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code") or _status_of(error)) if isinstance(answer, dict) else ""


def is_transient(error: Exception) -> bool:
    """Tell whether the same request may succeed in a moment."""
    if type(error).__name__ in _CONNECTION_ERRORS:
        return True
    code = code_of(error)
    return code in _TRANSIENT_CODES or code == _CONDITION_CLASH or _status_of(error) >= 500 or _status_of(error) == 429


def explain(
    error: Exception,
    *,
    place: str,
    bucket: str,
    endpoint: str,
    profile: str | None,
    keys_hint: str | None,
    bucket_setting: str = "DR_LOCAL_S3_BUCKET",
) -> Exception:
    """Translate an error of boto3 into ours.

    Args:
        error: What the request raised.
        place: ``s3://bucket/key``.
        bucket: Name of the bucket.
        endpoint: Address of the server.
        profile: AWS profile in use, if any.
        keys_hint: Where the access key came from, if it was given.
        bucket_setting: What names the bucket.

    Returns:
        A `DrctlError`, or the error itself when it is none of botocore's, that is, a bug.
    """
    server = f"{place} at {endpoint}"
    code = code_of(error)
    if code in ("NoSuchBucket", "404") and (code != "404" or place == f"s3://{bucket}/"):
        return _no_bucket(place, bucket, endpoint, bucket_setting)
    if code:
        return _explain_answer(error, code, place, server, bucket, endpoint, _key_source(profile, keys_hint))
    kind = type(error).__name__
    if kind in _CONNECTION_ERRORS:
        return UnavailableError(
            f"the store at {endpoint} does not answer",
            where=place,
            expected="a running S3 server that this machine can reach",
            fix=f"curl -sS {endpoint}" if "://" in endpoint else "curl -sS https://s3.amazonaws.com",
        )
    if kind == "ProfileNotFound":
        return UnavailableError(
            f"there is no AWS profile {profile!r}",
            where=server,
            expected="a profile of ~/.aws/config or ~/.aws/credentials",
            fix=f"aws configure --profile {profile}",
        )
    if kind in _CREDENTIAL_ERRORS:
        return _no_credentials(server, profile)
    if type(error).__module__.startswith(("botocore.", "boto3.")) or isinstance(error, ValueError):
        return UnavailableError(f"the store cannot be used: {error}", where=server)
    return error


def _no_bucket(place: str, bucket: str, endpoint: str, setting: str) -> UnavailableError:
    return UnavailableError(
        f"there is no bucket {bucket!r} at {endpoint}",
        where=place,
        expected=f"the bucket that {setting} names",
        fix=_MAKE_BUCKET[setting],
    )


def _explain_answer(
    error: Exception, code: str, place: str, server: str, bucket: str, endpoint: str, source: tuple[str, str]
) -> DrctlError:
    key = place.removeprefix(f"s3://{bucket}/")
    if code in ("NoSuchKey", "404") and key:
        return ObjectNotFoundError(f"there is no object {key!r}", where=place)
    if code in ("PreconditionFailed", "412", _CONDITION_CLASH):
        return PreconditionFailedError("the object is not as it was when it was read", where=place)
    if code in _KEY_CODES or code == "403":
        origin, fix = source
        return UnavailableError(
            f"the store at {endpoint} refuses the access key ({code})", where=place, expected=origin, fix=fix
        )
    if code == "AccessDenied":
        return UnavailableError(
            f"the store at {endpoint} does not allow this ({code})",
            where=place,
            expected="a key or role that may list, read, write and delete in the bucket",
            fix=source[1],
        )
    if code == "RequestTimeTooSkewed":
        return UnavailableError(
            "the clock of this machine is wrong, so the store refuses its requests", where=server, fix="timedatectl"
        )
    if code in _REGION_CODES:
        return UnavailableError(
            f"the bucket {bucket!r} is in another region ({code})",
            where=server,
            expected="its region in DR_AWS_APP_REGION",
            fix=f"aws s3api get-bucket-location --bucket {bucket}",
        )
    return UnavailableError(f"the store refused a request: {error}", where=server)


def _key_source(profile: str | None, keys_hint: str | None) -> tuple[str, str]:
    """Return what is expected of the access key in use, and the command that mends it."""
    if keys_hint:
        return f"the access key of the server in {keys_hint}", f"${{EDITOR:-nano}} {keys_hint}"
    if profile:
        return f"the access key of the server in AWS profile {profile!r}", f"aws configure --profile {profile}"
    return "credentials of the environment, the default profile or this machine's role", "aws sts get-caller-identity"


def _no_credentials(server: str, profile: str | None) -> UnavailableError:
    if profile:
        return UnavailableError(
            f"AWS profile {profile!r} has no usable access key", where=server, fix=f"aws configure --profile {profile}"
        )
    return UnavailableError(
        "no access key for the store was found",
        where=server,
        expected="DR_LOCAL_S3_PROFILE names a profile, or the machine has a role",
        fix="drctl config set DR_LOCAL_S3_PROFILE=default",
    )


def _status_of(error: Exception) -> int:
    answer = getattr(error, "response", None)
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) if isinstance(answer, dict) else 0
