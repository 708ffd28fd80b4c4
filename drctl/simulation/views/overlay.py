"""What is written over the race video: who drives, lap, clock, resets, speed, and where on the track the car is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from drctl.errors import FailedError
from drctl.simulation.views.camera import VIEW_HEIGHT, VIEW_WIDTH, top_camera
from drctl.simulation.views.pixels import dim_rows, lay_mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track

Color = tuple[int, int, int]

NAME_LENGTH: Final = 15
ICON_SHRINK: Final = 2.5
ICON_WIDTH: Final = round(VIEW_WIDTH / ICON_SHRINK)
ICON_HEIGHT: Final = round(VIEW_HEIGHT / ICON_SHRINK)
"""Characters of a name that are shown, and the size of the track icon (simulator-facts 3)."""

RACE_TYPE_TEXTS: Final[Mapping[str, str]] = {
    "TIME_TRIAL": "Time trial",
    "OBJECT_AVOIDANCE": "Object avoidance",
    "HEAD_TO_BOT": "Head to bot",
    "HEAD_TO_MODEL": "Head to head",
    "F1": "Grand prix",
}
"""By the value of ``DR_RACE_TYPE``."""

_WHITE: Final = (255, 255, 255)
_BLACK: Final = (0, 0, 0)
_LEFT: Final = 10
_TOP_ROWS, _BOTTOM_ROWS = 140, 130  # darkened, most at the edge
_DARKEST: Final = 0.72
_DOT_PX: Final = 5
_CHIP_PX: Final = 14  # from a name to the middle of the dot beside it
_CHIP_ROW: Final = 23
_FINE: Final = 4  # the icon is drawn so much larger and then reduced
_ROAD: Final = (236, 240, 245)
_RIM: Final = (10, 14, 20)
_ROAD_OPACITY: Final = 0.85
_RIM_OPACITY: Final = 0.6
_DETAIL_ROWS: Final = 25
_BANNER: Final = "RACE COMPLETE"
_BANNER_ROWS: Final = (190, 290)


@dataclass(frozen=True)
class RivalText:
    """What one frame's overlay shows of the other car of a duel.

    Attributes:
        name: Of the car.
        color: Of its dot.
        lap: Number of its lap, from 1.
        clock_s: That lap's time so far, penalties included.
        resets: Times it was put back.
        ended: What is written in place of the lap when it is not on the track any more; empty when it is.
    """

    name: str
    color: Color
    lap: int
    clock_s: float
    resets: int
    ended: str = ""


@dataclass(frozen=True)
class OverlayText:
    """What one frame's overlay shows.

    Attributes:
        name: Of the car.
        lap: Number of the lap, from 1.
        laps_total: Laps of the race.
        clock_s: This lap's time so far, penalties included.
        resets: Times the car was put back.
        speed_m_s: Measured speed.
        race_type: ``TIME_TRIAL`` and so on.
        has_finished: The race is over and complete.
        color: Of the car's dot, which is shown beside its name where there are two cars.
        rival: The other car of a duel, or None.
        has_won: It is the winner of the duel.
    """

    name: str
    lap: int
    laps_total: int
    clock_s: float
    resets: int
    speed_m_s: float
    race_type: str
    has_finished: bool = False
    color: Color = (26, 26, 26)
    rival: RivalText | None = None
    has_won: bool = False


def clock_text(seconds: float) -> str:
    """Return a time as minutes, seconds and thousandths, such as ``01:02.345``."""
    thousandths = round(max(0.0, seconds) * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


class RaceOverlay:
    """Draws the overlay of a race on one track.

    Args:
        track: For the icon.
    """

    def __init__(self, track: Track) -> None:
        self._camera = top_camera(track)
        self._road = _icon_mask(track)
        self._rim = _grow(self._road)
        self._brightness = np.ones(VIEW_HEIGHT, np.float32)
        self._brightness[:_TOP_ROWS] -= _DARKEST * np.linspace(1, 0, _TOP_ROWS) ** 1.3
        self._brightness[-_BOTTOM_ROWS:] -= _DARKEST * np.linspace(0, 1, _BOTTOM_ROWS) ** 1.3
        self._glyphs: dict[tuple[str, int, int], _Glyph] = {}

    def draw(self, picture: NDArray[np.uint8], text: OverlayText, cars: tuple[tuple[float, float, Color], ...]) -> None:
        """Draw over a picture.

        Args:
            picture: Shape (480, 640, 3), uint8, contiguous; changed in place.
            text: What to write.
            cars: x and y in metres and colour of each car's dot; the last one is on top.
        """
        dim_rows(picture, self._brightness)
        for row, words, size, boldness in _lines(text):
            self._write(picture, row, _LEFT, words, size, boldness)
        if text.rival is not None:
            self._write_rival(picture, text, text.rival)
        self._draw_icon(picture, cars)
        if text.has_finished:
            self._draw_banner(picture, _banner(text))

    def draw_training(
        self,
        picture: NDArray[np.uint8],
        phase: str,
        cars: tuple[tuple[float, float, Color], ...],
        details: tuple[str, ...] = (),
    ) -> None:
        """Draw what a training shows: its phase, such as ``Training``, and the track icon (simulator-facts 3).

        Args:
            picture: Shape (480, 640, 3), uint8, contiguous; changed in place.
            phase: What to write.
            cars: See `draw`.
            details: Lines for the upper left corner, at most five.
        """
        dim_rows(picture[-_BOTTOM_ROWS:], self._brightness[-_BOTTOM_ROWS:])
        if details:
            dim_rows(picture[:_TOP_ROWS], self._brightness[:_TOP_ROWS])
        for line, words in enumerate(details):
            self._write(picture, 10 + _DETAIL_ROWS * line, _LEFT, words, 18, 0)
        self._write(picture, 400, 40, phase, 35, 0)
        self._draw_icon(picture, cars)

    def icon_pixel(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Return the row and column of the picture at which a place of the ground lies in the icon."""
        row, column = self._camera.pixel_at(np.array([[x_m, y_m, 0.0]]))[0] / ICON_SHRINK
        return float(row) + VIEW_HEIGHT - ICON_HEIGHT, float(column) + VIEW_WIDTH - ICON_WIDTH

    def _write(self, picture: NDArray[np.uint8], row: int, column: float, words: str, size: int, boldness: int) -> None:
        """Write a line; digits are equally wide, so that a running clock stands still."""
        for character in words:
            glyph = self._glyph(character, size, boldness)
            at = round(column)
            lay_mask(picture, glyph.cover[:, : VIEW_WIDTH - at], _WHITE, row, at)
            column += glyph.advance_px
            if column > VIEW_WIDTH - 1:
                break

    def _write_rival(self, picture: NDArray[np.uint8], text: OverlayText, rival: RivalText) -> None:
        """Write about the other car in the upper right corner, and show which dot is whose."""
        right = VIEW_WIDTH - _LEFT
        for row, words, size, boldness in _rival_lines(rival, text.laps_total):
            self._write(picture, row, right - self._width(words, size, boldness), words, size, boldness)
        own = _LEFT + self._width(text.name[:NAME_LENGTH], 20, 0) + _CHIP_PX
        other = right - self._width(rival.name[:NAME_LENGTH], 20, 0) - _CHIP_PX
        for column, color in ((own, text.color), (other, rival.color)):
            _draw_disc(picture, _CHIP_ROW, column, color)

    def _width(self, words: str, size: int, boldness: int) -> float:
        return sum(self._glyph(character, size, boldness).advance_px for character in words)

    def _glyph(self, character: str, size: int, boldness: int) -> _Glyph:
        glyph = self._glyphs.get((character, size, boldness))
        if glyph is None:
            glyph = self._glyphs[character, size, boldness] = _draw_glyph(character, size, boldness)
        return glyph

    def _draw_icon(self, picture: NDArray[np.uint8], cars: tuple[tuple[float, float, Color], ...]) -> None:
        for mask, color in ((self._rim, _RIM), (self._road, _ROAD)):
            lay_mask(picture, mask, color, VIEW_HEIGHT - ICON_HEIGHT, VIEW_WIDTH - ICON_WIDTH)
        for x, y, paint in cars:
            self._draw_dot(picture, x, y, paint)

    def _draw_dot(self, picture: NDArray[np.uint8], x_m: float, y_m: float, color: Color) -> None:
        row, column = self.icon_pixel(x_m, y_m)
        _draw_disc(picture, row, column, color)

    def _draw_banner(self, picture: NDArray[np.uint8], words: str) -> None:
        first, last = _BANNER_ROWS
        share = 1 - np.abs(np.linspace(-1, 1, VIEW_WIDTH)) ** 3
        shade = np.tile(np.round(200 * share).astype(np.uint8), (last - first, 1))
        lay_mask(picture, shade, _BLACK, first, 0)
        image = Image.new("L", (VIEW_WIDTH, last - first))
        ImageDraw.Draw(image).text(
            (VIEW_WIDTH / 2, (last - first) / 2), words, fill=255, font=_font(48), anchor="mm", stroke_width=1
        )
        lay_mask(picture, np.array(image), _WHITE, first, 0)


