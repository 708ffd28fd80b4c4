from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drctl.engines.identity import ProcessIdentity
from drctl.engines.lock import RunLock
from drctl.engines.logs import log_path
from drctl.engines.process import ProcessEngine, clear_run
from drctl.engines.state import read_state, write_state
from drctl.errors import ConflictError, FailedError
from drctl.stack.plan import RestartPolicy

ENGINE = ProcessEngine()
FOREVER = "time.sleep(120)"


def kill(part):
    pid = part.process.pid
    os.kill(pid, signal.SIGKILL)
    return pid


def test_parts_run_and_their_output_is_kept(start, wait_for):
    folder = start(workers=2)
    state = ENGINE.state(folder)
    assert state.phase == "running"
    assert [part.name for part in state.parts] == ["trainer", "worker-0", "worker-1"]
    assert all(part.process.is_alive for part in state.parts)
    assert ENGINE.is_running(folder)
    for part in state.parts:
        wait_for(lambda part=part: f"hello from {part.process.pid}" in log_path(folder, part.name).read_text())


def test_the_supervisor_belongs_to_nobody_and_is_deaf_to_hang_ups(start):
    folder = start()
    supervisor = read_state(folder).supervisor
    assert os.getsid(supervisor.pid) != os.getsid(0)
    os.kill(supervisor.pid, signal.SIGHUP)
    time.sleep(0.3)
    assert ENGINE.is_running(folder)


def test_a_second_start_is_refused_and_says_who_and_since_when(start):
    folder = start()
    supervisor = read_state(folder).supervisor
    with pytest.raises(ConflictError) as caught:
        RunLock.acquire(folder, "test")
    problem = caught.value.problems[0]
    assert problem.what == "run 0 is taken: the training of model runs"
    assert problem.where.startswith(f"process {supervisor.pid} of ")
    assert time.strftime("since %Y-%m-%d") in problem.where
    assert problem.fix == "drctl stop-training, or choose another DR_RUN_ID"


def test_stop_ends_every_part_and_says_so(start):
    folder = start()
    processes = [part.process for part in read_state(folder).parts]
    assert ENGINE.down(folder) is True
    state = read_state(folder)
    assert (state.phase, state.reason, state.exit_status) == ("ended", "stopped", 0)
    assert state.message == "stopped by its user"
    assert not any(process.is_alive for process in [state.supervisor, *processes])
    assert ENGINE.down(folder) is False  # stopped already
    RunLock.acquire(folder, "test").close()


def test_stop_where_nothing_was_started(tmp_path):
    assert ENGINE.down(tmp_path / "run-3") is False


def test_a_trainer_that_does_not_stop_is_killed_after_its_grace(start, wait_for):
    folder = start(
        "signal.signal(signal.SIGTERM, lambda *_: None)\nprint('deaf', flush=True)\nwhile True: time.sleep(1)",
        stop_grace_s=0.5,
    )
    wait_for(lambda: "deaf" in log_path(folder, "trainer").read_text())
    assert ENGINE.down(folder)
    state = read_state(folder)
    assert state.reason == "stopped"
    assert state.message == "stopped by its user; the trainer did not end in time and was killed"


def test_the_run_ends_with_the_outcome_of_its_trainer(start, part_of, ended):
    folder = start("finish('failed', 'the reward raised', 3)")
    state = ended(folder)
    assert (state.reason, state.message, state.exit_status) == ("failed", "the reward raised", 3)
    assert not any(part.process.is_alive for part in state.parts)
    assert part_of(folder, "worker-0").last_exit == 0


def test_a_worker_that_leaves_before_its_trainer_has_not_died(start, ended, part_of):
    goodbye = "(folder / 'outcome.json').touch()\ntime.sleep(0.5)\nfinish()"
    folder = start(goodbye, restart=RestartPolicy(limit=0))
    state = ended(folder)
    assert (state.reason, state.message) == ("finished", "enough episodes")
    worker = part_of(folder, "worker-0")
    assert (worker.last_exit, worker.restarts) == (0, 0)


@pytest.mark.slow
def test_a_worker_that_does_not_leave_is_asked_and_then_killed(start, ended, part_of):
    stubborn = "leaves = False\nsignal.signal(signal.SIGTERM, lambda *_: None)\nwhile True: time.sleep(1)"
    folder = start("time.sleep(0.3)\nfinish()", stubborn)
    assert ended(folder).reason == "finished"
    assert part_of(folder, "worker-0").last_exit == -signal.SIGKILL


@pytest.mark.parametrize("name", ["trainer", "worker-0"])
def test_a_killed_part_comes_back_and_the_others_do_not_notice(start, name, wait_for, part_of):
    folder = start()
    others = {part.name: part.process.pid for part in read_state(folder).parts if part.name != name}
    former = kill(part_of(folder, name))
    wait_for(lambda: (part := part_of(folder, name)).is_running and part.process.pid != former)
    part = part_of(folder, name)
    assert (part.restarts, part.last_exit) == (1, -signal.SIGKILL)
    assert {part.name: part.process.pid for part in read_state(folder).parts if part.name != name} == others
    assert "killed by SIGKILL" in log_path(folder, name).read_text()


