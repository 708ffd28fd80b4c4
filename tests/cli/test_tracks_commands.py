"""``drctl tracks``: what is printed, what is written and how it fails."""

import json

import numpy as np
import pytest
from PIL import Image

from drctl.cli.app import main


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "run.env").write_text("")
    (tmp_path / "system.env").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def waypoint_file(tmp_path):
    angle = np.linspace(0.0, 2.0 * np.pi, 31)
    rows = np.hstack([radius * np.column_stack([np.cos(angle), np.sin(angle)]) for radius in (2.0, 1.6, 2.4)])
    path = tmp_path / "ring.npy"
    np.save(path, rows)
    return path


def test_list_works_without_a_project(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tracks", "list"]) == 0
    printed = capsys.readouterr().out.splitlines()
    line = next(line for line in printed if line.startswith("reinvent_base "))
    assert line.split() == ["reinvent_base", "17.71", "m", "counter-clockwise", "re:Invent", "2018"]
    assert printed[-2:] == ["Next:", "  drctl tracks show NAME"]
    assert len(printed) == 130


def test_list_as_json_names_all_and_their_source(project, waypoint_file, capsys):
    assert main(["tracks", "import", str(waypoint_file)]) == 0
    capsys.readouterr()
    assert main(["tracks", "list", "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == "tracks list"
    tracks = {entry["name"]: entry for entry in document["data"]["tracks"]}
    assert len(tracks) == 129
    assert tracks["ring"]["source"] == "tracks/ring.npy"
    assert tracks["Oval_track"] == {
        "name": "Oval_track",
        "label": "Oval Track",
        "length_m": 19.55,
        "direction": "counter-clockwise",
        "source": "library",
    }


def test_import_keeps_the_file_and_says_how_to_use_it(project, waypoint_file, capsys):
    assert main(["tracks", "import", str(waypoint_file), "--name", "my-ring"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "imported my-ring: 12.54 m, 30 waypoints",
        "Next:",
        "  drctl tracks show my-ring",
        "  drctl config set DR_WORLD_NAME=my-ring",
    ]
    np.testing.assert_array_equal(np.load(project / "tracks" / "my-ring.npy")[:-1], np.load(waypoint_file)[:-1])


def test_import_of_a_wrong_file_writes_nothing(project, capsys):
    np.save(project / "bad.npy", np.zeros((5, 4)))
    assert main(["tracks", "import", "bad.npy"]) == 3
    assert capsys.readouterr().err.splitlines() == [
        "error[track_invalid]: bad.npy holds an array of shape (5, 4) and type float64",
        "  where:    bad.npy",
        "  expected: float rows (n, 6): centre x, y, inner border x, y, outer border x, y in metres",
        "  fix:      save the waypoints as such an array with numpy.save",
    ]
    assert not (project / "tracks").exists()


def test_import_does_not_replace_another_track(project, waypoint_file, capsys):
    assert main(["tracks", "import", str(waypoint_file)]) == 0
    np.save(waypoint_file, 2.0 * np.load(waypoint_file))
    assert main(["tracks", "import", str(waypoint_file)]) == 5
    assert "error[conflict]: the project has another track 'ring' already" in capsys.readouterr().err
    assert main(["tracks", "import", str(waypoint_file), "--overwrite"]) == 0


def test_import_needs_a_project(tmp_path, waypoint_file, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tracks", "import", str(waypoint_file)]) == 3
    assert "error[config_invalid]" in capsys.readouterr().err


def test_show_draws_borders_and_start(project, capsys):
    assert main(["tracks", "show", "Oval_track"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Oval_track: Oval Track"
    assert printed[1].startswith("19.5")
    assert printed[1].endswith("counter-clockwise, 100 waypoints, from the library")
    drawing = "\n".join(printed[2:-2])
    assert sum(drawing.count(arrow) for arrow in "→↗↑↖←↙↓↘") == 1
    assert sum("\u2800" < letter <= "\u28ff" for letter in drawing) > 100
    assert max(map(len, printed[2:-2])) <= 72
    assert printed[-1] == "  drctl config set DR_WORLD_NAME=Oval_track"


def test_show_writes_a_picture(project, capsys):
    assert main(["tracks", "show", "reinvent_base", "--png", "map.png"]) == 0
    assert "wrote map.png" in capsys.readouterr().out
    with Image.open(project / "map.png") as image:
        assert image.mode == "RGB"
        colors = {color for _, color in image.getcolors(1 << 20)}
        assert max(image.size) > 1500
    # simulator-facts 5.2, times 1.11 for the light: the road is dark blue, the field green.
    assert any(abs(r - 40) < 3 and abs(g - 54) < 3 and abs(b - 71) < 3 for r, g, b in colors)
    assert any(abs(r - 105) < 4 and abs(g - 151) < 4 and abs(b - 118) < 4 for r, g, b in colors)


def test_a_picture_that_cannot_be_written_is_an_error(project, capsys):
    assert main(["tracks", "show", "reinvent_base", "--png", "nowhere/map.png"]) == 4
    assert capsys.readouterr().err.splitlines() == [
        "error[unavailable]: cannot write nowhere/map.png: No such file or directory",
        "  where:    nowhere/map.png",
        "  expected: a folder that exists and can be written to",
        "  fix:      choose another file with --png",
    ]


def test_a_misspelt_name_is_answered_with_the_nearest(project, waypoint_file, capsys):
    assert main(["tracks", "show", "reinvent_bse"]) == 3
    assert capsys.readouterr().err.splitlines() == [
        "error[track_invalid]: there is no track 'reinvent_bse'",
        "  expected: reinvent_base, or another name of 'drctl tracks list'",
        "  fix:      drctl tracks show reinvent_base",
    ]
    assert main(["tracks", "import", str(waypoint_file)]) == 0
    assert main(["tracks", "show", "rinng"]) == 3
    assert "fix:      drctl tracks show ring" in capsys.readouterr().err


def test_an_imported_file_that_became_unusable_is_listed_and_named(project, capsys):
    (project / "tracks").mkdir()
    (project / "tracks" / "broken.npy").write_text("no array")
    assert main(["tracks", "list"]) == 0
    assert "broken.npy is not a NumPy array file" in capsys.readouterr().out
    assert main(["tracks", "show", "broken"]) == 3
    assert "is not a NumPy array file" in capsys.readouterr().err
