"""Tracks of the library are what their figures say, in both directions."""

import json
from importlib.resources import files

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from drctl.errors import TrackError
from drctl.simulation.track.library import load_track, track_facts, track_names
from drctl.simulation.track.spline import fit_spline
from drctl.simulation.track.waypoint_list import check_waypoints, distance_to_line

DATA = json.loads(files("drctl.simulation.track").joinpath("tracks.json").read_text())


@pytest.mark.parametrize("is_closed", [True, False])
def test_splines_are_those_of_scipy(is_closed):
    points = np.random.default_rng(1).normal(size=(9, 2))
    knots = np.vstack([points, points[:1]]) if is_closed else points
    at_knots = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    expected = CubicSpline(at_knots, knots, bc_type="periodic" if is_closed else "natural")
    spline, at = fit_spline(points, is_closed), np.linspace(0.0, at_knots[-1], 101)
    np.testing.assert_allclose(spline.at(at), expected(at), atol=1e-12)
    np.testing.assert_allclose(spline.slope_at(at), expected(at, 1), atol=1e-11)


def test_the_library_has_128_names_and_two_aliases():
    names = track_names()
    assert len(names) == len(set(names)) == 128
    assert {"reinvent_base", "Oval_track", "2022_april_open_ccw", "Straight_track"} <= set(names)
    assert load_track("London_Loop_Train").label == load_track("Virtual_May19_Train_track").label


@pytest.mark.parametrize("name", track_names())
def test_every_track_agrees_with_its_measured_figures(name):
    track, facts = load_track(name), track_facts(name)
    # The fit promises 46 mm of length and as many rows as the original's file (track/README.md).
    assert track.length_m == pytest.approx(facts["length"], abs=0.047)
    assert len(track.waypoints_m) == facts["n"]
    assert track.is_closed == (facts["dir"] != "open")
    if track.is_closed:
        assert track.is_counter_clockwise == (facts["dir"] == "ccw")
    assert len(track.centre_m) == facts["n"] - len(facts.get("dup", [])) - track.is_closed
    check_waypoints(track.waypoints_m, name)


@pytest.mark.parametrize(
    "name", ["reinvent_base", "Albert", "reInvent2019_wide_mirrored", "Straight_track", "Oval_track"]
)
def test_the_smooth_curve_runs_along_the_waypoints(name):
    track = load_track(name)
    scene = track.scene
    assert np.linalg.norm(np.diff(scene.curve_m, axis=0), axis=1).max() <= 0.02
    assert np.linalg.norm(scene.curve_m[0] - track.centre_m[0]) < 1e-3
    # A waypoint lies on the curve, and the curve runs the way the waypoints do.
    assert distance_to_line(track.centre_m, scene.curve_m, track.is_closed).max() < 1e-3
    assert (scene.curve_m[1] - scene.curve_m[0]) @ (track.centre_m[1] - track.centre_m[0]) > 0
    # Left of the curve is the inner border of counter-clockwise tracks.
    left = scene.curve_m + scene.curve_normal * scene.curve_half_width_left_m[:, None]
    border = track.inner_m if track.is_counter_clockwise else track.outer_m
    assert np.median(distance_to_line(border, left, track.is_closed)) < 2e-3
    np.testing.assert_allclose(np.linalg.norm(scene.curve_normal, axis=1), 1.0)


def test_what_the_fit_promises_for_reinvent_base_holds(original_track):
    track = load_track("reinvent_base")
    assert np.linalg.norm(track.waypoints_m[:, :2] - original_track.waypoints_m[:, :2], axis=1).max() < 0.0061
    assert track.scene.theme.name == "reinvent"
    assert not track.scene.has_sky
    assert track.scene.field_m == tuple(DATA["tracks"]["reinvent_base"]["field"])


def test_reversed_rows_come_in_the_opposite_order_and_inner_stays_inner():
    track = load_track("reInvent2019_track")
    back = track.reversed_direction()
    np.testing.assert_array_equal(back.waypoints_m, track.waypoints_m[::-1])
    np.testing.assert_array_equal(back.centre_m[0], track.centre_m[0])
    np.testing.assert_array_equal(back.centre_m[1], track.centre_m[-1])
    assert (back.is_counter_clockwise, back.is_reversed) == (not track.is_counter_clockwise, True)
    assert back.length_m == pytest.approx(track.length_m)
    assert back.scene is track.scene
    assert back.reversed_direction().is_reversed is False


def test_repeated_rows_are_no_waypoints():
    track = load_track("2022_april_open")
    row = track_facts("2022_april_open")["dup"][0]
    np.testing.assert_array_equal(track.waypoints_m[row], track.waypoints_m[row - 1])
    assert np.diff(track.arc_m).min() > 0.1


@pytest.mark.parametrize(
    ("name", "expected", "fix"),
    [
        (
            "reinvent_bse",
            "reinvent_base, or another name of 'drctl tracks list'",
            "drctl config set DR_WORLD_NAME=reinvent_base",
        ),
        ("zzzzzz", "a name of 'drctl tracks list'", "drctl tracks list"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_one(name, expected, fix):
    with pytest.raises(TrackError) as caught:
        load_track(name)
    problem = caught.value.problems[0]
    assert (problem.what, problem.expected, problem.fix) == (f"there is no track '{name}'", expected, fix)
    assert (caught.value.code, caught.value.exit_status) == ("track_invalid", 3)
