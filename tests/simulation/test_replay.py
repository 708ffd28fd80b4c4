"""Commands of the original's log, replayed, lead to where its car went (effort physics, 1 to 2 m/s)."""

from math import cos, hypot, radians, sin

import numpy as np
import pytest

from drctl.simulation.vehicle.dynamics import STATE_SIZE, STATE_X, STATE_Y, STATE_YAW, advance_car
from drctl.simulation.vehicle.physics import PHYSICS

WARM_UP, HORIZON, STRIDE = 30, 15, 7
NOSE_M = 0.14


def place(row, before, earlier):
    """State of a car at a logged row: at the logged speed, wheels where they were commanded."""
    yaw = radians(row["yaw"])
    speed = hypot(row["X"] - before["X"], row["Y"] - before["Y"]) / max(before["tstamp"] - earlier["tstamp"], 1e-3)
    angle = radians(before["steer"])
    return np.array([row["X"] - NOSE_M * cos(yaw), row["Y"] - NOSE_M * sin(yaw), yaw, speed, angle, angle])


def nose(state):
    yaw = state[STATE_YAW]
    return complex(state[STATE_X] + NOSE_M * cos(yaw), state[STATE_Y] + NOSE_M * sin(yaw)), yaw


def replay(rows, anchor, physics):
    """Return the distance between simulated and logged nose after 5 and 15 steps from an anchor row.

    The simulated path is moved rigidly so that both agree at the anchor.
    """
    first = max(2, anchor - WARM_UP)
    state = np.zeros(STATE_SIZE)
    state[:] = place(rows[first], rows[first - 1], rows[first - 2])
    path = []
    for index in range(first, anchor + HORIZON):
        if index >= anchor:
            path.append(nose(state))
        row = rows[index]
        advance_car(physics, state, row["steer"], row["throttle"], row["tstamp"] - rows[index - 1]["tstamp"])
    path.append(nose(state))
    start, start_yaw = path[0]
    logged_start, turn = complex(rows[anchor]["X"], rows[anchor]["Y"]), radians(rows[anchor]["yaw"]) - start_yaw
    moved = [logged_start + (point - start) * complex(cos(turn), sin(turn)) for point, _ in path]
    logged = [complex(row["X"], row["Y"]) for row in rows[anchor : anchor + HORIZON + 1]]
    return [abs(moved[steps] - logged[steps]) for steps in (5, 15)]


def is_even(rows, first, last):
    gaps = [rows[i]["tstamp"] - rows[i - 1]["tstamp"] for i in range(first, last)]
    return all(0.005 < gap < 0.3 for gap in gaps)


def test_the_effort_physics_follows_the_log(excerpt):
    physics = PHYSICS["effort"].pack()
    errors = [
        replay(rows, anchor, physics)
        for rows in excerpt
        for anchor in range(4, len(rows) - HORIZON - 1, STRIDE)
        if is_even(rows, max(1, anchor - WARM_UP), anchor + HORIZON + 1)
    ]
    assert len(errors) > 150
    after_5, after_15 = np.median(errors, axis=0)
    assert after_5 <= 0.040
    assert after_15 <= 0.146


@pytest.mark.parametrize("variant", ["kinematics", "ros2"])
def test_the_other_physics_do_not(excerpt, variant):
    """The test above can fail: another car's figures miss the log by twice as much."""
    physics, rows = PHYSICS[variant].pack(), max(excerpt, key=len)
    errors = [replay(rows, anchor, physics)[1] for anchor in range(4, len(rows) - HORIZON - 1, STRIDE)]
    assert np.median(errors) > 0.2
