"""Where models and files are kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

from drctl.config.setting import Condition, setting

_EVERY = ("start-training", "eval", "upload-custom-files", "download-custom-files", "upload-model")
_run = partial(setting, file="run", commands=_EVERY)
_system = partial(setting, file="system", commands=_EVERY)
_upload = partial(
    setting,
    read_by="upload",
    commands=("upload-model", "download-model", "upload-car-zip"),
)
_site = partial(setting, file="system", read_by="upload", part="models", commands=("upload-model",), in_files=False)
_clone = partial(
    setting,
    file="run",
    read_by="trainer",
    used_when=Condition("DR_LOCAL_S3_PRETRAINED", ("True",)),
)


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Buckets, prefixes and keys. Contract 1 and 3.2."""

    cloud: Literal["local", "remote", "aws"] = _system(
        "local",
        "Where the store is. local: the folder data/ without containers, an S3 server container with them. remote: an "
        "S3 server at DR_REMOTE_MINIO_URL. aws: Amazon S3.",
        read_by="every command",
        old_values=MappingProxyType({"azure": "local"}),
    )
    remote_minio_url: str | None = _system(
        None,
        "Address of the S3 server, such as http://mynas:9000.",
        read_by="store",
        rule="url",
        used_when=Condition("DR_CLOUD", ("remote",)),
    )
    aws_app_region: str = _system("us-east-1", "AWS region of the buckets.", read_by="store", rule="name")
    local_s3_bucket: str = _system("bucket", "Bucket for custom files and models.", read_by="store", rule="bucket")
    local_s3_profile: str | None = _system(
        None,
        "AWS profile with the keys of that bucket. Without a value: the machine's role or the AWS variables of the "
        "shell.",
        read_by="store",
        used_when=Condition("DR_CLOUD", ("remote", "aws")),
    )
    local_s3_model_prefix: str = _run(
        "rl-deepracer-sagemaker",
        "Name of the model: everything about it lies under this prefix in the bucket.",
        read_by="every command",
        rule="prefix",
    )
    local_s3_pretrained: bool = _run(
        False,
        "Begin with the weights of an earlier model.",
        read_by="trainer",
        commands=("start-training",),
    )
    local_s3_pretrained_prefix: str = _clone(
        "rl-sagemaker-pretrained", "Prefix of the earlier model, or an s3:// address.", rule="prefix or address"
    )
    local_s3_pretrained_checkpoint: str = _clone(
        "last", "Its checkpoint to begin with: best, last or a number.", rule="checkpoint"
    )
    pretrained_full: bool = _clone(
        False,
        "Take over the optimiser and the counters of episodes, steps and laps as well, not the weights alone.",
        stack="drctl",
    )
    local_s3_custom_files_prefix: str = _run(
        "custom_files", "Where the custom files lie in the bucket.", read_by="store", rule="prefix"
    )
    local_s3_training_params_file: str = _run(
        "training_params.yaml", "Name of the training's parameter file.", read_by="trainer", rule="file name"
    )
    local_s3_eval_params_file: str = _run(
        "evaluation_params.yaml", "Name of the evaluation's parameter file.", read_by="evaluation", rule="file name"
    )
    local_s3_model_metadata_key: str = _run(
        "$DR_LOCAL_S3_CUSTOM_FILES_PREFIX/model_metadata.json",
        "Key of the action space and sensors in the bucket.",
        read_by="start-training",
        rule="prefix",
    )
    local_s3_hyperparameters_key: str = _run(
        "$DR_LOCAL_S3_CUSTOM_FILES_PREFIX/hyperparameters.json",
        "Key of the hyperparameters in the bucket.",
        read_by="start-training",
        rule="prefix",
    )
    local_s3_reward_key: str = _run(
        "$DR_LOCAL_S3_CUSTOM_FILES_PREFIX/reward_function.py",
        "Key of the reward function in the bucket.",
        read_by="start-training",
        rule="prefix",
    )
    local_s3_metrics_prefix: str = _run(
        "$DR_LOCAL_S3_MODEL_PREFIX/metrics", "Where the metrics files go.", read_by="trainer, evaluation", rule="prefix"
    )
    upload_s3_prefix: str = _upload(
        "$DR_LOCAL_S3_MODEL_PREFIX-1", "Prefix of an uploaded model.", file="run", rule="prefix"
    )
    upload_s3_bucket: str | None = _upload(None, "Bucket that models are uploaded to.", file="system")
    upload_s3_profile: str = _upload("default", "AWS profile with the keys of that bucket.", file="system")
    upload_s3_endpoint_url: str | None = _upload(
        None,
        "Address of the S3 server with that bucket, such as http://mynas:9000; without a value Amazon S3.",
        file="system",
        rule="url",
        in_files=False,
    )
    droa_url: str | None = _site(None, "Address of a DeepRacer-on-AWS site.", rule="url")
    droa_username: str | None = _site(None, "User name on the DeepRacer-on-AWS site.")
