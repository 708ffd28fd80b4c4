"""``training_params.yaml``: what a simulation worker is told (contract 2.6, 3.3).

The keys are those that DRfC writes, also the ones nobody reads, so that tools and the community's workers find what
they know. Reward function and metadata are named where the run's snapshot has them, not in the shared ``custom_files``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import yaml

from drctl.config.randomization import EVERY_GROUP, RANDOMIZED_GROUPS, parse_randomized
from drctl.errors import FormatError
from drctl.formats.fields import FieldReader
from drctl.formats.json_text import describe
from drctl.formats.object_keys import ModelKeys
from drctl.formats.race_params import (
    BOT_CAR_KEYS,
    OBSTACLE_KEYS,
    POSITIONS_KEY,
    RaceParams,
    read_race_params,
    split_positions,
)
from drctl.formats.training_metrics import BEST_MODEL_METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drctl.config.settings import Settings
    from drctl.formats.training_metrics import BestModelMetric

CAR_COLORS: Final = ("Black", "Grey", "Blue", "Red", "Orange", "White", "Purple")
BODY_SHELLS: Final = ("deepracer", "f1_2021", *(f"f1_car_{number}" for number in range(11, 22)))

# YAML key -> attribute of Settings, as DRfC takes them from the environment.
_COMMON: Final = {
    "AWS_REGION": "aws_app_region",
    "KINESIS_VIDEO_STREAM_NAME": "kinesis_stream_name",
    "METRICS_S3_BUCKET": "local_s3_bucket",
    "NUM_WORKERS": "workers",
    "SAGEMAKER_SHARED_S3_BUCKET": "local_s3_bucket",
    "SAGEMAKER_SHARED_S3_PREFIX": "local_s3_model_prefix",
    "SIMTRACE_S3_BUCKET": "local_s3_bucket",
    "SIMTRACE_S3_PREFIX": "local_s3_model_prefix",
    "BODY_SHELL_TYPE": "car_body_shell_type",
    "CAR_COLOR": "car_color",
    "CAR_NAME": "car_name",
    "RACE_TYPE": "race_type",
    "WORLD_NAME": "world_name",
    "DISPLAY_NAME": "display_name",
    "RACER_NAME": "racer_name",
    "REVERSE_DIR": "train_reverse_direction",
    "ALTERNATE_DRIVING_DIRECTION": "train_alternate_driving_direction",
    "CHANGE_START_POSITION": "train_change_start_position",
    "ROUND_ROBIN_ADVANCE_DIST": "train_round_robin_advance_dist",
    "START_POSITION_OFFSET": "train_start_position_offset",
    "ENABLE_DOMAIN_RANDOMIZATION": "enable_domain_randomization",
    "MIN_EVAL_TRIALS": "train_min_eval_trials",
    "CAMERA_MAIN_ENABLE": "camera_main_enable",
    "CAMERA_SUB_ENABLE": "camera_sub_enable",
    "BEST_MODEL_METRIC": "train_best_model_metric",
    "ENABLE_EXTRA_KVS_OVERLAY": "enable_extra_kvs_overlay",
}
_OWN: Final = (
    "JOB_TYPE",
    "METRICS_S3_OBJECT_KEY",
    "MODEL_METADATA_FILE_S3_KEY",
    "REWARD_FILE_S3_KEY",
    "ROBOMAKER_SIMULATION_JOB_ACCOUNT_ID",
    "TRAINING_JOB_ARN",
    "S3_ENDPOINT_URL",
    POSITIONS_KEY,
    "MULTI_CONFIG",
    "RANDOMIZE",  # ours; the community's workers ignore what they do not know
)
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where PyYAML has its library
KEYS: Final = frozenset((*_COMMON, *OBSTACLE_KEYS, *BOT_CAR_KEYS, *_OWN))


@dataclass(frozen=True)
class WorldParams:
    """One worker's entry: the world it shows and the rules of its episodes.

    Attributes:
        world_name: Name of the track.
        bucket: Bucket of the model.
        prefix: Model prefix ``<P>``.
        metrics_key: Key of slot 0's training metrics.
        model_metadata_key: Key of the metadata, in the run's snapshot.
        reward_key: Key of the reward function, in the run's snapshot.
        num_workers: How many workers the run wants.
        race: What happens on the track, and what stands and drives there.
        change_start_position: Move the start along the track from episode to episode.
        round_robin_advance_dist: By how much, as a fraction of the lap.
        start_position_offset: First start, as a fraction of the lap from waypoint 0.
        reverse_dir: Drive against the track's own direction.
        alternate_driving_direction: Turn round after every training episode.
        randomized: Groups that vary from episode to episode, each with its share of the range; see
            `config.randomization`.
        min_eval_trials: Evaluation episodes per iteration.
        best_model_metric: What makes a checkpoint the best one.
        body_shell_type: Shape of the car.
        car_color: Colour of the car.
    """

    world_name: str
    bucket: str
    prefix: str
    metrics_key: str
    model_metadata_key: str
    reward_key: str
    num_workers: int = 1
    race: RaceParams = field(default_factory=RaceParams)
    change_start_position: bool = True
    round_robin_advance_dist: float = 0.05
    start_position_offset: float = 0.0
    reverse_dir: bool = False
    alternate_driving_direction: bool = False
    randomized: tuple[tuple[str, float], ...] = ()
    min_eval_trials: int = 5
    best_model_metric: BestModelMetric = "progress"
    body_shell_type: str = "deepracer"
    car_color: str = "Black"


def training_params_for(
    settings: Settings, *, endpoint_url: str | None = None, worker: int | None = None
) -> dict[str, str | list[str]]:
    """Translate settings into the keys of ``training_params.yaml``.

    Args:
        settings: The run's, or in a multi-config run those of the entry.
        endpoint_url: Address of the S3 server as workers reach it; None for AWS and for a folder.
        worker: Number of a multi-config entry, from 1; None when all workers share one file.

    Returns:
        Texts, and one list of texts (``OBJECT_POSITIONS``); render it with `render_training_params`.
    """
    keys = ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    params: dict[str, str | list[str]] = take_settings(settings, _COMMON)
    params["JOB_TYPE"] = "TRAINING"
    params["METRICS_S3_OBJECT_KEY"] = keys.metrics(0)
    params["MODEL_METADATA_FILE_S3_KEY"] = keys.custom_files("model_metadata.json")
    params["REWARD_FILE_S3_KEY"] = keys.custom_files("reward_function.py")
    params["ROBOMAKER_SIMULATION_JOB_ACCOUNT_ID"] = "Dummy"
    params["TRAINING_JOB_ARN"] = "arn:Dummy"
    if endpoint_url:
        params["S3_ENDPOINT_URL"] = endpoint_url
    if settings.stack == "drctl" and settings.enable_domain_randomization and settings.randomize != EVERY_GROUP:
        params["RANDOMIZE"] = settings.randomize
    params.update(race_params_for(settings))
    if worker is not None and worker > 1:
        params["MULTI_CONFIG"] = "True"  # contract 2.6: in every file but the first
    return params


def race_params_for(settings: Settings) -> dict[str, str | list[str]]:
    """Return the keys about obstacles or bot cars, the same for trainings and evaluations."""
    if settings.race_type == "HEAD_TO_BOT":
        return take_settings(settings, BOT_CAR_KEYS)
    if settings.race_type != "OBJECT_AVOIDANCE":
        return {}
    params = take_settings(settings, OBSTACLE_KEYS)
    positions = split_positions(settings.oa_object_positions)
    if positions:
        params[POSITIONS_KEY] = positions
        params["NUMBER_OF_OBSTACLES"] = str(len(positions))
    return params


def take_settings(settings: Settings, names: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return settings as texts under other keys.

    Args:
        settings: All values.
        names: Key to attribute of the settings.
    """
    values = {key: getattr(settings, name) for key, name in names.items()}
    return {key: "" if value is None else str(value) for key, value in values.items()}


