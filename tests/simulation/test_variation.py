"""Domain randomisation: bounds, keys, and what each group does to what a car sees and how it drives."""

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from drctl.config.randomization import RANDOMIZED_GROUPS
from drctl.formats.race_params import RaceParams
from drctl.simulation.environment import WorldSpec
from drctl.simulation.race.objects import OBJECT_BLUE, OBJECT_GREEN, OBJECT_RED
from drctl.simulation.random import EVALUATION_OFFSET
from drctl.simulation.sensors.camera_geometry import FOCAL_LENGTH_PX, HORIZON_ROW, LENS_FORWARD_M, LENS_HEIGHT_M
from drctl.simulation.sensors.camera_tilt import tilt_frame
from drctl.simulation.variation import OBJECT_COLOR, RANGES, USUAL, Variation, draw_colors, draw_variation
from drctl.simulation.variety import aim_camera, light_of, vary_physics
from drctl.simulation.vehicle.physics import PHYSICS

EVERYTHING = dict.fromkeys(RANDOMIZED_GROUPS, 1.0)


def worlds(**shares):
    return (WorldSpec("reinvent_base", None, tuple(shares.items())),)


def test_the_groups_that_the_setting_knows_are_those_that_vary():
    assert {span.group for span in (*RANGES.values(), OBJECT_COLOR)} == set(RANDOMIZED_GROUPS)


def test_draws_fill_their_range_and_never_leave_it():
    drawn = [draw_variation(EVERYTHING, 1, 0, 3, episode) for episode in range(300)]
    for name, span in RANGES.items():
        values = [getattr(one, name) for one in drawn]
        width = span.high - span.low
        assert span.low <= min(values) < span.low + 0.05 * width, name
        assert span.high - 0.05 * width < max(values) <= span.high, name
        assert span.low <= getattr(USUAL, name) <= span.high, name


def test_a_share_pulls_a_draw_towards_the_usual_value():
    whole, half = (draw_variation({"camera": share}, 1, 0, 0, 0) for share in (1.0, 0.5))
    assert half.pitch_deg == pytest.approx(whole.pitch_deg / 2)
    assert half.height_m == pytest.approx(whole.height_m / 2)


def test_leaving_a_group_out_changes_nothing_else():
    some = draw_variation({**EVERYTHING, "lights": 0.0}, 7, 0, 2, 5)
    every = draw_variation(EVERYTHING, 7, 0, 2, 5)
    assert replace(some, sun_red=every.sun_red, sun_green=every.sun_green, sun_blue=every.sun_blue) == every
    assert (some.sun_red, some.sun_green, some.sun_blue) == (1.0, 1.0, 1.0)


def test_every_key_gives_another_world():
    keys = [(1, 0, 0, 0), (2, 0, 0, 0), (1, EVALUATION_OFFSET, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1)]
    assert len({draw_variation(EVERYTHING, *key) for key in keys}) == len(keys)
    assert draw_variation(EVERYTHING, *keys[0]) == draw_variation(EVERYTHING, *keys[0])


def test_an_episode_is_the_same_whatever_is_driven_beside_it(make_environment, training_start):
    alone = make_environment(1, worlds=worlds(**EVERYTHING), seed=4)
    beside = make_environment(3, worlds=worlds(**EVERYTHING), seed=4)
    alone.begin(0, training_start(8))
    for car, episode in enumerate((2, 8, 5)):
        beside.begin(car, training_start(episode))
    for _ in range(5):
        alone.step(np.array([0]), np.array([3]))
        beside.step(np.array([2, 0, 1]), np.array([1, 0, 3]))
    assert np.array_equal(alone.frames[0], beside.frames[1])
    assert np.array_equal(alone.poses(np.array([0])), beside.poses(np.array([1])))
    assert not np.array_equal(beside.frames[0], beside.frames[1])


def test_each_world_varies_as_its_own_entry_says(make_environment, training_start):
    both = make_environment(2, worlds=(WorldSpec("reinvent_base"), *worlds(**EVERYTHING)))
    usual = make_environment(1)
    both.begin(0, training_start(6, world=0))
    both.begin(1, training_start(6, world=1))
    usual.begin(0, training_start(6))
    assert np.array_equal(both.frames[0], usual.frames[0])
    assert not np.array_equal(both.frames[1], usual.frames[0])


@pytest.mark.parametrize("group", ["lights", "walls", "texture", "camera"])
def test_looks_change_the_frame_and_not_the_path(make_environment, training_start, group):
    usual, varied = make_environment(1), make_environment(1, worlds=worlds(**{group: 1.0}))
    for environment in (usual, varied):
        environment.begin(0, training_start(3))
        environment.step(np.array([0]), np.array([3]))
    assert np.array_equal(usual.poses(np.array([0])), varied.poses(np.array([0])))
    difference = np.abs(usual.frames[0].astype(int) - varied.frames[0])
    assert difference.max() > (0 if group == "walls" else 10)  # walls are almost black
    if group == "walls":  # nothing but walls: the road before the car stays as it is
        assert not difference[60:].any()


@pytest.mark.parametrize("group", ["curvature", "steering", "grip", "latency"])
def test_driving_changes_the_path(make_environment, make_spec, training_start, group):
    metadata = make_spec().metadata.replace("0.6", "2.5")  # fast enough for the grip to give out
    usual = make_environment(1, metadata=metadata)
    varied = make_environment(1, metadata=metadata, worlds=worlds(**{group: 1.0}))
    for environment in (usual, varied):
        environment.begin(0, training_start(3))
    assert np.array_equal(usual.frames, varied.frames)
    for _ in range(6):
        for environment in (usual, varied):
            environment.step(np.array([0]), np.array([4]))
    apart = np.abs(usual.poses(np.array([0])) - varied.poses(np.array([0]))).max()
    assert apart > 1e-3


