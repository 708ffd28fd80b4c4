"""Whole trainings with real processes: what a kill, a restart or another number of workers may not change."""

import json
import math
import warnings
from pathlib import Path

import pytest
from trainer.processes import KEYS, Processes

from drctl.evaluation.graph_policy import GraphPolicy
from drctl.evaluation.race import Race
from drctl.evaluation.rules import RaceRules
from drctl.formats.model_metadata import parse_model_metadata
from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


JUDGING = ("evaluating", "collecting")
"""Once there is a first checkpoint its trials and the next iteration are driven together."""


@pytest.fixture
def run(tmp_path):
    started = []

    def make(name, **options):
        (tmp_path / name).mkdir()
        processes = Processes(tmp_path / name, **options)
        started.append(processes)
        return processes

    yield make
    for processes in started:
        processes.close()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    processes = Processes(tmp_path_factory.mktemp("uninterrupted"))
    processes.start()
    assert processes.finish()["reason"] == "finished"
    return processes.results()


def assert_same(results, expected):
    assert sorted(results) == sorted(expected)
    for key, content in expected.items():
        assert results[key] == content, key


@pytest.mark.parametrize("moment", ["first collection", "updating", "between publish 1 and 2", "judging"])
def test_a_killed_trainer_that_is_started_again_gives_what_an_uninterrupted_one_gives(run, uninterrupted, moment):
    processes = run(moment.replace(" ", "-"))
    processes.start()
    if moment == "first collection":
        processes.wait_until(lambda: processes.manifest(0) is not None and processes.phase == "collecting")
    elif moment == "between publish 1 and 2":
        processes.wait_until(lambda: processes.manifest(1) is not None and processes.phase == "updating")
        processes.pause_worker(0)  # nobody drives the trials, so the moment lasts
        processes.wait_until(lambda: processes.manifest(2) is not None)
        assert processes.manifest(2)["evaluation"] is None
        # The last verdict stands there until there is a new one.
        assert processes.status()["evaluation"]["checkpoint"] == 1
    elif moment == "judging":
        processes.wait_until(lambda: processes.manifest(1) is not None and processes.phase in JUDGING)
    else:
        processes.wait_until(lambda: processes.manifest(1) is not None and processes.phase == moment)
    processes.kill_trainer()
    processes.resume_worker(0)
    processes.start_trainer()
    processes.finish()
    assert "Restoring from path" in processes.log("trainer")
    assert_same(processes.results(), uninterrupted)


SEVERAL = {"sensors": ["STEREO_CAMERAS", "LIDAR"], "stack": 2, "iterations": 2, "steps": 60}


@pytest.fixture(scope="module")
def uninterrupted_with_lidar(tmp_path_factory):
    processes = Processes(tmp_path_factory.mktemp("lidar"), **SEVERAL)
    processes.start()
    assert processes.finish()["reason"] == "finished"
    return processes.results()


def test_a_killed_trainer_of_several_sensors_and_frames_goes_on_exactly(run, uninterrupted_with_lidar):
    processes = run("several", **SEVERAL)
    processes.start()
    processes.wait_until(lambda: processes.manifest(1) is not None and processes.phase in JUDGING)
    processes.kill_trainer()
    processes.start_trainer()
    processes.finish()
    assert "Restoring from path" in processes.log("trainer")
    assert_same(processes.results(), uninterrupted_with_lidar)


def test_two_workers_with_a_lidar_learn_what_one_does(run, uninterrupted_with_lidar):
    processes = run("two-lidars", workers=2, **SEVERAL)
    processes.start()
    processes.finish()
    for number in range(3):
        key = KEYS.frozen_graph(number)
        assert processes.results()[key] == uninterrupted_with_lidar[key], key


