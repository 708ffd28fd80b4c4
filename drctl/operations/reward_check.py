"""Try a reward function on a sampled lap before a training starts, where an error costs seconds and not a night."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from math import cos, sin
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from drctl.formats.model_metadata import ContinuousActionSpace
from drctl.formats.race_params import RaceParams
from drctl.operations.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drctl.formats.model_metadata import ModelMetadata
    from drctl.simulation.reward.function import RewardFunction
    from drctl.simulation.track.track import Track

CENTRE_POSES: Final = 20
SIDE_POSES: Final = 10
SLOW_CALL_S: Final = 0.001
"""A call that takes longer is most of a step: without it a core does 10,000 steps per second (DESIGN 8)."""

OFF_TRACK_SHARE: Final = 0.1
"""Of the reward on the centre line; what is paid off the track beyond this may be worth leaving it for."""

_PAY_NOTHING_OFF: Final = "return 0.001 or less where all_wheels_on_track is False"

_STEP_S: Final = 1 / 15


def check_reward(
    source: str, place: str, track: Track, metadata: ModelMetadata | None, race: RaceParams | None = None
) -> list[Finding]:
    """Call a reward function on poses along the centre line, near both borders and off the track.

    What it prints is thrown away.

    Args:
        source: Text of the user's file.
        place: Its path for messages.
        track: Where the training takes place.
        metadata: For a speed and a steering angle that the model has; None for 1 m/s straight on.
        race: What else is on the track, standing as at the start of an episode; None for nothing.

    Returns:
        What is odd about the rewards and not wrong.

    Raises:
        RewardError: It raises, hangs, or returns something else than a finite number; names file and line.
    """
    from drctl.simulation.reward.function import RewardFunction

    speed, steering = _an_action(metadata)
    race = race or RaceParams()
    lanes = {
        "on": _lane(track, CENTRE_POSES, 0.0, speed, steering, race),
        "left": _lane(track, SIDE_POSES, 0.4, speed, steering, race),
        "right": _lane(track, SIDE_POSES, -0.4, speed, steering, race),
        "off": _lane(track, SIDE_POSES, 1.5, speed, steering, race),
    }
    rewards: dict[str, list[float]] = {}
    seconds: list[float] = []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        reward = RewardFunction(source, place)
        for name, poses in lanes.items():
            rewards[name] = _rewards(reward, poses, seconds)
    # The median: what else the machine does stretches some calls, a slow function all of them.
    return _describe(place, rewards, statistics.median(seconds))


def _an_action(metadata: ModelMetadata | None) -> tuple[float, float]:
    if metadata is None:
        return 1.0, 0.0
    space = metadata.action_space
    if isinstance(space, ContinuousActionSpace):
        return (space.speed_low_m_s + space.speed_high_m_s) / 2, (space.steering_low_deg + space.steering_high_deg) / 2
    middle = len(space) // 2
    return space.speed_m_s[middle], space.steering_deg[middle]


def _lane(
    track: Track, count: int, offset: float, speed_m_s: float, steering_deg: float, race: RaceParams
) -> list[dict[str, Any]]:
    """Return the params of poses along a lap.

    Args:
        track: The track.
        count: How many, evenly spread.
        offset: How far left of the centre line, as a fraction of the road's width there; beyond 0.5 is off the road.
        speed_m_s: Of the action.
        steering_deg: Of the action.
        race: See `check_reward`.
    """
    import numpy as np

    from drctl.simulation.race.measuring import MEASURE_SIZE, TRACK_WIDTH, measure_car
    from drctl.simulation.race.packed_tracks import pack_tracks
    from drctl.simulation.race.start_pose import start_pose
    from drctl.simulation.race.traffic import Traffic
    from drctl.simulation.reward.params import ParamsBuilder
    from drctl.simulation.vehicle.dynamics import STATE_SIZE, STATE_X, STATE_Y, STATE_YAW

    packed, builder = pack_tracks([track]), ParamsBuilder(track)
    traffic = Traffic([race], [track], packed, 1)
    traffic.place(0, 0, 0, np.zeros(3, np.int64))
    state, measure = np.zeros(STATE_SIZE), np.zeros(MEASURE_SIZE)
    found = []
    for number in range(count):
        fraction = number / count
        state[STATE_X], state[STATE_Y], state[STATE_YAW] = x, y, yaw = start_pose(track, fraction)
        measure_car(packed, 0, state, measure)
        if offset:
            aside = offset * measure[TRACK_WIDTH]
            state[STATE_X], state[STATE_Y] = x - aside * sin(yaw), y + aside * cos(yaw)
            measure_car(packed, 0, state, measure)
        time_s = fraction * track.length_m / max(speed_m_s, 0.1)
        steps = 2.0 + round(time_s / _STEP_S)
        found.append(
            builder.build(
                measure.tolist(), 100.0 * fraction, steps, speed_m_s, steering_deg, time_s, traffic.of(0).copy()
            )
        )
    return found


def _rewards(reward: RewardFunction, poses: Sequence[dict[str, Any]], seconds: list[float]) -> list[float]:
    """Return the reward of each pose, in one episode, and add to `seconds` how long each call took."""
    episode = reward.for_episode()
    rewards = []
    with reward.watchdog:
        for params in poses:
            started = time.perf_counter()
            rewards.append(episode(params))
            seconds.append(time.perf_counter() - started)
    return rewards


def _describe(place: str, rewards: dict[str, list[float]], seconds: float) -> list[Finding]:
    on, off = fmean(rewards["on"]), fmean(rewards["off"])
    findings = []
    if off > on:
        what = f"{place} pays more off the track ({off:.3g} per step) than on its centre line ({on:.3g})"
        findings.append(Finding(what, place, _PAY_NOTHING_OFF))
    elif len({value for values in rewards.values() for value in values}) == 1:
        findings.append(Finding(f"{place} pays {on:.3g} everywhere, on the track and off it", place, _PAY_NOTHING_OFF))
    elif off > OFF_TRACK_SHARE * on:
        what = f"{place} pays {off:.3g} per step off the track, and {on:.3g} on its centre line"
        findings.append(Finding(what, place, _PAY_NOTHING_OFF))
    if max(on, fmean(rewards["left"]), fmean(rewards["right"])) < 0.0:
        what = f"{place} pays {on:.3g} per step on the track: an early end pays more than a lap"
        findings.append(Finding(what, place, "pay more than 0 for a step on the track"))
    if seconds > SLOW_CALL_S:
        what = f"{place} takes {seconds * 1000:.1f} ms per step: a worker can do {1 / seconds:.0f} steps/s at most"
        findings.append(Finding(what, place))
    return findings
