"""A scripted driver laps the track, and the shipped reward pays what it should."""

from math import atan2, hypot, sin

import numpy as np
import pytest

from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.environment import BatchEnvironment
from drctl.simulation.track.library import load_track
from drctl.simulation.vehicle.dynamics import curvature
from drctl.simulation.vehicle.physics import PHYSICS

STEERING_DEG = (-30.0, -15.0, 0.0, 15.0, 30.0)
SPEED_M_S = 0.6


class CentreLineDriver:
    """Pure pursuit (Coulter, 1992) with the five actions of the shipped files: aims at a centre point ahead.

    Of the actions the one whose steady turn is nearest to the wanted one is taken.
    """

    def __init__(self, track, variant, look_ahead_m=0.45):
        self.centre, self.arc, self.length_m = track.centre_m, track.arc_m, track.length_m
        self.look_ahead_m = look_ahead_m
        physics = PHYSICS[variant].pack()
        self.bends = np.array([curvature(physics, np.radians(angle), SPEED_M_S) for angle in STEERING_DEG])

    def act(self, pose):
        x, y, yaw = pose
        nearest = int(np.argmin((self.centre[:, 0] - x) ** 2 + (self.centre[:, 1] - y) ** 2))
        target = self._at(self.arc[nearest] + self.look_ahead_m)
        angle = atan2(target[1] - y, target[0] - x) - yaw
        wanted = 2.0 * sin(angle) / hypot(target[0] - x, target[1] - y)
        return int(np.argmin(np.abs(self.bends - wanted)))

    def _at(self, along_m):
        wrapped = np.vstack([self.centre, self.centre[:1]])
        arc = np.append(self.arc, self.length_m)
        return [np.interp(along_m % self.length_m, arc, wrapped[:, axis]) for axis in (0, 1)]


def drive(environment, start, choose):
    """Play one episode; `choose(pose, step)` names the action. Return its record."""
    cars = np.array([0])
    environment.begin(0, start)
    for step in range(2000):
        end = environment.step(cars, np.array([choose(environment.poses(cars)[0], step)]))
        if end.terminated[0]:
            return environment.record(0)
    pytest.fail("the episode did not end")


@pytest.mark.parametrize("variant", ["effort", "kinematics", "ros2"])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_centre_line_driver_completes_a_lap(make_spec, training_start, variant, is_reversed):
    environment = BatchEnvironment(make_spec(physics=variant), 1)
    track = load_track("reinvent_base")
    driver = CentreLineDriver(track.reversed_direction() if is_reversed else track, variant)
    record = drive(environment, training_start(is_reversed=is_reversed), lambda pose, _: driver.act(pose))
    assert record.status is EpisodeStatus.LAP_COMPLETE
    assert record.progress_percent == 100.0
    # 17.7 m at 0.6 x 36/35 m/s, on a line that may be some percent shorter or longer.
    assert record.duration_s == pytest.approx(17.7 / (0.6 * 36 / 35), rel=0.1)
    assert record.rows["all_wheels_on_track"].mean() > 0.9


def test_a_lap_may_begin_anywhere(make_spec, training_start):
    environment = BatchEnvironment(make_spec(), 1)
    driver = CentreLineDriver(load_track("reinvent_base"), "ros2")
    for fraction in (0.2, 0.5, 0.95):
        record = drive(environment, training_start(start_fraction=fraction), lambda pose, _: driver.act(pose))
        assert record.is_lap
        assert np.all(np.diff(record.rows["progress"][2:]) > -0.5)


def test_outside_the_border_a_step_is_worth_a_hundredth_at_most(make_spec, training_start):
    environment = BatchEnvironment(make_spec(), 1)
    driver = CentreLineDriver(load_track("reinvent_base"), "ros2")
    lap = drive(environment, training_start(), lambda pose, _: driver.act(pose))
    outside = []
    for action in range(5):
        record = drive(environment, training_start(start_fraction=0.4), lambda _pose, _step, action=action: action)
        is_out = ~record.rows["all_wheels_on_track"] & (record.rows["reward"] < 0.05)
        outside.extend(record.rows["reward"][is_out])
    on_centre = np.median(lap.rows["reward"][1:])
    assert len(outside) > 10
    assert on_centre == 1.0
    assert max(outside) <= 0.01 * on_centre


def test_no_episode_that_ends_off_the_track_earns_more_than_a_lap(make_spec, training_start):
    environment = BatchEnvironment(make_spec(), 1)
    driver = CentreLineDriver(load_track("reinvent_base"), "ros2")
    lap = drive(environment, training_start(), lambda pose, _: driver.act(pose))
    rng = np.random.default_rng(0)
    leavers = [
        *(lambda _pose, _step, action=action: action for action in range(5)),
        lambda _pose, _step: int(rng.integers(5)),
        lambda _pose, step: 1 + step % 3,
        lambda pose, step: driver.act(pose) if step < 0.95 * lap.steps else 0,  # a lap but for its end
    ]
    for choose in leavers:
        record = drive(environment, training_start(), choose)
        assert record.status is EpisodeStatus.OFF_TRACK
        assert record.reward < lap.reward
    assert record.progress_percent > 90.0
