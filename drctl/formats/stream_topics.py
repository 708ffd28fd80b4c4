"""The names of a worker's pictures as web_video_server and its viewers know them (contract 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TOPICS: Final[Mapping[str, str]] = {
    "overlay": "/racecar/deepracer/kvs_stream",
    "chase": "/racecar/main_camera/zed/rgb/image_rect_color",
    "top": "/sub_camera/zed/rgb/image_rect_color",
    "onboard": "/racecar/camera/zed/rgb/image_rect_color",
}
"""By our names: behind the car with and without overlay, from above, and what the network sees."""

VIDEO_FEED: Final = "/racecar/deepracer/main_camera_stream"
"""What the original records its videos from; the same picture as ``overlay``."""
