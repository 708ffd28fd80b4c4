"""The wire format against the bytes of its own specification's examples."""

from __future__ import annotations

import pytest

from drctl.formats.protobuf_wire import (
    WireError,
    bytes_field,
    float_field,
    integer_field,
    read_fields,
    varint,
)


def test_the_specifications_examples():
    assert varint(1) == bytes.fromhex("01")
    assert varint(150) == bytes.fromhex("9601")
    assert integer_field(1, 150) == bytes.fromhex("089601")
    assert bytes_field(2, "testing") == bytes.fromhex("120774657374696e67")
    assert varint(-2) == bytes.fromhex("feffffffffffffffff01")
    assert float_field(4, 255.0) == bytes.fromhex("2500007f43")


def test_reading_what_was_written():
    data = integer_field(3, 7) + bytes_field(5, b"abc") + float_field(4, 1.0) + integer_field(1, -1)
    found = [
        (number, value if isinstance(value, int) else bytes(value)) for number, value in read_fields(memoryview(data))
    ]
    assert found == [(3, 7), (5, b"abc"), (4, b"\x00\x00\x80\x3f"), (1, 2**64 - 1)]


@pytest.mark.parametrize("data", ["08", "0896", "1207746573", "25000000", "0b", "0001", "08" + "ff" * 10])
def test_what_is_no_message(data):
    with pytest.raises(WireError):
        list(read_fields(memoryview(bytes.fromhex(data))))
