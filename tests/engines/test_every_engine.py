"""What holds with every engine: whole trainings with the real trainer and simulator, as a user starts them."""

from __future__ import annotations

import pytest
from engines.engine_case import COMPOSE, ENDLESS, PROCESS, RUN_ID, SWARM, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EVERY_ENGINE = [
    pytest.param(PROCESS, id="process"),
    pytest.param(COMPOSE, id="compose", marks=pytest.mark.docker),
    pytest.param(SWARM, id="swarm", marks=pytest.mark.docker),
]

# Contract 1.2 with two workers, then what only drctl reads (ARCHITECTURE).
FILES = {
    "#/training-simtrace/#-iteration.csv",
    "custom_files/hyperparameters.json",
    "custom_files/model_metadata.json",
    "custom_files/reward_function.py",
    "ip/hyperparameters.json",
    "metrics/TrainingMetrics.json",
    "metrics/TrainingMetrics_#.json",
    "model/deepracer_checkpoints.json",
    "model/model_#.pb",
    "model/model_metadata.json",
    "reward_function.py",
    "training_params.yaml",
    ".drctl/iterations/#.json",
    ".drctl/lease.json",
    ".drctl/manifests/#.json",
    ".drctl/optimizer/#.pt",
    ".drctl/status.json",
    ".drctl/tensorboard/events.out.tfevents.#.HOST",
    ".drctl/weights/#.pt",
}


# Contract 1.3; the videos lie beside the evaluation they belong to, and the newest ones where tools look for them.
CAMERAS = ("camera-pip", "camera-#degree", "camera-topview")
EVALUATION_FILES = {
    "evaluation-#/evaluation-simtrace/#-iteration.csv",
    "metrics/evaluation/evaluation-#.json",
    *(f"evaluation-#/mp#/{camera}/#-video.mp#" for camera in CAMERAS),
    *(f"mp#/{camera}/#-video.mp#" for camera in CAMERAS),
}
OPPONENT_FILES = {
    "evaluation-#/opponent/evaluation-simtrace/#-iteration.csv",
    "evaluation-simtrace/#-iteration.csv",
    "metrics/EvaluationMetrics-#.json",
}


@pytest.fixture
def project(request, engine_project):
    return engine_project(request.param)


@pytest.mark.parametrize("project", EVERY_ENGINE, indirect=True)
def test_a_training_leaves_the_files_of_the_contract(project, capsys):
    project.write_hyperparameters()
    assert project.drctl("start-training", "-w") == 0
    assert "4 training episodes were driven (term_cond_max_episodes 4)" in capsys.readouterr().out
    assert project.kinds_of_files("rl-deepracer-sagemaker") == FILES
    assert project.drctl("stop-training") == 0
    assert project.case.living(project.root) == []

    one_lap = {"DR_EVAL_MAX_RESETS": "0"}
    assert project.drctl("eval", "--trials", "1", "--mp4", **one_lap) == 0
    out = capsys.readouterr().out
    assert "checkpoint 2 on reinvent_base, lap 1/1: " in out
    assert "Checkpoint 2 on reinvent_base, times in seconds" in out
    assert project.kinds_of_files("rl-deepracer-sagemaker") == FILES | EVALUATION_FILES
    assert project.evaluations() == []

    # It races its earlier self too.
    duel = ("--opponent", "rl-deepracer-sagemaker", "--opponent-checkpoint", "1")
    assert project.drctl("eval", "--trials", "1", *duel, **one_lap) == 0
    out = capsys.readouterr().out
    assert "FasterCar (checkpoint 1) on reinvent_base, lap 1/1: " in out
    assert "nobody wins: neither car completed all its laps" in out
    assert project.kinds_of_files("rl-deepracer-sagemaker") == FILES | EVALUATION_FILES | OPPONENT_FILES

    # What the model does not allow is said with the exit status of a host's evaluation.
    assert project.drctl("eval", "--checkpoint", "77") == 4
    assert "error[object_not_found]: checkpoint 77 of rl-deepracer-sagemaker is not in the store" in (
        capsys.readouterr().err
    )

    # One that is stopped leaves nothing.
    before = project.keys("rl-deepracer-sagemaker")
    assert project.drctl("eval", "-q", **ENDLESS) == 0
    assert "goes on in the background" in capsys.readouterr().out
    assert project.drctl("eval", "-q") == 5
    assert project.drctl("stop-evaluation") == 0
    assert "stopped: rl-deepracer-sagemaker is being evaluated" in capsys.readouterr().out
    assert project.evaluations() == []
    assert project.keys("rl-deepracer-sagemaker") == before


@pytest.mark.parametrize("project", EVERY_ENGINE, indirect=True)
def test_a_run_survives_its_parts_and_is_stopped_and_continued(project, capsys):
    project.write_hyperparameters(term_cond_max_episodes=2000)
    assert project.drctl("start-training", "-w", "-q") == 0

    # A second start changes nothing.
    before = sorted(project.case.living(project.root))
    assert project.drctl("start-training", "-q") == 5
    assert f"run {RUN_ID} is taken: " in capsys.readouterr().err
    assert sorted(project.case.living(project.root)) == before == ["trainer", "worker-0", "worker-1"]

    assert project.drctl("status") == 0
    out = capsys.readouterr().out
    assert all(f"{name}  " in out for name in before)
    assert project.drctl("logs-robomaker", "-n", "1") == 0
    assert "Connected to the trainer at " in capsys.readouterr().out
    assert project.drctl("logs-sagemaker") == 0
    assert "Physics ros2; network on" in capsys.readouterr().out

    # What is killed returns, and the training goes on.
    for part in ("worker-0", "trainer"):
        checkpoint = project.last_checkpoint()
        project.case.kill(project.root, part)
        wait_for(lambda part=part: project.restarts()[part] == 1)
        wait_for(lambda checkpoint=checkpoint: project.last_checkpoint() > checkpoint + 1)
    status = wait_for(lambda: (found := project.status()) and found.is_ready and found)
    assert {part.name: part.restarts for part in status.parts} == {"trainer": 1, "worker-0": 1, "worker-1": 0}

    # Within its grace: else the message would say that the trainer was killed.
    assert project.drctl("stop-training") == 0
    assert f"run {RUN_ID} has ended: stopped by its user\n" in capsys.readouterr().out
    assert project.case.living(project.root) == []
    assert project.drctl("stop-training") == 0
    assert f"run {RUN_ID} is not running" in capsys.readouterr().out
    assert project.drctl("logs-sagemaker") == 0
    assert "The run has ended: stopped by its user" in capsys.readouterr().out

    checkpoint = project.last_checkpoint()
    assert project.drctl("start-training", "--resume", "-q") == 0
    wait_for(lambda: project.last_checkpoint() > checkpoint)
    assert project.drctl("stop-all") == 0
    assert project.case.living(project.root) == []
