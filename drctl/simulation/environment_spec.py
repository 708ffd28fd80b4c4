"""What a batch of cars is told before it starts: plain data that travels to workers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from drctl.formats.race_params import RaceParams
from drctl.simulation.track.library import load_track
from drctl.simulation.track.track import Track


@dataclass(frozen=True)
class WorldSpec:
    """A track that episodes can be driven on.

    Attributes:
        track: Its name.
        waypoints: Rows of six numbers where the track is a user's own; None for one of the library.
        randomized: Groups of `variation.RANGES` that vary from episode to episode, each with its share of the range.
        race: What else is on it.
    """

    track: str
    waypoints: tuple[tuple[float, ...], ...] | None = None
    randomized: tuple[tuple[str, float], ...] = ()
    race: RaceParams = field(default_factory=RaceParams)

    def load(self) -> Track:
        """Return the track in its own driving direction.

        Raises:
            TrackError: The name is unknown, or the rows are not a track.
        """
        if self.waypoints is None:
            return load_track(self.track)
        import numpy as np

        return Track.from_waypoints(self.track, np.array(self.waypoints, np.float64))


@dataclass(frozen=True)
class EnvironmentSpec:
    """Everything that is the same for all episodes of a run.

    Attributes:
        worlds: `EpisodeStart.world` counts these.
        metadata: Text of ``model_metadata.json``.
        physics: ``effort``, ``kinematics`` or ``ros2``.
        reward_source: Text of the reward function's file.
        reward_file: Its name for messages.
        seed: Seed of the run.
        has_step_jitter: Steps differ in length as they do in the original (simulator-facts 1.4); otherwise 1/15 s.
    """

    worlds: tuple[WorldSpec, ...]
    metadata: str
    physics: str
    reward_source: str
    reward_file: str = "reward_function.py"
    seed: int = 0
    has_step_jitter: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the plain mapping that `from_json` reads."""
        return {
            "worlds": [asdict(world) for world in self.worlds],
            "metadata": self.metadata,
            "physics": self.physics,
            "reward_source": self.reward_source,
            "reward_file": self.reward_file,
            "seed": self.seed,
            "has_step_jitter": self.has_step_jitter,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EnvironmentSpec:
        """Read what `to_json` gave, also after it went through JSON or msgpack."""
        worlds = tuple(_read_world(world) for world in data["worlds"])
        return cls(**{**data, "worlds": worlds})


def _read_world(data: dict[str, Any]) -> WorldSpec:
    randomized = tuple((name, share) for name, share in data["randomized"])
    return WorldSpec(
        **{
            **data,
            "waypoints": _tuples(data["waypoints"]),
            "randomized": randomized,
            "race": RaceParams.from_json(data["race"]),
        }
    )


def _tuples(rows: list[list[float]] | None) -> tuple[tuple[float, ...], ...] | None:
    return None if rows is None else tuple(tuple(row) for row in rows)