@pytest.mark.parametrize(
    ("sensors", "stack"),
    [
        (["LEFT_CAMERA", "SECTOR_LIDAR"], 1),
        (["DISCRETIZED_SECTOR_LIDAR", "observation"], 1),
        (["FRONT_FACING_CAMERA"], 3),
    ],
)
def test_a_training_of_these_sensors_leaves_a_graph_that_drives(run, sensors, stack):
    processes = run("sensors", episodes=2, iterations=1, steps=40, trials=1, sensors=sensors, stack=stack)
    processes.start()
    assert processes.finish()["reason"] == "finished"
    metadata = parse_model_metadata(processes.store.get(KEYS.model_metadata), "model_metadata.json")
    driver = GraphPolicy(processes.store.get(KEYS.frozen_graph(1)), metadata, "model_1.pb")
    spec = EnvironmentSpec(
        worlds=(WorldSpec("reinvent_base"),),
        metadata=processes.store.get(KEYS.model_metadata).decode(),
        physics="ros2",
        reward_source="def reward_function(params):\n    return 1.0\n",
    )
    (lap,) = Race(spec, RaceRules(laps=1, is_continuous=False, max_resets=0), driver).run().laps
    assert lap.progress_percent > 0.5


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what a process has loaded is told by Linux")
def test_a_trainer_does_without_the_compiler_of_the_simulator(run):
    """It would be a tenth of the memory of a run."""
    processes = run("light", episodes=2, iterations=50, steps=40, trials=1)
    processes.start()
    processes.wait_until(lambda: processes.manifest(1) is not None)
    loaded = Path(f"/proc/{processes.trainer_pid}/maps").read_text()
    assert "libtorch" in loaded
    assert "libllvmlite" not in loaded


def test_a_killed_worker_is_missed_by_nobody(run, uninterrupted):
    processes = run("two", workers=2)
    processes.start()
    processes.wait_until(lambda: processes.manifest(1) is not None and processes.phase in JUDGING)
    processes.kill_worker(0)
    processes.start_worker(0)
    processes.finish()
    results = processes.results()
    for number in range(4):
        # Two workers make two slots, so the files differ; what was learned does not.
        key = KEYS.frozen_graph(number)
        assert results[key] == uninterrupted[key], key
    joins = processes.log("trainer").count("worker-0 joined")
    assert joins == 2


def test_sigterm_finishes_the_publish_and_asks_to_be_started_again_unless_the_user_stopped_the_run(run, uninterrupted):
    processes = run("terminated")
    processes.start()
    processes.wait_until(lambda: processes.manifest(1) is not None)
    assert processes.terminate_trainer() == 143
    processes.start_trainer()
    processes.wait_until(lambda: processes.manifest(2) is not None)
    (processes.run_folder / "stop").touch()
    assert processes.terminate_trainer() == 0
    assert json.loads((processes.run_folder / "outcome.json").read_text())["reason"] == "stopped"
    (processes.run_folder / "stop").unlink()
    processes.start()
    assert processes.finish()["reason"] == "finished"
    assert_same(processes.results(), uninterrupted)


def test_a_reward_function_that_fails_ends_the_run_with_its_line_and_params(run):
    reward = (
        "def reward_function(params):\n    if params['steps'] > 5:\n        return params['nonsense']\n    return 1.0\n"
    )
    processes = run("reward", reward=reward)
    processes.start()
    outcome = processes.finish()
    assert (outcome["reason"], outcome["exit_status"]) == ("failed", 3)
    problem = outcome["problems"][0]
    assert "KeyError: 'nonsense'" in problem["what"]
    assert problem["where"].startswith("reward_function.py:3: return params['nonsense'] (training episode ")
    assert problem["where"].endswith("of iteration 0, step 6)")
    kept = json.loads(processes.store.get(KEYS.reward_failure))
    assert kept["params"]["steps"] == 6.0
    assert processes.manifest(0) is not None


@pytest.fixture(scope="module")
def runs_by_workers(tmp_path_factory):
    runs = {}
    for name, workers in (("1", 1), ("1 again", 1), ("2", 2), ("2 again", 2), ("3", 3)):
        processes = Processes(tmp_path_factory.mktemp("workers"), workers=workers, episodes=20, iterations=2, steps=400)
        processes.start()
        processes.finish()
        runs[name] = processes
    return runs


