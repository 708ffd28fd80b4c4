"""Where a worker keeps the newest episode of each of its cars, in case somebody wants to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drctl.simulation.stream.clip import Clip, cut_clip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drctl.simulation.episode import EpisodeRecord, EpisodeStart


class ClipShelf:
    """Filled by the thread that drives, emptied by the one that streams; each step is one operation of the interpreter.

    Attributes:
        wanted: Cars whose episode under way somebody would like to see; the driving thread looks at it between steps.
    """

    def __init__(self) -> None:
        self.wanted: set[int] = set()
        self._serial = 0
        self._clips: dict[int, Clip] = {}
        self._setup: tuple[int, dict[str, Any], int] = (0, {}, 0)

    @property
    def setup(self) -> tuple[int, dict[str, Any], int]:
        """Number of the setup, the `EnvironmentSpec` as mapping, and how many cars there are."""
        return self._setup

    def clear(self, environment: dict[str, Any], cars: int) -> None:
        """Begin with other cars."""
        self.wanted.clear()
        self._clips = {}
        self._setup = (self._setup[0] + 1, environment, cars)

    def keep(self, car: int, start: EpisodeStart, record: EpisodeRecord, *, is_running: bool = False) -> None:
        """Put an episode in the place of the car's last one.

        Args:
            car: Row of the batch.
            start: The episode.
            record: Its record so far.
            is_running: It goes on.
        """
        self._serial += 1
        self._clips[car] = cut_clip(self._serial, car, start, record, is_running=is_running)

    def newer_than(self, seen: Mapping[int, int]) -> list[Clip]:
        """Return the clips that somebody has not seen yet.

        Args:
            seen: Serial of the clip that is known already, by the cars that are asked for.
        """
        clips = self._clips
        return [clip for car in seen if (clip := clips.get(car)) is not None and clip.serial > seen[car]]
