"""How a stored model is raced."""

# ruff: noqa: RUF009 - the calls in the classes make dataclass fields

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from drctl.config.areas.run import BodyShell
from drctl.config.setting import Condition, setting

_eval = partial(setting, file="run", commands=("eval",), read_by="evaluation")
_opponent = partial(_eval, used_when=Condition("DR_RACE_TYPE", ("HEAD_TO_MODEL",)))


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Evaluation. Contract 3.2 and 8."""

    eval_number_of_trials: int = _eval(3, "Laps to drive.", minimum=1, maximum=1000)
    eval_is_continuous: bool = _eval(
        True,
        "True: one run until that many laps are done, with resets on the way. False: independent laps, each from the "
        "start line.",
    )
    eval_max_resets: int = _eval(
        100,
        "Resets allowed per episode (in a continuous evaluation: in all). 0 ends a lap at its first mishap; 1 is not "
        "possible.",
        minimum=0,
    )
    eval_off_track_penalty: float = _eval(
        5.0, "Time added for leaving the track.", unit="s", minimum=0.0, maximum=3600.0
    )
    eval_collision_penalty: float = _eval(5.0, "Time added for a collision.", unit="s", minimum=0.0, maximum=3600.0)
    eval_save_mp4: bool = _eval(False, "Record three videos of the evaluation.")
    eval_checkpoint: str = _eval("last", "Checkpoint to race: best, last or its number.", rule="checkpoint")
    eval_debug_reward: bool = _eval(False, "Evaluate with the user's reward function in place of the built-in one.")
    eval_reset_behind_dist: float = _eval(
        1.0,
        "How far behind an obstacle the car is put back.",
        unit="m",
        minimum=0.0,
        used_when=Condition("DR_RACE_TYPE", ("OBJECT_AVOIDANCE", "HEAD_TO_BOT", "HEAD_TO_MODEL")),
    )
    eval_reverse_direction: bool = _eval(False, "Drive the track the other way round.")
    eval_rtf: float | None = _eval(
        None,
        "Real-time factor of Gazebo in the community images.",
        minimum=0.1,
        maximum=100.0,
        stack="community",
    )
    eval_opp_s3_model_prefix: str = _opponent(
        "rl-deepracer-sagemaker", "Prefix of the opponent's model in the bucket.", rule="prefix"
    )
    eval_opp_s3_metrics_prefix: str = _opponent(
        "$DR_EVAL_OPP_S3_MODEL_PREFIX/metrics", "Where the opponent's metrics go.", rule="prefix", in_files=False
    )
    eval_opp_checkpoint: str = _opponent(
        "$DR_EVAL_CHECKPOINT",
        "Checkpoint of the opponent: best, last or its number.",
        rule="checkpoint",
        stack="drctl",
    )
    eval_opp_car_body_shell_type: BodyShell = _opponent("deepracer", "Body of the opponent's car.")
    eval_opp_car_name: str = _opponent("FasterCar", "Name of the opponent's car.")
    eval_opp_display_name: str = _opponent("$DR_EVAL_OPP_CAR_NAME", "Opponent's name on screen.")
    eval_opp_racer_name: str = _opponent("$DR_EVAL_OPP_CAR_NAME", "Opponent's name in race videos.")