def render_training_params(params: Mapping[str, str | list[str]]) -> bytes:
    """Return the file's content: an explicit ``---``, sorted keys, every key and value in single quotes.

    Args:
        params: As `training_params_for` gives them, or those of an evaluation.
    """
    text: str = yaml.safe_dump(
        dict(params),
        default_flow_style=False,
        default_style="'",
        explicit_start=True,
        allow_unicode=True,
        width=float("inf"),
    )
    return text.encode()


def parse_training_params(data: bytes | str, source: str) -> WorldParams:
    """Read one worker's parameters.

    Args:
        data: The file's content.
        source: Its name for messages.

    Returns:
        What the simulation needs of them, defaults filled in (contract 3.3).

    Raises:
        FormatError: Everything that is wrong with the file, at once.
    """
    fields = FieldReader(_read_yaml(data, source), source)
    fields.refuse_unknown(KEYS)
    bucket = fields.text("SAGEMAKER_SHARED_S3_BUCKET", "", is_required=True)
    fields.text("METRICS_S3_BUCKET", "", is_required=True)
    params = WorldParams(
        world_name=fields.text("WORLD_NAME", "", is_required=True),
        bucket=bucket,
        prefix=fields.text("SAGEMAKER_SHARED_S3_PREFIX", "", is_required=True),
        metrics_key=fields.text("METRICS_S3_OBJECT_KEY", "", is_required=True),
        model_metadata_key=fields.text("MODEL_METADATA_FILE_S3_KEY", "", is_required=True),
        reward_key=fields.text("REWARD_FILE_S3_KEY", "", is_required=True),
        num_workers=fields.integer("NUM_WORKERS", 1, low=1, high=10_000),
        race=read_race_params(fields),
        change_start_position=fields.boolean("CHANGE_START_POSITION", default=True),
        round_robin_advance_dist=fields.number("ROUND_ROBIN_ADVANCE_DIST", 0.05, low=0.0, high=1.0),
        start_position_offset=fields.number("START_POSITION_OFFSET", 0.0, low=0.0, high=1.0),
        reverse_dir=fields.boolean("REVERSE_DIR", default=False),
        alternate_driving_direction=fields.boolean("ALTERNATE_DRIVING_DIRECTION", default=False),
        randomized=_read_randomized(fields),
        min_eval_trials=fields.integer("MIN_EVAL_TRIALS", 5, low=0, high=10_000),
        best_model_metric=cast(
            "BestModelMetric", fields.choice("BEST_MODEL_METRIC", "progress", BEST_MODEL_METRICS, ignores_case=True)
        ),
        body_shell_type=fields.choice("BODY_SHELL_TYPE", "deepracer", BODY_SHELLS),
        car_color=fields.choice("CAR_COLOR", "Black", CAR_COLORS, ignores_case=True),
    )
    for key in ("BODY_SHELL_TYPE", "CAR_COLOR"):
        if not fields.has(key):
            fields.report(key, f'"{key}" is missing', "a text", f'add "{key}" to {source}')
    fields.raise_problems()
    return params


