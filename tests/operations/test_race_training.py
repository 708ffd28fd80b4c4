"""A tiny training of each race type from start to end; the community's log tools read what it leaves."""

from __future__ import annotations

import json

import numpy as np
import pytest

from drctl.cli.app import main

# pandas, matplotlib and boto3 deprecate in one another's names; not ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

RACES = {
    "OBJECT_AVOIDANCE": ("DR_OA_OBJECT_POSITIONS=0.1,-1;0.1,1;0.6,1", "DR_OA_OBSTACLE_TYPE=amazon_box_obstacle"),
    "HEAD_TO_BOT": (
        "DR_H2B_NUMBER_OF_BOT_CARS=4",
        "DR_H2B_IS_LANE_CHANGE=True",
        "DR_H2B_RANDOMIZE_BOT_CAR_LOCATIONS=True",
    ),
}
REWARD = """
def reward_function(params):
    ahead = params["closest_objects"][1]
    x, y = params["objects_location"][ahead]
    return 0.01 if params["is_crashed"] else 1.0 + 0.1 * params["object_in_camera"]
"""


@pytest.fixture
def logs(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "unused")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    return pytest.importorskip("deepracer.logs")


@pytest.mark.parametrize("race", RACES)
def test_a_training_leaves_traces_that_the_log_tools_read(race, project, capsys, logs):
    file = project.custom_files / "hyperparameters.json"
    few = {"num_episodes_between_training": 4, "num_epochs": 1, "term_cond_max_episodes": 8}
    file.write_text(json.dumps({**json.loads(file.read_text()), **few}))
    (project.custom_files / "reward_function.py").write_text(REWARD)
    settings = ("DR_RUN_ID=8", f"DR_RACE_TYPE={race}", "DR_TRAIN_STOP_WHEN=max_episodes", "DR_WORKERS=2", *RACES[race])
    words = [f"--set={setting}" for setting in (*settings, "DR_TRAIN_MIN_EVAL_TRIALS=1")]
    assert main(["--project", str(project.root), *words, "start-training"]) == 0, capsys.readouterr().err
    model = project.data_folder / "bucket" / "rl-deepracer-sagemaker"
    log = logs.DeepRacerLog(str(model))
    log.load()
    frame = log.dataframe()
    last_rows = frame[frame["done"].astype(str) == "True"]
    assert len(last_rows) == 8  # four in each worker's files
    ends = set(last_rows["episode_status"])
    assert ends <= {"crashed", "off_track", "lap_complete", "immobilized", "reversed"}
    if race == "OBJECT_AVOIDANCE":
        assert "crashed" in ends  # both lanes are blocked a tenth of a lap after the start
        metrics = json.loads((model / "metrics" / "TrainingMetrics.json").read_text())["metrics"]
        assert "Crashed" in {entry["episode_status"] for entry in metrics}
    assert np.isfinite(frame["reward"].astype(float)).all()
    capsys.readouterr()
    assert main(["--project", str(project.root), *words, "--output=json", "eval", "--trials", "1"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["data"]["races"]
    assert len(told["laps"]) == 1
    assert told["laps"][0]["crashes"] >= 0
