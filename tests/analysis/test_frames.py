"""The tables of the notebook, against what the community's own reader makes of the same files."""

from __future__ import annotations

import numpy as np
import pytest
from analysis.written_model import EPISODES, ITERATIONS, STEP_S, TRIALS

from drctl.analysis.frames import ModelTables
from drctl.analysis.reading import read_model

# pandas, matplotlib and boto3 deprecate in one another's names; not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

SHARED = [
    *("iteration", "episode", "steps", "x", "y", "yaw", "steering_angle", "speed", "action", "reward", "done"),
    *("on_track", "progress", "closest_waypoint", "track_len", "tstamp", "episode_status", "worker", "wall_clock"),
]


@pytest.fixture
def logs(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "unused")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    import deepracer.logs

    return deepracer.logs


def tables_of(model):
    return ModelTables(read_model(model.store, model.keys), model.root)


def assert_equal(ours, theirs, names):
    assert len(ours) == len(theirs) > 0
    for name in names:
        np.testing.assert_array_equal(ours[name].to_numpy(), theirs[name].to_numpy(), err_msg=name)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_steps_and_episodes_of_a_training_with_several_workers(logs, write_model, slots):
    model = write_model(slots=slots)
    ours, log = tables_of(model).steps, logs.DeepRacerLog(str(model.folder))
    log.load()
    theirs = log.dataframe()
    assert_equal(ours, theirs, [*SHARED, "unique_episode"])
    summary = logs.AnalysisUtils.simulation_agg(theirs, secondgroup="unique_episode")
    records = [record for records in model.training for record in _by_slot(records, slots)]
    assert summary["reward"].tolist() == pytest.approx([record.reward for record in records])
    assert summary["progress"].tolist() == pytest.approx([record.progress_percent for record in records])
    assert (summary["progress"] == 100.0).sum() == ITERATIONS - 1
    # Its time runs from the first row, ours from the reset one step before.
    times = [record.duration_s - STEP_S for record in records]
    assert summary["time"].tolist() == pytest.approx(times)


def _by_slot(records, slots):
    """Return the episodes in the order in which it numbers them: slot after slot."""
    return [record for slot in range(slots) for record in records[slot::slots]]


def test_laps_and_rewards_of_the_metrics_files(logs, write_model, capsys):
    model = write_model(slots=2)
    metrics = logs.TrainingMetrics(None, fname=str(model.folder / "metrics" / "TrainingMetrics.json"))
    second = str(model.folder / "metrics" / "TrainingMetrics_1.json")
    metrics.addRound(None, fname=second, training_round=1, worker=1)
    theirs, record = metrics.metrics, read_model(model.store, model.keys)
    for phase, outcomes in (
        ("training", [one.training for one in record.iterations]),
        ("evaluation", [one.evaluation for one in record.iterations]),
    ):
        groups = theirs[theirs["phase"] == phase].groupby("iteration")
        assert groups.size().tolist() == [EPISODES if phase == "training" else TRIALS] * ITERATIONS
        assert groups["complete"].sum().tolist() == [outcome.laps for outcome in outcomes]
        # Rewards are whole numbers there.
        assert groups["reward"].mean().tolist() == pytest.approx([one.reward_mean for one in outcomes], abs=0.5)
        times = theirs[(theirs["phase"] == phase) & (theirs["complete"] == 1)].groupby("iteration")["time"].min()
        best = [outcome.best_lap_s for outcome in outcomes if outcome.best_lap_s is not None]
        assert times.tolist() == pytest.approx(best, abs=0.001)


def test_evaluations(logs, write_model):
    model = write_model()
    ours, log = tables_of(model), logs.DeepRacerLog(str(model.folder))
    log.load_evaluation_trace()
    assert_equal(ours.race_steps, log.dataframe(), [name for name in (*SHARED, "stream") if name != "iteration"])
    summary = logs.AnalysisUtils.simulation_agg(log.dataframe(), "stream", is_eval=True)
    assert summary["progress"].tolist() == [100.0, 100.0]
    assert summary["time"].tolist() == pytest.approx([time - STEP_S for time in ours.races["time"]], abs=0.001)
    assert ours.races["status"].tolist() == ["Lap complete"] * 2


def test_one_row_per_iteration(write_model):
    model = write_model()
    tables = tables_of(model)
    assert tables.iterations.index.tolist() == list(range(ITERATIONS))
    assert tables.iterations["evaluation_laps"].tolist() == [TRIALS] * ITERATIONS
    assert tables.iterations["entropy"].tolist() == pytest.approx([1.6, 1.3, 1.0, 0.7])
    assert tables.track.name == "reinvent_base"


def test_tables_of_a_model_that_was_only_raced(write_model):
    import shutil

    model = write_model()
    for name in ("0", "1", ".drctl", "metrics/TrainingMetrics.json", "metrics/TrainingMetrics_1.json"):
        path = model.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    tables = tables_of(model)
    assert (len(tables.steps), len(tables.iterations), len(tables.races)) == (0, 0, 2)
    assert tables.track.name == "reinvent_base"
