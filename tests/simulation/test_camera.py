"""The camera against trigonometry: where points, edges and walls land, and what must not change a frame."""

from dataclasses import replace
from math import atan, cos, degrees, radians, sin, tan

import numpy as np
import pytest

from drctl.simulation.sensors.camera import FrontCamera
from drctl.simulation.sensors.camera_geometry import HORIZON_ROW, ground_point, lit
from drctl.simulation.sensors.distance_field import measure_distances
from drctl.simulation.track.library import load_track, track_names
from drctl.simulation.track.track import Scene, Theme, Track

PITCH, HEIGHT, AHEAD = radians(13.6), 0.1328, 0.1421
FOCAL = 80 / tan(1.13 / 2)
THEME = Theme(
    "test", (50, 50, 50), (200, 200, 200), (100, 100, 100), (80, 80, 80), (100, 100, 100), (178,) * 3, (0,) * 4
)
# 1.11 x the colours of the theme, and 1 less since the weights of red, green and blue add up to 0.9999.
ROAD, LINE, FIELD, DASH, BACKDROP = 55, 221, 88, 110, 177


def straight_track(field=(-300.0, -300.0, 300.0, 300.0), wall=0.0, start=(-4.0, 0.0), end=(8.0, 0.0)):
    """A straight, open road; lines 0.30 to 0.38 m from its centre."""
    start, end = np.array(start, float), np.array(end, float)
    along = (end - start) / np.hypot(*(end - start))
    curve = np.linspace(start, end, round(np.hypot(*(end - start)) / 0.02) + 1)
    scene = Scene(
        field_m=field,
        wall_height_m=wall,
        line_from_m=0.30,
        line_to_m=0.38,
        kerb_m=None,
        finish_ahead_m=None,
        theme=THEME,
        has_sky=False,
        is_closed=False,
        curve_m=curve,
        curve_normal=np.tile([-along[1], along[0]], (len(curve), 1)),
        curve_half_width_left_m=np.full(len(curve), 0.38),
        curve_half_width_right_m=np.full(len(curve), 0.38),
    )
    return Track("straight", "Straight", np.zeros((2, 6)), is_closed=False, is_reversed=False, scene=scene)


def render(track, *poses, shade=1.0):
    frames = np.zeros((len(poses), 120, 160), np.uint8)
    FrontCamera([track]).render(
        np.array(poses, np.float64), np.zeros(len(poses), np.int32), np.full(len(poses), shade, np.float32), frames
    )
    return frames if len(poses) > 1 else frames[0]


def pixel_of(ahead, left, up=0.0):
    """Row and column, in pixels from the image's corner, of a point in the car's frame."""
    level, drop = ahead - AHEAD, HEIGHT - up
    below_axis = np.arctan2(drop, level) - PITCH
    axis_distance = np.hypot(level, drop) * np.cos(below_axis)
    return 60 + FOCAL * np.tan(below_axis), 80 - FOCAL * left / axis_distance


def crossing(values, threshold, first):
    """Where a sequence of pixels passes a threshold, from index `first` on, in pixels from the edge of pixel 0."""
    centres = np.arange(len(values)) + 0.5
    above = values > threshold
    k = first + int(np.argmax(above[first + 1 :] != above[first])) + 1
    share = (threshold - values[k - 1]) / (values[k] - values[k - 1])
    return centres[k - 1] + share


@pytest.mark.parametrize(
    ("row", "aside"),
    [(45, 0.30), (55, 0.30), (45, 0.25), (55, 0.25), (45, 0.10), (55, 0.10), (75, 0.10), (95, 0.10)],
)
def test_edge_of_a_line_lands_on_its_column(row, aside):
    """The car stands to the right of the centre, so that the left line's inner edge is `aside` to its left."""
    frame = render(straight_track(), (0.0, 0.30 - aside, 0.0)).astype(float)
    ahead = AHEAD + HEIGHT / tan(PITCH + atan((row + 0.5 - 60) / FOCAL))
    expected_row, expected = pixel_of(ahead, aside)
    assert expected_row == pytest.approx(row + 0.5, abs=1e-9)
    start = int(expected) + 6
    found = 160 - crossing(frame[row][::-1], (ROAD + LINE) / 2, 160 - start)
    assert found == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("ahead", [0.35, 0.5, 0.8, 1.2, 1.8])
