"""Colour views: places by trigonometry, agreement with the network's camera, and how the chase camera follows."""

from math import atan, atan2, cos, exp, hypot, pi, radians, sin, tan

import numpy as np
import pytest
from PIL import Image

from drctl.simulation.sensors.camera import FrontCamera
from drctl.simulation.track.library import load_track
from drctl.simulation.views.camera import ChaseCamera, onboard_camera, top_camera
from drctl.simulation.views.pixels import dim_rows, lay_mask, to_yuv420
from drctl.simulation.views.scene import SceneRenderer
from drctl.simulation.views.solids import Solid

FOCAL_PX = 320 / tan(0.565)
RED = (224, 26, 37)


@pytest.fixture(scope="module")
def straight():
    return load_track("Straight_track")


@pytest.fixture(scope="module")
def loop():
    return load_track("reinvent_base")


@pytest.fixture(scope="module")
def loop_scene(loop):
    return SceneRenderer(loop)


def pose_at(track, fraction):
    curve = track.scene.curve_m
    index = int(fraction * len(curve))
    ahead = curve[(index + 5) % len(curve)] - curve[index]
    return float(curve[index, 0]), float(curve[index, 1]), float(np.arctan2(ahead[1], ahead[0]))


def beside(pose, ahead_m, left_m):
    x, y, yaw = pose
    return x + ahead_m * cos(yaw) - left_m * sin(yaw), y + ahead_m * sin(yaw) + left_m * cos(yaw)