def _lines(text: OverlayText) -> list[tuple[int, str, int, int]]:
    """Return the lines as (row, words, size, boldness) (simulator-facts 3)."""
    return [
        (10, text.name[:NAME_LENGTH], 20, 0),
        (36, f"Lap {min(text.lap, text.laps_total)}/{text.laps_total}", 30, 1),
        (76, clock_text(text.clock_s), 20, 0),
        (102, "1 reset" if text.resets == 1 else f"{text.resets} resets", 18, 0),
        (420, f"{text.speed_m_s:05.2f} m/s", 20, 0),
        (445, RACE_TYPE_TEXTS.get(text.race_type, text.race_type), 20, 0),
    ]


def _rival_lines(rival: RivalText, laps_total: int) -> list[tuple[int, str, int, int]]:
    """Return the lines about the other car as (row, words, size, boldness)."""
    lap = f"Lap {min(rival.lap, laps_total)}/{laps_total}"
    return [
        (10, rival.name[:NAME_LENGTH], 20, 0),
        (36, rival.ended or lap, 30, 1),
        (76, clock_text(rival.clock_s), 20, 0),
        (102, "1 reset" if rival.resets == 1 else f"{rival.resets} resets", 18, 0),
    ]


def _banner(text: OverlayText) -> str:
    if text.rival is None:
        return _BANNER
    return "WINNER" if text.has_won else "2ND PLACE"