def test_beginning_of_a_road_lands_on_its_row(ahead):
    frame = render(straight_track(start=(ahead, 0.0)), (0.0, -0.15, 0.0)).astype(float)
    expected, _ = pixel_of(ahead, 0.0)
    column = frame[:, 80]
    found = crossing(column, (ROAD + FIELD) / 2, int(expected) - 4)
    assert found == pytest.approx(expected, abs=0.15)


def test_nearest_ground_in_view_is_where_it_was_measured():
    assert ground_point(120, 80) == pytest.approx((0.31, 0.0), abs=0.006)  # simulator-facts 2.1
    assert ground_point(60, 80)[0] == pytest.approx(AHEAD + HEIGHT / tan(PITCH), abs=1e-4)
    with pytest.raises(ValueError, match="below the horizon"):
        ground_point(29.0, 80)


def test_ground_point_inverts_the_projection():
    for ahead, left in ((0.4, 0.1), (1.0, -0.5), (6.0, 2.0)):
        assert ground_point(*pixel_of(ahead, left)) == pytest.approx((ahead, left), abs=2e-4)


def test_horizon_of_an_open_field():
    frame = render(straight_track(), (0.0, 5.0, 1.5)).astype(float)
    assert pytest.approx(29.6, abs=0.25) == HORIZON_ROW  # simulator-facts 2.1: 118 of 480 lines
    assert (frame[:29] == BACKDROP).all()
    assert (frame[31:] == FIELD).all()
    found = crossing(frame[:, 80], (BACKDROP + FIELD) / 2, 20)
    assert found == pytest.approx(HORIZON_ROW + FOCAL * HEIGHT / 300, abs=0.3)


@pytest.mark.parametrize(("yaw", "share"), [(0.0, 0.035), (90.0, 0.33), (180.0, 0.39), (270.0, 0.225)])
def test_wall_stands_where_the_field_ends(yaw, share):
    """A wall of 1 m, 6 m ahead of base_link, seen from the middle of a square field."""
    square = straight_track(field=(-6.0, -6.0, 6.0, 6.0), wall=1.0, start=(-2.0, 5.2), end=(2.0, 5.2))
    column = render(square, (0.0, 0.0, radians(yaw)))[:, 80].astype(float)
    wall = 100 * share
    foot, _ = pixel_of(6.0, 0.0)
    top, _ = pixel_of(6.0, 0.0, up=1.0)
    middle = int((foot + top) / 2)
    assert column[middle] == pytest.approx(wall, abs=1.6)
    assert crossing(column, (wall + BACKDROP) / 2, 0) == pytest.approx(top, abs=0.15)
    below = crossing(column, (wall + FIELD) / 2, middle)
    assert below == pytest.approx(foot, abs=0.2)
    half = render(square, (0.0, 0.0, radians(yaw)), shade=0.5)[:, 80]
    assert half[middle] == pytest.approx(wall / 2, abs=1.6)


def test_corner_between_walls_is_upright_and_in_place():
    square = straight_track(field=(-6.0, -6.0, 6.0, 6.0), wall=1.0, start=(-2.0, 5.2), end=(2.0, 5.2))
    frame = render(square, (-AHEAD * cos(0.6), -AHEAD * sin(0.6), 0.6)).astype(float)
    distance, turned = np.hypot(6.0, 6.0), np.pi / 4 - 0.6
    row, column = pixel_of(AHEAD + distance * cos(turned), distance * sin(turned), up=0.3)
    found = crossing(frame[int(row)], 20.0, 0)
    assert found == pytest.approx(column, abs=0.6)
    assert frame[int(row), 0] == pytest.approx(33, abs=1)  # y_max, to the left
    assert frame[int(row), 159] == pytest.approx(4, abs=1)  # x_max


