from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace

import pytest

from drctl.engines.identity import ProcessIdentity
from drctl.engines.state import EngineState, PartState, write_state
from drctl.stack.plan import RunPlan, write_plan
from drctl.status.run_status import RunReader, combine, find_runs, read_run
from drctl.status.text import describe_run, duration, seconds_left
from drctl.status.waiting import stuck_after
from drctl.storage.directory import DirectoryStore

NOW = 1_800_000_000.0
ME = ProcessIdentity.of(os.getpid())
GONE = ProcessIdentity(os.getpid(), ME.started + 1)  # the same number, another process
SECONDS = ({"collect": 4.0, "update": 20.0, "publish": 1.0, "evaluate": 5.0},) * 3


def plan(folder="/nowhere/tmp/run-0", **changes):
    fields = {
        "run_id": 0,
        "run_token": "token",
        "prefix": "model",
        "engine": "process",
        "stack": "drctl",
        "project": "/nowhere",
        "run_folder": str(folder),
        "link_port": 7300,
        "ticket": "/nowhere/ticket",
        "trainer": {},
        "parts": (),
    }
    return RunPlan(**{**fields, **changes})


def engine(workers=1, **changes):
    parts = [PartState("trainer", "trainer", ME, NOW - 100.0, is_running=True)]
    parts += [PartState(f"worker-{number}", "worker", ME, NOW - 100.0, is_running=True) for number in range(workers)]
    state = EngineState("token", socket.gethostname(), ME, "running", NOW - 100.0, tuple(parts))
    return replace(state, **changes)


def view(name="worker-0", state="driving", **changes):
    return {
        "name": name,
        "host": "here",
        "pid": os.getpid(),
        "state": state,
        "cars": 20,
        "episodes_running": 7,
        "last_heard": NOW - 1.0,
        "address": "",
        "reason": "",
        **changes,
    }


def trainer(phase="collecting", since=5.0, heartbeat=1.0, workers=None, **facts):
    return {
        "run": {"token": "token"},
        "phase": phase,
        "phase_since": NOW - since,
        "heartbeat": NOW - heartbeat,
        "iteration": 3,
        "workers": [view()] if workers is None else workers,
        **facts,
    }


def status_of(state=None, facts=None, seconds=SECONDS):
    return combine(plan(), state or engine(), trainer() if facts is None else facts, seconds, NOW)


def troubles(status):
    return [(wait.who, wait.for_whom) for wait in status.waits if wait.is_trouble]


def test_a_run_in_good_health():
    status = status_of()
    assert (status.phase, status.is_running, status.is_ready) == ("collecting", True, True)
    assert (NOW - status.phase_since, status.heartbeat_s) == (5.0, 1.0)
    assert [(part.name, part.condition, part.doing) for part in status.parts] == [
        ("trainer", "alive", "collecting"),
        ("worker-0", "alive", "driving 7 of 20 cars"),
    ]
    assert status.waits == ()


def test_before_the_trainer_reports_everybody_waits_for_it():
    status = status_of(facts={})
    assert (status.phase, status.is_ready, status.heartbeat_s) == ("starting", False, None)
    assert [(wait.who, wait.for_whom, wait.since_s) for wait in status.waits] == [
        ("workers", "trainer", 100.0),
        ("trainer", "worker-0", 100.0),
    ]


@pytest.mark.parametrize(
    "views",
    [[], [view(pid=1)], [view(state="lost", reason="silent for 10 s")], [view(state="setting_up")]],
)
def test_a_run_is_not_ready_before_every_worker_has_joined(views):
    assert not status_of(facts=trainer(workers=views)).is_ready


def test_a_worker_that_was_started_again_counts_only_once_it_has_joined_itself():
    status = status_of(facts=trainer(workers=[view(pid=1)]))
    assert (status.parts[1].condition, status.parts[1].doing) == ("late", "has not joined the trainer yet")
    assert troubles(status) == [("trainer", "worker-0")]


def test_a_dead_supervisor_is_not_a_running_run():
    status = status_of(engine(supervisor=GONE, parts=(replace(engine().parts[0], process=GONE),)))
    assert (status.phase, status.is_running, status.is_orphaned) == ("dead", False, True)
    assert status.parts[0].condition == "gone"
    texts = [message.text for message in describe_run(status, NOW)]
    assert "its supervisor is gone: killed, or the machine was restarted" in texts[-1]
    assert "drctl start-training --resume" in texts[-1]


def test_a_run_of_another_machine_is_believed():
    status = status_of(engine(host="elsewhere", supervisor=GONE))
    assert status.is_running


def test_an_ended_run_says_how():
    state = engine(phase="ended", reason="failed", message="the reward raised", exit_status=3)
    status = status_of(state, trainer("ended"))
    assert (status.phase, status.is_running, status.exit_status) == ("ended", False, 3)
    assert describe_run(status, NOW)[0].text.endswith(": the reward raised")
    assert status.waits == ()


def test_workers_of_other_machines_are_listed():
    status = status_of(facts=trainer(workers=[view(), view("laptop-1", host="laptop", pid=99)]))
    guest = status.parts[-1]
    assert (guest.name, guest.condition, guest.doing) == ("laptop-1", "elsewhere", "driving 7 of 20 cars on laptop")
    assert status.is_ready


