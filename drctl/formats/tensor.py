"""A ``TensorProto`` of 32-bit floats, the form of a frozen graph's weights."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.protobuf_wire import WireError, message_of, read_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT: Final = 1
"""``DT_FLOAT`` in tensorflow/core/framework/types.proto."""

_WRAP: Final = 1 << 64
_MOST_NUMBERS: Final = 1 << 28  # a gibibyte


def read_shape(content: memoryview) -> tuple[int, ...]:
    """Read a ``TensorShapeProto``; -1 is any size."""
    sizes: list[int] = []
    for number, dimension in read_fields(content):
        if number == 2:
            values = [
                size for field, size in read_fields(message_of(dimension)) if field == 1 and isinstance(size, int)
            ]
            size = values[0] if values else 0
            sizes.append(size - _WRAP if size >= _WRAP // 2 else size)
    return tuple(sizes)


def tensor_shape(content: memoryview) -> tuple[int, ...]:
    """Read the shape of a ``TensorProto``."""
    shapes = [read_shape(message_of(value)) for number, value in read_fields(content) if number == 2]
    return shapes[0] if shapes else ()


def read_tensor(content: memoryview) -> NDArray[np.float32]:
    """Read a ``TensorProto``.

    Its numbers stand in one block, or in a list, whose last one stands for all that are missing.

    Raises:
        WireError: It is damaged, or holds something else than 32-bit floats.
    """
    kind, blocks, numbers = 0, b"", b""
    for number, value in read_fields(content):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 4:
            blocks = bytes(message_of(value))
        elif number == 5:
            numbers += message_of(value)
    shape = tensor_shape(content)
    count = prod(shape)
    if kind != FLOAT:
        raise WireError(f"it is of type {kind}, not a 32-bit float")
    if not 0 <= count <= _MOST_NUMBERS or any(size < 0 for size in shape):
        raise WireError(f"its shape is {shape}")
    data = blocks or numbers
    if len(data) % 4 or len(data) > 4 * count or (blocks and len(blocks) != 4 * count):
        raise WireError(f"it has {len(data)} bytes for the shape {shape}")
    values = np.frombuffer(data, np.dtype("<f4")).astype(np.float32)
    missing = count - len(values)
    filler = values[-1] if len(values) else np.float32(0)
    return np.concatenate([values, np.full(missing, filler, np.float32)]).reshape(shape)