def test_equal_seed_files_and_workers_give_equal_weights(runs_by_workers):
    for workers in ("1", "2"):
        assert_same(runs_by_workers[f"{workers} again"].results(), runs_by_workers[workers].results())


def test_the_number_of_workers_does_not_show_in_the_weights(runs_by_workers):
    expected = runs_by_workers["1"].results()
    for workers in ("2", "3"):
        results = runs_by_workers[workers].results()
        for number in range(3):
            assert results[KEYS.weights(number)] == expected[KEYS.weights(number)]


def test_randomized_worlds_belong_to_episodes_and_not_to_workers(runs_by_workers, tmp_path):
    weights = {}
    for workers in (1, 2):
        processes = Processes(
            tmp_path / str(workers),
            workers=workers,
            episodes=20,
            iterations=1,
            steps=400,
            enable_domain_randomization=True,
        )
        processes.start()
        processes.finish()
        weights[workers] = processes.results()[KEYS.weights(1)]
    assert weights[1] == weights[2]
    assert weights[1] != runs_by_workers["1"].results()[KEYS.weights(1)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_traces_and_metrics_load_in_deepracer_utils(runs_by_workers, workers, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from deepracer.logs import AnalysisUtils, DeepRacerLog, TrainingMetrics

        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "unused")
        processes = runs_by_workers[str(workers)]
        model = processes.folder / "data" / "bucket" / "model"
        log = DeepRacerLog(model_folder=str(model))
        log.load()
        frame = log.dataframe()
        assert sorted(frame["iteration"].unique()) == [0, 1]
        episodes = frame.groupby("iteration")["unique_episode"].nunique()
        assert episodes.tolist() == [20, 20]
        assert frame["worker"].nunique() == workers
        summary = AnalysisUtils.simulation_agg(frame, secondgroup="unique_episode")
        assert len(summary) == 40
        for slot in range(workers):
            metrics = TrainingMetrics(None, fname=str(model.parent / KEYS.metrics(slot)))
            training = metrics.metrics[metrics.metrics["phase"] == "training"]
            per_iteration = len(range(slot, 20, workers))
            assert len(training) == 2 * per_iteration
            # ceil(20 / K) episode numbers are set aside per iteration.
            assert training["episode"].max() == math.ceil(20 / workers) + per_iteration


def test_sac_gives_equal_weights_for_any_number_of_workers_and_goes_on_after_a_kill(run):
    one, two = (run(f"sac-{workers}", sac=True, workers=workers) for workers in (1, 2))
    for processes in (one, two):
        processes.start()
        assert processes.finish()["reason"] == "finished"
    expected = one.results()
    for number in range(4):
        assert two.results()[KEYS.frozen_graph(number)] == expected[KEYS.frozen_graph(number)]
    summary = one.manifest(3)["summary"]
    assert summary["replay_transitions"] > summary["steps"] > 0
    assert "Refilling" not in one.log("trainer")

    killed = run("sac-killed", sac=True)
    killed.start()
    killed.wait_until(lambda: killed.manifest(1) is not None and killed.manifest(1)["evaluation"] is not None)
    killed.kill_trainer()
    before = max(number for number in range(4) if killed.manifest(number))
    steps = killed.manifest(before)["steps"]
    killed.start_trainer()
    assert killed.finish()["reason"] == "finished"
    log = killed.log("trainer")
    assert f"Refilling the replay buffer, which no checkpoint holds: {steps} steps are driven again" in log
    # What was driven before the kill is not repeated as it was: the checkpoint's own policy drives.
    assert killed.manifest(3)["counters"]["episodes"] == 12
    assert killed.results()[KEYS.frozen_graph(before)] == expected[KEYS.frozen_graph(before)]