def bounds(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def is_red(picture):
    red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
    return (red > 2 * green + 20) & (red > 2 * blue + 20)


def chase_pixel(from_lens_m, left_m, up_m=0.0):
    """Return row and column of a point so far ahead of the place below the chase camera's lens."""
    below = atan((1.0 - up_m) / from_lens_m)
    slant = hypot(from_lens_m, 1.0 - up_m)
    depth = slant * cos(below - radians(18))
    return 240 + FOCAL_PX * tan(below - radians(18)), 320 - FOCAL_PX * left_m / depth


@pytest.mark.parametrize(("ahead_m", "left_m"), [(1.0, 0.0), (2.5, 0.4), (4.0, -0.7)])
def test_the_chase_camera_projects_as_trigonometry_says(ahead_m, left_m):
    pose = (3.0, -2.0, 0.7)
    camera = ChaseCamera().follow(pose, 1.0)
    pixel = camera.pixel_at(np.array([[*beside(pose, ahead_m, left_m), 0.0]]))[0]
    assert pixel == pytest.approx(chase_pixel(1.427 + ahead_m, left_m), abs=1e-6)


def test_what_is_behind_the_lens_has_no_pixel():
    camera = onboard_camera((0.0, 0.0, 0.0))
    assert np.isnan(camera.pixel_at(np.array([[-1.0, 0.0, 0.1]]))).all()


@pytest.mark.parametrize("distance_m", [0.2, 0.9, 1.6])
def test_lines_lie_in_the_chase_view_where_trigonometry_puts_them(straight, distance_m):
    scene = straight.scene
    pose = pose_at(straight, 0.3)
    picture = SceneRenderer(straight).render(ChaseCamera().follow(pose, 1.0))
    for side in (-1, 1):
        for at_m, is_line in ((scene.line_from_m - 0.03, False), ((scene.line_from_m + scene.line_to_m) / 2, True)):
            row, column = chase_pixel(1.427 + distance_m, side * at_m)
            assert (picture[int(row), int(column)].min() > 200) == is_line
        row = int(chase_pixel(1.427 + distance_m, side * scene.line_from_m)[0])
        middle = chase_pixel(1 / tan(radians(18) + atan((row + 0.5 - 240) / FOCAL_PX)), side * scene.line_from_m)[1]
        bright = picture[row, int(middle) - 6 : int(middle) + 7].min(axis=1).astype(float)
        inside, line = (bright[0], bright[-1]) if side < 0 else (bright[-1], bright[0])
        share = (bright - inside).sum() / (line - inside)  # pixels' worth of line in the window
        found = int(middle) + 7 - share if side < 0 else int(middle) - 6 + share
        assert found == pytest.approx(middle, abs=0.15)


def test_the_top_view_shows_north_up_around_the_middle_of_the_border(loop, loop_scene):
    low, high = loop.outer_m.min(axis=0), loop.outer_m.max(axis=0)
    assert high[0] - low[0] > high[1] - low[1]
    per_m = 640 / (1.25 * (high[0] - low[0]))
    picture = loop_scene.render(top_camera(loop))
    curve, normal = loop.scene.curve_m, loop.scene.curve_normal
    line_m = (loop.scene.line_from_m + loop.scene.line_to_m) / 2
    for index in range(0, len(curve), 97):
        half_m = loop.scene.curve_half_width_left_m[index] - loop.scene.line_to_m + line_m
        for at_m, is_line in ((half_m, True), (half_m - 0.1, False)):
            x, y = curve[index] + at_m * normal[index]
            row = 240 - (y - (low[1] + high[1]) / 2) * per_m
            column = 320 + (x - (low[0] + high[0]) / 2) * per_m
            assert (picture[int(row), int(column)].min() > 150) == is_line


def test_a_tall_track_fills_four_fifths_of_the_height():
    track = load_track("2022_may_open")
    low, high = track.outer_m.min(axis=0), track.outer_m.max(axis=0)
    assert high[1] - low[1] > high[0] - low[0]
    ends = np.array([[*low, 0.0], [*high, 0.0]])
    rows = top_camera(track).pixel_at(ends)[:, 0]
    assert rows == pytest.approx([240 + 0.4 * 480, 240 - 0.4 * 480])


@pytest.mark.parametrize("fraction", [0.1, 0.45, 0.8])
def test_the_car_is_where_it_is_in_every_view(loop, loop_scene, fraction):
    pose = pose_at(loop, fraction)
    car = Solid("car", pose, RED)
    low, high = loop.outer_m.min(axis=0), loop.outer_m.max(axis=0)
    per_m = 640 / (1.25 * (high[0] - low[0])) * 6 / (6 - 0.085)  # its shell is nearer to the lens than the ground
    top, bottom, left, right = bounds(is_red(loop_scene.render(top_camera(loop), [car])))
    assert (top + bottom) / 2 == pytest.approx(240 - (pose[1] - (low[1] + high[1]) / 2) * per_m, abs=2)
    assert (left + right) / 2 == pytest.approx(320 + (pose[0] - (low[0] + high[0]) / 2) * per_m, abs=2)
    top, bottom, left, right = bounds(is_red(loop_scene.render(ChaseCamera().follow(pose, 1.0), [car])))
    assert (left + right) / 2 == pytest.approx(320, abs=1)
    row, _ = chase_pixel(1.427 - 0.05, 0.0, 0.142)  # the roof's middle
    assert top < row < bottom
    assert not is_red(loop_scene.render_onboard(pose)).any()


def test_a_box_has_its_size_in_the_chase_view(straight):
    pose = pose_at(straight, 0.2)
    box = Solid("deepracer_box", (*beside(pose, 1.0, 0.1), pose[2]), (255, 0, 0))  # 0.36 x 0.265 x 0.24
    picture = SceneRenderer(straight).render(ChaseCamera().follow(pose, 1.0), [box])
    corners = [
        chase_pixel(1.427 + 1.0 + along, 0.1 + across, up)
        for along in (-0.18, 0.18)
        for across in (-0.1325, 0.1325)
        for up in (0.0, 0.24)
    ]
    rows, columns = np.array(corners).T
    expected = (rows.min(), rows.max(), columns.min(), columns.max())
    assert bounds(is_red(picture)) == pytest.approx(expected, abs=1.2)


def test_what_is_nearer_hides_what_is_behind_it(straight):
    pose = pose_at(straight, 0.2)
    near = Solid("box", (*beside(pose, 0.5, 0.0), pose[2]), (0, 0, 255))
    far = Solid("car", (*beside(pose, 1.0, 0.0), pose[2]), RED)
    scene, camera = SceneRenderer(straight), ChaseCamera().follow(pose, 1.0)
    for solids in ([near, far], [far, near]):
        assert is_red(scene.render(camera, solids)).sum() < 0.25 * is_red(scene.render(camera, [far])).sum()


def test_front_wheels_turn_with_the_steering(straight):
    scene, camera = SceneRenderer(straight), ChaseCamera().follow(pose_at(straight, 0.2), 1.0)
    ahead, left = (scene.render(camera, [Solid("car", pose_at(straight, 0.2), RED, angle)]) for angle in (0.0, 0.5))
    rows = np.nonzero((ahead != left).any(axis=(1, 2)))[0]
    front, _ = chase_pixel(1.427 + 0.082, 0.0, 0.036)
    assert rows.size
    assert abs(rows.mean() - front) < 15


@pytest.mark.parametrize("name", ["reinvent_base", "2022_april_open", "reInvent2019_wide_cw"])
@pytest.mark.parametrize("fraction", [0.05, 0.4, 0.7])
def test_the_onboard_view_is_what_the_network_sees(name, fraction):
    track = load_track(name)
    x, y, yaw = pose_at(track, fraction)
    pose = (x + 0.1, y - 0.05, yaw + 0.2)
    frame = np.empty((1, 120, 160), np.uint8)
    FrontCamera([track]).render(np.array([pose]), np.zeros(1, np.int32), np.ones(1, np.float32), frame)
    small = Image.fromarray(SceneRenderer(track).render_onboard(pose)).resize((160, 120), Image.Resampling.BILINEAR)
    grey = np.asarray(small, float) @ [0.2989, 0.5870, 0.1140]
    grey = grey - 0.5  # the network's frames are cut to whole greys
    assert np.abs(grey - frame[0]).mean() < 1.0
    assert (np.abs(grey - frame[0]) > 40).mean() < 0.002


def test_a_wall_seen_from_behind_hides_nothing(loop, loop_scene):
    x_min, y_min, _, y_max = loop.scene.field_m
    outside = ChaseCamera().follow((x_min + 0.3, (y_min + y_max) / 2, 0.0), 1.0)
    assert outside.x_m < x_min
    picture = loop_scene.render(outside)
    ahead = picture[240, 320].astype(int)
    assert ahead[1] > ahead[0] + 20  # green field, 2 m ahead of the lens


def test_pictures_repeat(loop):
    pose = pose_at(loop, 0.6)
    pictures = [
        SceneRenderer(loop).render(ChaseCamera().follow(pose, 1.0), [Solid("car", pose, RED, 0.2)]) for _ in range(2)
    ]
    assert np.array_equal(*pictures)
    assert np.array_equal(
        pictures[0],
        SceneRenderer(loop.reversed_direction()).render(
            ChaseCamera().follow(pose, 1.0), [Solid("car", pose, RED, 0.2)]
        ),
    )


@pytest.mark.parametrize("rate_hz", [5, 15, 60])
def test_the_chase_camera_falls_behind_with_the_time_constant(rate_hz):
    camera, speed = ChaseCamera(), 2.0
    camera.follow((0.0, 1.0, 0.0), 0.5)
    for tick in range(1, 2 * rate_hz + 1):
        view = camera.follow((speed * tick / rate_hz, 1.0, 0.0), 1 / rate_hz)
        behind_m = 1.427 + speed * (1 - exp(-tick / rate_hz))
        assert view.x_m == pytest.approx(speed * tick / rate_hz - behind_m)
        assert (view.y_m, view.yaw_rad) == pytest.approx((1.0, 0.0))


def test_the_chase_camera_turns_with_the_time_constant_and_looks_at_the_car():
    camera, turn_rad_s, rate_hz = ChaseCamera(), 1.5, 2000
    camera.follow((0.0, 0.0, 3.0), 1.0)  # the turn crosses pi
    place = np.array([-1.427 * cos(3.0), -1.427 * sin(3.0)])
    for tick in range(1, 2 * rate_hz + 1):
        at_s = tick / rate_hz
        yaw = 3.0 + turn_rad_s * at_s
        view = camera.follow((0.0, 0.0, atan2(sin(yaw), cos(yaw))), 1 / rate_hz)
        direction = 3.0 + turn_rad_s * (at_s - 1 + exp(-at_s))
        place += (-1.427 * np.array([cos(direction), sin(direction)]) - place) / rate_hz
    assert (view.x_m, view.y_m) == pytest.approx(tuple(place), abs=2e-3)
    assert (view.yaw_rad - atan2(-view.y_m, -view.x_m)) % (2 * pi) == pytest.approx(0.0, abs=1e-9)


def test_the_chase_camera_jumps_after_a_reset():
    camera = ChaseCamera()
    camera.follow((0.0, 0.0, 0.0), 1.0)
    camera.follow((1.0, 0.0, 0.0), 0.1)
    camera.reset()
    view = camera.follow((5.0, 5.0, pi / 2), 0.1)
    assert (view.x_m, view.y_m, view.yaw_rad) == pytest.approx((5.0, 5.0 - 1.427, pi / 2))


def test_video_colors_follow_the_standard():
    colors = np.random.default_rng(0).integers(0, 256, (6, 8, 3))
    picture = np.repeat(np.repeat(colors, 2, axis=0), 2, axis=1).astype(np.uint8)
    out = np.empty((18, 16), np.uint8)
    to_yuv420(picture, out)
    weights = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    luma, blue, red = np.moveaxis(colors @ weights.T, 2, 0)
    assert out[:12:2, ::2] == pytest.approx(16 + luma * 219 / 255, abs=1.5)
    assert out[12:15].reshape(6, 8) == pytest.approx(128 + blue * 224 / 255, abs=1.5)
    assert out[15:].reshape(6, 8) == pytest.approx(128 + red * 224 / 255, abs=1.5)


def test_rows_are_dimmed_and_masks_laid():
    picture = np.full((2, 3, 3), 200, np.uint8)
    dim_rows(picture, np.array([0.5, 1.0], np.float32))
    assert picture[:, 0, 0].tolist() == [100, 200]
    lay_mask(picture, np.array([[0, 255]], np.uint8), (10, 20, 30), 1, 1)
    assert picture[1].tolist() == [[200] * 3, [200] * 3, [10, 20, 30]]