def test_the_car_of_an_episode_has_scaled_figures():
    varied = vary_physics(PHYSICS["ros2"], Variation(curvature=1.1, steering_lag=0.5, lateral_cap=0.75, latency_s=0.02))
    assert varied.gain == ((19.0, pytest.approx(0.704)), (22.0, pytest.approx(0.627)))
    assert varied.steering_time_s == pytest.approx(0.084)
    assert varied.lateral_cap_m_s2 == pytest.approx(3.6)
    assert varied.dead_time_s == pytest.approx(0.049)
    assert vary_physics(PHYSICS["ros2"], USUAL) == PHYSICS["ros2"]


def test_without_sun_the_ambient_light_is_left():
    assert light_of(Variation(sun_red=0.0, sun_green=0.5)) == (pytest.approx(0.45), pytest.approx(0.725), 1.0)


def test_a_turned_camera_stays_where_its_lens_is():
    x, y, yaw = aim_camera(np.array([1.0, 2.0, math.pi / 2]), Variation(pan_deg=90.0, aside_m=0.25))
    assert yaw == pytest.approx(math.pi)
    # The lens is ahead (up) and 0.25 m to the left; looking left, the car it belongs to would stand right of it.
    assert (x, y) == (pytest.approx(1.0 - 0.25 + LENS_FORWARD_M), pytest.approx(2.0 + LENS_FORWARD_M))


def stripes(rows):
    frame = np.zeros((120, 160), np.uint8)
    frame[rows] = 200
    return frame


def bright_row(frame, column=80):
    weights = frame[:, column].astype(float)
    return float((weights * (np.arange(120) + 0.5)).sum() / weights.sum())


def test_no_tilt_changes_nothing():
    frame = np.random.default_rng(1).integers(0, 256, (120, 160), np.uint8)
    tilted = frame.copy()
    tilt_frame(tilted, 0.0, 0.0)
    assert np.array_equal(tilted, frame)


def test_a_camera_turned_down_sees_everything_higher():
    pitch = math.radians(1.0)
    frame = stripes([70])
    tilt_frame(frame, pitch, 0.0)
    # Pinhole: a row is f * tan of the angle below the axis, and that angle shrinks by the pitch.
    angle = math.atan((70.5 - 60.0) / FOCAL_LENGTH_PX) - pitch
    assert bright_row(frame) == pytest.approx(60.0 + FOCAL_LENGTH_PX * math.tan(angle), abs=0.02)


def test_a_higher_camera_sees_the_ground_lower_and_the_horizon_where_it_was():
    frame = stripes([29, 30])
    tilt_frame(frame, 0.0, 0.01)
    assert bright_row(frame) == pytest.approx(30.0, abs=0.1)
    frame = stripes([90])
    tilt_frame(frame, 0.0, 0.01)
    # A level look down at a point d ahead falls by h / d: the tangent below the horizon grows with the height.
    pitch = math.atan((60.0 - HORIZON_ROW) / FOCAL_LENGTH_PX)
    below = math.tan(math.atan((90.5 - 60.0) / FOCAL_LENGTH_PX) + pitch) * (LENS_HEIGHT_M + 0.01) / LENS_HEIGHT_M
    expected = 60.0 + FOCAL_LENGTH_PX * math.tan(math.atan(below) - pitch)
    assert bright_row(frame) == pytest.approx(expected, abs=0.05)


def test_a_variation_has_a_meaning_for_every_quantity():
    assert [item.name for item in fields(Variation)] == list(RANGES)
    assert all(span.meaning for span in RANGES.values())


def test_the_page_tells_every_range():
    page = (Path(__file__).parents[2] / "docs" / "randomization.md").read_text()
    told = [line for line in page.splitlines() if line.startswith("| ") and "group" not in line]
    spans = (*RANGES.values(), OBJECT_COLOR)
    assert set(told) == {f"| {span.group} | {span.meaning} | {span.low:g} | {span.high:g} |" for span in spans}
    assert len(told) == len(spans)


def test_objects_get_colours_of_their_own_from_episode_to_episode(make_environment, training_start):
    race = RaceParams(race_type="OBJECT_AVOIDANCE", obstacles=4)
    colors = {}
    for share in (0.0, 0.5, 1.0):
        world = WorldSpec("reinvent_base", race=race, randomized=(("colors", share),))
        environment = make_environment(2, worlds=(world,))
        for car in range(2):
            environment.begin(car, training_start(car))
        colors[share] = [environment.traffic.of(car)[:, [OBJECT_RED, OBJECT_GREEN, OBJECT_BLUE]] for car in range(2)]
    assert np.array_equal(colors[0.0][0], colors[0.0][1])  # all boxes are brown
    assert len(np.unique(np.concatenate(colors[1.0]), axis=0)) == 8
    assert colors[0.5][1] == pytest.approx((colors[0.0][1] + colors[1.0][1]) / 2)
    drawn = draw_colors(1000, 3, 0, 0, 0)
    assert 0.0 <= drawn.min() < 2.0
    assert 253.0 < drawn.max() <= 255.0
