"""Users' waypoint files become tracks, or are refused with every reason."""

import re
import shutil

import numpy as np
import pytest

from drctl.errors import ConflictError, TrackError
from drctl.simulation.track.importer import import_npy, imported_names
from drctl.simulation.track.library import load_track


@pytest.fixture
def ring():
    """A circular road of 0.8 m around a centre line of 2 m radius, counter-clockwise, closing row included."""
    angle = np.linspace(0.0, 2.0 * np.pi, 41)
    rows = np.hstack([radius * np.column_stack([np.cos(angle), np.sin(angle)]) for radius in (2.0, 1.6, 2.4)])
    rows[-1] = rows[0]
    return rows


def save(tmp_path, rows, name="mine.npy"):
    path = tmp_path / name
    np.save(path, rows)
    return path


def test_a_file_becomes_a_track_of_the_project(tmp_path, ring):
    imported = import_npy(save(tmp_path, ring), tmp_path / "tracks")
    assert imported.path == tmp_path / "tracks" / "mine.npy"
    assert imported.notes == ()
    track = load_track("mine", tmp_path / "tracks")
    np.testing.assert_array_equal(track.waypoints_m, ring)
    assert (track.is_closed, track.is_counter_clockwise) == (True, True)
    # 40 chords of a circle of 2 m radius.
    assert track.length_m == pytest.approx(40 * 2 * 2.0 * np.sin(np.pi / 40))
    scene = track.scene
    assert scene.field_m == pytest.approx((-3.162, -3.162, 3.162, 3.162))
    assert (scene.wall_height_m, scene.theme.name) == (1.0, "common")
    np.testing.assert_allclose(np.linalg.norm(scene.curve_m, axis=1), 2.0, atol=1e-4)
    # Borders are polygons of 40 corners: between corners they come up to 8 mm nearer to the middle of the ring.
    np.testing.assert_allclose(scene.curve_half_width_left_m, 0.4, atol=0.01)
    np.testing.assert_allclose(scene.curve_half_width_right_m, 0.4, atol=0.01)
    assert scene.line_to_m - scene.line_from_m == pytest.approx(0.0762)


def test_a_closing_row_missing_by_a_hair_is_added(tmp_path, ring):
    rows = ring[:-1].copy()
    rows[-1] = rows[0]
    rows[-1, :2] += (0.0, -0.05)
    imported = import_npy(save(tmp_path, rows), tmp_path / "tracks")
    assert imported.track.is_closed
    assert len(imported.track.waypoints_m) == len(rows) + 1
    assert imported.notes == ("the closing row was missing by 0.05 m and was added",)


def test_an_open_track_stays_open(tmp_path, ring):
    imported = import_npy(save(tmp_path, ring[:20]), tmp_path / "tracks")
    assert not imported.track.is_closed
    assert imported.notes == ("the track is open: its ends are 3.99 m apart",)


def test_repeated_points_are_no_waypoints(tmp_path, ring):
    rows = np.insert(ring, 7, ring[6], axis=0)
    imported = import_npy(save(tmp_path, rows), tmp_path / "tracks")
    assert (len(imported.track.waypoints_m), len(imported.track.centre_m)) == (42, 40)
    assert imported.notes == ("1 repeated point will not count as a waypoint",)


def test_a_file_of_the_library_s_name_keeps_the_library_s_scene(tmp_path, original_track):
    imported = import_npy(save(tmp_path, original_track.waypoints_m, "reinvent_base.npy"), tmp_path / "tracks")
    assert imported.notes == ("it stands for the library's reinvent_base in this project",)
    ours, theirs = load_track("reinvent_base", tmp_path / "tracks"), load_track("reinvent_base")
    assert ours.length_m != theirs.length_m
    assert (ours.label, ours.scene.theme, ours.scene.field_m) == (
        theirs.label,
        theirs.scene.theme,
        theirs.scene.field_m,
    )
    assert load_track("reinvent_base").length_m == theirs.length_m


