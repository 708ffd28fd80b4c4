"""Protocol-buffer wire format, as far as a TensorFlow graph needs it.

Reference: https://protobuf.dev/programming-guides/encoding (varint, fixed 32 bits, length-delimited).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

_BITS: Final = 7
_MORE: Final = 0x80
_WRAP: Final = 1 << 64
_LONGEST_VARINT: Final = 10  # bytes of a 64-bit number


class WireError(ValueError):
    """The bytes are not a message: truncated, or not in this format at all."""


def varint(value: int) -> bytes:
    """Encode a whole number; a negative one takes ten bytes, as ``int64`` fields do."""
    rest = value % _WRAP
    encoded = bytearray()
    while rest >= _MORE:
        encoded.append(rest % _MORE | _MORE)
        rest >>= _BITS
    encoded.append(rest)
    return bytes(encoded)


def integer_field(number: int, value: int) -> bytes:
    """Encode a field that holds a whole number, a truth value or an enumeration's value."""
    return varint(number << 3 | VARINT) + varint(value)


def float_field(number: int, value: float) -> bytes:
    """Encode a field that holds a 32-bit float."""
    return varint(number << 3 | FIXED32) + struct.pack("<f", value)


def bytes_field(number: int, value: bytes | str) -> bytes:
    """Encode a field that holds bytes, a text or another message."""
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | BYTES) + varint(len(content)) + content


def read_fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Walk over the fields of one message.

    Args:
        data: The message; nothing is copied.

    Yields:
        Field number, and its value: a number for varints (unsigned) and the content for everything else.

    Raises:
        WireError: The message ends within a field, or is none.
    """
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError("field number 0")
        if kind == VARINT:
            value, position = _read_varint(data, position)
            yield number, value
            continue
        if kind == BYTES:
            length, position = _read_varint(data, position)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise WireError(f"wire type {kind}")
        if length > len(data) - position:
            raise WireError("truncated")
        yield number, data[position : position + length]
        position += length


def message_of(value: int | memoryview) -> memoryview:
    """Return a field's content.

    Raises:
        WireError: It is a number.
    """
    if isinstance(value, int):
        raise WireError("a number where a message belongs")
    return value


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= len(data):
            raise WireError("truncated")
        byte = data[position + index]
        value |= (byte & (_MORE - 1)) << _BITS * index
        if byte < _MORE:
            return value, position + index + 1
    raise WireError("number too long")
