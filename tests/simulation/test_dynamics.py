"""The car moves as the measured closed forms say (simulator-facts 1.5)."""

from math import cos, exp, hypot, pi, radians, sin, tan

import numpy as np
import pytest

from drctl.errors import ConfigError
from drctl.simulation.vehicle.dynamics import (
    STATE_SIZE,
    STATE_SPEED,
    STATE_STEERING,
    STATE_X,
    STATE_Y,
    STATE_YAW,
    advance_car,
)
from drctl.simulation.vehicle.physics import PHYSICS, resolve_physics

STEP_S = 1 / 15
VARIANTS = ("effort", "kinematics", "ros2")


def drive(variant, steering_deg, speed_m_s, seconds, step_s=STEP_S, state=None):
    state = np.zeros(STATE_SIZE) if state is None else state
    for _ in range(round(seconds / step_s)):
        advance_car(PHYSICS[variant].pack(), state, steering_deg, speed_m_s, step_s)
    return state


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_command_a_resting_car_stays_where_it_is(variant):
    state = np.array([1.0, -2.0, 0.5, 0.0, 0.0, 0.0])
    drive(variant, 0.0, 0.0, 2.0, state=state)
    np.testing.assert_array_equal(state, [1.0, -2.0, 0.5, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("yaw", [0.0, 2.0])
def test_straight_on_is_a_straight_line(variant, yaw):
    state = np.zeros(STATE_SIZE)
    state[STATE_YAW] = yaw
    drive(variant, 0.0, 1.0, 4.0, state=state)
    assert state[STATE_YAW] == yaw
    assert state[STATE_X] * sin(yaw) == pytest.approx(state[STATE_Y] * cos(yaw), abs=1e-12)
    # 36/35 of the command (simulator-facts 0.5); the start costs about the time of the lag and of the acceleration.
    assert state[STATE_SPEED] == pytest.approx(36 / 35, rel=1e-6)
    assert 3.5 < hypot(state[STATE_X], state[STATE_Y]) < 4.12


def test_speed_stops_at_what_the_wheels_can_turn():
    assert drive("kinematics", 0.0, 4.0, 10.0)[STATE_SPEED] == pytest.approx(3.6, rel=1e-6)
    assert drive("kinematics", 0.0, 9.0, 10.0)[STATE_SPEED] == pytest.approx(3.6, rel=1e-6)
    assert drive("kinematics", 0.0, 0.01, 10.0)[STATE_SPEED] == pytest.approx(0.1 * 36 / 35, rel=1e-6)


@pytest.mark.parametrize(
    ("variant", "acceleration", "time_constant"),
    [("effort", 2.85, 0.17), ("kinematics", 3.3, 0.17), ("ros2", 9.0, 0.025)],
)
def test_speed_follows_its_bound_and_then_its_lag(variant, acceleration, time_constant):
    target = 2.0 * 36 / 35
    for time_s in (0.1, 0.3, 0.5, 0.9):
        # By hand: as fast as allowed until the rest is bound * time constant, from then on exponentially.
        bounded_s = (target - acceleration * time_constant) / acceleration
        if time_s < bounded_s:
            expected = acceleration * time_s
        else:
            expected = target - acceleration * time_constant * exp(-(time_s - bounded_s) / time_constant)
        assert drive(variant, 0.0, 2.0, time_s, 0.01)[STATE_SPEED] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("variant", "time_constant", "dead_s"),
    [("effort", 0.48, 0.013), ("kinematics", 0.12, 0.035), ("ros2", 0.168, 0.029)],
)
def test_steering_follows_its_lag_after_its_dead_time(variant, time_constant, dead_s):
    for time_s in (0.1, 0.2, 0.4):
        state = drive(variant, 20.0, 1.0, time_s, time_s)
        expected = radians(20.0) * (1.0 - exp(-(time_s - dead_s) / time_constant))
        assert state[STATE_STEERING] == pytest.approx(expected, rel=0.02)
    state = drive(variant, 20.0, 1.0, dead_s / 2, dead_s / 2)
    assert state[STATE_STEERING] == 0.0


def test_steering_beyond_30_degrees_is_30_degrees():
    assert drive("ros2", 75.0, 1.0, 5.0)[STATE_STEERING] == pytest.approx(radians(30.0))
    assert drive("ros2", -75.0, 1.0, 5.0)[STATE_STEERING] == pytest.approx(radians(-30.0))


def steady_curvature(variant, steering_deg, speed_m_s):
    """Turn of the heading by distance of the pivot, once lags have died out."""
    state = drive(variant, steering_deg, speed_m_s, 8.0)
    before = state.copy()
    advance_car(PHYSICS[variant].pack(), state, steering_deg, speed_m_s, STEP_S)
    turn = (state[STATE_YAW] - before[STATE_YAW] + pi) % (2 * pi) - pi
    return turn / (before[STATE_SPEED] * STEP_S)


@pytest.mark.parametrize(
    ("variant", "steering_deg", "speed_m_s", "expected"),
    [
        # g tan(delta) / 0.164, a tenth less at 2.2 m/s.
        ("effort", 10.0, 35 / 36, 0.78 * tan(radians(10)) / 0.164),
        ("effort", 18.0, 35 / 36, 0.65 * tan(radians(18)) / 0.164),
        ("effort", 25.0, 35 / 36, 0.55 * tan(radians(25)) / 0.164),
        ("effort", 10.0, 2.2 * 35 / 36, 0.9 * 0.78 * tan(radians(10)) / 0.164),
        # min(0.38 / (1 + 0.035 v^2) tan(delta) / 0.164, 2.4 / v^2)
        ("kinematics", 15.0, 35 / 36, 0.38 / 1.035 * tan(radians(15)) / 0.164),
        ("kinematics", -15.0, 35 / 36, -0.38 / 1.035 * tan(radians(15)) / 0.164),
        ("kinematics", 30.0, 2.0 * 35 / 36, 2.4 / 4.0),
        # 0.64, above 22 degrees 0.57, at most 4.8 / v^2
        ("ros2", 12.0, 35 / 36, 0.64 * tan(radians(12)) / 0.164),
        ("ros2", 25.0, 35 / 36, 0.57 * tan(radians(25)) / 0.164),
        ("ros2", 25.0, 2.4 * 35 / 36, 4.8 / 2.4**2),
    ],
)
def test_steady_curvature_is_the_closed_form(variant, steering_deg, speed_m_s, expected):
    assert steady_curvature(variant, steering_deg, speed_m_s) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("speed_m_s", "measured"), [(1.0, 1.10), (1.4, 0.99), (1.8, 0.72), (2.2, 0.48), (2.6, 0.43)])
