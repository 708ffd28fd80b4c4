"""The lines that log tools look for in the trainer's and the workers' output (contract 4.3, 4.5).

Pure functions: each returns one line without a line end.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from drctl.formats.checkpoint_index import checkpoint_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

HYPERPARAMETERS_TITLE: Final = "Using the following hyper-parameters"  # followed by ip/hyperparameters.json
WORKER_DONE: Final = "Exited main loop. Done."  # contract 2.7: a community worker that has driven all its episodes
TERMINATION: Final = "Received termination signal from trainer. Goodbye."

_AGENT: Final = "main_level/agent"
_CHECKPOINT_FOLDER: Final = "./checkpoint_sagemaker/agent"  # tools match the path, nothing is there
_SIM_TRACE: Final = (
    "SIM_TRACE_LOG:%d,%d,%.4f,%.4f,%.4f,%.2f,%.2f,%s,%.4f,%s,%s,%.4f,%d,%.2f,%s,%s,%.2f,%d,%.4f"  # contract 4.3
)


def pairs(prefix: str, values: Mapping[str, Any]) -> str:
    """Return ``prefix> key=value, key=value``."""
    return f"{prefix}> " + ", ".join(f"{key}={value}" for key, value in values.items())


def title(text: str) -> str:
    """Return a title line."""
    return f"## {text}"


def training_episode(
    *, episode: int, total_reward: float, exploration: float, steps: int, iteration: int, is_evaluation: bool = False
) -> str:
    """Return the line of one episode.

    Args:
        episode: Count from 1 over the job.
        total_reward: Sum of its rewards; shown with at most 2 decimals.
        exploration: Share of random actions, or what the exploration policy has instead.
        steps: Environment steps of the job so far.
        iteration: From 0.
        is_evaluation: ``Testing>`` instead of ``Training>``.
    """
    return pairs(
        "Testing" if is_evaluation else "Training",
        {
            "Name": _AGENT,
            "Worker": 0,
            "Episode": episode,
            "Total reward": round(total_reward, 2),
            "Exploration": exploration,
            "Steps": steps,
            "Training iteration": iteration,
        },
    )


def policy_training(
    *, surrogate_loss: float, kl_divergence: float, entropy: float, epoch: int, learning_rate: float
) -> str:
    """Return the line of one epoch of an update.

    Args:
        surrogate_loss: Mean of the policy loss over the epoch's minibatches.
        kl_divergence: Mean KL divergence from the policy that played.
        entropy: Mean entropy of the policy.
        epoch: From 0.
        learning_rate: Adam's step size.
    """
    return pairs(
        "Policy training",
        {
            "Surrogate loss": surrogate_loss,
            "KL divergence": kl_divergence,
            "Entropy": entropy,
            "training epoch": epoch,
            "learning_rate": learning_rate,
        },
    )


def sac_training(
    *,
    policy_loss: float,
    value_loss: float,
    q_loss: float,
    entropy: float,
    updates: int,
    transitions: int,
    learning_rate: float,
) -> str:
    """Return the line of an iteration's update by soft actor-critic; the original's names of PPO where they fit.

    Args:
        policy_loss: Mean over the gradient steps.
        value_loss: Mean loss of the state value.
        q_loss: Mean loss of an action value.
        entropy: Mean of -log pi.
        updates: Gradient steps.
        transitions: In the replay buffer.
        learning_rate: Adam's step size.
    """
    return pairs(
        "Policy training",
        {
            "Policy loss": policy_loss,
            "Value loss": value_loss,
            "Q loss": q_loss,
            "Entropy": entropy,
            "updates": updates,
            "replay transitions": transitions,
            "learning_rate": learning_rate,
        },
    )


def checkpoint_saving(number: int, steps: int) -> str:
    """Return the line that announces a checkpoint."""
    return pairs("Checkpoint", {"Saving in path": [f"{_CHECKPOINT_FOLDER}/{checkpoint_name(number, steps)}"]})


def checkpoint_restoring(path: str) -> str:
    """Return the line of a checkpoint that is loaded."""
    return pairs("Checkpoint", {"Restoring from path": path})


def best_and_last(best: int, last: int) -> str:
    """Return the line with the numbers of the best and the last checkpoint."""
    return f"Best checkpoint number: {best}, Last checkpoint number: {last}"


def saved_frozen_graph(key: str) -> str:
    """Return the line of a stored graph."""
    return f"saved intermediate frozen graph: {key}"


def copying_frozen_graph(source: str, target: str) -> str:
    """Return the line of the best graph that is put where the car file is made."""
    return f"Copying the frozen checkpoint from {source} to {target}"


def uploaded_checkpoint(number: int, files: int = 3) -> str:
    """Return the line of a checkpoint that is complete in the store."""
    return f"Uploaded {files} files for checkpoint {number}"


def deleting_frozen_graphs(numbers: Sequence[int]) -> str:
    """Return the line of graphs that retention removes."""
    return f"Deleting the frozen models in s3 for the iterations: {{{', '.join(map(str, sorted(numbers)))}}}"


def capping_steps(steps: int) -> str:
    """Return the line that names ``DR_TRAIN_MAX_STEPS_PER_ITERATION``."""
    return f"Capping iteration steps at: {steps}"


def sim_trace(row: np.void) -> str:
    """Return the ``SIM_TRACE_LOG`` line of a trace row.

    Args:
        row: One element of an array of dtype `simtrace.TRACE_DTYPE`.
    """
    # numpy is not needed by the processes that only print the other lines.
    from drctl.formats.simtrace import row_values

    return _SIM_TRACE % row_values(tuple(row.item()))


def evaluations(metric: str, values: Sequence[float]) -> str:
    """Return the worker's line with the results of an evaluation.

    Args:
        metric: ``progress``, ``reward`` or ``laptime``.
        values: One per trial.
    """
    return f"[BestModelSelection] Number of evaluations: {len(values)} Evaluation episode {metric}: {list(values)}"


def evaluation_mean(metric: str, mean: float | None) -> str:
    """Return the worker's line with an evaluation's mean."""
    return f"[BestModelSelection] Evaluation episode {metric} mean: {mean}"


def new_best_checkpoint(name: str, former_name: str | None) -> str:
    """Return the worker's line of a checkpoint that is the best so far."""
    return f'[BestModelSelection] Updating the best checkpoint to "{name}" from "{former_name}".'


