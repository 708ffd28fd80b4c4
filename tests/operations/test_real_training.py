"""One whole training with the real trainer and simulator, killed in the middle and continued."""

from __future__ import annotations

import json
import os
import signal

import pytest

from drctl.cli.app import main
from drctl.engines.state import read_state
from drctl.operations.training import read_project_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def drctl(project, *words):
    settings = ["DR_RUN_ID=7", "DR_TRAIN_STOP_WHEN=max_episodes", "DR_TRAIN_MIN_EVAL_TRIALS=1"]
    return main(["--project", str(project.root), *(f"--set={setting}" for setting in settings), *words])


def test_a_training_survives_the_death_of_everything(project, wait_for, capsys):
    file = project.custom_files / "hyperparameters.json"
    few = {"num_episodes_between_training": 2, "num_epochs": 1, "term_cond_max_episodes": 6}
    file.write_text(json.dumps({**json.loads(file.read_text()), **few}))
    assert drctl(project, "start-training", "-q") == 0
    wait_for(lambda: (read_project_run(project).trainer.get("checkpoint") or {}).get("last", 0) >= 1, 120.0)
    state = read_state(project.run_folder)
    os.kill(state.supervisor.pid, signal.SIGKILL)
    wait_for(lambda: not any(part.process.is_alive for part in state.parts), 5.0)
    assert read_project_run(project).phase == "dead"
    capsys.readouterr()
    assert drctl(project, "start-training", "--resume") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith("6 training episodes were driven (term_cond_max_episodes 6)") for line in lines)
    model = project.data_folder / "bucket" / "rl-deepracer-sagemaker"
    index = json.loads((model / "model" / "deepracer_checkpoints.json").read_text())
    assert index["last_checkpoint"]["name"].startswith("3_Step-")
    assert (model / "model" / "model_3.pb").exists()
    assert [json.loads((model / ".drctl" / "iterations" / f"{i}.json").read_text())["episodes"] for i in range(3)] == [
        2
    ] * 3
    assert not any(part.process.is_alive for part in read_state(project.run_folder).parts)
