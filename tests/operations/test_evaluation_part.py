"""What goes between an evaluation in a container and whoever watches it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation.round_track import LEFT, METADATA, circle_rows, constant_graph

from drctl.config.transfer import settings_to_json
from drctl.formats.object_keys import ModelKeys
from drctl.operations.evaluation_part import Told, main, result_from_json
from drctl.operations.evaluation_report import RaceView
from drctl.operations.race_preparation import EvaluationRequest
from drctl.result import Message
from drctl.storage.directory import DirectoryStore

VIEW = RaceView(0, 2, "circle", 1, 3, 12.5, 1.2, 0)


@pytest.mark.parametrize("told", [Told(view=VIEW), Told(message=Message("look", "warning"))])
def test_what_is_told_survives_its_line(told):
    assert Told.from_line(told.to_line()) == told


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "{}", "[1]", '{"view": {"x": 1}}'])
def test_any_other_line_is_a_message(line):
    assert Told.from_line(line) == Told(message=Message(line))


@pytest.fixture
def folder(make_project, tmp_path):
    """What a container sees, with a model in a store beside it."""
    project = make_project(world_name="circle", eval_number_of_trials=1)
    store, keys = DirectoryStore(tmp_path / "bucket"), ModelKeys(project.settings.local_s3_model_prefix)
    store.put(keys.model_metadata, json.dumps(METADATA).encode())
    store.put(keys.frozen_graph(2), constant_graph(LEFT))
    folder = tmp_path / "container"
    (folder / "tracks").mkdir(parents=True)
    np.save(folder / "tracks" / "circle.npy", circle_rows())

    def write(checkpoint):
        content = {
            "settings": settings_to_json(project.settings),
            "request": EvaluationRequest((checkpoint,)).to_json(),
            "store": {"kind": "directory", "bucket": "bucket", "folder": str(tmp_path / "bucket")},
            "place": "s3://bucket at home",
        }
        (folder / "evaluation.json").write_text(json.dumps(content))
        return folder

    return write


def test_it_races_and_tells(folder, capsys):
    place = folder("2")
    assert main([str(place)]) == 0
    told = [Told.from_line(line) for line in capsys.readouterr().out.splitlines()]
    assert all(one.view for one in told)
    assert told[-1].view.finished.startswith("lap 1/1: ")
    result = result_from_json(json.loads((place / "result.json").read_text())["result"])
    (race,) = result.data["races"]
    assert (race["checkpoint"], race["track"], race["laps_complete"]) == (2, "circle", 1)
    assert any(message.text.startswith("  s3://bucket at home/") for message in result.messages)


def test_an_error_is_left_with_its_kind(folder):
    place = folder("9")
    assert main([str(place)]) == 4
    content = json.loads((place / "result.json").read_text())
    assert content["error"] == "ObjectNotFoundError"
    assert "checkpoint 9" in content["problems"][0]["what"]
