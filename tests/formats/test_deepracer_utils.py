"""Our files in the hands of the community's own reader (deepracer-utils)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.hyperparameters import parse_hyperparameters, render_effective
from drctl.formats.log_lines import sim_trace
from drctl.formats.object_keys import ModelKeys
from drctl.formats.simtrace import CONTINUOUS_ACTION, TRACE_DTYPE, render_rows
from drctl.formats.training_metrics import make_episode_metrics, render_training_metrics
from drctl.resources import resource_folder

EPISODES = 20
ITERATIONS = 3
STEPS = 4

# pandas, matplotlib and boto3 deprecate in one another's names; not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def logs(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "unused")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    return pytest.importorskip("deepracer.logs")


def make_rows(episode, start_s, is_continuous=False):
    rows = np.zeros(STEPS, TRACE_DTYPE)
    rows["episode"] = episode
    rows["steps"] = np.arange(1, STEPS + 1)
    rows["progress"] = np.linspace(0.8, 60.0, STEPS)
    rows["reward"] = [0.0, 1.0, 0.5, 0.1]
    rows["tstamp"] = start_s + np.arange(1, STEPS + 1) / 15
    rows["throttle"] = 0.6
    rows["status"] = EpisodeStatus.IN_PROGRESS.index
    rows["status"][0] = EpisodeStatus.PREPARE.index
    rows["status"][-1] = EpisodeStatus.OFF_TRACK.index
    rows["done"][-1] = True
    rows["action"] = CONTINUOUS_ACTION if is_continuous else 3
    return rows


def write_model(root, slots, is_continuous=False):
    """Write traces and metrics the way slots are defined (DESIGN 4.6)."""
    keys = ModelKeys("model")
    metrics = [[] for _ in range(slots)]
    for slot in range(slots):
        in_slot = len(range(slot, EPISODES, slots))
        for iteration in range(ITERATIONS):
            rows = []
            for j in range(in_slot):
                count = iteration * in_slot + j
                rows.append(make_rows(count, count * 1.0, is_continuous))
                metrics[slot].append(entry(iteration * math.ceil(EPISODES / slots) + j + 1, j + 1, "training", count))
            if slot == 0:
                last = metrics[0][-1]
                metrics[0].extend(entry(last.episode, last.trial, "evaluation", count) for _ in range(5))
            write(root, keys.trace(slot, iteration, slots), render_rows(np.concatenate(rows)))
        write(root, keys.metrics(slot), render_training_metrics(metrics[slot], "progress"))
    shipped = resource_folder("defaults") / "custom_files"
    write(root, keys.model_metadata, (shipped / "model_metadata.json").read_bytes())
    effective = render_effective(
        parse_hyperparameters((shipped / "hyperparameters.json").read_bytes(), "f"), "clipped_ppo"
    )
    write(root, keys.hyperparameters, effective.encode())
    return root / "model"


def entry(episode, trial, phase, count):
    return make_episode_metrics(
        reward=1.6,
        start_time_s=count * 1.0,
        end_time_s=count + 4 / 15,
        episode=episode,
        trial=trial,
        phase=phase,
        progress_percent=60.0,
        status=EpisodeStatus.LAP_COMPLETE if phase == "evaluation" else EpisodeStatus.OFF_TRACK,
    )


def write(root, key, data):
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("slots", "folder_type"),
    [(1, "DRFC_MODEL_SINGLE_WORKERS"), (3, "DRFC_MODEL_MULTIPLE_WORKERS")],
)
def test_traces_load_with_the_right_iterations_and_episodes(logs, tmp_path, slots, folder_type):
    log = logs.DeepRacerLog(str(write_model(tmp_path, slots)))
    log.load()
    frame = log.dataframe()
    assert log.fh.type.name == folder_type
    assert len(frame) == EPISODES * ITERATIONS * STEPS
    assert sorted(frame["iteration"].unique()) == list(range(ITERATIONS))
    assert sorted(frame["worker"].unique()) == list(range(slots))
    assert sorted(frame["unique_episode"].unique()) == list(range(EPISODES * ITERATIONS))
    for iteration, episodes in frame.groupby("iteration")["unique_episode"]:
        assert set(episodes) == set(range(iteration * EPISODES, (iteration + 1) * EPISODES))
    assert frame["on_track"].dtype == bool
    assert set(frame["action"]) == {3}
    assert frame.loc[frame["done"], "episode_status"].unique().tolist() == ["off_track"]
    assert log.hyperparameters()["num_episodes_between_training"] == EPISODES
    assert len(log.action_space()) == 5


def test_its_statistics_of_an_episode(logs, tmp_path):
    log = logs.DeepRacerLog(str(write_model(tmp_path, 3)))
    log.load()
    summary = logs.AnalysisUtils.simulation_agg(log.dataframe(), secondgroup="unique_episode")
    assert len(summary) == EPISODES * ITERATIONS
    assert summary["reward"].tolist() == pytest.approx([1.6] * len(summary))
    assert summary["steps"].unique().tolist() == [STEPS]
    assert summary["time"].tolist() == pytest.approx([3 / 15] * len(summary))


def test_continuous_actions_are_one_column(logs, tmp_path):
    log = logs.DeepRacerLog(str(write_model(tmp_path, 1, is_continuous=True)))
    log.load()
    assert set(log.dataframe()["action"]) == {-1}
    assert len(log.dataframe()) == EPISODES * ITERATIONS * STEPS


def test_metrics_load_with_the_right_iterations_and_episodes(logs, tmp_path, capsys):
    folder = write_model(tmp_path, 3) / "metrics"
    metrics = logs.TrainingMetrics(None, fname=str(folder / "TrainingMetrics.json"))
    for worker in (1, 2):
        metrics.addRound(None, fname=str(folder / f"TrainingMetrics_{worker}.json"), training_round=1, worker=worker)
    training = metrics.metrics[metrics.metrics["phase"] == "training"]
    assert len(training) == EPISODES * ITERATIONS
    assert training.groupby("iteration").size().tolist() == [EPISODES] * ITERATIONS
    evaluation = metrics.metrics[metrics.metrics["phase"] == "evaluation"]
    assert evaluation.groupby("iteration").size().tolist() == [5] * ITERATIONS
    assert evaluation["complete"].tolist() == [1] * 5 * ITERATIONS


def test_log_lines_load(logs):
    lines = [sim_trace(row) for row in make_rows(0, 2.0)]
    frame = logs.SimulationLogsIO.convert_to_pandas([line.split("SIM_TRACE_LOG:")[1] for line in lines])
    assert frame["steps"].tolist() == [1, 2, 3, 4]
    assert frame["episode_status"].tolist() == ["prepare", "in_progress", "in_progress", "off_track"]
