"""The race overlay: what it writes and where."""

from dataclasses import replace

import numpy as np
import pytest

from drctl.simulation.track.library import load_track
from drctl.simulation.views.overlay import OverlayText, RaceOverlay, RivalText, clock_text

RED = (224, 26, 37)
TEXT = OverlayText("Racer", 1, 3, 12.345, 0, 1.5, "TIME_TRIAL")
GREY = 120


@pytest.fixture(scope="module")
def track():
    return load_track("reinvent_base")


@pytest.fixture(scope="module")
def overlay(track):
    return RaceOverlay(track)


def draw(overlay, text, cars=()):
    picture = np.full((480, 640, 3), GREY, np.uint8)
    overlay.draw(picture, text, cars)
    return picture


def changed(one, other):
    rows, columns = np.nonzero((one != other).any(axis=2))
    return (rows.min(), rows.max(), columns.min(), columns.max()) if rows.size else None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00.000"), (9.9996, "00:10.000"), (62.345, "01:02.345"), (59.9994, "00:59.999"), (3600, "60:00.000")],
)
def test_the_clock_shows_minutes_seconds_and_thousandths(seconds, text):
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("change", "first_row", "last_row"),
    [
        ({"name": "Other"}, 10, 36),
        ({"lap": 2}, 36, 76),
        ({"clock_s": 12.346}, 76, 102),
        ({"resets": 4}, 102, 128),
        ({"speed_m_s": 3.25}, 420, 445),
        ({"race_type": "OBJECT_AVOIDANCE"}, 445, 472),
    ],
)
def test_each_line_has_its_place(overlay, change, first_row, last_row):
    top, bottom, left, right = changed(draw(overlay, TEXT), draw(overlay, replace(TEXT, **change)))
    assert first_row <= top <= bottom < last_row
    assert left >= 10
    assert right < 250


def test_text_is_white_and_the_picture_under_it_dark(overlay):
    picture = draw(overlay, TEXT)
    assert picture[10:36, 10:70].max() == 255
    assert picture[2, 300].max() < 0.4 * GREY
    assert (picture[200, 300] == GREY).all()


def test_a_running_clock_stands_still(overlay):
    one, other = (draw(overlay, replace(TEXT, clock_s=seconds)) for seconds in (11.111, 11.118))
    _, _, left, right = changed(one, other)
    assert right - left < 14  # the last digit alone


def test_a_long_name_is_cut(overlay):
    shown, cut = (draw(overlay, replace(TEXT, name=name)) for name in ("x" * 15, "x" * 40))
    assert np.array_equal(shown, cut)


def test_the_banner_comes_at_the_end(overlay):
    top, bottom, _, _ = changed(draw(overlay, TEXT), draw(overlay, replace(TEXT, has_finished=True)))
    assert (top, bottom) == (190, 289)


@pytest.mark.parametrize("index", [0, 200, 500, 800])
def test_the_dot_is_where_the_car_is(track, overlay, index):
    x, y = track.scene.curve_m[index]
    low, high = track.outer_m.min(axis=0), track.outer_m.max(axis=0)
    per_m = 256 / (1.25 * (high[0] - low[0]))
    column = 384 + 128 + (x - (low[0] + high[0]) / 2) * per_m
    row = 288 + 96 - (y - (low[1] + high[1]) / 2) * per_m
    picture = draw(overlay, TEXT, ((float(x), float(y), RED),)).astype(int)
    rows, columns = np.nonzero((picture[:, :, 0] > 200) & (picture[:, :, 1] < 60))
    assert rows.mean() + 0.5 == pytest.approx(row, abs=0.6)
    assert columns.mean() + 0.5 == pytest.approx(column, abs=0.6)


def test_the_icon_shows_the_road(track, overlay):
    camera_m = track.outer_m.min(axis=0), track.outer_m.max(axis=0)
    picture = draw(overlay, TEXT)
    on_road = overlay.icon_pixel(*track.scene.curve_m[300])
    beside = overlay.icon_pixel(*((camera_m[0] + camera_m[1]) / 2))
    assert picture[int(on_road[0]), int(on_road[1])].min() > 180
    assert picture[int(beside[0]), int(beside[1])].max() < GREY


def test_a_car_beside_the_picture_has_no_dot(overlay):
    away = draw(overlay, TEXT, ((-60.0, 60.0, RED),))
    assert np.array_equal(away, draw(overlay, TEXT))


def test_a_training_shows_its_phase_and_the_icon(track, overlay):
    car = ((*track.scene.curve_m[200].tolist(), RED),)
    pictures = []
    for phase in ("Training", "Evaluating"):
        pictures.append(np.full((480, 640, 3), GREY, np.uint8))
        overlay.draw_training(pictures[-1], phase, car)
    top, bottom, left, right = changed(*pictures)
    assert (top >= 400) & (bottom < 450) & (left >= 40) & (right < 384)
    assert (pictures[0][:280] == GREY).all()
    assert np.array_equal(pictures[0][288:400, 384:], draw(overlay, TEXT, car)[288:400, 384:])


RIVAL = RivalText("Rival", (255, 160, 10), 2, 7.5, 1)


@pytest.mark.parametrize(
    ("change", "first_row", "last_row"),
    [
        ({"lap": 3}, 36, 76),
        ({"ended": "Finished"}, 36, 76),
        ({"clock_s": 7.501}, 76, 102),
        ({"resets": 0}, 102, 128),
        ({"name": "Other"}, 10, 36),
    ],
)
def test_the_rival_has_the_upper_right_corner(overlay, change, first_row, last_row):
    one, other = (replace(TEXT, rival=rival) for rival in (RIVAL, replace(RIVAL, **change)))
    top, bottom, left, right = changed(draw(overlay, one), draw(overlay, other))
    assert first_row <= top <= bottom < last_row
    assert left >= 400
    assert right < 632


def test_dots_beside_the_names_tell_who_is_who(overlay):
    picture = draw(overlay, replace(TEXT, color=RED, rival=RIVAL)).astype(int)
    for color, columns in ((RED, slice(10, 200)), (RIVAL.color, slice(440, 630))):
        is_dot = (np.abs(picture[:, columns] - color).max(axis=2) < 3)[16:32]
        assert 50 < is_dot.sum() < 100  # a disc with a radius of 5
    assert changed(draw(overlay, TEXT), draw(overlay, replace(TEXT, color=RED))) is None


def test_the_banner_of_a_duel_tells_the_place(overlay):
    plain = replace(TEXT, has_finished=True)
    won, lost = (replace(plain, rival=RIVAL, has_won=has_won) for has_won in (True, False))
    pictures = [draw(overlay, text)[190:290] for text in (plain, won, lost)]
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[1] != pictures[2]).any()
