"""Boxes and cars in the network's camera: corners by trigonometry, and the original's pipeline the slow way."""

from __future__ import annotations

import importlib.util
from math import cos, radians, sin, tan
from pathlib import Path

import numpy as np
import pytest

from drctl.simulation.race.lanes import lane_pose, pack_lanes
from drctl.simulation.race.objects import (
    COLOR_OF,
    KIND_AMAZON_BOX,
    KIND_BOX,
    KIND_CAR,
    KIND_DEEPRACER_BOX,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    ROLE_OBSTACLE,
    SOLID_M,
    clear_row,
    make_objects,
)
from drctl.simulation.sensors.camera import FrontCamera
from drctl.simulation.track.library import load_track
from drctl.simulation.views.solids import Solid

_spec = importlib.util.spec_from_file_location("reference_renderer", Path(__file__).with_name("reference_renderer.py"))
assert _spec is not None
assert _spec.loader is not None
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

PITCH, HEIGHT, AHEAD = radians(13.6), 0.1328, 0.1421
FOCAL = 80 / tan(1.13 / 2)
BOX_M = (0.4, 0.3, 0.25)


@pytest.fixture(scope="module")
def loop():
    return load_track("reinvent_base")


@pytest.fixture(scope="module")
def camera(loop):
    return FrontCamera([loop])


def objects_of(*things):
    """Return the set of one car: (kind, pose) pairs."""
    objects = make_objects(1, max(1, len(things)))
    objects.counts[0] = len(things)
    for row, (kind, pose) in zip(objects.rows[0], things, strict=False):
        clear_row(row, kind, ROLE_OBSTACLE)
        row[[OBJECT_X, OBJECT_Y, OBJECT_YAW]] = pose
    return objects


def look(camera, pose, *things):
    out = np.zeros((1, 120, 160), np.uint8)
    objects = objects_of(*things) if things else None
    camera.render(np.array([pose], np.float64), np.zeros(1, np.int32), np.ones(1, np.float32), out, objects=objects)
    return out[0]


def beside(pose, ahead, left, turn=0.0):
    x, y, yaw = pose
    return x + ahead * cos(yaw) - left * sin(yaw), y + ahead * sin(yaw) + left * cos(yaw), yaw + turn


def pixel_of(ahead, left, up=0.0):
    """Row and column, from the image's corner, of a point in the car's frame."""
    level, drop = ahead - AHEAD, HEIGHT - up
    depth = level * cos(PITCH) + drop * sin(PITCH)
    return 60 + FOCAL * (drop * cos(PITCH) - level * sin(PITCH)) / depth, 80 - FOCAL * left / depth


@pytest.mark.parametrize(("ahead", "left"), [(0.7, 0.05), (1.0, -0.1), (1.6, 0.1), (2.0, 0.0)])
def test_the_corners_of_a_box_lie_where_trigonometry_puts_them(camera, ahead, left):
    """The near face of a box straight ahead is a rectangle upright in the car's frame."""
    pose = (4.0, 2.6, 0.4)
    empty = look(camera, pose).astype(float)
    frame = look(camera, pose, (KIND_BOX, beside(pose, ahead + 0.2, left))).astype(float)
    face = frame[int(pixel_of(ahead, left, 0.12)[0]), int(pixel_of(ahead, left, 0.12)[1])]
    foot, _ = pixel_of(ahead, left, 0.0)
    top, _ = pixel_of(ahead, left, 0.25)
    column = int(pixel_of(ahead, left)[1])
    below = (frame[:, column] - empty[:, column]) / np.where(empty[:, column] == face, np.inf, face - empty[:, column])
    rows = slice(max(0, int(top) - 3), int(foot) + 4)
    if top > 3:  # its covered rows, as a sum of shares, are what the face is high
        assert below[rows].sum() == pytest.approx(foot - top, abs=0.25)
    middle = int((max(top, 0) + foot) / 2)
    # On a row of its own a vertical edge's column depends on the depth there.
    level = ahead - AHEAD
    slope = (middle + 0.5 - 60) / FOCAL
    depth = level / (cos(PITCH) - slope * sin(PITCH))
    edges = [80 - FOCAL * (left + aside) / depth for aside in (0.15, -0.15)]
    share = (frame[middle] - empty[middle]) / np.where(empty[middle] == face, np.inf, face - empty[middle])
    inside = slice(max(0, int(edges[0]) - 4), min(160, int(edges[1]) + 5))
    assert share[inside].sum() == pytest.approx(min(160.0, edges[1]) - max(0.0, edges[0]), abs=0.3)


def test_a_box_of_each_kind_has_its_size_and_shade(camera):
    pose = (4.0, 2.6, 0.0)
    for kind in (KIND_BOX, KIND_DEEPRACER_BOX, KIND_AMAZON_BOX):
        length, _, height = SOLID_M[kind]
        frame = look(camera, pose, (kind, beside(pose, 1.0 + length / 2, 0.0)))
        row, column = pixel_of(1.0, 0.0, height / 2)
        # The near face looks against x: away from the sun, so it has the ambient light alone.
        red, green, blue = COLOR_OF[kind]
        expected = 0.62 * (0.2989 * red + 0.5870 * green + 0.1140 * blue)
        assert frame[int(row), int(column)] == pytest.approx(expected, abs=1.0)


