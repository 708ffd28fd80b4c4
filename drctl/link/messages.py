"""What trainer and workers say to each other.

A worker says `Hello` whenever its connection is made; the trainer answers with `Setup`. From then on both take
turns: the worker sends `Tick` n (the first one without cars), the trainer answers it with `Act` n as soon as it
has actions for cars that wait or episodes for cars that are free. So one message is under way at a time, and
whatever a lost connection swallows is made up for by the next `Setup`. Everything that belongs to an older
setup names it and is ignored.

Episode starts and records travel as plain mappings: the classes live in the packages above this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from drctl.formats.simtrace import TRACE_DTYPE
from drctl.link.codec import ArrayForm, Message, array, register, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_HEIGHT: Final = 120
FRAME_WIDTH: Final = 160
"""Camera frame in pixels, grey (contract 6.2). Frames of other sensors are rows of bytes (`formats.observation`)."""

PLAIN_FRAME: Final[tuple[int, ...]] = (FRAME_HEIGHT, FRAME_WIDTH)
"""Shape of a frame where one camera is all there is."""

TERMINATED: Final = 1
TRUNCATED: Final = 2
"""Bits of `Tick.outcomes`."""

_NONE: Final = type(None)
_CARS: Final = ArrayForm(np.dtype("<i4"), (None,))
_DISCRETE: Final = ArrayForm(np.dtype("<i8"), (None,))
_CONTINUOUS: Final = ArrayForm(np.dtype("<f4"), (None, 2))
_FRAMES: Final = (ArrayForm(np.dtype("u1"), (None, FRAME_HEIGHT, FRAME_WIDTH)), ArrayForm(np.dtype("u1"), (None, None)))


@register
@dataclass(frozen=True, eq=False)
class Hello(Message):
    """A worker introduces itself; also after its connection was lost.

    Attributes:
        name: Its name within the run; a later worker of the same name takes its place.
        host: Name of its machine.
        pid: Its process there.
        address: Where it streams pictures for people, or empty.
    """

    kind: ClassVar[str] = "hello"
    name: str = field(metadata=value(str))
    host: str = field(metadata=value(str))
    pid: int = field(metadata=value(int))
    address: str = field(metadata=value(str))


@register
@dataclass(frozen=True, eq=False)
class Setup(Message):
    """The trainer says what to simulate; the worker starts over with it.

    Attributes:
        setup: Name of this setup; no other is like it.
        environment: `EnvironmentSpec` as plain mapping.
        cars: Cars to drive at once.
        prints_steps: Print a ``SIM_TRACE_LOG`` line per step.
    """

    kind: ClassVar[str] = "setup"
    setup: str = field(metadata=value(str))
    environment: dict[str, Any] = field(metadata=value(dict))
    cars: int = field(metadata=value(int))
    prints_steps: bool = field(metadata=value(bool))


@register
@dataclass(frozen=True, eq=False)
class Tick(Message):
    """A worker reports one step of its cars.

    Attributes:
        setup: Setup it belongs to.
        number: From 0, one more each time; the `Act` that answers it has the same.
        acted: Cars that carried out the last actions, in the order of that `Act`, shape (m,), int32.
        rewards: What each got for it, shape (m,), float32.
        outcomes: `TERMINATED` and `TRUNCATED` bits of each, shape (m,), uint8.
        final_frames: What the truncated of them see at the end, in order, shape (t, *frame), uint8.
        records: One mapping per car of `acted` that ended, in order.
        rows: Trace rows of those records, end to end, shape (r,), dtype `TRACE_DTYPE`.
        waiting: Cars that await a decision, shape (k,), int32.
        frames: What they see, uint8, shape (k, 120, 160) for a single camera, (k, bytes) for other sensors.
    """

    kind: ClassVar[str] = "tick"
    setup: str = field(metadata=value(str))
    number: int = field(metadata=value(int))
    records: list[Any] = field(metadata=value(list))
    acted: NDArray[np.int32] = field(metadata=array(_CARS))
    rewards: NDArray[np.float32] = field(metadata=array(ArrayForm(np.dtype("<f4"), (None,))))
    outcomes: NDArray[np.uint8] = field(metadata=array(ArrayForm(np.dtype("u1"), (None,))))
    waiting: NDArray[np.int32] = field(metadata=array(_CARS))
    frames: NDArray[np.uint8] = field(metadata=array(*_FRAMES))
    final_frames: NDArray[np.uint8] = field(metadata=array(*_FRAMES))
    rows: NDArray[np.void] = field(metadata=array(ArrayForm(TRACE_DTYPE, (None,))))


@register
@dataclass(frozen=True, eq=False)
class Act(Message):
    """The trainer decides for the cars that wait and hands out episodes.

    Attributes:
        setup: Setup it belongs to.
        number: The `Tick` it answers.
        cars: Cars that act, shape (k,), int32.
        actions: Index of a discrete action, shape (k,), int64, or steering and speed in [-1, 1], shape (k, 2), float32.
        episodes: Mappings with ``car``, ``start`` (an `EpisodeStart` as mapping) and ``number`` (for log lines).
    """

    kind: ClassVar[str] = "act"
    setup: str = field(metadata=value(str))
    number: int = field(metadata=value(int))
    episodes: list[Any] = field(metadata=value(list))
    cars: NDArray[np.int32] = field(metadata=array(_CARS))
    actions: NDArray[Any] = field(metadata=array(_DISCRETE, _CONTINUOUS))


@register
@dataclass(frozen=True, eq=False)
class Heartbeat(Message):
    """A worker is alive.

    Attributes:
        setup: Setup it works on, or empty.
        state: ``setting_up``, ``driving``, ``waiting`` (for the trainer) or ``failed``.
        awaiting: Number of the `Tick` it wants answered, or None while it works.
    """

    kind: ClassVar[str] = "heartbeat"
    setup: str = field(metadata=value(str))
    state: str = field(metadata=value(str))
    awaiting: int | None = field(metadata=value(int, _NONE))


@register
@dataclass(frozen=True, eq=False)
class RewardFailed(Message):
    """The user's reward function cannot go on; the worker drives no more.

    Attributes:
        setup: Setup it belongs to.
        car: Car it was called for, or -1 where that is not known.
        step: ``steps`` of the params it was called with, or 0 where there are none.
        message: What went wrong.
        file: The user's file.
        line: Line in it, or None.
        where: File and line with the line's text, for people.
        expected: What would have been right, or empty.
        params: What the function was called with, as JSON text.
    """

    kind: ClassVar[str] = "reward_failed"
    setup: str = field(metadata=value(str))
    car: int = field(metadata=value(int))
    step: int = field(metadata=value(int))
    message: str = field(metadata=value(str))
    file: str = field(metadata=value(str))
    line: int | None = field(metadata=value(int, _NONE))
    where: str = field(metadata=value(str))
    expected: str = field(metadata=value(str))
    params: str = field(metadata=value(str))


@register
@dataclass(frozen=True, eq=False)
class Ended(Message):
    """The trainer says that the run is over; workers leave with exit status 0."""

    kind: ClassVar[str] = "ended"
    reason: str = field(metadata=value(str))


@register
@dataclass(frozen=True, eq=False)
class Refused(Message):
    """The trainer does not want this worker, which leaves with an error."""

    kind: ClassVar[str] = "refused"
    reason: str = field(metadata=value(str))


@register
@dataclass(frozen=True, eq=False)
class Probe(Message):
    """The trainer looks whether the connection is still there; nothing to answer."""

    kind: ClassVar[str] = "probe"


@register
@dataclass(frozen=True, eq=False)
class Bye(Message):
    """A worker leaves.

    Attributes:
        reason: Why, one line.
    """

    kind: ClassVar[str] = "bye"
    reason: str = field(metadata=value(str))
