"""What a reward function is told at each step (contract 5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.simulation.race.contact import CRASH
from drctl.simulation.race.measuring import (
    CENTRE_DISTANCE,
    CONTACT,
    HEADING,
    IS_LEFT,
    NEXT_WAYPOINT,
    NOSE_X,
    NOSE_Y,
    PREVIOUS_WAYPOINT,
    PROJECTION,
    TRACK_WIDTH,
    WHEELS_ON_TRACK,
)
from drctl.simulation.race.objects import OBJECT_SIZE
from drctl.simulation.reward.object_params import describe_objects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track

NOTHING: Final = np.empty((0, OBJECT_SIZE))


class ParamsBuilder:
    """Makes the dictionary for cars on one track.

    Every value is a plain Python object, and every container is made anew, so that a user may change them.

    Args:
        track: In driving direction.
    """

    def __init__(self, track: Track) -> None:
        centre = [(x, y) for x, y in track.centre_m.tolist()]
        self._waypoints = [*centre, centre[0]] if track.is_closed else centre
        self._length_m = track.length_m
        self._is_reversed = track.is_reversed

    def build(
        self,
        measure: list[float],
        progress: float,
        steps: float,
        speed_m_s: float,
        steering_deg: float,
        time_s: float,
        objects: NDArray[np.float64] = NOTHING,
    ) -> dict[str, Any]:
        """Return the parameters of one step.

        Args:
            measure: The car's row of `race.measuring` numbers, of the pose before the action.
            progress: Percent.
            steps: Number of the step, the prepare step included: 2.0 in the first call.
            speed_m_s: Speed of the chosen action, not clipped.
            steering_deg: Steering angle of the chosen action, not clipped.
            time_s: Simulated time since the episode began.
            objects: ``OBJECT_`` numbers of what else is on the track, shape (n, OBJECT_SIZE).
        """
        return {
            "all_wheels_on_track": measure[WHEELS_ON_TRACK] == 4.0,
            "x": measure[NOSE_X],
            "y": measure[NOSE_Y],
            "heading": measure[HEADING],
            "distance_from_center": measure[CENTRE_DISTANCE],
            "projection_distance": measure[PROJECTION],
            "progress": progress,
            "steps": steps,
            "speed": speed_m_s,
            "steering_angle": steering_deg,
            "track_width": measure[TRACK_WIDTH],
            "track_length": self._length_m,
            "waypoints": self._waypoints.copy(),
            "closest_waypoints": [int(measure[PREVIOUS_WAYPOINT]), int(measure[NEXT_WAYPOINT])],
            "is_left_of_center": measure[IS_LEFT] == 1.0,
            "is_reversed": self._is_reversed,
            "is_crashed": measure[CONTACT] == CRASH,
            "is_offtrack": measure[WHEELS_ON_TRACK] == 0.0,
            "sim_time": time_s,
            **describe_objects(objects, measure, self._length_m),
        }