def test_another_circuit_of_the_library_s_name_does_not(tmp_path, ring):
    import_npy(save(tmp_path, ring, "reinvent_base.npy"), tmp_path / "tracks")
    assert load_track("reinvent_base", tmp_path / "tracks").scene.theme.name == "common"


def test_a_changed_file_is_read_again(tmp_path, ring):
    folder = tmp_path / "tracks"
    import_npy(save(tmp_path, ring), folder)
    before = load_track("mine", folder)
    assert load_track("mine", folder) is before
    import_npy(save(tmp_path, ring * 1.5), folder, overwrite=True)
    assert load_track("mine", folder).length_m == pytest.approx(1.5 * before.length_m)


def test_another_track_of_the_same_name_is_not_replaced(tmp_path, ring):
    folder, path = tmp_path / "tracks", save(tmp_path, ring)
    import_npy(path, folder)
    import_npy(path, folder)  # the very same again is no conflict
    save(tmp_path, ring * 2.0)
    with pytest.raises(ConflictError) as caught:
        import_npy(path, folder)
    problem = caught.value.problems[0]
    assert problem.what == "the project has another track 'mine' already"
    assert problem.fix == f"drctl tracks import {path} --name mine-2"
    np.testing.assert_array_equal(np.load(folder / "mine.npy"), ring)


def spoil(rows, row, column, value):
    rows = rows.copy()
    rows[row, column] = value
    return rows


@pytest.mark.parametrize(
    ("change", "whats"),
    [
        (lambda rows: rows[:, :4], [r"mine.npy holds an array of shape \(41, 4\) and type float64"]),
        (lambda rows: rows.astype(str), [r"mine.npy holds an array of shape \(41, 6\) and type <U32"]),
        (lambda rows: spoil(rows, 3, 1, np.nan), ["row 3 of .*mine.npy is not finite"]),
        (lambda rows: rows[[0, 0, 1, 0]], ["mine.npy has fewer than 4 different points"]),
        (lambda rows: rows[:, [0, 1, 4, 5, 2, 3]], ["the inner border encloses more than the outer one"]),
        (lambda rows: rows[:, [2, 3, 0, 1, 4, 5]], [r"the centre does not lie between the borders at row \d+"]),
        (lambda rows: spoil(rows, 5, slice(2, 4), rows[5, 4:6]), [r"the road is 0.000 m wide at row 5", "the centre"]),
        (lambda rows: 100.0 * rows[:, [0, 1, 4, 5, 2, 3]], [r"rows \d+ and \d+ are 31.4 m apart", "the inner border"]),
    ],
)
def test_what_is_no_track_is_refused_with_every_reason(tmp_path, ring, change, whats):
    with pytest.raises(TrackError) as caught:
        import_npy(save(tmp_path, change(ring)), tmp_path / "tracks")
    problems = caught.value.problems
    assert len(problems) == len(whats)
    for problem, what in zip(problems, whats, strict=True):
        assert re.search(what, problem.what)
        assert problem.where
        assert problem.expected
        assert problem.fix
    assert not (tmp_path / "tracks").exists()


def test_what_is_no_array_is_refused(tmp_path):
    (tmp_path / "text.npy").write_text("not an array")
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    shutil.copy(tmp_path / "several.npz", tmp_path / "several.npy")
    for name, what in [
        ("text.npy", "text.npy is not a NumPy array file"),
        ("several.npy", "several.npy holds several arrays"),
        ("missing.npy", "there is no file .*missing.npy"),
    ]:
        with pytest.raises(TrackError, match=what):
            import_npy(tmp_path / name, tmp_path / "tracks")


def test_a_name_must_be_one_of_a_file(tmp_path, ring):
    with pytest.raises(TrackError, match=r"'\.\./mine' cannot be the name of a track"):
        import_npy(save(tmp_path, ring), tmp_path / "tracks", "../mine")
    assert imported_names(tmp_path / "tracks") == ()
