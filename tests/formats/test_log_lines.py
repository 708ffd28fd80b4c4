"""Log lines, each against a line as the original prints it (contract 4.3, 4.5)."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest

from drctl.formats import log_lines
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import CONTINUOUS_ACTION, TRACE_DTYPE


def make_row(**values):
    row = np.zeros(1, TRACE_DTYPE)
    for name, value in values.items():
        row[name] = value
    return row[0]


PREPARE = {
    "steps": 1.0,
    "x": 3.19989602,
    "y": 0.68309851,
    "yaw": 0.19021,
    "steer": -30.0,
    "throttle": 1.0,
    "all_wheels_on_track": True,
    "progress": 0.7913,
    "closest_waypoint": 1,
    "track_len": 17.709159,
    "tstamp": 6.341,
    "status": EpisodeStatus.PREPARE.index,
    "wall_clock": 1700000000.12345,
}


def test_the_contracts_trace_line():
    # The contract's example is of the generation with 17 fields; today's has two more.
    assert log_lines.sim_trace(make_row(**PREPARE)) == (
        "SIM_TRACE_LOG:0,1,3.1999,0.6831,0.1902,-30.00,1.00,0,0.0000,False,True,0.7913,1,17.71,6.341,prepare,0.00"
        ",0,1700000000.1235"
    )


def test_a_trace_line_of_a_continuous_action():
    row = make_row(**{**PREPARE, "action": CONTINUOUS_ACTION, "action_steer": 12.5, "action_speed": 0.75})
    assert log_lines.sim_trace(row).split(",")[7] == "[12.5 0.75]"


def test_the_lines_of_an_iteration():
    assert (
        log_lines.training_episode(episode=21, total_reward=35.699999, exploration=0.1, steps=880, iteration=1)
        == "Training> Name=main_level/agent, Worker=0, Episode=21, Total reward=35.7, Exploration=0.1, Steps=880, "
        "Training iteration=1"
    )
    assert log_lines.training_episode(
        episode=1, total_reward=-102.884, exploration=0.0, steps=3, iteration=0, is_evaluation=True
    ).startswith("Testing> Name=main_level/agent, Worker=0, Episode=1, Total reward=-102.88, ")
    assert (
        log_lines.policy_training(
            surrogate_loss=-0.0896, kl_divergence=0.0313, entropy=3.07, epoch=0, learning_rate=0.0003
        )
        == "Policy training> Surrogate loss=-0.0896, KL divergence=0.0313, Entropy=3.07, training epoch=0, "
        "learning_rate=0.0003"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            log_lines.checkpoint_saving(1, 880),
            "Checkpoint> Saving in path=['./checkpoint_sagemaker/agent/1_Step-880.ckpt']",
        ),
        (log_lines.checkpoint_restoring("a/b"), "Checkpoint> Restoring from path=a/b"),
        (log_lines.best_and_last(47, 55), "Best checkpoint number: 47, Last checkpoint number: 55"),
        (log_lines.saved_frozen_graph("m/model_3.pb"), "saved intermediate frozen graph: m/model_3.pb"),
        (log_lines.copying_frozen_graph("a", "b"), "Copying the frozen checkpoint from a to b"),
        (log_lines.uploaded_checkpoint(5), "Uploaded 3 files for checkpoint 5"),
        (log_lines.deleting_frozen_graphs([4, 3]), "Deleting the frozen models in s3 for the iterations: {3, 4}"),
        (log_lines.capping_steps(10000), "Capping iteration steps at: 10000"),
        (
            log_lines.evaluations("progress", [50.5, 100.0]),
            "[BestModelSelection] Number of evaluations: 2 Evaluation episode progress: [50.5, 100.0]",
        ),
        (log_lines.evaluation_mean("reward", None), "[BestModelSelection] Evaluation episode reward mean: None"),
        (
            log_lines.new_best_checkpoint("1_Step-9.ckpt", "0_Step-0.ckpt"),
            '[BestModelSelection] Updating the best checkpoint to "1_Step-9.ckpt" from "0_Step-0.ckpt".',
        ),
        (
            log_lines.additional_evaluation(3, 2),
            "Additional evaluation. New Checkpoint: 3, Last Checkpoint: 2",
        ),
        (log_lines.TERMINATION, "Received termination signal from trainer. Goodbye."),
        (log_lines.HYPERPARAMETERS_TITLE, "Using the following hyper-parameters"),
        (log_lines.title("agent: Starting evaluation phase"), "## agent: Starting evaluation phase"),
        (log_lines.fault_code(0), "ERROR: FAULT_CODE: 0"),
    ],
)
def test_a_line(line, expected):
    assert line == expected


def test_a_fatal_error_is_one_line_of_json():
    line = log_lines.simapp_exception(
        function="step",
        message="reward:\n1/0",
        exception_type="simulation_worker.exceptions",
        event_type="user_error",
        time=datetime(2025, 1, 2, 3, 4, 5),
    )
    assert "\n" not in line
    assert json.loads(line)["simapp_exception"] == {
        "date": "2025-01-02 03:04:05",
        "function": "step",
        "message": "reward:\n1/0",
        "exceptionType": "simulation_worker.exceptions",
        "eventType": "user_error",
        "errorCode": "400",
    }
