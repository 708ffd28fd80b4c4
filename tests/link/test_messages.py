from __future__ import annotations

import dataclasses
import pickle

import msgpack
import numpy as np
import pytest

from drctl.formats.simtrace import TRACE_DTYPE
from drctl.link import messages
from drctl.link.codec import MAGIC, PROTOCOL_VERSION, Message, MessageError, ProtocolVersionError, decode, encode
from drctl.link.messages import Act, Bye, Ended, Heartbeat, Hello, Probe, Refused, RewardFailed, Setup, Tick

random = np.random.default_rng(7)
CARS = np.array([0, 2], np.int32)


def make_tick(cars=CARS, rows=3):
    return Tick(
        setup="s-1",
        number=12,
        records=[{"status": "off_track"}],
        acted=cars,
        rewards=np.linspace(0, 1, len(cars), dtype=np.float32),
        outcomes=np.zeros(len(cars), np.uint8),
        waiting=cars,
        frames=random.integers(0, 255, (len(cars), 120, 160), dtype=np.uint8),
        final_frames=np.empty((0, 120, 160), np.uint8),
        rows=np.ones(rows, TRACE_DTYPE),
    )


ALL = [
    Hello("worker-0", "rennmaschine", 4711, ""),
    Setup("s-1", {"worlds": [["reinvent_base", None]], "seed": 2**63 - 1}, 20, prints_steps=True),
    make_tick(),
    make_tick(np.arange(20, dtype=np.int32), rows=200),
    dataclasses.replace(make_tick(), frames=random.integers(0, 255, (2, 38464), dtype=np.uint8)),
    Act("s-1", 12, [{"car": 1, "start": {"phase": "training"}, "number": 3}], CARS, np.array([1, 4])),
    Act("s-1", 12, [], CARS, np.array([[0.5, -1], [0, 1]], np.float32)),
    Heartbeat("s-1", "waiting", 3),
    Heartbeat("", "setting_up", None),
    RewardFailed("s-1", 3, 17, "division by zero", "reward_function.py", 7, "reward_function.py:7", "", "{}"),
    Ended("finished"),
    Refused("no"),
    Probe(),
    Bye("done"),
]


@pytest.mark.parametrize("message", ALL, ids=lambda message: message.kind)
def test_a_message_arrives_as_it_was_sent(message):
    parts = [bytes(part) for part in encode(message)]
    arrived = decode([memoryview(part) for part in parts])
    assert type(arrived) is type(message)
    for each in dataclasses.fields(message):
        sent, got = getattr(message, each.name), getattr(arrived, each.name)
        if isinstance(sent, np.ndarray):
            assert got.dtype == sent.dtype
            assert np.array_equal(got, sent)
        else:
            assert got == sent


def test_every_kind_is_covered():
    assert {message.kind for message in ALL} == set(Message.known)


def test_big_arrays_travel_as_frames_and_small_ones_in_the_header():
    small, big = encode(make_tick(CARS[:0])), encode(make_tick())
    assert len(small) == 1
    assert len(big) == 2
    assert big[1].nbytes == 2 * 120 * 160


def header(kind="hello", values=None, arrays=(), version=PROTOCOL_VERSION, magic=MAGIC):
    return msgpack.packb([magic, version, kind, values or {}, list(arrays)])


HELLO = {"name": "w", "host": "h", "pid": 1, "address": ""}
ACT = {"setup": "s", "number": 0, "episodes": []}


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "not msgpack"),
        ([b""], "not msgpack"),
        ([b"\xc1"], "not msgpack"),
        ([b"GET / HTTP/1.1\r\n"], "not msgpack"),
        ([msgpack.packb({"a": 1})], "not drctl's"),
        ([pickle.dumps(Bye("x"))], "not msgpack"),
        ([header(magic="other")], "not drctl's"),
        ([msgpack.packb([MAGIC, PROTOCOL_VERSION])], "not complete"),
        ([header("launch")], "unknown kind 'launch'"),
        ([header("hello", {**HELLO, "pid": "1"})], "hello.pid is missing or has the wrong type"),
        ([header("hello", {**HELLO, "pid": True})], "hello.pid is missing or has the wrong type"),
        ([header("hello", {"name": "w"})], "hello.host is missing"),
        ([header("hello", HELLO), b"more"], "frames too many"),
        ([header("act", ACT)], "act has 0 arrays instead of 2"),
        ([header("act", ACT, [["<i4", [1], b"\0" * 4], ["<i8", [1], None]])], "act.actions has no content"),
        ([header("act", ACT, [["<i4", [2], b"\0" * 4], ["<i8", [1], b"\0" * 8]])], "4 bytes, which is not its shape"),
        ([header("act", ACT, [["|O", [1], b"\0" * 8], ["<i8", [1], b"\0" * 8]])], "act.cars must not be '|O'"),
        ([header("act", ACT, [["<i4", [-1], b""], ["<i8", [1], b"\0" * 8]])], "act.cars has no shape"),
        ([header("act", ACT, [["<i4", [1], b"\0" * 4], ["<f4", [1, 3], b"\0" * 12]])], "act.actions must not be"),
        ([header("act", ACT, [["<i4", [1], "text"], ["<i8", [1], b"\0" * 8]])], "act.cars has no content"),
        ([header("act", ACT, [7, 8])], "act.cars is not described"),
    ],
)
def test_what_is_no_message_is_refused(parts, reason):
    with pytest.raises(MessageError, match=reason):
        decode(parts)


def test_noise_never_does_anything_else_than_be_refused():
    good = bytes(encode(ALL[4])[0])
    for _ in range(2000):
        noisy = bytearray(good)
        for place in random.integers(0, len(noisy), 3):
            noisy[place] = random.integers(0, 256)
        try:
            decode([bytes(noisy)])
        except MessageError:
            continue


def test_another_version_is_named():
    with pytest.raises(ProtocolVersionError, match=r"speaks link protocol 99, this one 1: install the same version"):
        decode([header(version=99)])


def test_outcome_bits_are_apart():
    assert messages.TERMINATED & messages.TRUNCATED == 0
