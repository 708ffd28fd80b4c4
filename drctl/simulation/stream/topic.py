"""The names under which pictures are asked for (contract 9)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from drctl.formats.stream_topics import TOPICS, VIDEO_FEED

if TYPE_CHECKING:
    from collections.abc import Mapping

ViewName = Literal["overlay", "chase", "top", "onboard"]

_VIEWS: Final = {**{topic: name for name, topic in TOPICS.items()}, VIDEO_FEED: "overlay"}
_CAR: Final = re.compile(r"/racecar_(\d{1,4})/")

QUALITY: Final = 70
WIDTH: Final = 480
CAR_COLOR: Final = "Orange"
NARROWEST, WIDEST = 80, 640
"""Of a picture in pixels; it is drawn with 640 and never enlarged."""


@dataclass(frozen=True)
class View:
    """What somebody wants to see.

    Attributes:
        car: Row of the worker's batch.
        name: Which camera.
        width: Of the picture in pixels; its height is three quarters of it.
        quality: Of the JPEG, 1 to 100.
        has_details: The overlay shows laps, progress and commands too.
        color: Of the car, a name of `CAR_COLORS`.
    """

    car: int
    name: ViewName
    width: int = WIDTH
    quality: int = QUALITY
    has_details: bool = False
    color: str = CAR_COLOR


def parse_view(query: Mapping[str, str]) -> View:
    """Read the query of ``/stream`` or ``/snapshot``.

    Sizes out of range are brought into it, as the original's server does.

    Args:
        query: ``topic`` and, where given, ``car``, ``width``, ``quality``, ``details``, ``color``.

    Raises:
        LookupError: There is no such topic.
        ValueError: A number is none.
    """
    topic = query.get("topic", "")
    car = int(query.get("car", "0"))
    numbered = _CAR.match(topic)
    if numbered:
        car, topic = int(numbered[1]), _CAR.sub("/racecar/", topic)
    return View(
        car,
        cast("ViewName", _VIEWS[topic]),
        min(max(int(query.get("width", WIDTH)), NARROWEST), WIDEST),
        min(max(int(query.get("quality", QUALITY)), 1), 100),
        query.get("details") == "1",
        query.get("color", CAR_COLOR),
    )
