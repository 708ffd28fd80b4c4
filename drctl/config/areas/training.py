"""How a training goes: start positions, evaluation in between, when it ends, what is kept."""

# ruff: noqa: RUF009 - the calls in the classes make dataclass fields

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from drctl.config.setting import Condition, setting

StopRuleName = Literal["max_episodes", "score", "laps"]
BestModelMetric = Literal["progress", "reward", "laptime"]

_run = partial(setting, file="run")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Training. Contract 3.2, 3.3 and 7; DESIGN 2, 4 and 6."""

    train_stop_when: StopRuleName = _run(
        "max_episodes",
        "When a training ends by itself. max_episodes: after term_cond_max_episodes training episodes, which ends it "
        "under every rule. score: when the mean reward of the last 100 reaches term_cond_avg_score. laps: when all "
        "trials of three evaluations in a row complete their lap.",
        read_by="trainer",
        in_new_project="laps",
        stack="drctl",
    )
    train_change_start_position: bool = _run(
        True,
        "Start each training episode further along the track than the one before.",
        read_by="trainer",
        is_per_worker=True,
    )
    train_round_robin_advance_dist: float = _run(
        0.05,
        "How much further along the track the next training episode starts.",
        read_by="trainer",
        unit="fraction of a lap",
        minimum=0.0,
        maximum=1.0,
        used_when=Condition("DR_TRAIN_CHANGE_START_POSITION", ("True",)),
        is_per_worker=True,
    )
    train_start_position_offset: float = _run(
        0.0,
        "Where the first training episode starts, counted from the start line.",
        read_by="trainer",
        unit="fraction of a lap",
        minimum=0.0,
        maximum=1.0,
        is_per_worker=True,
    )
    train_reverse_direction: bool = _run(
        False, "Drive the track the other way round.", read_by="trainer, worker", is_per_worker=True
    )
    train_alternate_driving_direction: bool = _run(
        False,
        "Change the driving direction after every training episode.",
        read_by="trainer, worker",
        is_per_worker=True,
    )
    train_min_eval_trials: int = _run(
        5,
        "Evaluation episodes after each iteration, exactly this many; their mean judges the checkpoint.",
        read_by="trainer",
        minimum=1,
        maximum=1000,
    )
    train_best_model_metric: BestModelMetric = _run(
        "progress",
        "What makes a checkpoint the best one: highest mean progress, highest mean reward or lowest mean lap time.",
        read_by="trainer",
    )
    train_max_steps_per_iteration: int | None = _run(
        None,
        "Most steps an iteration may have: every episode is cut at this number divided by the episodes per iteration. "
        "Without a value there is no cap.",
        read_by="trainer",
        minimum=1,
    )
    train_multi_config: bool = _run(
        False,
        "Drive as many races as there are workers, each with its own track, race type and direction: run.env, "
        "worker-2.env, worker-3.env and so on. Episode e drives race e modulo DR_WORKERS, whichever worker plays it.",
        read_by="trainer, worker",
    )
    network_heads: Literal["shared", "separate"] = _run(
        "shared",
        "Whether policy and value share one convolutional trunk or each have their own network.",
        read_by="trainer",
        stack="drctl",
    )
    cars_per_worker: int | None = _run(
        None,
        "Cars that one worker drives at once. Without a value: the episodes of an iteration and the evaluation trials, "
        "divided by DR_WORKERS, rounded up.",
        read_by="trainer, worker",
        minimum=1,
        maximum=1000,
        stack="drctl",
    )
    keep_gb: float = _run(
        10.0,
        "Space for the history of checkpoints. The best, the last and the ten newest are always kept.",
        read_by="trainer",
        unit="GB",
        minimum=0.0,
        stack="drctl",
    )
    sim_trace_log: bool = _run(
        False, "Print one SIM_TRACE_LOG line per step into the worker's log.", read_by="worker", stack="drctl"
    )
    sac_buffer_gb: float = _run(
        2.0,
        "Memory for the frames that SAC learns from again, at most a million.",
        read_by="trainer",
        unit="GB",
        minimum=0.05,
        stack="drctl",
    )
    sac_update_ratio: float = _run(
        0.25,
        "SAC's gradient updates per step; 1 is what the original does.",
        read_by="trainer",
        minimum=0.01,
        maximum=4.0,
        stack="drctl",
    )
    train_rtf: float | None = _run(
        None,
        "Real-time factor of Gazebo in the community images. Our simulator always runs as fast as it can.",
        read_by="worker",
        minimum=0.1,
        maximum=100.0,
        stack="community",
    )
    experiment_name: str | None = setting(
        None,
        "Take run.env, worker-N.env and custom_files from experiments/NAME.",
        file="system",
        read_by="every command",
        rule="name",
        commands=("start-training", "eval"),
    )