def test_the_nearer_one_hides_the_farther_one(camera):
    pose = (4.0, 2.6, 0.0)
    near, far = (KIND_BOX, beside(pose, 0.9, 0.0)), (KIND_AMAZON_BOX, beside(pose, 1.6, 0.0))
    alone, both = look(camera, pose, near), look(camera, pose, far, near)
    np.testing.assert_array_equal(both, look(camera, pose, near, far))
    foot, top = pixel_of(0.7, 0.0)[0], pixel_of(0.7, 0.0, 0.2)[0]
    rows = slice(int(top) + 2, int(foot) - 2)
    np.testing.assert_array_equal(both[rows, 60:100], alone[rows, 60:100])


@pytest.mark.parametrize("pose", [(4.0, 2.6, 0.0), (1.0, 1.0, 2.5)])
def test_what_is_behind_is_not_seen(camera, pose):
    for ahead in (-0.5, -2.0):
        np.testing.assert_array_equal(look(camera, pose, (KIND_BOX, beside(pose, ahead, 0.1))), look(camera, pose))


def test_a_box_before_the_lens_fills_the_view(camera):
    pose = (4.0, 2.6, 0.0)
    frame = look(camera, pose, (KIND_BOX, beside(pose, AHEAD + 0.03 + 0.2, 0.0)))
    assert len(np.unique(frame)) == 1


def test_passing_a_box_closely_never_leaves_a_hole(camera):
    """Faces that reach behind the lens are cut; the box stays one patch that only moves outwards."""
    pose = (4.0, 2.6, 0.0)
    empty = look(camera, pose).astype(int)
    for ahead in np.arange(0.6, -0.4, -0.05):
        frame = look(camera, pose, (KIND_AMAZON_BOX, beside(pose, ahead, 0.27))).astype(int)
        covered = (frame != empty)[80]
        if covered.any():
            columns = np.flatnonzero(covered)
            assert columns[0] <= 1  # it reaches to the image's edge
            assert len(columns) >= 0.7 * (columns[-1] + 1)  # dashes may have its shade by chance


@pytest.mark.parametrize(
    ("kind", "poses"),
    [
        (KIND_BOX, 3),
        pytest.param(KIND_BOX, 25, marks=pytest.mark.slow),
        pytest.param(KIND_DEEPRACER_BOX, 25, marks=pytest.mark.slow),
    ],
)
def test_boxes_look_like_the_original(loop, camera, kind, poses):
    renderer = reference.ReferenceRenderer(loop)
    lanes, draw = pack_lanes([loop]), np.random.default_rng(kind)
    differences = []
    for away in np.linspace(0.45, 4.0, poses):
        along, lane = draw.uniform(0, 17.0), draw.choice([0.0, 1.0])
        box = lane_pose(lanes, 0, along + away, lane, 0.0)
        pose = lane_pose(lanes, 0, along, draw.uniform(0, 1), draw.uniform(-0.3, 0.3))
        expected = renderer.frame(pose, solids=[reference.cuboid(box, SOLID_M[kind], COLOR_OF[kind])])
        differences.append(look(camera, pose, (kind, box)).astype(int) - expected)
    difference = np.array(differences)
    assert np.abs(difference).mean() <= 0.8  # DESIGN 8 asks for 1.5
    assert np.abs(difference).mean(axis=(1, 2)).max() <= 1.5


@pytest.mark.slow
def test_bot_cars_have_the_outline_of_the_cars_that_people_see(loop, camera):
    renderer = reference.ReferenceRenderer(loop)
    lanes, draw = pack_lanes([loop]), np.random.default_rng(3)
    differences, changes = [], []
    for away in (0.4, 0.6, 0.9, 1.3, 2.0, 3.0):
        along, lane = draw.uniform(0, 17.0), draw.choice([0.0, 1.0])
        car = lane_pose(lanes, 0, along + away, lane, 0.0)
        pose = lane_pose(lanes, 0, along, draw.uniform(0.2, 0.8), draw.uniform(-0.2, 0.2))
        expected = renderer.frame(pose, solids=[Solid("car", car, COLOR_OF[KIND_CAR]).triangles()]).astype(int)
        frame = look(camera, pose, (KIND_CAR, car)).astype(int)
        differences.append(np.abs(frame - expected).mean())
        changes.append(np.abs(expected - renderer.frame(pose).astype(int)).mean())
    assert np.mean(differences) <= 1.0  # DESIGN 8 asks for 1.5
    assert np.mean(differences) < 0.35 * np.mean(changes)  # of what a car makes of an empty road


def test_cars_of_a_batch_see_their_own_objects(camera):
    poses = np.array([[4.0, 2.6, 0.0]] * 3)
    objects = make_objects(3, 2)
    boxes = [[], [beside(poses[1], 1.0, 0.0)], [beside(poses[2], 1.0, 0.3), beside(poses[2], 2.0, -0.3)]]
    for car, places in enumerate(boxes):
        objects.counts[car] = len(places)
        for row, place in zip(objects.rows[car], places, strict=False):
            clear_row(row, KIND_BOX, ROLE_OBSTACLE)
            row[[OBJECT_X, OBJECT_Y, OBJECT_YAW]] = place
    frames = np.zeros((3, 120, 160), np.uint8)
    camera.render(poses, np.zeros(3, np.int32), np.ones(3, np.float32), frames, objects=objects)
    for car, places in enumerate(boxes):
        alone = look(camera, poses[car], *[(KIND_BOX, place) for place in places])
        np.testing.assert_array_equal(frames[car], alone)


def test_a_millimetre_changes_little(camera):
    pose = (4.0, 2.6, 0.2)
    frames = [look(camera, pose, (KIND_CAR, beside(pose, 6.0 + 0.001 * k, 0.2, 0.3))).astype(int) for k in range(60)]
    change = np.abs(np.diff(frames, axis=0))
    assert change.max() <= 3