def test_dashes_are_as_long_as_their_gaps():
    frame = render(straight_track(), (0.0, 0.0, 0.0)).astype(float)
    column, threshold = frame[:, 80], (ROAD + DASH) / 2
    edges, row = [], 50
    while row < 115 and ((column[row:] > threshold) != (column[row] > threshold)).any():
        edges.append(crossing(column, threshold, row))
        row = int(edges[-1] + 0.5)
    ahead = np.array([ground_point(edge, 80)[0] for edge in edges])
    assert len(ahead) >= 6
    np.testing.assert_allclose(-np.diff(ahead), 0.0508, atol=0.004)
    bottom = frame[100]
    wide = (bottom[bottom > ROAD + 1] - ROAD).sum() / (DASH - ROAD)
    pixel = ground_point(100.5, 79)[1]
    assert wide * pixel in (pytest.approx(0.0254, abs=0.001), 0.0)


def test_thin_line_keeps_its_mean_far_away():
    """The line straight across the view shrinks to a tenth of a row without flickering away."""
    for away in np.linspace(3.0, 3.5, 11):
        track = straight_track(start=(away, -20.0), end=(away, 20.0))
        column = render(track, (0.0, 0.0, 0.0))[:, 80].astype(float)
        rows = [pixel_of(away + edge, 0.0)[0] for edge in (0.38, 0.30, 0.0127, -0.0127, -0.30, -0.38)]
        far, near, road = rows[1] - rows[0], rows[5] - rows[4], rows[4] - rows[1]
        expected = (far + near) * (LINE - FIELD) + road * (ROAD - FIELD) + (rows[3] - rows[2]) * 0.5 * (DASH - ROAD)
        assert (column[31:60] - FIELD).sum() == pytest.approx(expected, abs=12.0)


def test_a_millimetre_changes_little():
    track = load_track("reinvent_base")
    at, ahead = track.scene.curve_m[100], track.scene.curve_m[101] - track.scene.curve_m[100]
    yaw = np.arctan2(ahead[1], ahead[0])
    steps = [(at[0] + 0.001 * k * cos(yaw), at[1] + 0.001 * k * sin(yaw), yaw) for k in range(60)]
    change = np.abs(np.diff(render(track, *steps).astype(int), axis=0))
    assert change.mean(axis=(1, 2)).max() < 0.5
    assert change.max() < 60
    # The sum of the small changes is not far above the change as a whole: nothing flickers back and forth.
    turned = [(at[0], at[1], yaw + radians(0.02 * k)) for k in range(20)]
    change = np.abs(np.diff(render(track, *turned).astype(int), axis=0))
    assert change.mean(axis=(1, 2)).max() < 0.5


def test_turning_and_shifting_the_world_changes_nothing():
    pose = np.array([1.0, -0.2, 0.3])
    expected = render(straight_track(), tuple(pose)).astype(int)
    for turn, shift in ((0.0, (0.013, 0.027)), (radians(90), (0.0, 0.0)), (radians(37), (-3.1, 2.2))):
        cosine, sine = cos(turn), sin(turn)
        rotate = np.array([[cosine, -sine], [sine, cosine]])
        start, end = (rotate @ point + shift for point in ([-4.0, 0.0], [8.0, 0.0]))
        place = rotate @ pose[:2] + shift
        frame = render(straight_track(start=start, end=end), (*place, pose[2] + turn)).astype(int)
        assert np.abs(frame - expected).mean() < 0.1, degrees(turn)
        assert np.abs(frame - expected).max() <= 6, degrees(turn)


