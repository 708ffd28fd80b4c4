"""Rules that settings with free text must keep: prefixes, bucket names, addresses and so on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drctl.config.randomization import RANDOMIZED_GROUPS, parse_randomized
from drctl.config.setting import COMMUNITY_IMAGE


@dataclass(frozen=True)
class TextRule:
    """What a text must look like.

    Attributes:
        expected: The rule in words, for error messages.
        is_kept: Tells whether a text that is not empty keeps it.
    """

    expected: str
    is_kept: Callable[[str], bool]


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _is_prefix(text: str) -> bool:
    segments = text.split("/")
    # Names with a dot in front are the program's own (`.drctl`, `.trash`); "." and ".." would leave the bucket.
    return all(segment and not segment.startswith(".") for segment in segments) and not re.search(
        r"[\\\x00-\x1f\x7f]", text
    )


def _is_prefix_or_address(text: str) -> bool:
    bucket, slash, key = text.removeprefix("s3://").partition("/")
    return bool(bucket and slash and _is_prefix(key)) if text.startswith("s3://") else _is_prefix(text)


def _is_position_list(text: str) -> bool:
    one = re.compile(r"\s*\d*\.?\d+\s*,\s*-?1(\.0*)?\s*")
    return all(one.fullmatch(part) for part in text.rstrip(";").split(";"))


_CHECKPOINT = "best, last or a checkpoint's number"

TEXT_RULES: Final[dict[str, TextRule]] = {
    "prefix": TextRule("a key such as my-model: no empty part, none that begins with a dot", _is_prefix),
    "prefix or address": TextRule("a prefix such as my-model, or s3://bucket/prefix", _is_prefix_or_address),
    # The length is S3's; capitals are not allowed there, but a folder takes them.
    "bucket": TextRule(
        "3 to 63 letters, digits, dots and dashes", _matches(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
    ),
    "file name": TextRule("a file name without a folder", _matches(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]*")),
    "name": TextRule(
        "a name of letters, digits, dots, dashes and underscores", _matches(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
    ),
    "url": TextRule(
        "an address such as http://mynas:9000, without a password", _matches(r"https?://[^\s/@]+(/[^\s@]*)?")
    ),
    "address": TextRule(
        "a host name or an IP address, without a port",
        _matches(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*"),
    ),
    "checkpoint": TextRule(_CHECKPOINT, _matches(r"best|last|\d+")),
    "devices": TextRule("GPU numbers such as 0 or 0,1", _matches(r"\d+(,\d+)*|all")),
    "positions": TextRule("places such as 0.23,-1;0.46,1", _is_position_list),
    "image": TextRule(
        "a tag of minio/minio, or a whole name such as alpine/minio:RELEASE.2025-10-15T17-29-55Z",
        _matches(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*"),
    ),
    "groups": TextRule(
        f"all, or some of {', '.join(RANDOMIZED_GROUPS)}; with a share of the range: all:0.5,latency:0",
        lambda text: parse_randomized(text) is not None,
    ),
    "stack": TextRule(
        "drctl, or an image source with deepracer-simapp in its name",
        lambda text: text == "drctl" or COMMUNITY_IMAGE in text,
    ),
}