def additional_evaluation(new_checkpoint: int, last_checkpoint: int) -> str:
    """Return the worker's line of an evaluation beyond the wanted ones."""
    return f"Additional evaluation. New Checkpoint: {new_checkpoint}, Last Checkpoint: {last_checkpoint}"


def simapp_exception(
    *,
    function: str,
    message: str,
    exception_type: str,
    event_type: Literal["user_error", "system_error"],
    time: datetime,
) -> str:
    """Return the one-line JSON of a fatal error; `fault_code` follows it.

    Args:
        function: Where it happened.
        message: What happened, for people.
        exception_type: Which part failed, such as ``simulation_worker.exceptions``.
        event_type: Whose mistake it is; 400 for the user's, 500 otherwise.
        time: When it happened.
    """
    return json.dumps(
        {
            "simapp_exception": {
                "date": str(time),
                "function": function,
                "message": message,
                "exceptionType": exception_type,
                "eventType": event_type,
                "errorCode": "400" if event_type == "user_error" else "500",
            }
        }
    )


def read_simapp_exception(line: str) -> dict[str, str] | None:
    """Read the one-line JSON of a fatal error.

    Args:
        line: Of a log; something may stand before the JSON.

    Returns:
        ``function``, ``message``, ``exception_type`` and ``event_type``, or None for another line.
    """
    start = line.find('{"simapp_exception"')
    if start < 0:
        return None
    try:
        found = json.loads(line[start:])["simapp_exception"]
        return {
            "function": str(found["function"]),
            "message": str(found["message"]),
            "exception_type": str(found["exceptionType"]),
            "event_type": str(found["eventType"]),
        }
    except (ValueError, KeyError, TypeError):
        return None


def fault_code(code: int) -> str:
    """Return the line behind `simapp_exception`."""
    return f"ERROR: FAULT_CODE: {code}"