@pytest.mark.parametrize(
    ("name", "logs"), [("trainer", "drctl logs-sagemaker"), ("worker-0", "drctl logs-robomaker -n 0")]
)
def test_a_part_that_dies_too_often_ends_the_run_with_its_last_words(start, name, logs, part_of, ended):
    bodies = {"trainer": FOREVER, "worker-0": FOREVER, name: "print('no such module', flush=True)\nsys.exit(1)"}
    restart = RestartPolicy(limit=2, first_delay_s=0.01)
    folder = start(bodies["trainer"], bodies["worker-0"], restart=restart)
    state = ended(folder)
    assert (state.reason, state.exit_status) == ("failed", 1)
    assert state.message == f"{name} died 3 times within 10 minutes, at last with exit status 1"
    assert state.problems[0].where.splitlines()[-1] == "no such module"
    assert state.problems[0].fix.startswith(logs)
    assert not any(part.process.is_alive for part in state.parts)
    assert part_of(folder, name).restarts == 2


def test_pauses_double(start, ended):
    folder = start("sys.exit(1)", restart=RestartPolicy(limit=3, first_delay_s=0.1))
    ended(folder)
    text = log_path(folder, "trainer").read_text()
    assert re.findall(r"starting again in (\S+) s", text) == ["0.1", "0.2", "0.4"]


def test_an_unavailable_store_gives_its_exit_status(start, ended):
    folder = start("sys.exit(4)", restart=RestartPolicy(limit=0))
    state = ended(folder)
    assert state.exit_status == 4
    assert state.problems[0].code == "unavailable"


def test_a_trainer_that_lost_its_model_to_another_is_not_started_again(start, part_of, ended):
    folder = start("sys.exit(5)")
    state = ended(folder)
    assert (state.exit_status, state.message) == (5, "another trainer has taken the model over")
    assert part_of(folder, "trainer").restarts == 0


def test_a_part_that_cannot_be_started_counts_as_dead(make_plan, tmp_path, ended):
    plan = make_plan(restart=RestartPolicy(limit=1, first_delay_s=0.01))
    broken = replace(plan.parts[1], argv=(str(tmp_path / "missing"),))
    plan = replace(plan, parts=(plan.parts[0], broken))
    folder = Path(plan.run_folder)
    with contextlib.closing(RunLock.acquire(folder, "test")) as lock:
        ENGINE.up(plan, lock)
    assert ended(folder).message == "worker-0 died 2 times within 10 minutes, at last with exit status 127"


def test_a_term_without_a_stop_request_is_an_interruption(start, ended):
    folder = start()
    os.kill(read_state(folder).supervisor.pid, signal.SIGTERM)
    state = ended(folder)
    assert (state.reason, state.exit_status) == ("interrupted", 143)


def test_children_of_a_killed_supervisor_end_within_five_seconds(start, wait_for):
    folder = start()
    state = read_state(folder)
    os.kill(state.supervisor.pid, signal.SIGKILL)
    wait_for(lambda: not any(part.process.is_alive for part in state.parts), 5.0)
    assert not ENGINE.is_running(folder)
    assert read_state(folder).phase == "running"  # nobody was left to write
    RunLock.acquire(folder, "test").close()  # and nobody holds the run any more


def test_stop_after_the_supervisor_was_killed_cleans_up(start, wait_for):
    folder = start()
    state = read_state(folder)
    os.kill(state.supervisor.pid, signal.SIGKILL)
    wait_for(lambda: not state.supervisor.is_alive)
    assert ENGINE.down(folder) is False
    assert not any(part.process.is_alive for part in state.parts)
    assert read_state(folder).phase == "ended"


def test_what_a_part_started_goes_with_it(start, wait_for, ended):
    folder = start("import subprocess\nprint('child', subprocess.Popen(['sleep', '120']).pid, flush=True)\nfinish()")
    ended(folder)
    line = next(line for line in log_path(folder, "trainer").read_text().splitlines() if line.startswith("child"))
    wait_for(lambda: not _is_process(int(line.split()[1])))


def _is_process(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_reused_process_id_is_not_mistaken_for_the_supervisor(start):
    folder = start()
    state = read_state(folder)
    ENGINE.down(folder)
    write_state(folder, replace(state, supervisor=ProcessIdentity(os.getpid(), 12345)))
    assert not ENGINE.is_running(folder)
    assert ENGINE.down(folder) is False  # and this process was not signalled


def test_a_supervisor_that_cannot_start_is_reported(make_plan, monkeypatch):
    plan = make_plan(parts=())  # no trainer: the supervisor fails
    folder = Path(plan.run_folder)
    lock = RunLock.acquire(folder, "test")
    with pytest.raises(FailedError) as caught:
        ENGINE.up(plan, lock)
    assert str(caught.value) == "the supervisor of the run did not start"
    assert "StopIteration" in caught.value.problems[0].where
    lock.close()
    clear_run(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "logs", "trainer.py", "worker-0.py"]


def test_workers_do_not_get_dropped_variables(make_plan, monkeypatch, wait_for):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    body = "print('AWS', os.environ.get('AWS_SECRET_ACCESS_KEY'), os.environ.get('MORE'), flush=True)\n" + FOREVER
    plan = make_plan(body, body)
    worker = replace(plan.parts[1], environment={"MORE": "1"}, dropped_environment=("AWS_",))
    plan = replace(plan, parts=(plan.parts[0], worker))
    folder = Path(plan.run_folder)
    with contextlib.closing(RunLock.acquire(folder, "test")) as lock:
        ENGINE.up(plan, lock)
    wait_for(lambda: "AWS None 1" in log_path(folder, "worker-0").read_text())
    wait_for(lambda: "AWS hidden None" in log_path(folder, "trainer").read_text())
