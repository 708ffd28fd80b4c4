"""Messages as bytes: one msgpack header, then the big arrays as raw frames. Nothing in it can run code.

The header is ``[MAGIC, PROTOCOL_VERSION, kind, fields, arrays]``; `arrays` lists ``[dtype, shape, bytes |
None]`` in the order of the class's array fields. Arrays up to `INLINE_BYTES` travel inside the header, since a
frame costs more than they do; None stands for the next frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from math import prod
from typing import Any, ClassVar, Final, TypeVar

import msgpack
import numpy as np

MAGIC: Final = "drctl"
PROTOCOL_VERSION: Final = 1
"""Counted up when a message changes its meaning; trainer and workers must agree."""

INLINE_BYTES: Final = 4096

Part = bytes | memoryview


class MessageError(ValueError):
    """Bytes that are no message of ours; they are dropped and counted, never shown to users."""


class ProtocolVersionError(MessageError):
    """A drctl of another version is at the other end.

    Args:
        theirs: Its protocol version.
    """

    def __init__(self, theirs: object) -> None:
        super().__init__(
            f"the other end speaks link protocol {theirs!r}, this one {PROTOCOL_VERSION}: "
            "install the same version of drctl on both machines"
        )
        self.theirs = theirs


@dataclass(frozen=True)
class ArrayForm:
    """What an array field may hold.

    Attributes:
        dtype: Element type, little-endian.
        shape: Lengths of the axes; None for any.
        code: numpy's name of the element type.
    """

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    code: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", self.dtype.str)

    def fits(self, dtype: str, shape: Sequence[int]) -> bool:
        """Tell whether an array of this type code and shape is allowed."""
        if dtype != self.code or len(shape) != len(self.shape):
            return False
        for wanted, length in zip(self.shape, shape, strict=True):
            if wanted is not None and wanted != length:
                return False
        return True


def value(*kinds: type) -> dict[str, Any]:
    """Return the `metadata` of a header field that must be an instance of one of `kinds`; None is ``type(None)``."""
    return {"kinds": kinds}


def array(*forms: ArrayForm) -> dict[str, Any]:
    """Return the `metadata` of an array field that must have one of `forms`."""
    return {"forms": forms}


class Message:
    """Base of all messages; each field of a subclass, a frozen dataclass, has the `metadata` of `value` or `array`.

    Attributes:
        kind: Name on the wire.
    """

    kind: ClassVar[str]
    value_fields: ClassVar[tuple[Field[Any], ...]]
    array_fields: ClassVar[tuple[Field[Any], ...]]
    known: ClassVar[dict[str, type[Message]]] = {}


M = TypeVar("M", bound=type[Message])


def register(cls: M) -> M:
    """Make a finished message dataclass known to `decode`."""
    own = fields(cls)  # type: ignore[arg-type]
    cls.value_fields = tuple(each for each in own if "kinds" in each.metadata)
    cls.array_fields = tuple(each for each in own if "forms" in each.metadata)
    Message.known[cls.kind] = cls
    return cls


def encode(message: Message) -> list[Part]:
    """Return a message's frames: the header, then the big arrays without copying them.

    The arrays must not be written to until the frames have been sent.
    """
    arrays: list[list[Any]] = []
    parts: list[Part] = [b""]
    for each in message.array_fields:
        content: np.ndarray[Any, Any] = np.ascontiguousarray(getattr(message, each.name))
        is_inline = content.nbytes <= INLINE_BYTES
        arrays.append([content.dtype.str, content.shape, content.tobytes() if is_inline else None])
        if not is_inline:
            parts.append(content.reshape(-1).view(np.uint8).data)
    values = {each.name: getattr(message, each.name) for each in message.value_fields}
    parts[0] = msgpack.packb([MAGIC, PROTOCOL_VERSION, message.kind, values, arrays])
    return parts


def decode(parts: Sequence[Part]) -> Message:
    """Read a message and check each of its fields.

    Args:
        parts: Header and frames as `encode` gave them.

    Returns:
        The message; its arrays are read-only views of `parts`.

    Raises:
        ProtocolVersionError: It is ours, but of another version.
        MessageError: It is anything else.
    """
    cls, values, arrays = _read_header(parts)
    content: dict[str, Any] = {}
    for each in cls.value_fields:
        if each.name not in values or type(values[each.name]) not in each.metadata["kinds"]:
            raise MessageError(f"{cls.kind}.{each.name} is missing or has the wrong type")
        content[each.name] = values[each.name]
    if len(arrays) != len(cls.array_fields):
        raise MessageError(f"{cls.kind} has {len(arrays)} arrays instead of {len(cls.array_fields)}")
    frames = iter(parts[1:])
    for each, description in zip(cls.array_fields, arrays, strict=True):
        try:
            content[each.name] = _read_array(description, each.metadata["forms"], frames)
        except MessageError as error:
            raise MessageError(f"{cls.kind}.{each.name} {error}") from None
    if next(frames, None) is not None:
        raise MessageError(f"{cls.kind} has frames too many")
    return cls(**content)


def _read_header(parts: Sequence[Part]) -> tuple[type[Message], dict[str, Any], list[Any]]:
    try:
        header = msgpack.unpackb(parts[0])
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise MessageError("the header is not msgpack") from error
    if not isinstance(header, list) or len(header) < 2 or header[0] != MAGIC:
        raise MessageError("the header is not drctl's")
    if header[1] != PROTOCOL_VERSION:
        raise ProtocolVersionError(header[1])
    if len(header) != 5 or not isinstance(header[3], dict) or not isinstance(header[4], list):
        raise MessageError("the header is not complete")
    cls = Message.known.get(header[2]) if isinstance(header[2], str) else None
    if cls is None:
        raise MessageError(f"unknown kind {header[2]!r}")
    return cls, header[3], header[4]


def _read_array(description: Any, forms: Sequence[ArrayForm], frames: Any) -> np.ndarray[Any, Any]:
    if not isinstance(description, list) or len(description) != 3:
        raise MessageError("is not described")
    dtype, shape, data = description
    if not isinstance(shape, list):
        raise MessageError("has no shape")
    for length in shape:
        if type(length) is not int or length < 0:
            raise MessageError("has no shape")
    for form in forms:
        if form.fits(dtype, shape):
            break
    else:
        raise MessageError(f"must not be {dtype!r} {shape}")
    content = next(frames, None) if data is None else data
    if not isinstance(content, bytes | memoryview):
        raise MessageError("has no content")
    size = content.nbytes if isinstance(content, memoryview) else len(content)
    if size != prod(shape) * form.dtype.itemsize:
        raise MessageError(f"has {size} bytes, which is not its shape")
    flat = np.frombuffer(content, form.dtype)
    return flat if len(shape) == 1 else flat.reshape(shape)