def test_a_restarting_part_is_waited_for():
    parts = engine().parts
    down = replace(
        parts[1], process=GONE, is_running=False, restarts=2, next_start=NOW + 1, last_exit=-9, last_exit_time=NOW - 2
    )
    status = status_of(engine(parts=(parts[0], down)))
    assert status.parts[1].condition == "restarting"
    assert "SIGKILL" in status.parts[1].doing
    assert troubles(status) == [("trainer", "worker-0")]
    assert status.waits[0].since_s == 2.0
    assert status_of(engine(parts=(parts[0], down)), trainer("ended")).waits == ()  # it was told to leave


def test_a_silent_trainer_is_trouble():
    assert troubles(status_of(facts=trainer(heartbeat=19.0))) == []
    status = status_of(facts=trainer(heartbeat=45.0))
    assert troubles(status) == [("everybody", "trainer")]
    assert status.waits[0].since_s == 45.0


def test_a_store_that_does_not_answer_is_named():
    status = status_of(facts=trainer("publishing", store_trouble="no space left on device"))
    assert troubles(status) == [("trainer", "store")]
    assert status.waits[0].why.startswith("no space left on device")


def test_a_stuck_phase_is_named_with_its_likely_cause():
    assert troubles(status_of(facts=trainer("updating", since=99.0))) == []  # 5 x 20 s
    status = status_of(facts=trainer("updating", since=101.0))
    assert troubles(status) == [("everybody", "updating")]
    assert "normally takes less than 100 s; likely: other programs" in status.waits[0].why


@pytest.mark.parametrize(
    ("phase", "seconds", "limit"),
    [
        ("updating", SECONDS, 100.0),
        ("publishing", SECONDS, 60.0),
        ("collecting", (), 600.0),
        ("waiting_for_workers", SECONDS, None),
        ("ended", (), None),
    ],
)
def test_limits_of_phases(phase, seconds, limit):
    assert stuck_after(phase, seconds) == limit


def test_a_status_of_an_earlier_start_says_nothing_about_this_one(tmp_path):
    folder = tmp_path / "tmp" / "run-0"
    folder.mkdir(parents=True)
    store = DirectoryStore(tmp_path / "bucket")
    assert read_run(folder, store) is None
    write_plan(plan(folder))
    write_state(folder, engine())
    store.put("model/.drctl/status.json", json.dumps({**trainer(), "run": {"token": "former"}}).encode())
    assert read_run(folder, store).phase == "starting"
    store.put("model/.drctl/status.json", json.dumps(trainer()).encode())
    store.put("model/.drctl/iterations/2.json", json.dumps({"seconds": SECONDS[0]}).encode())
    status = RunReader(folder, store).read(NOW)
    assert (status.phase, status.seconds_per_phase) == ("collecting", (SECONDS[0],))
    assert read_run(folder, None).trainer == {}  # the store cannot be reached
    assert json.loads(json.dumps(status.to_json()))["phase"] == "collecting"


def test_a_supervisor_that_ends_its_run_while_it_is_read_was_not_killed(tmp_path):
    class SlowStore(DirectoryStore):
        def get(self, key):
            write_state(tmp_path, engine(supervisor=GONE, phase="ended", reason="finished", exit_status=0))
            return super().get(key)

    write_plan(plan(tmp_path))
    write_state(tmp_path, engine(supervisor=GONE))
    status = read_run(tmp_path, SlowStore(tmp_path / "bucket"))
    assert (status.phase, status.is_orphaned, status.exit_status) == ("ended", False, 0)


def test_runs_are_found_by_their_number(tmp_path):
    for number in (10, 2):
        folder = tmp_path / "tmp" / f"run-{number}"
        folder.mkdir(parents=True)
        write_state(folder, engine())
    (tmp_path / "tmp" / "run-3").mkdir()
    assert [folder.name for folder in find_runs(tmp_path)] == ["run-2", "run-10"]


def rule(name, **facts):
    return {"name": name, "text": "", "streak": 0, "needed": 3, "max_episodes": 200, **facts}


@pytest.mark.parametrize(
    ("facts", "left"),
    [
        ({"stop_rule": rule("laps", streak=1)}, 60.0),  # two more iterations of 30 s
        ({"stop_rule": rule("laps")}, None),
        ({"stop_rule": rule("max_episodes"), "episodes_total": 60, "iteration": 3}, 210.0),  # 140 of 20 each
        ({"stop_rule": rule("score")}, None),
        ({}, None),
    ],
)
def test_time_left(facts, left):
    assert seconds_left(status_of(facts=trainer(**facts))) == left


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (150, "2 min"), (7500, "2 h 05 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_suspended_trainer_is_told_from_a_busy_one(tmp_path):
    import signal
    import subprocess

    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            process.send_signal(signal.SIGSTOP)
            parts = engine().parts
            identity = ProcessIdentity.of(process.pid)
            deadline = time.monotonic() + 5
            while not identity.is_suspended and time.monotonic() < deadline:
                time.sleep(0.01)
            status = status_of(engine(parts=(replace(parts[0], process=identity), parts[1])))
            assert status.parts[0].condition == "suspended"
            assert f"kill -CONT {process.pid}" in status.parts[0].doing
            assert ("workers", "trainer") in troubles(status)
        finally:
            process.kill()
