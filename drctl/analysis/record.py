"""Everything that is known of a stored model, as plain figures and rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drctl.analysis.laps import best_training_lap

if TYPE_CHECKING:
    from drctl.analysis.drive import Drive
    from drctl.analysis.iterations import Iteration
    from drctl.analysis.laps import Lap, Race
    from drctl.formats.model_metadata import ModelMetadata


@dataclass(frozen=True)
class Coverage:
    """How much of a model's traces was read.

    Attributes:
        traces: Trace files that were read.
        traces_stored: Those that there are.
        iterations: Iterations that they belong to.
        iterations_stored: Those that have traces at all.
        unreadable: Files that do not follow their format, or vanished while they were read.
    """

    traces: int = 0
    traces_stored: int = 0
    iterations: int = 0
    iterations_stored: int = 0
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ModelRecord:
    """What was read of a model.

    Attributes:
        name: Its prefix.
        place: Where that lies, for people.
        iterations: Oldest first.
        drive: Steps of training episodes, of some iterations.
        races: Evaluations, oldest first.
        metadata: Sensors, actions, network; None where it is unknown.
        hyperparameters: By the names of ``hyperparameters.json``.
        worlds: What each worker was told, one mapping per multi-config entry.
        conditions: What our trainer notes of a checkpoint: physics, precision, seed and so on.
        reward_source: The reward function's text, or None.
        best_checkpoint: Number of the best checkpoint, or None.
        last_checkpoint: Number of the last one.
        missing: What could not be found, one sentence each.
        coverage: How much of the traces was read.
    """

    name: str
    place: str
    iterations: tuple[Iteration, ...]
    drive: Drive
    races: tuple[Race, ...] = ()
    metadata: ModelMetadata | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    worlds: tuple[Mapping[str, Any], ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    reward_source: str | None = None
    best_checkpoint: int | None = None
    last_checkpoint: int | None = None
    missing: tuple[str, ...] = ()
    coverage: Coverage = Coverage()

    @property
    def episodes(self) -> int:
        """Training episodes."""
        return sum(iteration.training.episodes for iteration in self.iterations)

    @property
    def steps(self) -> int | None:
        """Environment steps of the training episodes, or None where nothing tells."""
        counts = [iteration.steps for iteration in self.iterations]
        return None if not counts or None in counts else sum(count for count in counts if count is not None)

    @property
    def wall_s(self) -> float | None:
        """Wall-clock seconds of the iterations, or None where nothing tells."""
        seconds = [sum(iteration.seconds.values()) for iteration in self.iterations if iteration.seconds]
        return sum(seconds) if seconds else None

    @property
    def track_names(self) -> tuple[str, ...]:
        """The tracks that it was trained on, as its settings say."""
        names = [str(world["WORLD_NAME"]) for world in self.worlds if world.get("WORLD_NAME")]
        return tuple(dict.fromkeys(names))

    @property
    def best_lap_s(self) -> float | None:
        """The fastest complete lap of all: trainings, their evaluations, races."""
        outcomes = [
            outcome for one in self.iterations for outcome in (one.training, one.evaluation) if outcome is not None
        ]
        times = [time for outcome in outcomes for time in outcome.lap_times_s]
        times += [time for race in self.races for time in race.lap_times_s]
        return min(times, default=None)

    @property
    def first_lap(self) -> Iteration | None:
        """The first iteration whose evaluation had a complete lap, or None."""
        return next((one for one in self.iterations if one.evaluation and one.evaluation.laps), None)

    def drawable_lap(self) -> Lap | None:
        """Return the fastest lap whose steps were read: a race's or a training's.

        Evaluations within a training leave no traces, so the fastest lap of all may not be drawable.
        """
        laps = [race.best_lap() for race in self.races]
        times = {one.number: one.training.lap_times_s for one in self.iterations}
        laps.append(best_training_lap(self.drive, times))
        return min((lap for lap in laps if lap is not None), key=lambda lap: lap.time_s, default=None)


def mean(values: list[float]) -> float:
    """Return the mean, NaN for none."""
    return sum(values) / len(values) if values else math.nan
