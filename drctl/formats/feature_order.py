"""The order in which a dense layer reads the output of convolutions: torch's, channels first, or TensorFlow's, last."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shapes = Sequence[tuple[int, ...]]
"""Of the parts of what a layer reads, as torch flattens them: (channels, height, width) or (values,)."""


def to_channels_last(matrix: NDArray[np.float32], shapes: Shapes) -> NDArray[np.float32]:
    """Move a layer's inputs from torch's order to TensorFlow's.

    Args:
        matrix: Its weights, shape (units, features).
        shapes: See `Shapes`; their sizes together are the features.
    """
    return np.concatenate([np.moveaxis(part, 1, -1).reshape(len(part), -1) for part in _split(matrix, shapes)], axis=1)


def to_channels_first(matrix: NDArray[np.float32], shapes: Shapes) -> NDArray[np.float32]:
    """Undo `to_channels_last`."""
    turned = [(*shape[1:], shape[0]) for shape in shapes]
    return np.concatenate([np.moveaxis(part, -1, 1).reshape(len(part), -1) for part in _split(matrix, turned)], axis=1)


def _split(matrix: NDArray[np.float32], shapes: Shapes) -> list[NDArray[np.float32]]:
    ends = np.cumsum([prod(shape) for shape in shapes])
    parts = np.split(matrix, ends[:-1], axis=1)
    return [part.reshape(len(matrix), *shape) for part, shape in zip(parts, shapes, strict=True)]
