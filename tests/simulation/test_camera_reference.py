"""The camera's frames against those of the original's pipeline, rendered the slow way."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from drctl.simulation.sensors.camera import FrontCamera
from drctl.simulation.track.library import load_track

_spec = importlib.util.spec_from_file_location("reference_renderer", Path(__file__).with_name("reference_renderer.py"))
assert _spec is not None
assert _spec.loader is not None
reference_renderer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference_renderer)


def frames_of(track, poses):
    out = np.zeros((len(poses), 120, 160), np.uint8)
    FrontCamera([track]).render(
        np.asarray(poses, np.float64), np.zeros(len(poses), np.int32), np.ones(len(poses), np.float32), out
    )
    return out


def compare(track, poses):
    """Return the grey differences, shape (n, 120, 160)."""
    renderer = reference_renderer.ReferenceRenderer(track)
    expected = np.stack([renderer.frame(pose) for pose in poses]).astype(int)
    return frames_of(track, poses).astype(int) - expected


def test_reinvent_base_looks_like_the_original_in_50_poses():
    track = load_track("reinvent_base")
    poses = reference_renderer.drawn_poses(track, 50, seed=1)
    wall = np.round(np.outer(list(reference_renderer.WALL_LIGHT.values()), track.scene.theme.wall))
    for pose in poses[::10]:
        picture = reference_renderer.ReferenceRenderer(track).picture(pose).reshape(-1, 3)
        assert (picture[:, None] == wall).all(axis=2).any(), "no wall in view"
    difference = compare(track, poses)
    assert np.abs(difference).mean() <= 0.6  # DESIGN 8 asks for 1.5
    assert np.abs(difference).mean(axis=(1, 2)).max() <= 1.5
    assert abs(difference.mean()) <= 0.1  # neither lighter nor darker on the whole


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("reInvent2019_wide_cw", "chequered strip"),
        ("2022_march_open", "walls 9.14 m from the road"),
        ("2022_april_open", "open field"),
        ("2024_reinvent_champ_ccw", "narrow road, lines of another width"),
        ("Vegas_track", "kerb"),
        ("red_star_open", "width changes along the road"),
        ("reinvent_wood", "walls of 2 m"),
        ("Straight_track", "open road"),
    ],
)
def test_other_scenes_look_like_the_original(name, why):
    track = load_track(name)
    poses = reference_renderer.drawn_poses(track, 2, seed=5)
    start = track.scene.curve_m[0]
    heading = track.scene.curve_m[1] - start
    before_start = start - 0.4 * heading / np.hypot(*heading)
    poses = np.vstack([poses, [*before_start, np.arctan2(heading[1], heading[0]) + 0.2]])
    difference = compare(track, poses)
    assert np.abs(difference).mean() <= 1.2, why
    assert np.abs(difference).mean(axis=(1, 2)).max() <= 1.5, why


@pytest.mark.slow
def test_every_track_looks_like_the_original():
    from drctl.simulation.track.library import track_names

    means = {}
    for name in track_names():
        track = load_track(name)
        means[name] = np.abs(compare(track, reference_renderer.drawn_poses(track, 3, seed=9))).mean()
    assert max(means.values()) <= 1.5, max(means, key=means.__getitem__)


def test_reverse_direction_shows_the_same_world():
    track = load_track("reInvent2019_wide_cw")
    poses = reference_renderer.drawn_poses(track, 3, seed=2)
    np.testing.assert_array_equal(frames_of(track, poses), frames_of(track.reversed_direction(), poses))


def test_shade_of_the_walls_darkens_walls_only():
    track = load_track("reinvent_base")
    pose = np.array([[4.0, 2.5, 0.3]])
    frames = np.zeros((2, 120, 160), np.uint8)
    FrontCamera([track]).render(
        np.repeat(pose, 2, axis=0), np.zeros(2, np.int32), np.array([1.0, 0.5], np.float32), frames
    )
    expected = reference_renderer.ReferenceRenderer(track).frame(pose[0], wall_shade=0.5).astype(int)
    assert np.abs(frames[1] - expected).mean() <= 1.0
    np.testing.assert_array_equal(frames[0, 60:], frames[1, 60:])
    assert frames[1, 20].mean() < 0.6 * frames[0, 20].mean()