def _draw_disc(picture: NDArray[np.uint8], row: float, column: float, color: Color) -> None:
    """Draw a dot with a white rim, as far as it lies in the picture."""
    reach = _DOT_PX + 3
    top, left = max(0, round(row) - reach), max(0, round(column) - reach)
    region = picture[top : max(0, round(row) + reach), left : max(0, round(column) + reach)]
    if region.size == 0:
        return
    rows = np.arange(region.shape[0])[:, None] + top + 0.5 - row
    columns = np.arange(region.shape[1]) + left + 0.5 - column
    away = np.hypot(rows, columns)[:, :, None]
    for radius, paint in ((_DOT_PX + 1.5, _WHITE), (_DOT_PX, color)):
        region[:] = region + np.clip(radius + 0.5 - away, 0, 1) * (np.array(paint) - region)


@dataclass(frozen=True, eq=False)
class _Glyph:
    """A drawn character: how much of each pixel it covers, and the way to the next one."""

    cover: NDArray[np.uint8]
    advance_px: float


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise FailedError("Pillow was built without FreeType, so it cannot write on videos", fix="pip install pillow")
    return font


def _draw_glyph(character: str, size: int, boldness: int) -> _Glyph:
    font = _font(size)
    advance = max(font.getlength(digit) for digit in "0123456789") if character.isdigit() else font.getlength(character)
    image = Image.new("L", (ceil(font.getlength(character)) + 2 * boldness + 2, ceil(size * 1.4)))
    inset = (advance - font.getlength(character)) / 2
    ImageDraw.Draw(image).text((inset, 0), character, fill=255, font=font, stroke_width=boldness)
    return _Glyph(np.array(image), advance + boldness)


def _icon_mask(track: Track) -> NDArray[np.uint8]:
    """Return how much of each of the icon's pixels shows road, 0 to 255, shape (192, 256)."""
    camera = top_camera(track)

    def places(ring_m: NDArray[np.float64]) -> list[tuple[float, float]]:
        pixels = camera.pixel_at(np.column_stack([ring_m, np.zeros(len(ring_m))])) * (_FINE / ICON_SHRINK)
        return [(column, row) for row, column in pixels.tolist()]

    image = Image.new("L", (ICON_WIDTH * _FINE, ICON_HEIGHT * _FINE))
    pen = ImageDraw.Draw(image)
    rows = [*range(len(track.inner_m)), *([0] if track.is_closed else [])]
    inner, outer = places(track.inner_m), places(track.outer_m)
    for one, other in pairwise(rows):  # strip by strip, since on some tracks a border crosses itself
        pen.polygon([inner[one], outer[one], outer[other], inner[other]], fill=255)
    pen.line([inner[0], outer[0]], fill=0, width=2 * _FINE)
    small = image.resize((ICON_WIDTH, ICON_HEIGHT), Image.Resampling.BOX)
    return np.round(np.asarray(small) * _ROAD_OPACITY).astype(np.uint8)


def _grow(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask that is wider by three pixels all around and lighter."""
    grown = Image.fromarray(mask).filter(ImageFilter.MaxFilter(7)).filter(ImageFilter.GaussianBlur(1))
    return np.round(np.asarray(grown) * _RIM_OPACITY).astype(np.uint8)