def test_full_lock_is_near_what_was_measured(speed_m_s, measured):
    assert steady_curvature("kinematics", 30.0, speed_m_s) == pytest.approx(measured, rel=0.25)


def test_full_lock_under_ros2_is_near_what_was_measured():
    assert steady_curvature("ros2", 25.0, 1.0) == pytest.approx(1.44, rel=0.25)


@pytest.mark.parametrize(("variant", "pivot_m"), [("effort", 0.09), ("kinematics", 0.05), ("ros2", 0.096)])
def test_a_steady_turn_is_a_circle_around_the_pivot_s_normal(variant, pivot_m):
    state = drive(variant, 15.0, 1.0, 8.0)
    bend = steady_curvature(variant, 15.0, 1.0)
    # The centre lies left of the pivot, which lies behind base_link.
    yaw = state[STATE_YAW]
    centre = (
        state[STATE_X] - pivot_m * cos(yaw) - sin(yaw) / bend,
        state[STATE_Y] - pivot_m * sin(yaw) + cos(yaw) / bend,
    )
    for _ in range(40):
        drive(variant, 15.0, 1.0, STEP_S, state=state)
        away = hypot(state[STATE_X] - centre[0], state[STATE_Y] - centre[1])
        assert away == pytest.approx(hypot(1 / bend, pivot_m), rel=1e-6)


def test_how_a_step_is_cut_hardly_matters():
    whole, pieces = drive("ros2", 25.0, 1.0, 2.0, 0.2), drive("ros2", 25.0, 1.0, 2.0, 0.04)
    assert hypot(*(whole - pieces)[:2]) < 0.002


@pytest.mark.parametrize(
    ("setting", "version", "expected"),
    [
        ("auto", 5.0, "ros2"),
        ("auto", 6.0, "ros2"),
        ("auto", 4.0, "effort"),
        ("", 3.0, "effort"),
        ("kinematics", 4.0, "kinematics"),
        ("effort", 5.0, "effort"),
    ],
)
def test_which_physics_a_setting_means(setting, version, expected):
    assert resolve_physics(setting, version) == expected


def test_an_unknown_physics_is_refused():
    with pytest.raises(ConfigError) as caught:
        resolve_physics("kinematic", 5.0)
    problem = caught.value.problems[0]
    assert problem.what == "DR_PHYSICS is 'kinematic'"
    assert problem.expected == "one of: auto, effort, kinematics, ros2"
    assert problem.fix == "drctl config set DR_PHYSICS=kinematics"
