"""What the files of the community images tell about a run; the files are written here as contract 1.2 and 4.1 say."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from drctl.engines.state import EngineState, PartState
from drctl.stack.plan import RestartPolicy, RunPlan
from drctl.status.community import episodes_of_worker, facts_for, read_account
from drctl.status.run_status import combine
from drctl.status.text import describe_run
from drctl.storage.directory import DirectoryStore

NOW = time.time()


def make_plan(workers=2, episodes=4, max_episodes=1000):
    facts = facts_for(
        workers=workers, episodes_per_iteration=episodes, max_episodes=max_episodes, metrics_prefix="m/metrics"
    )
    return RunPlan(
        run_id=0,
        run_token="token",
        prefix="m",
        engine="compose",
        stack="community",
        project="/p",
        run_folder="/p/tmp/run-0",
        link_port=0,
        ticket="",
        trainer=facts,
        parts=(),
        restart=RestartPolicy(limit=0),
    )


def make_state(workers=2):
    parts = [PartState("trainer", "trainer", container="a" * 12, since=NOW - 90, is_running=True)]
    parts += [
        PartState(f"worker-{number}", "worker", container=f"{number}" * 12, since=NOW - 90, is_running=True)
        for number in range(workers)
    ]
    return EngineState("token", "here", None, "running", NOW - 100, tuple(parts))


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "bucket")


def entry(phase="training", progress=40, status="Off track", seconds=10.0):
    return {
        "reward_score": 3,
        "metric_time": 1000,
        "start_time": 0,
        "elapsed_time_in_milliseconds": round(seconds * 1000),
        "episode": 1,
        "trial": 1,
        "phase": phase,
        "completion_percentage": progress,
        "episode_status": status,
    }


def write_metrics(store, entries, worker=0):
    document = {"metrics": entries, "version": 2.0, "best_model_metric": "progress"}
    name = f"TrainingMetrics_{worker}.json" if worker else "TrainingMetrics.json"
    store.put(f"m/metrics/{name}", json.dumps(document).encode())


def start(store):
    store.put("m/ip/done", b"done")
    store.put("m/model/.ready", b"")
    store.put("m/model/.coach_checkpoint", b"0_Step-0.ckpt")


def status_of(store, plan=None, state=None):
    plan, state = plan or make_plan(), state or make_state()
    return combine(plan, state, read_account(store, plan, state), (), NOW)


def test_the_phases_of_a_start(store):
    assert (status_of(store).phase, status_of(store).is_ready) == ("starting_trainer", False)
    store.put("m/ip/done", b"done")
    assert (status_of(store).phase, status_of(store).is_ready) == ("building_networks", False)
    start(store)
    status = status_of(store)
    assert (status.phase, status.is_ready) == ("starting_simulation", True)
    assert [part.doing for part in status.parts[1:]] == ["starts the simulation"] * 2
    assert status.waits == ()


def test_episodes_of_all_workers_make_the_iterations(store):
    start(store)
    store.put("m/model/.coach_checkpoint", b"1_Step-345.ckpt")
    write_metrics(store, [entry(), entry(progress=60), entry("evaluation", 80), entry(progress=20)])
    write_metrics(store, [entry(), entry(), entry(progress=100, status="Lap complete", seconds=12.5)], worker=1)
    facts = status_of(store).trainer
    assert (facts["iteration"], facts["episodes_done"], facts["episodes_wanted"]) == (1, 2, 4)
    assert (facts["episodes_total"], facts["steps_total"]) == (6, 345)
    assert (facts["laps_training"], facts["best_lap_s"]) == (1, 12.5)
    # The last two of each worker, as many as an iteration has: 60 and 20, 40 and 100.
    assert facts["progress_mean"] == 55.0
    assert status_of(store).phase == "collecting_episodes"
    text = "\n".join(message.text for message in describe_run(status_of(store), NOW))
    assert "iteration 1, 2/4 episodes, 345 steps in all" in text
    assert "worker-1   alive      container 111111111111" in text
    assert "3 episodes, 0 evaluations; the last one: lap complete" in text


def test_a_judged_checkpoint_has_the_evaluation_before_the_newest_episodes(store):
    start(store)
    record = {"name": "2_Step-900.ckpt", "avg_eval_metric": 75.0, "time_stamp": 1.0}
    best = {"name": "1_Step-400.ckpt", "avg_eval_metric": 80.0, "time_stamp": 1.0}
    index = {"best_checkpoint": best, "last_checkpoint": record}
    store.put("m/model/deepracer_checkpoints.json", json.dumps(index).encode())
    old, new = [entry("evaluation", 10)], [entry("evaluation", 50), entry("evaluation", 100, "Lap complete")]
    write_metrics(store, [entry(), *old, entry(), *new, entry(), entry("evaluation", 5)])
    facts = status_of(store).trainer
    assert facts["checkpoint"] == {"best": 1, "last": 2}
    assert facts["evaluation"] == {"checkpoint": 2, "laps": 1, "trials": 2, "progress_mean": 75.0}


@pytest.mark.parametrize(
    ("flag", "phase"), [("m/model/.lock", "publishing_checkpoint"), ("m/model/.finished", "finishing")]
)
def test_flags_are_phases(store, flag, phase):
    start(store)
    write_metrics(store, [entry()])
    store.put(flag, b"")
    assert status_of(store).phase == phase


def test_an_update_is_known_by_its_evaluations(store):
    start(store)
    write_metrics(store, [entry(), entry(), entry("evaluation")])
    write_metrics(store, [entry(), entry()], worker=1)
    assert status_of(store).phase == "updating_policy"


def test_a_worker_that_ended_is_waited_for_in_vain(store):
    start(store)
    write_metrics(store, [entry()])
    state = make_state()
    dead = replace(state.parts[2], is_running=False, last_exit=0, last_exit_time=NOW - 30)
    status = status_of(store, state=replace(state, parts=(*state.parts[:2], dead)))
    assert status.parts[2].condition == "gone"
    (wait,) = status.waits
    assert (wait.who, wait.for_whom, wait.is_trouble) == ("trainer", "worker-1", True)
    assert wait.why == "worker-1 ended with exit status 0 and is not started again"


def test_silence_is_told_with_its_likely_cause(store):
    start(store)
    write_metrics(store, [entry()])
    plan, state = make_plan(), make_state()
    account = {**read_account(store, plan, state), "heartbeat": NOW - 1300}
    (wait,) = combine(plan, state, account, (), NOW).waits
    assert "the trainer waits for ever when a worker hangs" in wait.why


def test_each_worker_counts_the_limit_for_itself():
    # Contract 2.7: 1000 episodes, 20 per iteration: one worker leaves after 50 iterations, each of two after 100.
    from drctl.status.community import _describe_limit

    assert "50 iterations, 1000 episodes in all" in _describe_limit(make_plan(1, 20, 1000))
    assert "100 iterations, 2000 episodes in all" in _describe_limit(make_plan(2, 20, 1000))
    assert [episodes_of_worker(number, 5, 2) for number in (0, 1)] == [3, 2]


def test_a_store_that_does_not_answer_leaves_what_the_engine_knows(store):
    plan, state = make_plan(), make_state()
    assert read_account(None, plan, state) == {}
    status = combine(plan, state, {}, (), NOW)
    assert [part.condition for part in status.parts] == ["late", "late", "late"]


def test_files_that_cannot_be_read_are_left_out(store):
    start(store)
    store.put("m/metrics/TrainingMetrics.json", b"not yet")
    store.put("m/model/deepracer_checkpoints.json", b"{}")
    facts = status_of(store).trainer
    assert (facts["episodes_total"], "checkpoint" in facts) == (0, False)
