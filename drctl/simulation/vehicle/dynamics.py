"""How a car moves: the measured closed forms as compiled kernels (simulator-facts 1.5).

A car's state is a row of `STATE_SIZE` numbers; the ``STATE_`` constants name the columns. Steering follows its command
with a dead time and a first-order lag, speed with a first-order lag within bounds of acceleration; both are exact for
any step length. The path is laid of circular arcs, so a straight line and a steady circle are exact too.
"""

from __future__ import annotations

from math import cos, exp, pi, radians, sin, tan
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from drctl.simulation.vehicle.geometry import WHEELBASE_M
from drctl.simulation.vehicle.physics import (
    SPEED_CEILING_M_S,
    SPEED_FACTOR,
    SPEED_HIGH_M_S,
    SPEED_LOW_M_S,
    STEERING_LIMIT_DEG,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATE_X: Final = 0  # base_link, m
STATE_Y: Final = 1
STATE_YAW: Final = 2  # rad, -pi..pi
STATE_SPEED: Final = 3  # m/s, of the pivot
STATE_STEERING: Final = 4  # rad, of the wheels
STATE_COMMAND: Final = 5  # rad, the steering command that acts
STATE_SIZE: Final = 6

_PIECE_S: Final = 0.0168  # a step of 66.7 ms is laid of four arcs
_STEERING_LIMIT_RAD: Final = radians(STEERING_LIMIT_DEG)
_LEAST_SPEED_M_S: Final = 1e-9
_NUMBERS: Final = 9  # before the gain table in what `Physics.pack` returns


@njit(cache=True, inline="always")
def wrap_angle(angle_rad: float) -> float:
    """Return the angle in [-pi, pi)."""
    return (angle_rad + pi) % (2.0 * pi) - pi


@njit(cache=True)
def curvature(physics: NDArray[np.float64], steering_rad: float, speed_m_s: float) -> float:
    """Return the curvature of the path in 1/m, left positive, for wheels held at an angle at a steady speed.

    Args:
        physics: As `Physics.pack` returns it.
        steering_rad: Angle of the wheels.
        speed_m_s: Speed.
    """
    count = (len(physics) - _NUMBERS) // 2
    angle = abs(steering_rad)
    gain: float = physics[_NUMBERS + count]
    for entry in range(1, count):
        low, high = physics[_NUMBERS + entry - 1], physics[_NUMBERS + entry]
        if angle > low:
            share = min(1.0, (angle - low) / (high - low))
            before, after = physics[_NUMBERS + count + entry - 1], physics[_NUMBERS + count + entry]
            gain = before + share * (after - before)
    if speed_m_s > 1.0:
        gain *= max(0.0, 1.0 - physics[7] * (speed_m_s - 1.0))
    gain /= 1.0 + physics[8] * speed_m_s * speed_m_s
    cap: float = physics[5] / max(speed_m_s * speed_m_s, _LEAST_SPEED_M_S)
    bend = min(gain * tan(angle) / WHEELBASE_M, cap)
    return bend if steering_rad >= 0.0 else -bend


@njit(cache=True)
def _approach_speed(physics: NDArray[np.float64], speed: float, target: float, time: float) -> tuple[float, float]:
    """Return the speed after a time and the distance driven meanwhile."""
    time_constant = physics[2]
    rate = physics[3] if target > speed else physics[4]
    gap = target - speed
    distance = 0.0
    if abs(gap) > rate * time_constant:  # the bound holds until the lag alone asks for less
        bounded = min(time, (abs(gap) - rate * time_constant) / rate)
        change = rate * bounded if gap > 0.0 else -rate * bounded
        distance = (speed + 0.5 * change) * bounded
        speed += change
        time -= bounded
        gap = target - speed
    decay = exp(-time / time_constant)
    distance += target * time - gap * time_constant * (1.0 - decay)
    return target - gap * decay, distance


@njit(cache=True)
def _advance_piece(
    physics: NDArray[np.float64], state: NDArray[np.float64], target_m_s: float, steering_rad: float, time_s: float
) -> None:
    """Move one car along one circular arc, its wheels bound for a steering angle."""
    decay = exp(-0.5 * time_s / physics[0])
    middle = steering_rad + (state[STATE_STEERING] - steering_rad) * decay
    state[STATE_STEERING] = steering_rad + (middle - steering_rad) * decay
    start = state[STATE_SPEED]
    state[STATE_SPEED], distance = _approach_speed(physics, start, target_m_s, time_s)
    bend = curvature(physics, middle, 0.5 * (start + state[STATE_SPEED]))
    yaw = state[STATE_YAW]
    turn = bend * distance
    pivot = physics[6]
    # The pivot moves by the chord of the arc: its direction is the mean heading, its length the arc's times
    # sin(t/2) / (t/2). base_link, ahead of it, also swings around it.
    chord = distance * sin(0.5 * turn) / (0.5 * turn) if abs(turn) > 1e-9 else distance
    state[STATE_X] += chord * cos(yaw + 0.5 * turn) + pivot * (cos(yaw + turn) - cos(yaw))
    state[STATE_Y] += chord * sin(yaw + 0.5 * turn) + pivot * (sin(yaw + turn) - sin(yaw))
    state[STATE_YAW] = wrap_angle(yaw + turn)


@njit(cache=True)
def _advance_stretch(
    physics: NDArray[np.float64], state: NDArray[np.float64], target_m_s: float, steering_rad: float, time_s: float
) -> None:
    pieces = max(1, int(np.ceil(time_s / _PIECE_S)))
    for _ in range(pieces):
        _advance_piece(physics, state, target_m_s, steering_rad, time_s / pieces)


@njit(cache=True)
def advance_car(
    physics: NDArray[np.float64], state: NDArray[np.float64], steering_deg: float, speed_m_s: float, time_s: float
) -> None:
    """Let one car obey one command for a while.

    Args:
        physics: As `Physics.pack` returns it.
        state: Row of the car, shape (STATE_SIZE,); changed in place.
        steering_deg: Commanded angle, left positive; clipped to +-30.
        speed_m_s: Commanded speed; clipped to 0.1 to 4, except that 0 stops the car.
        time_s: Simulated time.
    """
    steering = min(max(radians(steering_deg), -_STEERING_LIMIT_RAD), _STEERING_LIMIT_RAD)
    target = 0.0
    if speed_m_s > 0.0:
        target = min(min(max(speed_m_s, SPEED_LOW_M_S), SPEED_HIGH_M_S) * SPEED_FACTOR, SPEED_CEILING_M_S)
    waiting = min(physics[1], time_s) if steering != state[STATE_COMMAND] else 0.0
    if waiting > 0.0:
        _advance_stretch(physics, state, target, state[STATE_COMMAND], waiting)
    if time_s > waiting:
        _advance_stretch(physics, state, target, steering, time_s - waiting)
    state[STATE_COMMAND] = steering