def test_mirrored_world_gives_the_mirrored_frame():
    track = load_track("reInvent2019_wide")
    scene = track.scene
    x_min, y_min, x_max, y_max = scene.field_m
    mirrored = replace(
        scene,
        field_m=(x_min, -y_max, x_max, -y_min),
        wall_height_m=0.0,
        curve_m=scene.curve_m * [1, -1],
        curve_normal=-scene.curve_normal * [1, -1],
        curve_half_width_left_m=scene.curve_half_width_right_m,
        curve_half_width_right_m=scene.curve_half_width_left_m,
    )
    x, y = scene.curve_m[300]
    frame = render(replace(track, scene=replace(scene, wall_height_m=0.0)), (x, y, 0.4)).astype(int)
    other = render(replace(track, scene=mirrored), (x, -y, -0.4)).astype(int)
    assert np.abs(frame - other[:, ::-1]).mean() < 0.2


def test_cars_of_a_batch_do_not_meet():
    names = ("reinvent_base", "Vegas_track")
    tracks = [load_track(name) for name in names]
    poses = np.array([[*tracks[k % 2].scene.curve_m[40 * k], 0.7 * k] for k in range(6)])
    world = np.arange(6, dtype=np.int32) % 2
    shade = np.linspace(0.8, 1.2, 6).astype(np.float32)
    together = np.zeros((6, 120, 160), np.uint8)
    FrontCamera(tracks).render(poses, world, shade, together)
    for k in range(6):
        alone = np.zeros((1, 120, 160), np.uint8)
        FrontCamera([tracks[k % 2]]).render(poses[k : k + 1], np.zeros(1, np.int32), shade[k : k + 1], alone)
        np.testing.assert_array_equal(alone[0], together[k])


def test_ground_is_held_once_and_in_little_memory():
    track = load_track("reinvent_base")
    camera = FrontCamera([track])
    assert camera.memory_bytes < 2_000_000
    assert FrontCamera([track, track.reversed_direction()]).memory_bytes - camera.memory_bytes < 1_000
    assert FrontCamera([load_track("penbay_pro")]).memory_bytes < 60_000_000


def test_no_track_is_refused():
    with pytest.raises(ValueError, match="at least one track"):
        FrontCamera([])


def test_light_keeps_colours_in_range():
    assert lit((36, 128, 250), 1.11) == (40.0, 142.0, 255.0)


@pytest.mark.parametrize("name", ["Bowtie_track", "Monaco", "Tokyo_Training_track", "penbay_pro"])
def test_distances_change_evenly(name):
    check_distances_change_evenly(name)


@pytest.mark.slow
def test_distances_change_evenly_on_every_track():
    for name in track_names():
        check_distances_change_evenly(name)


def check_distances_change_evenly(name):
    """A jump between neighbouring nodes would paint a line where there is none."""
    scene = load_track(name).scene
    low, high = scene.curve_m.min(axis=0) - 1.5, scene.curve_m.max(axis=0) + 1.5
    offset = measure_distances(scene, (*low, *high), 0.1, 1.2).values_m[..., 0]
    for axis in (0, 1):
        a, b = np.moveaxis(offset, axis, 0)[:-1], np.moveaxis(offset, axis, 0)[1:]
        assert not ((a * b < 0) & (np.abs(a - b) > 0.2)).any(), name


def test_distances_of_a_straight_road():
    field = measure_distances(straight_track().scene, (-6.0, -1.0, 6.0, 1.0), 0.25, 0.9)
    rows, columns = field.values_m.shape[:2]
    assert (rows, columns) == (9, 49)
    y = -1.0 + 0.25 * np.arange(9)
    np.testing.assert_allclose(field.values_m[:, 20, 0], np.clip(y, -0.9, 0.9), atol=1e-6)
    np.testing.assert_allclose(field.values_m[4, :, 1], -2.0 + 0.25 * np.arange(49), atol=1e-5)
