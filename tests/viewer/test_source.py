"""What the page is told of runs: those that go on elsewhere, those whose store is away, races beside them."""

from __future__ import annotations

import json

import pytest

from drctl.engines.state import EngineState, PartState, write_state
from drctl.errors import UnavailableError
from drctl.stack.plan import Container, Part, RestartPolicy, RunPlan, write_plan
from drctl.stack.viewer_plan import ViewerPlan
from drctl.status import witness
from drctl.viewer.source import Source

FACTS = {"workers": 1, "episodes_per_iteration": 4, "max_episodes": 8, "metrics_prefix": "model/metrics"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project whose run 4 trains with the community images in containers that the network knows."""
    monkeypatch.setattr(witness.socket, "getaddrinfo", lambda *_: [])
    write_run(tmp_path / "tmp" / "run-4", "training")
    return tmp_path


def write_run(folder, job):
    folder.mkdir(parents=True)
    kind = "deepracer-4" if job == "training" else "deepracer-eval-4"
    part = Part("worker-0", "worker", (), container=Container(f"{kind}-robomaker-1", "robomaker", "image"))
    write_plan(
        RunPlan(
            *(4, "token", "model", "compose", "community", "/p", str(folder), 0, "", FACTS, (part,)),
            restart=RestartPolicy(limit=0),
            job=job,
        )
    )
    write_state(folder, EngineState("token", "box", None, "starting", 900.0, (PartState("worker-0", "worker"),)))


def source(root, engine="compose", run_id=4):
    place = {"kind": "directory", "bucket": "bucket", "folder": str(root / "bucket")}
    told = ViewerPlan(str(root), engine, run_id, "0.0.0.0", 8100, None, False, ("overlay",), False, "Red", place)
    return Source(told)


def test_workers_of_the_images_stream_from_their_containers(root):
    seen = source(root)
    (run,) = seen.read(1000.0).state["runs"]
    assert [(part["name"], part["condition"], part["has_stream"]) for part in run["parts"]] == [
        ("worker-0", "alive", True)
    ]
    assert seen.address(4, "worker-0") == "deepracer-4-robomaker-1:8080"


def test_a_race_of_the_images_is_one_more_part_while_it_lasts(root):
    folder = root / "tmp" / "eval-4"
    write_run(folder / "images", "evaluation")
    (folder / "state.json").write_text(json.dumps({"pid": 1, "started": 1, "description": "a race", "since": 950.0}))
    seen = source(root)
    (run,) = seen.read(1000.0).state["runs"]
    assert (run["parts"][1]["doing"], run["parts"][1]["has_stream"]) == ("a race", True)
    assert seen.address(4, "evaluation") == "deepracer-eval-4-robomaker-1:8080"
    (folder / "state.json").unlink()
    (run,) = seen.read(1001.0).state["runs"]
    assert len(run["parts"]) == 1
    assert seen.address(4, "evaluation") is None


def test_a_store_that_is_away_is_said_beside_what_was_known(root, monkeypatch):
    seen = source(root)
    seen.read(1000.0)

    def refuse(*_):
        raise UnavailableError("the store does not answer")

    monkeypatch.setattr("drctl.viewer.stored_races.StoredFiles.read", refuse)
    (run,) = seen.read(1010.0).state["runs"]
    assert (run["trouble"], run["prefix"]) == ("the store does not answer", "model")
    monkeypatch.undo()
    monkeypatch.setattr(witness.socket, "getaddrinfo", lambda *_: [])
    (run,) = seen.read(1020.0).state["runs"]
    assert "trouble" not in run


def test_a_run_of_another_engine_is_named_with_the_command_that_shows_it(root):
    (run,) = source(root, "process", None).read(1000.0).state["runs"]
    assert run["trouble"] == (
        "DR_DOCKER_STYLE was compose at its start; drctl start-viewer --set DR_DOCKER_STYLE=compose"
    )
