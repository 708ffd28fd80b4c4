"""The training commands as a user types them, on runs whose parts are small programs."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from drctl.cli.app import main
from drctl.engines.state import read_state
from drctl.operations import training
from drctl.operations.training import read_project_run

PREFIX = "rl-deepracer-sagemaker"
# Goes on once the start has seen it drive, however slow the machine is.
DRIVE = """
report('collecting', checkpoint={'last': 3, 'best': 2})
while not (folder / "seen").exists() and os.getppid() == parent:
    time.sleep(0.05)
"""


@pytest.fixture
def drctl(project, planner, monkeypatch, capsys):
    """Type a command in the project; parts of its runs are small programs."""
    wait_until_ready = training.wait_until_ready

    def wait_and_tell(project, *arguments):
        status = wait_until_ready(project, *arguments)
        (project.run_folder / "seen").touch()
        return status

    def type_in(*words, body=None):
        monkeypatch.setattr(training, "plan_training", planner(body) if body else planner())
        monkeypatch.setattr(training, "wait_until_ready", wait_and_tell)
        status = main(["--project", str(project.root), "--set", "DR_RUN_ID=7", *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return type_in


def test_a_training_from_its_start_to_its_end(drctl, project):
    status, out, err = drctl("start-training", body=DRIVE + "finish()")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"Starting the training of {PREFIX} (run 7)"
    assert f"The training of {PREFIX} has begun with 1 worker (run 7)" in lines
    assert f"The training of {PREFIX} has ended: enough episodes" in lines
    assert f"The model is {project.data_folder}/bucket/{PREFIX}" in lines
    assert any(line.endswith(f"{PREFIX}/model/model_2.pb") for line in lines)
    assert lines[-3:] == ["Next:", "  drctl eval --mp4", "  drctl report"]
    assert "\x1b" not in out
    assert lines.count("term_cond_avg_score=350 has no effect: DR_TRAIN_STOP_WHEN=laps") == 1


def test_a_run_that_fails_while_it_is_followed_gives_its_exit_status(drctl):
    problem = {
        "what": "reward_function raised",
        "where": "reward_function.py:3",
        "fix": "correct it",
        "code": "reward_failed",
    }
    status, _, err = drctl("start-training", body=DRIVE + f"finish('failed', 'the reward raised', 3, [{problem!r}])")
    text = "error[reward_failed]: reward_function raised\n  where:    reward_function.py:3\n  fix:      correct it\n"
    assert (status, err) == (3, text)


def test_quiet_returns_at_once(drctl, project):
    status, out, _ = drctl("start-training", "-q")
    assert status == 0
    assert out.endswith("Next:\n  drctl status\n  drctl logs-sagemaker -f\n  drctl stop-training\n")
    assert read_project_run(project).is_running


def test_json_is_one_document_and_returns_at_once(drctl, project):
    status, out, err = drctl("start-training", "--output", "json")
    document = json.loads(out)
    assert (status, err, document["command"], document["ok"]) == (0, "", "start-training", True)
    assert set(document["data"]) == {"run_id", "prefix", "run_folder", "is_running", "seconds"}
    status, out, _ = drctl("status", "--output", "json")
    (run,) = json.loads(out)["data"]["runs"]
    assert (run["run_id"], run["phase"], run["parts"][0]["name"]) == (7, "collecting", "trainer")


def test_ctrl_c_while_following_detaches(drctl, project, wait_for):
    def interrupt():
        wait_for(lambda: (found := read_project_run(project)) and found.is_ready)
        threading.Event().wait(1.0)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    status, out, _ = drctl("start-training")
    thread.join()
    assert status == 0
    assert "\nThe training goes on without this display.\nNext:\n  drctl status\n" in out
    assert read_project_run(project).is_running


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["-s"], "\nhello from the trainer\n"),
        (["-r", "0"], "\nhello from a worker\n"),
        (["-a"], "worker-0 | hello from a worker\n"),
    ],
)
def test_logs_in_place_of_the_display(drctl, option, expected):
    status, out, _ = drctl("start-training", *option, body=DRIVE + "finish()")
    assert status == 0
    assert expected in out


def test_options_that_do_not_go_together(drctl, leftovers, project):
    assert drctl("start-training", "-w", "--resume")[0] == 2
    assert drctl("start-training", "-f")[0] == 2
    assert leftovers(project) == []


def test_the_shells_settings_are_named(drctl, monkeypatch):
    monkeypatch.setenv("DR_WORKERS", "2")
    _, _, err = drctl("start-training", "-q")
    assert "warning: DR_WORKERS=2 from this shell's environment, not 1\n" in err


def test_status_stop_and_logs(drctl, project):
    status, out, _ = drctl("status")
    assert (status, out) == (0, "nothing was started in this project yet\nNext:\n  drctl start-training\n")
    assert drctl("logs-sagemaker")[0] == 4
    drctl("start-training", "-q")
    status, out, _ = drctl("status")
    assert out.startswith(f"run 7: {PREFIX}: collecting for ")
    assert "driving 20 of 20 cars" in out
    assert "hello from the trainer" in drctl("logs-sagemaker")[1]
    assert "hello from a worker" in drctl("logs-robomaker", "-n", "0")[1]
    status, _, err = drctl("logs-robomaker", "-n", "4")
    assert status == 2
    assert "run 7 has no worker 4" in err
    assert drctl("stop-training")[1].startswith("run 7 has ended: stopped by its user\n")
    assert drctl("stop-training")[:2] == (0, "run 7 is not running\n")
    assert drctl("stop-all", "-f")[:2] == (0, "nothing was running\n")


def test_no_secret_in_argument_lists_and_run_files(drctl, project):
    drctl("start-training", "-q")
    for part in read_state(project.run_folder).parts:
        assert str(project.secrets_folder) not in part.name
    for file in project.run_folder.glob("*.json"):
        assert "secret_key" not in file.read_text()


def test_another_engine_for_one_call_says_what_it_lacks(drctl, monkeypatch):
    monkeypatch.setattr("drctl.engines.docker.shutil.which", lambda _name: None)
    status, _, err = drctl("start-training", "--engine", "swarm")
    assert status == 4
    assert "error[unavailable]: there is no docker command on this machine" in err
