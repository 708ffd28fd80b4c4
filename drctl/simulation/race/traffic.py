"""Everything on the track besides the racers: placed at the start of an episode, moved along with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drctl.simulation.race.bot_cars import draw_wait, drive_bots, place_object
from drctl.simulation.race.contact import touches, wrap_along
from drctl.simulation.race.lanes import PackedLanes, lane_pose, no_lanes, pack_lanes
from drctl.simulation.race.measuring import measure_place
from drctl.simulation.race.objects import (
    BOT_CHANGE_OVER,
    BOT_CHANGES_LANES,
    BOT_LONGEST_WAIT,
    BOT_PENALTY,
    BOT_SHORTEST_WAIT,
    BOT_SPEED,
    CAR_CONTACT_M,
    KIND_CAR,
    KIND_OF,
    OBJECT_ALONG,
    OBJECT_BLUE,
    OBJECT_CENTRE_DISTANCE,
    OBJECT_CONTACT_LENGTH,
    OBJECT_CONTACT_WIDTH,
    OBJECT_GREEN,
    OBJECT_IS_LEFT,
    OBJECT_LANE,
    OBJECT_PROJECTION,
    OBJECT_RED,
    OBJECT_ROLE,
    OBJECT_SPEED,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    ROLE_BOT,
    ROLE_OBSTACLE,
    ROLE_RIVAL,
    ObjectBatch,
    clear_row,
    make_objects,
)
from drctl.simulation.race.placement import find_places
from drctl.simulation.race.start_pose import start_pose
from drctl.simulation.vehicle.dynamics import STATE_SIZE, STATE_X, STATE_Y, STATE_YAW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.formats.race_params import RaceParams
    from drctl.simulation.race.packed_tracks import PackedTracks
    from drctl.simulation.track.track import Track

HIDDEN_POSE: Final = (-60.0, 60.0, 0.0)
"""x, y and yaw that stand for what is not on the track (simulator-facts 7)."""

NEAR_M: Final = 1.0
"""An object so near along the track makes a car start, or be put back, on the other lane (contract 7, 8)."""


class Rival(NamedTuple):
    """Another racer as the racers beside it see it.

    Attributes:
        pose: base_link's x, y in metres and yaw in radians.
        speed_m_s: Its speed.
        color: Red, green and blue, 0 to 255.
        is_solid: Whether it can be touched; not while it waits for a penalty or has finished.
    """

    pose: tuple[float, float, float]
    speed_m_s: float
    color: tuple[int, int, int]
    is_solid: bool = True


class Traffic:
    """The objects of all cars of a batch.

    Args:
        races: By world.
        tracks: Track 2w is world w in its own direction, 2w + 1 the same reversed.
        packed: The same tracks.
        num_cars: Cars of the batch.

    Attributes:
        batch: What kernels read and move.
        lanes: Where bot cars drive; of no meaning when there is nothing on any track.
    """

    def __init__(
        self, races: Sequence[RaceParams], tracks: Sequence[Track], packed: PackedTracks, num_cars: int
    ) -> None:
        self._races, self._tracks, self._packed = tuple(races), tracks, packed
        most = max(race.objects for race in races)
        if any(race.race_type == "HEAD_TO_MODEL" for race in races):
            most = max(most, 1)
        self.batch: ObjectBatch = make_objects(num_cars, most)
        self.lanes: PackedLanes = pack_lanes(tracks) if most else no_lanes()

    @property
    def is_empty(self) -> bool:
        """Whether there can be nothing on any track."""
        return not self.batch.rows.shape[1]

    def place(self, car: int, track: int, seed: int, keys: NDArray[np.int64]) -> None:
        """Put a car's objects where its episode begins with them.

        Args:
            car: Whose.
            track: Number of its track.
            seed: Seed of the run.
            keys: Stream offset, iteration and episode of the car, shape (3,).
        """
        if self.is_empty:
            return
        race = self._races[track // 2]
        offset, iteration, episode = (int(part) for part in keys)
        places = find_places(race, self._tracks[track].length_m, seed, (offset, iteration, episode))
        self.batch.counts[car] = len(places)
        is_bot = race.race_type == "HEAD_TO_BOT"
        bots = self.batch.bots[car]
        bots[:] = 0.0
        if is_bot:
            bots[BOT_SPEED], bots[BOT_CHANGES_LANES] = race.bot_speed_m_s, race.changes_lanes
            bots[BOT_SHORTEST_WAIT], bots[BOT_LONGEST_WAIT] = race.lane_change_after_s
            bots[BOT_CHANGE_OVER], bots[BOT_PENALTY] = race.lane_change_over_m, race.bot_penalty_s
        kind = KIND_CAR if is_bot or race.are_obstacles_cars else KIND_OF[race.obstacle_kind]
        for number, (along_m, lane) in enumerate(places):
            row = self.batch.rows[car, number]
            clear_row(row, kind, ROLE_BOT if is_bot else ROLE_OBSTACLE)
            row[OBJECT_ALONG], row[OBJECT_LANE], row[OBJECT_SPEED] = along_m, lane, bots[BOT_SPEED]
            if is_bot and race.changes_lanes:
                draw_wait(bots, row, number, seed, keys)
            place_object(self.lanes, self._packed, track, bots, row)

    def drive(self, car: int, track: int, seed: int, keys: NDArray[np.int64], time_s: float) -> None:
        """Let the bot cars of a car that stands drive on; the arguments are those of `place`."""
        drive_bots(self.lanes, self._packed, track, self.batch, car, seed, keys, time_s)

    def place_rival(self, car: int, track: int, rival: Rival | None) -> None:
        """Show a car another racer where it is now, as the only object of its set; None takes it away."""
        self.batch.counts[car] = 0 if rival is None else 1
        if rival is None:
            return
        row = self.batch.rows[car, 0]
        clear_row(row, KIND_CAR, ROLE_RIVAL)
        row[[OBJECT_X, OBJECT_Y, OBJECT_YAW]] = rival.pose
        row[[OBJECT_RED, OBJECT_GREEN, OBJECT_BLUE]] = rival.color
        row[OBJECT_SPEED] = rival.speed_m_s
        row[[OBJECT_CONTACT_LENGTH, OBJECT_CONTACT_WIDTH]] = CAR_CONTACT_M if rival.is_solid else (0.0, 0.0)
        where = measure_place(self._packed, track, rival.pose[0], rival.pose[1])
        row[[OBJECT_PROJECTION, OBJECT_CENTRE_DISTANCE, OBJECT_IS_LEFT]] = where

    def of(self, car: int) -> NDArray[np.float64]:
        """Return the rows of a car's objects, shape (n, OBJECT_SIZE); a view."""
        return self.batch.rows[car, : self.batch.counts[car]]

    def seen_by(self, cars: NDArray[np.int64]) -> ObjectBatch | None:
        """Return copies of the objects of some cars, or None where there can be none."""
        if self.is_empty:
            return None
        return ObjectBatch(self.batch.counts[cars], self.batch.rows[cars], self.batch.bots[cars])

    def start_pose(
        self, car: int, track: int, fraction: float, lane: float | None = None
    ) -> tuple[float, float, float]:
        """Return where a car starts: on the centre line, or beside an object on the lane that is free (contract 7).

        Args:
            car: Whose objects count.
            track: Number of its track.
            fraction: Share of the lap from waypoint 0, in [0, 1).
            lane: Where it starts in any case.

        Returns:
            base_link's x, y in metres and yaw in radians.

        Raises:
            ValueError: There are no lanes, because there can be nothing on any track.
        """
        along_m = fraction * self._tracks[track].length_m
        if lane is not None and self.is_empty:
            raise ValueError(f"lane is {lane}, but nothing is on the track")
        lane = self.free_lane(car, track, along_m) if lane is None else lane
        return start_pose(self._tracks[track], fraction) if lane is None else self.lane_pose(track, along_m, lane)

    def free_lane(self, car: int, track: int, along_m: float) -> float | None:
        """Return the lane that the nearest object within `NEAR_M` leaves free, or None when none is so near."""
        number = self.nearest(car, track, along_m)
        return None if number is None else -self._lane_of(track, self.of(car)[number])

    def nearest(self, car: int, track: int, along_m: float) -> int | None:
        """Return which of a car's objects is nearest to a place, along the track and within `NEAR_M`, or None."""
        length_m, is_closed = self._tracks[track].length_m, self._tracks[track].is_closed
        away = [abs(wrap_along(row[OBJECT_PROJECTION] - along_m, length_m, is_closed)) for row in self.of(car)]
        if not away or min(away) > NEAR_M:
            return None
        return int(np.argmin(away))

    def behind(self, car: int, track: int, number: int, distance_m: float, side: float) -> tuple[float, float, float]:
        """Return the pose so far behind an object, on the other lane (`side` -1) or on its own (1)."""
        row = self.of(car)[number]
        along_m = float(row[OBJECT_PROJECTION]) - distance_m
        if not self._tracks[track].is_closed:
            along_m = max(along_m, 0.0)
        return self.lane_pose(track, along_m, side * self._lane_of(track, row))

    def stands(self, car: int, number: int) -> bool:
        """Return whether an object never moves."""
        role = self.of(car)[number, OBJECT_ROLE]
        return bool(role == ROLE_OBSTACLE or (role == ROLE_BOT and self.batch.bots[car, BOT_SPEED] == 0.0))

    def touches_any(self, car: int, pose: tuple[float, float, float]) -> bool:
        """Return whether a car would touch one of its objects at a pose."""
        state = np.zeros(STATE_SIZE)
        state[[STATE_X, STATE_Y, STATE_YAW]] = pose
        return any(touches(state, row) for row in self.of(car))

    def along_m(self, track: int, place_m: tuple[float, float]) -> float:
        """Return the metres along the centre line at which a point is."""
        return float(measure_place(self._packed, track, *place_m)[0])

    def lane_pose(self, track: int, along_m: float, lane: float) -> tuple[float, float, float]:
        """Return x, y in metres and yaw in radians of a place on a lane, 1 the inner and -1 the outer one."""
        x, y, yaw = lane_pose(self.lanes, track, along_m, 0.5 + 0.5 * lane, 0.0)
        return float(x), float(y), float(yaw)

    def _lane_of(self, track: int, row: NDArray[np.float64]) -> float:
        """Return the lane on whose side of the centre line an object is."""
        is_inner = (row[OBJECT_IS_LEFT] == 1.0) == self._tracks[track].is_counter_clockwise
        return 1.0 if is_inner else -1.0
