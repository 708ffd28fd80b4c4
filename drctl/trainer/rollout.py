"""What a collection gives the learner, and what it asks of a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from drctl.simulation.episode import EpisodeRecord, EpisodeStart


@dataclass(frozen=True)
class Episode:
    """A finished episode as the learner sees it: T decisions, each with the reward that followed.

    Attributes:
        start: What defined the episode.
        frames: What the car sensed before each decision, uint8, shape (T, 120, 160) for a single camera, otherwise as
            `formats.observation` lays it out.
        final_frame: What it sensed after the last decision; needed when the episode was truncated.
        actions: Numbers of the discrete actions, int64, shape (T,); or steering and speed in the network's normalised
            units before clipping, float32, shape (T, 2).
        log_probs: Logarithm of each action's probability (density) when it was drawn, float32, shape (T,).
        values: Value of each observation when the action was drawn, float32, shape (T,).
        rewards: float32, shape (T,).
        terminated: The episode ended by a rule of the race; nothing is to be earned after it.
        truncated: The episode was cut off; what would have followed is estimated from `final_frame`.
        record: The episode for the log tools.
    """

    start: EpisodeStart
    frames: NDArray[np.uint8]
    final_frame: NDArray[np.uint8] | None
    actions: NDArray[np.int64] | NDArray[np.float32]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    rewards: NDArray[np.float32]
    terminated: bool
    truncated: bool
    record: EpisodeRecord

    def __len__(self) -> int:
        return len(self.rewards)


@dataclass(frozen=True)
class Actions:
    """Decisions for B cars.

    Attributes:
        actions: int64, shape (B,) for a discrete action space; float32, shape (B, 2) for a continuous one: steering
            and speed in normalised units, before clipping to [-1, 1].
        log_probs: float32, shape (B,).
        values: float32, shape (B,).
    """

    actions: NDArray[np.int64] | NDArray[np.float32]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]


class Policy(Protocol):
    """Decides for a batch of cars."""

    @property
    def rows_at_once(self) -> int:
        """Most rows to ask about together; more are better asked about in equal parts, which cores can share."""

    def act(self, frames: NDArray[np.uint8], starts: Sequence[EpisodeStart], steps: NDArray[np.int64]) -> Actions:
        """Choose one action per row.

        The answer in row e depends on row e alone. That holds bit for bit only while B stays the same, so a
        collection always asks for the same rows together: those without a waiting car may hold anything.

        Args:
            frames: uint8, shape (B, *frame), or (B, stack, *frame) where the policy sees several frames at once.
            starts: Episode of each row, length B, all of one iteration.
            steps: Step of each row within its episode, from 0, int64, shape (B,).
        """
        ...
