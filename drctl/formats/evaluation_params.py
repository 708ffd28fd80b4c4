"""``evaluation_params.yaml``: what the community's worker is told about an evaluation (contract 1.3, 3.3, 8).

The keys are those that DRfC writes. What concerns one car is a list with one entry per car.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drctl.formats.object_keys import ModelKeys
from drctl.formats.training_params import race_params_for, take_settings

if TYPE_CHECKING:
    from drctl.config.settings import Settings

# YAML key -> attribute of Settings, as DRfC takes them from the environment.
_COMMON: Final = {
    "AWS_REGION": "aws_app_region",
    "KINESIS_VIDEO_STREAM_NAME": "kinesis_stream_name",
    "EVAL_CHECKPOINT": "eval_checkpoint",
    "RACE_TYPE": "race_type",
    "WORLD_NAME": "world_name",
    "NUMBER_OF_TRIALS": "eval_number_of_trials",
    "ENABLE_DOMAIN_RANDOMIZATION": "enable_domain_randomization",
    "RESET_BEHIND_DIST": "eval_reset_behind_dist",
    "IS_CONTINUOUS": "eval_is_continuous",
    "NUMBER_OF_RESETS": "eval_max_resets",
    "OFF_TRACK_PENALTY": "eval_off_track_penalty",
    "COLLISION_PENALTY": "eval_collision_penalty",
    "CAMERA_MAIN_ENABLE": "camera_main_enable",
    "CAMERA_SUB_ENABLE": "camera_sub_enable",
    "REVERSE_DIR": "eval_reverse_direction",
    "ENABLE_EXTRA_KVS_OVERLAY": "enable_extra_kvs_overlay",
}
DUEL_COLORS: Final = ("Purple", "Orange")
"""Of the two cars when two models race, whatever the settings say (contract 8)."""


@dataclass(frozen=True)
class _Car:
    """What the file says about one car."""

    prefix: str
    trace_prefix: str
    metrics_key: str
    body_shell: str
    color: str
    display_name: str
    racer_name: str


def evaluation_params_for(
    settings: Settings, *, stamp: str, epoch_s: int, endpoint_url: str | None = None
) -> dict[str, str | list[str]]:
    """Translate settings into the keys of ``evaluation_params.yaml``.

    Args:
        settings: Of the run.
        stamp: Of the evaluation, 14 digits, ``YYYYmmddHHMMSS``.
        epoch_s: Its start; it names the opponent's metrics.
        endpoint_url: Address of the S3 server as the worker reaches it; None for AWS.

    Returns:
        Texts and lists of texts; `drctl.formats.training_params.render_training_params` renders them.
    """
    params = take_settings(settings, _COMMON)
    params |= {"JOB_TYPE": "EVALUATION", "ROBOMAKER_SIMULATION_JOB_ACCOUNT_ID": "Dummy"}
    if endpoint_url:
        params["S3_ENDPOINT_URL"] = endpoint_url
    cars = [_own_car(settings, stamp)]
    if settings.race_type == "HEAD_TO_MODEL":
        cars.append(_opponent(settings, epoch_s))
    bucket = settings.local_s3_bucket
    params |= {
        "MODEL_S3_BUCKET": [bucket for _ in cars],
        "MODEL_S3_PREFIX": [car.prefix for car in cars],
        "SIMTRACE_S3_BUCKET": [bucket for _ in cars],
        "SIMTRACE_S3_PREFIX": [car.trace_prefix for car in cars],
        "METRICS_S3_BUCKET": [bucket for _ in cars],
        "METRICS_S3_OBJECT_KEY": [car.metrics_key for car in cars],
        "MP4_S3_BUCKET": [bucket for _ in cars] if settings.eval_save_mp4 else [],
        "MP4_S3_OBJECT_PREFIX": [f"{car.prefix}/mp4" for car in cars] if settings.eval_save_mp4 else [],
        "BODY_SHELL_TYPE": [car.body_shell for car in cars],
        "CAR_COLOR": [car.color for car in cars] if len(cars) == 1 else [*DUEL_COLORS],
        "DISPLAY_NAME": [car.display_name for car in cars],
        "RACER_NAME": [car.racer_name for car in cars],
    }
    if len(cars) > 1:
        params |= {"VIDEO_JOB_TYPE": "EVALUATION", "MODEL_NAME": [*params["DISPLAY_NAME"]]}
    params.update(race_params_for(settings))
    return params


def _own_car(settings: Settings, stamp: str) -> _Car:
    keys = ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    return _Car(
        settings.local_s3_model_prefix,
        keys.evaluation_folder(stamp),
        keys.evaluation_metrics(stamp),
        settings.car_body_shell_type,
        settings.car_color,
        settings.display_name,
        settings.racer_name,
    )


def _opponent(settings: Settings, epoch_s: int) -> _Car:
    keys = ModelKeys(settings.eval_opp_s3_model_prefix, settings.eval_opp_s3_metrics_prefix)
    return _Car(
        settings.eval_opp_s3_model_prefix,
        settings.eval_opp_s3_model_prefix,
        keys.metrics_as_opponent(epoch_s),
        settings.eval_opp_car_body_shell_type,
        DUEL_COLORS[1],
        settings.eval_opp_display_name,
        settings.eval_opp_racer_name,
    )
