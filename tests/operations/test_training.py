from __future__ import annotations

import json
import os
import signal
import socket
import threading

import pytest

from drctl.engines.process import ProcessEngine
from drctl.engines.state import read_state
from drctl.errors import ConflictError, DrctlError, FailedError
from drctl.operations.runs import show_status, stop_all
from drctl.operations.training import read_project_run, start_training, stop_training
from drctl.operations.training_outcome import describe_end

PREFIX = "rl-deepracer-sagemaker"


def model(project):
    return project.data_folder / "bucket" / PREFIX


def test_a_start_writes_the_snapshot_and_returns_when_every_worker_has_joined(make_project, planner):
    project = make_project(run_id=7, workers=2)
    result = start_training(project, plan=planner())
    assert result.data["is_running"]
    assert (result.data["run_id"], result.data["prefix"]) == (7, PREFIX)
    assert result.messages[-1].text == f"The training of {PREFIX} has begun with 2 workers (run 7)"
    for name in ("reward_function.py", "hyperparameters.json", "model_metadata.json"):
        assert (model(project) / "custom_files" / name).read_bytes() == (project.custom_files / name).read_bytes()
    assert (model(project) / "reward_function.py").read_bytes() == (
        project.custom_files / "reward_function.py"
    ).read_bytes()
    assert "'NUM_WORKERS': '2'" in (model(project) / "training_params.yaml").read_text()
    trainer = json.loads((project.run_folder / "trainer.json").read_text())
    assert (trainer["workers"], trainer["stop_when"]) == (2, "laps")
    assert trainer["link"]["tcp_port"] == 7307
    status = read_project_run(project)
    assert status.is_ready
    assert [part.condition for part in status.parts] == ["alive"] * 3


def test_a_second_start_is_refused_and_disturbs_nothing(project, planner):
    start_training(project, plan=planner())
    before = {part.name: part.process.pid for part in read_state(project.run_folder).parts}
    with pytest.raises(ConflictError, match="run 7 is taken"):
        start_training(project, plan=planner())
    assert {part.name: part.process.pid for part in read_state(project.run_folder).parts} == before
    assert read_project_run(project).is_running


def test_stop_and_stop_again(project, planner):
    start_training(project, plan=planner())
    first, second = stop_training(project), stop_training(project)
    assert first.data == {"run_id": 7, "was_running": True}
    assert first.messages[0].text == "run 7 has ended: stopped by its user"
    assert (second.exit_status, second.messages[0].text) == (0, "run 7 is not running")
    assert "ended" in show_status(project).messages[0].text


def test_a_used_prefix_is_refused_with_what_is_there(project, planner):
    start_training(project, plan=planner())
    stop_training(project)
    with pytest.raises(ConflictError) as caught:
        start_training(project, plan=planner())
    problem = caught.value.problems[0]
    assert problem.what.startswith(f"the prefix {PREFIX} is in use: 6 objects, ")
    assert problem.what.endswith(", no checkpoint")
    assert "--resume" in problem.fix
    assert "start-training -w" in problem.fix


def test_wiping_moves_the_model_to_the_trash(project, planner):
    start_training(project, plan=planner())
    stop_training(project)
    (model(project) / "mark").write_text("of the first training")
    result = start_training(project, wipe=True, plan=planner())
    assert f"moved {PREFIX} (7 objects) to the trash; drctl undo brings it back" in [
        message.text for message in result.messages
    ]
    assert not (model(project) / "mark").exists()
    assert len(list((project.data_folder / "bucket" / ".trash").rglob("mark"))) == 1


def test_what_ends_the_run_during_its_start_is_the_error_and_nothing_is_left(project, planner, leftovers):
    problem = {"what": "reward_function raised", "where": "reward_function.py:3", "code": "reward_failed"}
    body = f"report('collecting', joined=[])\nfinish('failed', 'the reward raised', 3, [{problem!r}])"
    with pytest.raises(DrctlError) as caught:
        start_training(project, plan=planner(body))
    assert caught.value.exit_status == 3
    assert caught.value.problems[0].where == "reward_function.py:3"
    assert caught.value.problems[0].code == "reward_failed"
    assert leftovers(project) == []
    assert (project.run_folder / "logs" / "trainer.log").exists()  # says why


def test_a_trainer_that_keeps_dying_ends_the_start_with_its_last_words(project, planner, leftovers):
    with pytest.raises(FailedError) as caught:
        start_training(project, plan=planner("print('No module named torch', flush=True)\nos._exit(1)", limit=1))
    problem = caught.value.problems[0]
    assert problem.what == "trainer died 2 times within 10 minutes, at last with exit status 1"
    assert problem.where.endswith("No module named torch")
    assert leftovers(project) == []


def test_ctrl_c_during_the_start_leaves_nothing(project, planner, leftovers, wait_for):
    def interrupt():
        wait_for(lambda: (model(project) / ".drctl" / "status.json").exists())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        start_training(project, plan=planner("report('starting', joined=[])\ntime.sleep(120)"))
    thread.join()
    assert leftovers(project) == []
    start_training(project, plan=planner())  # neither lock nor prefix stand in the way


def test_a_failed_start_with_wipe_brings_the_old_model_back(project, planner):
    start_training(project, plan=planner())
    stop_training(project)
    before = {path: path.read_bytes() for path in project.data_folder.rglob("*") if path.is_file()}
    with pytest.raises(FailedError):
        start_training(project, wipe=True, plan=planner("os._exit(1)"))
    assert {path: path.read_bytes() for path in project.data_folder.rglob("*") if path.is_file()} == before


