"""``drctl report`` as it is typed."""

from __future__ import annotations

import json

import pytest

from drctl.cli.app import main
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.object_keys import ModelKeys
from drctl.formats.training_metrics import make_episode_metrics, render_training_metrics


@pytest.fixture
def type_in(project, monkeypatch):
    """Type commands in a project whose store holds a model of the community images: metrics alone."""
    monkeypatch.chdir(project.root)
    keys = ModelKeys("rl-deepracer-sagemaker")
    entries = [
        make_episode_metrics(
            reward=10.0 * number,
            start_time_s=0.0,
            end_time_s=12.5,
            episode=number + 1,
            trial=number % 20 + 1,
            phase="training",
            progress_percent=100.0,
            status=EpisodeStatus.LAP_COMPLETE,
        )
        for number in range(40)
    ]
    path = project.data_folder / "bucket" / keys.metrics(0)
    path.parent.mkdir(parents=True)
    path.write_bytes(render_training_metrics(entries, "progress"))
    return lambda *words: main(["report", *words])


def test_the_file_and_what_is_said(type_in, project, capsys):
    assert type_in() == 0
    out = capsys.readouterr().out.splitlines()
    page = project.root / "report-rl-deepracer-sagemaker.html"
    assert out[0] == "rl-deepracer-sagemaker: 2 iterations, 40 episodes, best lap 12.50 s"
    assert "rl-deepracer-sagemaker: Maps, actions and the places where the car leaves the road are not known" in out[2]
    assert out[-3:] == [
        f"The report is {page} ({page.stat().st_size / 1000:.1f} kB)",
        "Next:",
        "  drctl report rl-deepracer-sagemaker OTHER-MODEL",
    ]
    assert "Reward per episode" in page.read_text()
    assert type_in() == 0, "an earlier report is replaced"
    assert sorted(path.name for path in project.root.glob("*report*")) == [page.name]


def test_the_numbers(type_in, project, capsys):
    assert type_in("--output", "json", "-o", "other.html") == 0
    document = json.loads(capsys.readouterr().out)
    [model] = document["data"]["models"]
    assert document["data"]["file"] == str(project.root / "other.html")
    assert [one["training"]["reward_mean"] for one in model["iterations"]] == [95.0, 295.0]
    assert set(model) == {
        *("prefix", "place", "tracks", "best_checkpoint", "last_checkpoint", "episodes", "steps", "wall_s"),
        *("best_lap_s", "drawn_lap", "iterations", "races", "actions", "episode_ends", "hyperparameters"),
        *("conditions", "traces_read", "missing"),
    }


def test_only_reports_are_replaced(type_in, project, capsys):
    notes = project.root / "notes.html"
    notes.write_text("<p>mine</p>")
    assert type_in("-o", "notes.html") == 5
    assert capsys.readouterr().err.splitlines() == [
        "error[conflict]: notes.html is there, and it is no report",
        f"  where:    {notes}",
        "  expected: a new name, or that of an earlier report",
        "  fix:      drctl report -o report-notes.html",
    ]
    assert notes.read_text() == "<p>mine</p>"


def test_every_unknown_model_is_named(type_in, capsys):
    assert type_in("one", "two") != 0
    err = capsys.readouterr().err
    assert "there is nothing to report on under one" in err
    assert "there is nothing to report on under two" in err


def test_refused_words(type_in, capsys):
    assert type_in(*(f"m{number}" for number in range(9))) == 2
    assert "error[usage]: 9 models are too many for one report" in capsys.readouterr().err
    assert type_in("a//b") == 2
    assert "error[usage]: 'a//b' is not a prefix" in capsys.readouterr().err
    assert type_in("-o", "no/such/folder.html") == 4
    assert "no/such/folder.html cannot be written: there is no such folder" in capsys.readouterr().err
