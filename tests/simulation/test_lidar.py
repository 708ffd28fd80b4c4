"""The lidar against distances worked out by hand."""

from __future__ import annotations

import json
from itertools import pairwise
from math import cos, radians, sin, tan

import numpy as np
import pytest

from drctl.formats.model_metadata import LidarConfig
from drctl.formats.race_params import RaceParams
from drctl.simulation.environment import BatchEnvironment, WorldSpec
from drctl.simulation.sensors.lidar import Lidar
from drctl.simulation.sensors.lidar_kernel import encode_ranges
from drctl.simulation.track.library import load_track

RAYS = 64
STEP_DEG = 300 / 63  # simulator-facts 2.2
NOSE_UP = radians(1.39)  # simulator-facts 1.1
NO_OBJECTS = np.zeros(1, np.int64), np.zeros((1, 0, 6))
KEYS = np.zeros((1, 3), np.int64)
# The lidar of the settled car, by hand from simulator-facts 1.1 and 2.2.
AHEAD_M = 0.02913 * cos(NOSE_UP) - 0.1847 * sin(NOSE_UP)
HEIGHT_M = 0.1847 * cos(NOSE_UP) + 0.02913 * sin(NOSE_UP) - 0.001
METADATA = {
    "action_space": [{"steering_angle": 0, "speed": 1.0}],
    "sensor": ["FRONT_FACING_CAMERA", "LIDAR"],
    "version": 5,
}


@pytest.fixture(scope="module")
def base():
    """reinvent_base: walls of 1 m at x -0.587 and 8.575, y -0.613 and 5.795 (simulator-facts 5.1)."""
    return load_track("reinvent_base")


def scan(track, pose, solids=(), sectors=None, noise_m=0.0, clock_s=0.0, seed=0):
    """Return the bytes of one car's scan."""
    lidar = Lidar([track], sectors, noise_m)
    out = np.zeros((1, RAYS if sectors is None else sectors.num_values), np.uint8)
    objects = np.array([len(solids)]), np.array(solids, np.float64).reshape(1, -1, 6)
    now = np.array([[*pose, clock_s]])
    lidar.sense(np.zeros(1, np.int64), np.zeros(1, np.int32), None, now, *objects, seed, KEYS, out)
    return out[0]


def ray_at(body_deg):
    """The ray whose direction in the car's frame comes nearest to an angle, left positive."""
    return round(((body_deg - 30) % 360) / STEP_DEG)


def body_angle(ray):
    return radians(30 + ray * STEP_DEG)


def test_the_first_ray_looks_left_of_the_nose_and_the_last_one_right_of_it():
    assert [np.degrees(body_angle(ray)) for ray in (0, 63)] == pytest.approx([30, 330])


def test_a_wall_beside_the_car_is_seen_at_its_distance(base):
    # Heading along x, 0.5 m from the wall at y = -0.613: rays to the right meet it at 0.5 / |sin|.
    found = scan(base, (4.0, -0.113, 0.0))
    expected = []
    for ray in range(RAYS):
        angle = body_angle(ray)
        distance = -0.5 / sin(angle) if sin(angle) < -0.01 else 9.9
        expected.append(round(100 * min(1.0, distance)))
    assert np.abs(found.astype(int) - expected).max() <= 1  # the tilt of 1.39 degrees is 0.0003 of the range
    assert found[ray_at(270)] == 50
    assert (found[: ray_at(180)] == 100).all()


def test_a_turned_car_sees_the_same_wall_with_the_rays_that_look_at_it(base):
    # Facing the wall at x = 8.575: the blind wedge is ahead, 30 degrees to each side of it are the outermost rays.
    lens_x = 8.575 - 0.4
    pose = (lens_x - AHEAD_M * cos(pi_half()), 3.0 - AHEAD_M * sin(pi_half()), pi_half())
    found = scan(base, pose)
    assert found[ray_at(270)] == 40  # to the right of a car that heads along y
    assert found[ray_at(270) + 6] == round(40 / abs(sin(body_angle(ray_at(270) + 6))))


