"""The ground picture: colours where the track's figures put them."""

import numpy as np
import pytest

from drctl.simulation.sensors.painting import paint_ground
from drctl.simulation.track.library import load_track


def color_at(image, point):
    row, column = image.pixel_at(np.asarray(point, float)[None])[0].astype(int)
    return tuple(image.rgb[row, column])


def lit(*color):
    return tuple(min(255, round(1.11 * part)) for part in color)


def frame_at(track, index):
    """A point of the centre curve and the unit vector to its left, from the curve's neighbours."""
    curve = track.scene.curve_m
    ahead = curve[(index + 1) % len(curve)] - curve[index - 1]
    ahead /= np.hypot(*ahead)
    return curve[index], np.array([-ahead[1], ahead[0]])


@pytest.mark.parametrize("index", [0, 133, 500, 800])
def test_bands_of_reinvent_base(index):
    track = load_track("reinvent_base")
    image = paint_ground(track, 0.01)
    point, left = frame_at(track, index)
    for side in (left, -left):
        assert color_at(image, point + 0.15 * side) == lit(36, 49, 64)
        assert color_at(image, point + 0.285 * side) == lit(36, 49, 64)
        assert color_at(image, point + 0.343 * side) == lit(195, 194, 190)
        assert color_at(image, point + 0.41 * side) == lit(95, 136, 105)
        assert color_at(image, point + 0.55 * side) == lit(95, 136, 105)


def test_picture_covers_the_field_and_no_more():
    track = load_track("reinvent_base")
    image = paint_ground(track, 0.02)
    x_min, y_min, x_max, y_max = track.scene.field_m
    assert image.origin_m == (x_min, y_max)
    assert image.rgb.shape == (round((y_max - y_min) / 0.02), round((x_max - x_min) / 0.02), 3)
    np.testing.assert_allclose(image.pixel_at(np.array([[x_min + 0.5, y_max - 1.0]])), [[50.0, 25.0]])


def test_field_without_end_is_cropped():
    image = paint_ground(load_track("Mexico_track"), 0.05)  # its field is 600 m wide
    assert max(image.rgb.shape) < 500


def test_line_at_the_border_follows_a_border_that_wanders():
    track = load_track("red_star_open")
    scene = track.scene
    image = paint_ground(track, 0.01)
    mean = (scene.curve_half_width_left_m.mean() + scene.curve_half_width_right_m.mean()) / 2
    widest = int(np.argmin(scene.curve_half_width_left_m))
    shift = scene.curve_half_width_left_m[widest] - mean
    assert abs(shift) > 0.03
    point, left = frame_at(track, widest)
    middle = (scene.line_from_m + scene.line_to_m) / 2 + shift
    assert color_at(image, point + middle * left) == lit(223, 223, 223)


def test_dashes_cover_half_of_the_centre():
    track = load_track("reInvent2019_track")
    image = paint_ground(track, 0.005)
    road, dash = np.array(lit(64, 63, 62)), np.array(lit(225, 143, 0))
    cells = [color_at(image, point) for point in track.scene.curve_m]
    share = [(np.array(cell, float) - road) @ (dash - road) / ((dash - road) @ (dash - road)) for cell in cells]
    assert np.mean(share) == pytest.approx(0.5, abs=0.03)
    starts = np.sum((np.array(share[1:]) > 0.5) & (np.array(share[:-1]) <= 0.5))
    assert starts == pytest.approx(track.length_m / 0.1016, abs=4)


def test_chequered_strip_lies_ahead_of_waypoint_0():
    track = load_track("reInvent2019_wide_cw")
    image = paint_ground(track, 0.004)
    first, following = track.waypoints_m[0, :2], track.waypoints_m[1, :2]
    ahead = (following - first) / np.hypot(*(following - first))
    left = np.array([-ahead[1], ahead[0]])
    dark, light, road = lit(62, 62, 62), lit(222, 222, 222), lit(64, 63, 62)
    square = 0.914 / 24
    for row, distance in enumerate((0.13 - 0.0195, 0.13 + 0.0195)):
        for column in range(-10, 10):
            expected = light if (column + row) % 2 == 0 else dark
            place = first + distance * ahead + (column + 0.5) * square * left
            np.testing.assert_allclose(color_at(image, place), expected, atol=25)
    for distance in (0.07, 0.19):
        assert color_at(image, first + distance * ahead + 0.2 * left) == road


def test_strip_stays_between_the_lines_of_a_narrow_road():
    track = load_track("2024_reinvent_champ_ccw")
    image = paint_ground(track, 0.01)
    point, left = frame_at(track, round(0.15 / track.length_m * len(track.scene.curve_m)))
    line = lit(223, 223, 223)
    assert color_at(image, point + 0.343 * left) == line
    assert color_at(image, point - 0.343 * left) == line
    assert color_at(image, point + 0.42 * left) == lit(127, 134, 65)


def test_kerb_is_red_and_white():
    track = load_track("Vegas_track")
    image = paint_ground(track, 0.01)
    cells = np.array([color_at(image, p + 0.46 * n) for p, n in (frame_at(track, k) for k in range(0, 1100, 3))], float)
    np.testing.assert_allclose(cells.mean(axis=0), 1.11 * np.array([180, 118, 118]), atol=12)
    assert cells[:, 1].std() > 80


def test_open_road_ends():
    track = load_track("Straight_track")
    image = paint_ground(track, 0.01)
    start, end = track.scene.curve_m[0], track.scene.curve_m[-1]
    ahead = (end - start) / np.hypot(*(end - start))
    side = np.array([-ahead[1], ahead[0]])
    road, field = lit(64, 63, 62), lit(127, 134, 65)
    assert color_at(image, start + 0.05 * ahead + 0.15 * side) == road
    assert color_at(image, end - 0.05 * ahead + 0.15 * side) == road
    assert color_at(image, start - 0.05 * ahead + 0.15 * side) == field
    assert color_at(image, end + 0.05 * ahead + 0.15 * side) == field


def test_small_picture_keeps_the_mean_of_thin_lines():
    track = load_track("reinvent_base")
    fine = paint_ground(track, 0.01).rgb.mean(axis=(0, 1))
    coarse = paint_ground(track, 0.15).rgb.mean(axis=(0, 1))
    np.testing.assert_allclose(coarse, fine, atol=1.0)


def test_grey_weighs_the_colours():
    image = paint_ground(load_track("reinvent_base"), 0.1)
    red, green, blue = image.rgb[0, 0].astype(float)
    assert image.grey.shape == image.rgb.shape[:2]
    assert image.grey[0, 0] == int(0.2989 * red + 0.587 * green + 0.114 * blue)


@pytest.mark.parametrize("size", [0.0, -0.01, float("nan"), float("inf")])
def test_size_of_a_pixel_must_be_positive(size):
    with pytest.raises(ValueError, match="must be positive"):
        paint_ground(load_track("reinvent_base"), size)
