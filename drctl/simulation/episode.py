"""What defines an episode before it is driven, and what is left of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from drctl.formats.episode_status import EpisodeStatus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Phase = Literal["training", "evaluation"]


@dataclass(frozen=True)
class EpisodeStart:
    """Everything that tells one episode from another; equal starts under an equal policy give equal episodes.

    Attributes:
        phase: Whether the episode is learned from.
        iteration: Iteration it belongs to, from 0.
        episode: Number within the iteration and phase, from 0.
        world: Index into `EnvironmentSpec.worlds`.
        start_fraction: Where the car starts, in [0, 1) of the lap from waypoint 0 in driving direction.
        is_reversed: Drive against the track's own direction.
        max_steps: Truncate after so many steps with a reward; None for no limit but the contract's 100,000.
        lane: Where it starts in a world with traffic: 1 on the inner lane, -1 on the outer one; None for the centre
            line, or for the lane that an object there leaves free.
    """

    phase: Phase
    iteration: int
    episode: int
    world: int = 0
    start_fraction: float = 0.0
    is_reversed: bool = False
    max_steps: int | None = None
    lane: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plain mapping that `from_json` reads."""
        return {
            "phase": self.phase,
            "iteration": self.iteration,
            "episode": self.episode,
            "world": self.world,
            "start_fraction": self.start_fraction,
            "is_reversed": self.is_reversed,
            "max_steps": self.max_steps,
            "lane": self.lane,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EpisodeStart:
        """Read what `to_json` gave."""
        return cls(**data)


@dataclass(frozen=True)
class EpisodeRecord:
    """A finished episode as the log tools want it.

    Attributes:
        rows: Trace rows, dtype `formats.simtrace.TRACE_DTYPE`, prepare row first. `episode` is 0 and `tstamp` counts
            from this episode's reset: the trainer puts both on the clock of the slot that writes the file.
        status: How the episode ended; `IN_PROGRESS` when it was truncated.
        reward: Sum of the rewards.
        steps: Steps with a reward, so without the prepare row.
        progress_percent: Progress at the end, at most 100.
        duration_s: Simulated seconds from reset to the end of the last step.
    """

    rows: NDArray[np.void]
    status: EpisodeStatus
    reward: float
    steps: int
    progress_percent: float
    duration_s: float

    @property
    def is_lap(self) -> bool:
        """Whether the car completed its lap."""
        return self.status is EpisodeStatus.LAP_COMPLETE