def pi_half():
    return np.pi / 2


def test_backward_rays_reach_the_ground_at_seven_and_a_half_metres(base):
    """simulator-facts 2.2: about 7.6 m."""
    far = LidarConfig(num_sectors=64, num_values_per_sector=600, clipping_distance_m=12.0)  # bins of 2 cm
    # At the east end, heading east: the wall behind is 8.4 m away, beyond where the ray meets the ground.
    found = scan(base, (8.0, 2.0, 0.0), sectors=far).reshape(64, 600)
    ray = ray_at(180)
    down = -cos(body_angle(ray)) * sin(NOSE_UP)
    assert found[ray].argmax() * 0.02 == pytest.approx(HEIGHT_M / down, abs=0.03)
    assert found[ray].argmax() * 0.02 == pytest.approx(7.6, abs=0.05)


@pytest.mark.parametrize("yaw", [0.0, 0.3, -1.2, 3.0])
def test_a_box_hides_the_rays_that_meet_it(base, yaw):
    # A box of 0.4 x 0.3 m, its middle 0.6 m to the left of the lidar, along the car: its near side is 0.45 m away.
    pose = (4.0, 2.5, yaw)
    lens = np.array([4.0 + AHEAD_M * cos(yaw), 2.5 + AHEAD_M * sin(yaw)])
    middle = lens + 0.6 * np.array([-sin(yaw), cos(yaw)])
    found = scan(base, pose, [(*middle, yaw, 0.4, 0.3, 0.25)])
    for ray in range(RAYS):
        angle = body_angle(ray)
        meets = sin(angle) > 0 and abs(0.45 * cos(angle) / sin(angle)) < 0.2 - 0.003
        if meets:
            assert found[ray] == pytest.approx(45 / sin(angle), abs=1), ray
        elif sin(angle) < 0:
            assert found[ray] == 100
    assert np.count_nonzero(found < 100) >= 2 * (np.degrees(np.arctan(0.2 / 0.45)) // STEP_DEG)


def test_what_is_lower_than_the_rays_is_not_seen_and_a_bot_car_is(base):
    side = (4.0 + AHEAD_M, 2.5 + 0.6, 0.0, 0.4, 0.3)
    ray = ray_at(90)
    assert scan(base, (4.0, 2.5, 0.0), [(*side, 0.15)])[ray] == 100
    assert scan(base, (4.0, 2.5, 0.0), [(*side, 0.2)])[ray] == 45  # hull of a bot car (simulator-facts 6)


def test_nothing_is_nearer_than_15_centimetres(base):
    around = (4.0, 2.5, 0.0, 2.0, 2.0, 1.0)  # the lidar is inside
    assert set(scan(base, (4.0, 2.5, 0.0), [around]).tolist()) == {15}


def test_sectors_are_eighths_of_the_rays_in_order(base):
    near = LidarConfig(8, 1, 0.5)
    # 0.4 m from the wall on the right: rays 25.6 degrees to each side of 270 see it within 0.5 m... cos = 0.4 / 0.5.
    found = scan(base, (4.0, -0.213, 0.0), sectors=near)
    half = np.degrees(np.arccos(0.4 / 0.5))
    seeing = [ray for ray in range(RAYS) if abs(np.degrees(body_angle(ray)) - 270) < half - 0.2]
    assert np.flatnonzero(found).tolist() == sorted({ray // 8 for ray in seeing})
    assert len(set(seeing)) > 8


def test_a_sector_has_one_bit_in_the_bin_of_its_nearest_ray():
    ranges = np.full(RAYS, np.inf)
    ranges[8:16] = [1.9, 1.2, 0.74, 1.4, np.inf, 1.0, 2.0, 5.0]  # sector 1: nearest 0.74 in bins of 0.25: bin 2
    ranges[16:24] = 2.0  # sector 2: not below the clipping distance
    ranges[24] = 0.75  # sector 3: the bin that begins there
    ranges[63] = 0.15  # sector 7: the first bin
    out = np.zeros(64, np.uint8)
    encode_ranges(ranges, 8, 8, 2.0, out)
    assert np.flatnonzero(out).tolist() == [1 * 8 + 2, 3 * 8 + 3, 7 * 8 + 0]


def test_another_division_of_the_circle():
    ranges = np.full(RAYS, np.inf)
    ranges[31], ranges[32] = 2.99, 3.0
    out = np.zeros(2 * 3, np.uint8)
    encode_ranges(ranges, 2, 3, 3.0, out)
    assert out.tolist() == [0, 0, 1, 0, 0, 0]


def test_the_noise_is_that_of_the_sensor_and_belongs_to_its_key(base):
    pose = (4.0, -0.113, 0.0)
    scans = np.array([scan(base, pose, noise_m=0.01, clock_s=tenth / 10) for tenth in range(400)])
    right = scans[:, ray_at(270)].astype(float)
    assert right.mean() == pytest.approx(50.0, abs=0.3)
    assert right.std() == pytest.approx(np.hypot(1.0, 1 / np.sqrt(12)), rel=0.15)  # noise and rounding, in hundredths
    assert np.array_equal(scan(base, pose, noise_m=0.01, clock_s=0.5), scans[5])
    assert not np.array_equal(scan(base, pose, noise_m=0.01, clock_s=0.5, seed=1), scans[5])
    beside = scans[:, ray_at(270) - 1].astype(float)
    assert abs(np.corrcoef(right, beside)[0, 1]) < 0.2


def test_scans_are_made_ten_times_a_second_where_the_car_was_then(base):
    lidar = Lidar([base], None, 0.0)
    out = np.zeros((1, RAYS), np.uint8)
    ray = ray_at(270)

    def pass_time(before_s, after_s, before_y, after_y):
        before, now = np.array([[4.0, before_y, 0.0, before_s]]), np.array([[4.0, after_y, 0.0, after_s]])
        lidar.sense(np.zeros(1, np.int64), np.zeros(1, np.int32), before, now, *NO_OBJECTS, 0, KEYS, out)
        return int(out[0, ray])

    wall = -0.613
    assert pass_time(0.08, 0.12, wall + 0.4, wall + 0.6) == 50  # at 0.1 s the car was half way
    assert pass_time(0.12, 0.19, wall + 0.6, wall + 0.9) == 50  # no scan was due
    assert pass_time(0.19, 0.20, wall + 0.9, wall + 0.8) == 80  # due at the very end


def test_a_driving_car_has_its_scan_beside_the_picture(make_spec, training_start):
    # From the middle of the road the walls are farther than the 1 m of the sensor LIDAR: bins of 5 cm up to 6 m.
    lidar = {"lidar_config": {"num_sectors": 64, "num_values_per_sector": 120, "clipping_dist": 6.0}}
    sensors = {"sensor": ["FRONT_FACING_CAMERA", "DISCRETIZED_SECTOR_LIDAR"]}
    environment = BatchEnvironment(make_spec(metadata=json.dumps(METADATA | sensors | lidar)), 1)
    plain = BatchEnvironment(make_spec(metadata=json.dumps(METADATA | {"sensor": ["FRONT_FACING_CAMERA"]})), 1)
    for each in (environment, plain):
        each.begin(0, training_start(0))
    fresh = []
    for _ in range(8):
        row = environment.frames[0]
        assert np.array_equal(row[:19200].reshape(120, 160), plain.frames[0])
        x, y, yaw = environment.poses([0])[0]
        free = np.array([range_in_field(x, y, yaw, ray) for ray in range(RAYS)])
        scan_m = row[19200:].reshape(RAYS, 120).argmax(1) * 0.05 + 0.025
        # A scan is up to a tenth of a second and 10 cm of driving old, and has its noise; grazing rays change faster.
        is_seen = row[19200:].reshape(RAYS, 120).any(1)
        assert is_seen.sum() > 32
        assert np.median(np.abs(scan_m - free)[is_seen]) < 0.1
        fresh.append(row[19200:].copy())
        environment.step(np.zeros(1, np.int64), np.zeros(1, np.int64))
        plain.step(np.zeros(1, np.int64), np.zeros(1, np.int64))
    is_new = [not np.array_equal(one, other) for one, other in pairwise(fresh)]
    assert 3 <= sum(is_new) <= 6  # 7 steps are 0.47 s


def range_in_field(x, y, yaw, ray):
    """Distance to the walls of reinvent_base along a ray, by stepping along it."""
    angle = yaw + body_angle(ray)
    steps = np.arange(0.0, 10.0, 0.005)
    xs, ys = x + AHEAD_M * cos(yaw) + steps * cos(angle), y + AHEAD_M * sin(yaw) + steps * sin(angle)
    inside = (xs > -0.587) & (xs < 8.575) & (ys > -0.613) & (ys < 5.795)
    return float(steps[np.argmin(inside)])


def test_a_car_sees_the_box_on_the_other_lane(make_spec, training_start):
    """reinvent_base is 0.762 m wide: the lanes are half of that apart, and a box is 0.3 m wide (simulator-facts 6)."""
    race = RaceParams("OBJECT_AVOIDANCE", obstacles=1, obstacle_positions=((0.001, 1),))
    worlds = (WorldSpec("reinvent_base", race=race), WorldSpec("reinvent_base"))
    environment = BatchEnvironment(make_spec(worlds=worlds, metadata=json.dumps(METADATA)), 2)
    for car in range(2):
        environment.begin(car, training_start(0, world=car))
    scans = environment.frames[:, 19200:]
    # Something within 1 m: the race begins on the other, outer lane; inside is to the left.
    assert scans[0, ray_at(90)] == pytest.approx(100 * (0.381 - 0.15), abs=5)
    assert (scans[0, ray_at(190) :] == 100).all()  # the wall on the right is 1.1 m away
    assert scans[1, ray_at(90)] == 100  # the other car's world has no box


def test_cars_of_a_batch_do_not_disturb_each_other(make_spec, training_start):
    spec = make_spec(metadata=json.dumps(METADATA | {"sensor": ["STEREO_CAMERAS", "SECTOR_LIDAR"]}))
    together, alone = BatchEnvironment(spec, 3), BatchEnvironment(spec, 1)
    for car in range(3):
        together.begin(car, training_start(5 * car + 1))
    alone.begin(0, training_start(6))
    for cars in ([0, 1, 2], [1], [2, 1], [1, 0, 2]):
        together.step(np.array(cars), np.zeros(len(cars), np.int64))
        alone.step(np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert np.array_equal(together.frames[1], alone.frames[0])


def test_a_point_has_the_disparity_of_its_depth(make_spec, training_start):
    """Stereo: a point at depth d is f * 0.06 / d further left in the right eye's picture (simulator-facts 2.1)."""
    spec = make_spec(track="Straight_track", metadata=json.dumps(METADATA | {"sensor": ["STEREO_CAMERAS"]}))
    environment = BatchEnvironment(spec, 1)
    environment.begin(0, training_start(0))
    left, right = environment.frames[0].reshape(2, 120, 160).astype(float)
    focal, pitch = 80 / tan(1.13 / 2), radians(13.6)
    for row in (40, 45, 50):
        # The straight road's edge line crosses each row once per side; its place is the middle of the bright run.
        down = (row + 0.5 - 60) / focal
        depth = 0.1328 / (sin(pitch) + down * cos(pitch))
        shift = place_of_line(left[row]) - place_of_line(right[row])
        assert shift == pytest.approx(focal * 0.06 / depth, abs=0.25), row


def place_of_line(row):
    """Middle of the white line in the left half of a picture's row; the dashes are darker than that."""
    bright = np.clip(row[:80] - 180.0, 0.0, None)
    return float((bright * np.arange(80)).sum() / bright.sum())