def test_a_taken_port_stops_the_start_before_anything_happens(project, planner, leftovers):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 7307))
        other.listen()
        with pytest.raises(DrctlError) as caught:
            start_training(project, plan=planner())
    assert caught.value.exit_status == 4
    assert caught.value.problems[0].what == "the trainer cannot listen on 127.0.0.1:7307: address already in use"
    assert leftovers(project) == []


def test_a_store_that_is_down_stops_the_start(make_project, planner, leftovers, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # the store's own patience
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        project = make_project(cloud="remote", remote_minio_url=f"http://127.0.0.1:{port}", run_id=7)
        with pytest.raises(DrctlError) as caught:
            start_training(project, plan=planner())
    assert caught.value.exit_status == 4
    assert f"http://127.0.0.1:{port}" in str(caught.value.problems)
    assert leftovers(project) == []


def test_resume_goes_on_with_the_same_files(project, planner):
    start_training(project, plan=planner())
    stop_training(project)
    result = start_training(project, resume=True, plan=planner())
    assert result.messages[-1].text == f"The training of {PREFIX} goes on with 1 worker (run 7)"


def test_resume_names_what_differs_and_takes_it_when_forced(make_project, planner):
    project = make_project(run_id=7)
    start_training(project, plan=planner())
    stop_training(project)
    file = project.custom_files / "hyperparameters.json"
    changed = {**json.loads(file.read_text()), "lr": 0.5}
    file.write_text(json.dumps(changed))
    project = make_project(run_id=7, workers=2)
    with pytest.raises(ConflictError) as caught:
        start_training(project, resume=True, plan=planner())
    problem = caught.value.problems[0]
    assert problem.what == "files or settings differ from those the model was trained with"
    assert problem.where.splitlines()[1].startswith("hyperparameters.json: lr was ")
    assert problem.where.splitlines()[1].endswith(", is 0.5")
    assert problem.where.splitlines()[2] == 'training_params.yaml: NUM_WORKERS was "1", is "2"'
    assert problem.fix.startswith("drctl start-training --resume -f")
    start_training(project, resume=True, force=True, plan=planner())
    assert json.loads((model(project) / "custom_files" / "hyperparameters.json").read_text()) == changed


def test_a_resume_that_fails_leaves_the_model_as_it_was(make_project, planner):
    project = make_project(run_id=7)
    start_training(project, plan=planner())
    stop_training(project)
    before = {path: path.read_bytes() for path in (model(project) / "custom_files").iterdir()}
    reward = project.custom_files / "reward_function.py"
    reward.write_text(reward.read_text() + "\n# changed\n")
    with pytest.raises(FailedError):
        start_training(project, resume=True, force=True, plan=planner("os._exit(1)"))
    assert {path: path.read_bytes() for path in (model(project) / "custom_files").iterdir()} == before


def test_there_must_be_something_to_resume(project, planner):
    with pytest.raises(ConflictError) as caught:
        start_training(project, resume=True, plan=planner())
    assert caught.value.problems[0].fix == "drctl start-training"


def test_a_killed_supervisor_is_seen_and_resume_continues(project, planner, wait_for):
    start_training(project, plan=planner())
    os.kill(read_state(project.run_folder).supervisor.pid, signal.SIGKILL)
    status = wait_for(lambda: (found := read_project_run(project)).is_orphaned and found)
    assert status.phase == "dead"
    texts = [message.text for message in show_status(project).messages]
    assert any("its supervisor is gone" in text and "drctl start-training --resume" in text for text in texts)
    start_training(project, resume=True, plan=planner())
    assert read_project_run(project).is_running


def test_another_run_of_the_same_model_is_refused(make_project, planner, tmp_path):
    first, second = make_project(run_id=7), make_project(run_id=8)
    start_training(first, plan=planner())
    process = read_state(first.run_folder).parts[0].process
    lease = {"token": "t", "host": socket.gethostname(), "pid": process.pid, "started": process.started}
    (model(first) / ".drctl" / "lease.json").write_text(
        json.dumps({**lease, "epoch": 1, "renewed": 0.0, "is_released": False})
    )
    for options in ({"wipe": True}, {"resume": True}, {}):
        with pytest.raises(ConflictError, match="is being trained now") as caught:
            start_training(second, plan=planner(), **options)
        assert caught.value.problems[0].where == f"process {process.pid} of this machine"


def test_runs_live_side_by_side_and_stop_all_ends_them(make_project, planner):
    first = make_project(run_id=7)
    second = make_project(run_id=8, local_s3_model_prefix="other")
    start_training(first, plan=planner())
    start_training(second, plan=planner())
    runs = show_status(first).data["runs"]
    assert [(run["run_id"], run["prefix"], run["is_running"]) for run in runs] == [
        (7, PREFIX, True),
        (8, "other", True),
    ]
    assert stop_all(first).data == {"stopped": [7, 8]}
    assert stop_all(first, force=True).messages[0].text == "nothing was running"


def test_stop_all_at_once(project, planner):
    start_training(
        project, plan=planner("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + "report('updating')\ntime.sleep(120)")
    )
    processes = [part.process for part in read_state(project.run_folder).parts]
    assert stop_all(project, force=True).data == {"stopped": [7]}
    assert not any(process.is_alive for process in processes)
    assert ProcessEngine().state(project.run_folder).phase == "ended"


def test_the_end_of_a_run_is_its_result(project, planner, wait_for):
    start_training(
        project, plan=planner("report('collecting', checkpoint={'last': 4, 'best': 3})\ntime.sleep(0.5)\nfinish()")
    )
    status = wait_for(lambda: (found := read_project_run(project)).exit_status is not None and found)
    result = describe_end(status)
    assert result.exit_status == 0
    assert result.data["reason"] == "finished"
    assert [message.text for message in result.messages] == [
        f"The training of {PREFIX} has ended: enough episodes",
        "best checkpoint 3, last checkpoint 4",
    ]
