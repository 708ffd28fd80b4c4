"""Settings that are each fine and do not go together."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from drctl.config.registry import fix_for
from drctl.config.settings import Settings
from drctl.errors import Problem

LINK_PORT: Final = 7300  # DESIGN 2: plus DR_RUN_ID
STREAM_PORT: Final = 8080  # contract 3.1: plus DR_RUN_ID under Swarm
EVALUATION_STREAM_PORT: Final = 8180  # contract 3.1, likewise


def find_contradictions(settings: Settings, unreadable: Collection[str] = ()) -> list[Problem]:
    """List what contradicts itself, each with the places of the values.

    Args:
        settings: All values.
        unreadable: Settings whose value was refused already; nothing is said about them.
    """
    found = (check(settings) for names, check in _CHECKS if not set(names) & set(unreadable))
    return [problem for problem in found if problem is not None]


def _places(settings: Settings, *names: str) -> str:
    return ", ".join(f"{name} {settings.origin(name)}" for name in names)


def _fix(settings: Settings, name: str, value: str) -> str:
    return fix_for(name, value, settings.origin(name).source)


def _check_store(settings: Settings) -> Problem | None:
    if settings.cloud != "remote" or settings.remote_minio_url:
        return None
    return Problem(
        "DR_CLOUD is remote and DR_REMOTE_MINIO_URL has no value",
        _places(settings, "DR_CLOUD"),
        "the address of the S3 server",
        "drctl config set DR_REMOTE_MINIO_URL=http://HOST:9000",
    )


def _check_prefixes(settings: Settings) -> Problem | None:
    model, files = settings.local_s3_model_prefix, settings.local_s3_custom_files_prefix
    if not (f"{model}/".startswith(f"{files}/") or f"{files}/".startswith(f"{model}/")):
        return None
    return Problem(
        f"DR_LOCAL_S3_MODEL_PREFIX {model} and DR_LOCAL_S3_CUSTOM_FILES_PREFIX {files} share a folder",
        _places(settings, "DR_LOCAL_S3_MODEL_PREFIX", "DR_LOCAL_S3_CUSTOM_FILES_PREFIX"),
        "two prefixes of which none lies in the other",
        _fix(settings, "DR_LOCAL_S3_MODEL_PREFIX", "rl-deepracer-sagemaker"),
    )


def _check_file_names(settings: Settings) -> Problem | None:
    if settings.local_s3_training_params_file != settings.local_s3_eval_params_file:
        return None
    return Problem(
        f"training and evaluation both write {settings.local_s3_training_params_file}",
        _places(settings, "DR_LOCAL_S3_TRAINING_PARAMS_FILE", "DR_LOCAL_S3_EVAL_PARAMS_FILE"),
        "two names",
        _fix(settings, "DR_LOCAL_S3_EVAL_PARAMS_FILE", "evaluation_params.yaml"),
    )


def _check_clone(settings: Settings) -> Problem | None:
    if not settings.local_s3_pretrained or settings.local_s3_pretrained_prefix != settings.local_s3_model_prefix:
        return None
    return Problem(
        f"the model {settings.local_s3_model_prefix} is to begin with itself",
        _places(settings, "DR_LOCAL_S3_PRETRAINED_PREFIX", "DR_LOCAL_S3_MODEL_PREFIX"),
        "the prefix of another model",
        _fix(settings, "DR_LOCAL_S3_MODEL_PREFIX", f"{settings.local_s3_model_prefix}-1"),
    )


def _check_resets(settings: Settings) -> Problem | None:
    if settings.eval_max_resets != 1:  # contract 8: 0, or 2 and more
        return None
    return Problem(
        "DR_EVAL_MAX_RESETS is 1",
        str(settings.origin("DR_EVAL_MAX_RESETS")),
        "0, or 2 or more",
        _fix(settings, "DR_EVAL_MAX_RESETS", "2"),
    )


def _check_lane_changes(settings: Settings) -> Problem | None:
    low, high = settings.h2b_lower_lane_change_time, settings.h2b_upper_lane_change_time
    if low <= high:
        return None
    return Problem(
        f"DR_H2B_LOWER_LANE_CHANGE_TIME {low} is above DR_H2B_UPPER_LANE_CHANGE_TIME {high}",
        _places(settings, "DR_H2B_LOWER_LANE_CHANGE_TIME", "DR_H2B_UPPER_LANE_CHANGE_TIME"),
        f"at most {high}",
        _fix(settings, "DR_H2B_LOWER_LANE_CHANGE_TIME", str(high)),
    )


def _check_ports(settings: Settings) -> Problem | None:
    ports = {LINK_PORT + settings.run_id: "the trainer's link (7300 + DR_RUN_ID)"}
    if settings.docker_style == "swarm":
        ports[STREAM_PORT + settings.run_id] = "the workers' streams (8080 + DR_RUN_ID)"
        ports[EVALUATION_STREAM_PORT + settings.run_id] = "the evaluation's streams (8180 + DR_RUN_ID)"
    user = ports.get(settings.webviewer_port)
    if user is None:
        return None
    return Problem(
        f"port {settings.webviewer_port} is both DR_WEBVIEWER_PORT and that of {user}",
        _places(settings, "DR_WEBVIEWER_PORT", "DR_RUN_ID"),
        "another port",
        _fix(settings, "DR_WEBVIEWER_PORT", "8099"),
    )


_CHECKS: Final[tuple[tuple[tuple[str, ...], Callable[[Settings], Problem | None]], ...]] = (
    (("DR_CLOUD", "DR_REMOTE_MINIO_URL"), _check_store),
    (("DR_LOCAL_S3_MODEL_PREFIX", "DR_LOCAL_S3_CUSTOM_FILES_PREFIX"), _check_prefixes),
    (("DR_LOCAL_S3_TRAINING_PARAMS_FILE", "DR_LOCAL_S3_EVAL_PARAMS_FILE"), _check_file_names),
    (("DR_LOCAL_S3_PRETRAINED", "DR_LOCAL_S3_PRETRAINED_PREFIX", "DR_LOCAL_S3_MODEL_PREFIX"), _check_clone),
    (("DR_EVAL_MAX_RESETS",), _check_resets),
    (("DR_H2B_LOWER_LANE_CHANGE_TIME", "DR_H2B_UPPER_LANE_CHANGE_TIME"), _check_lane_changes),
    (("DR_WEBVIEWER_PORT", "DR_RUN_ID", "DR_DOCKER_STYLE"), _check_ports),
)