def read_world_names(data: bytes) -> tuple[str, ...]:
    """Return the names of the tracks in a parameter file, without checking the rest; empty when it has none."""
    try:
        names = yaml.load(data, Loader=_LOADER)["WORLD_NAME"]  # noqa: S506 - both loaders are safe ones
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        return ()
    return tuple(str(name) for name in (names if isinstance(names, list) else [names]) if name)


def move_training_params(
    data: bytes,
    *,
    buckets: Mapping[str, str],
    prefixes: Mapping[str, str],
    files: Mapping[str, str],
    endpoint_url: str | None,
) -> bytes | None:
    """Return a parameter file that names another place; None when the file is none.

    Args:
        data: The file's content, of a training or an evaluation.
        buckets: Old name to new one.
        prefixes: Old prefix to new one; keys below it move along.
        files: Key to value where the old value lies under none of the prefixes.
        endpoint_url: Address of the new place's S3 server; None for AWS and for a folder.
    """
    try:
        params = yaml.load(data, Loader=_LOADER)  # noqa: S506 - both loaders are safe ones
    except (yaml.YAMLError, ValueError):
        return None
    if not isinstance(params, dict) or "WORLD_NAME" not in params:
        return None

    def move(key: str, text: str) -> str:
        if key.endswith("_S3_BUCKET"):
            return buckets.get(text, text)
        if not key.endswith(("_S3_PREFIX", "_S3_KEY", "_S3_OBJECT_KEY")):
            return text
        for old in sorted(prefixes, key=len, reverse=True):
            if f"{text}/".startswith(f"{old}/"):
                return prefixes[old] + text[len(old) :]
        return files.get(key, text)

    moved: dict[str, str | list[str]] = {}
    for key, value in params.items():
        if isinstance(value, list):
            moved[str(key)] = [move(str(key), str(one)) for one in value]
        else:
            moved[str(key)] = move(str(key), "" if value is None else str(value))
    moved.pop("S3_ENDPOINT_URL", None)
    if endpoint_url:
        moved["S3_ENDPOINT_URL"] = endpoint_url
    return render_training_params(moved)


def _read_randomized(fields: FieldReader) -> tuple[tuple[str, float], ...]:
    found = parse_randomized(fields.text("RANDOMIZE", EVERY_GROUP))
    if found is None:
        groups = ", ".join(RANDOMIZED_GROUPS)
        fields.report("RANDOMIZE", f"RANDOMIZE is {describe(fields.raw('RANDOMIZE'))}", f"all, or some of: {groups}")
    return (found or ()) if fields.boolean("ENABLE_DOMAIN_RANDOMIZATION", default=False) else ()


def _read_yaml(data: bytes | str, source: str) -> Mapping[str, Any]:
    try:
        text = data if isinstance(data, str) else data.decode()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise FormatError(f"{source} is not text in UTF-8", where=source, expected="YAML") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise FormatError(f"{source} is not YAML: {error.problem}", where=where, expected="YAML") from error
    except yaml.YAMLError as error:
        raise FormatError(f"{source} is not YAML: {error}", where=source, expected="YAML") from error
    if not isinstance(document, dict) or not isinstance(root, yaml.MappingNode):
        raise FormatError(f"{source} holds {describe(document)}", where=source, expected="'KEY': 'value' lines")
    seen: set[str] = set()
    for key, _ in root.value:
        if key.value in seen:
            where = f"{source}:{key.start_mark.line + 1}"
            raise FormatError(f"the key {key.value!r} is there twice", where=where, expected="each key once")
        seen.add(key.value)
    return document
