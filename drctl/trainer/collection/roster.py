"""The workers as the trainer knows them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from drctl.link.codec import MessageError
from drctl.link.messages import PLAIN_FRAME, TRUNCATED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.link.messages import Hello, Tick

PROBE_S: Final = 1.5
"""A worker says something every second; one that does not is asked whether its connection is still there."""

PATIENCE_S: Final = 20.0
"""A reward call may take 5 s without a sign (DESIGN 4); after this its episodes go to others."""

FIRST_STEPS_PATIENCE_S: Final = 120.0
FIRST_STEPS: Final = 3
"""The first steps of a cold machine compile kernels, which gives no sign either."""

SETTING_UP_PATIENCE_S: Final = 600.0
ANSWER_PATIENCE_S: Final = 5.0
FORGET_S: Final = 600.0

WorkerState = Literal["setting_up", "idle", "driving", "failed", "lost", "left"]
NO_ROW: Final = -1


@dataclass(frozen=True)
class WorkerView:
    """A worker as status shows it.

    Attributes:
        name: Name within the run.
        host: Name of its machine.
        pid: Its process there.
        state: ``setting_up``, ``idle`` (waits for episodes), ``driving``, ``failed`` (its reward function),
            ``lost`` (silent or disconnected) or ``left``.
        cars: Cars it drives at once.
        episodes_running: Episodes it has under way.
        last_heard: When it last said something, seconds since 1970.
        address: Where it streams pictures, or empty.
        reason: Why it is lost or left, else empty.
    """

    name: str
    host: str
    pid: int
    state: WorkerState
    cars: int
    episodes_running: int
    last_heard: float
    address: str
    reason: str


@dataclass(eq=False)
class Peer:
    """One session of a worker.

    Attributes:
        session: Its name on the link.
        hello: How it introduced itself.
        heard: When it last said something, on the collector's clock.
        setup: Setup it was last given, empty for none.
        rows: Row of the collection that each of its cars drives, `NO_ROW` for none.
        tick: Number of its last tick, -1 before the first.
        is_open: Whether that tick waits for an answer.
        answered: When the last one was answered, on the collector's clock.
        waiting: Cars that wait for actions in it.
        acted: Cars that were given actions and owe their rewards.
        gone: ``lost``, ``left``, or None while it is there.
        reason: Why it is gone.
        has_failed: Whether its reward function failed.
        frame_shape: Shape of what its cars see.
    """

    session: bytes
    hello: Hello
    heard: float
    setup: str = ""
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    tick: int = -1
    is_open: bool = False
    answered: float = 0.0
    waiting: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    acted: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    gone: Literal["lost", "left"] | None = None
    reason: str = ""
    has_failed: bool = False
    frame_shape: tuple[int, ...] = PLAIN_FRAME

    def start_over(self, setup: str, cars: int, frame_shape: tuple[int, ...] = PLAIN_FRAME) -> None:
        """Forget everything but who it is."""
        self.setup, self.frame_shape = setup, frame_shape
        self.rows = np.full(cars, NO_ROW, np.int64)
        self.tick, self.is_open, self.has_failed = -1, False, False
        self.waiting = self.acted = np.empty(0, np.int32)
        self.gone, self.reason = None, ""

    @property
    def is_ready(self) -> bool:
        """Whether it is there and set up."""
        return self.gone is None and self.tick >= 0 and not self.has_failed

    @property
    def is_working(self) -> bool:
        """Whether a tick is awaited from it."""
        return self.is_ready and not self.is_open

    @property
    def driven_rows(self) -> NDArray[np.int64]:
        """Rows of its episodes under way, shape (k,)."""
        return np.extract(self.rows != NO_ROW, self.rows)

    @property
    def patience_s(self) -> float:
        """How long it may be silent before its episodes go to others."""
        if self.tick < 0:
            return SETTING_UP_PATIENCE_S
        return FIRST_STEPS_PATIENCE_S if self.tick < FIRST_STEPS else PATIENCE_S

    def check(self, tick: Tick) -> None:
        """Check that a tick says what is awaited, before anything in it is believed.

        Raises:
            MessageError: It does not.
        """
        if self.is_open or tick.number != self.tick + 1:
            raise MessageError(f"tick {tick.number} is not awaited")
        if not np.array_equal(tick.acted, self.acted):
            raise MessageError("the tick is about other cars than those that were given actions")
        if not len(tick.rewards) == len(tick.outcomes) == len(tick.acted) or not np.isfinite(tick.rewards).all():
            raise MessageError("the rewards are not one finite number per car")
        has_truncated = tick.outcomes & TRUNCATED
        if len(tick.records) != np.count_nonzero(tick.outcomes):
            raise MessageError("not one record per finished episode")
        if len(tick.final_frames) != np.count_nonzero(has_truncated):
            raise MessageError("not one final frame per truncated episode")
        going_on = np.flatnonzero(self.rows != NO_ROW)
        if tick.records:
            going_on = np.setdiff1d(going_on, tick.acted[tick.outcomes != 0])
        if not np.array_equal(tick.waiting, going_on) or len(tick.frames) != len(going_on):
            raise MessageError("not one frame per car that goes on")
        for frames in (tick.frames, tick.final_frames):
            if len(frames) and frames.shape[1:] != self.frame_shape:
                raise MessageError(f"frames have the shape {frames.shape[1:]} instead of {self.frame_shape}")

    def view(self, now: float) -> WorkerView:
        """Return what status shows.

        Args:
            now: The collector's clock.
        """
        running = int(np.count_nonzero(self.rows != NO_ROW))
        return WorkerView(
            name=self.hello.name,
            host=self.hello.host,
            pid=self.hello.pid,
            state=self._state(running),
            cars=len(self.rows),
            episodes_running=running,
            last_heard=time.time() - (now - self.heard),
            address=self.hello.address,
            reason=self.reason,
        )

    def _state(self, running: int) -> WorkerState:
        if self.gone is not None:
            return self.gone
        if self.has_failed:
            return "failed"
        if self.tick < 0:
            return "setting_up"
        return "driving" if running else "idle"
