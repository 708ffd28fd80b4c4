"""Quick work on whole pictures: dimming, masks, and the colours that video files hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def dim_rows(picture: NDArray[np.uint8], brightness: NDArray[np.float32]) -> None:
    """Darken a picture row by row, in place.

    Args:
        picture: Shape (rows, columns, 3), uint8, contiguous.
        brightness: Factor of each row, 0 to 1, shape (rows,), float32.
    """
    flat = picture.reshape(picture.shape[0], picture.shape[1] * 3)
    for row in range(flat.shape[0]):
        factor = np.uint16(round(brightness[row] * 256))
        if factor < 256:
            for i in range(flat.shape[1]):
                flat[row, i] = np.uint8((np.uint16(flat[row, i]) * factor) >> 8)


@njit(cache=True, nogil=True)
def lay_mask(
    picture: NDArray[np.uint8], cover: NDArray[np.uint8], color: tuple[int, int, int], first_row: int, first_column: int
) -> None:
    """Lay a colour over part of a picture, in place.

    Args:
        picture: Shape (rows, columns, 3), uint8.
        cover: How much of each pixel is covered, 0 to 255, shape (r, c), uint8.
        color: Red, green and blue, 0 to 255.
        first_row: Where the cover's upper left corner lies; all of it lies in the picture.
        first_column: See `first_row`.
    """
    for row in range(cover.shape[0]):
        for column in range(cover.shape[1]):
            share = np.int32(cover[row, column])
            if share:
                for channel in range(3):
                    before = np.int32(picture[first_row + row, first_column + column, channel])
                    mixed = before + (share * (np.int32(color[channel]) - before)) // 255
                    picture[first_row + row, first_column + column, channel] = np.uint8(mixed)


@njit(cache=True, nogil=True)
def to_yuv420(picture: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Turn red, green and blue into the planes of 4:2:0 video, by ITU-R BT.601 in the range 16 to 235.

    Args:
        picture: Shape (rows, columns, 3), uint8; both even.
        out: Receives brightness, then the blue and the red difference, shape (rows * 3 / 2, columns), uint8,
            contiguous.
    """
    rows, columns = picture.shape[0], picture.shape[1]
    for row in range(rows):
        for column in range(columns):
            red = np.int32(picture[row, column, 0])
            green = np.int32(picture[row, column, 1])
            blue = np.int32(picture[row, column, 2])
            out[row, column] = np.uint8((66 * red + 129 * green + 25 * blue + 4224) >> 8)
    flat = out.reshape(out.size)
    blue_plane = flat[rows * columns : rows * columns * 5 // 4]
    red_plane = flat[rows * columns * 5 // 4 :]
    half = columns // 2
    for row in range(rows // 2):
        upper, lower = picture[2 * row], picture[2 * row + 1]
        for column in range(half):
            i, j = 2 * column, 2 * column + 1
            red = np.int32(upper[i, 0]) + upper[j, 0] + lower[i, 0] + lower[j, 0]
            green = np.int32(upper[i, 1]) + upper[j, 1] + lower[i, 1] + lower[j, 1]
            blue = np.int32(upper[i, 2]) + upper[j, 2] + lower[i, 2] + lower[j, 2]
            blue_plane[row * half + column] = np.uint8((-38 * red - 74 * green + 112 * blue + 131584) >> 10)
            red_plane[row * half + column] = np.uint8((112 * red - 94 * green - 18 * blue + 131584) >> 10)
