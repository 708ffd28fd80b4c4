"""The community images in containers, wired as DeepRacer-for-Cloud wires them (contract 0, 3.1, appendix A)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from drctl.formats.object_keys import ModelKeys, training_params_name
from drctl.stack.container_stack import TRAINER_SERVICE, WORKER_SERVICE, cloud_watch_for
from drctl.stack.drctl_stack import LOOPBACK
from drctl.stack.plan import Container, JobKind, Mount, Part, Port, RestartPolicy, RunPlan

if TYPE_CHECKING:
    from drctl.config.settings import Settings
    from drctl.stack.drctl_stack import RunFolders

STREAM_PORT: Final = 8080
RACE_FOLDER: Final = "images"
"""In the folder of a run's evaluations: what the container of a race keeps there."""

VNC_PORT: Final = 5900
_FIRST_VNC_PORT: Final = 5901
_FEWEST_STREAM_PORTS: Final = 10  # 8080-8089 as DeepRacer-for-Cloud has them
_FEWEST_VNC_PORTS: Final = 20  # 5901-5920

LAUNCHER_SERVICE: Final = "rl_coach"
_DOCKER_SOCKET: Final = "/var/run/docker.sock"
SDK_FOLDER: Final = "/tmp/sagemaker"  # noqa: S108 - the SDK's, the same on this machine and inside

_TRAIN: Final = "/opt/ml/code/sage-train.sh"
_LAUNCH: Final = "source /root/sagemaker-venv/bin/activate && python3 /opt/ml/code/rl_coach/start.py"
_WORK: Final = "/opt/ml/code/run.sh {mode} {launch_file}"
_TRAINING_FILE: Final = "distributed_training.launch.py"
_EVALUATION_FILE: Final = "evaluation.launch.py"


@dataclass(frozen=True)
class CommunityHost:
    """What the containers take from this machine.

    Attributes:
        trainer_image: Image of the trainer or its launcher.
        worker_image: Image of the workers.
        endpoint_url: Address of the S3 server as containers reach it; None for Amazon S3.
        keys_file: File with the store's access key as environment variables; None where the machine's role opens it.
        data_folder: ``data`` of the project.
        x_authority: File with the key of this machine's X server, for ``DR_HOST_X``.
        display: Name of that server's display.
    """

    trainer_image: str
    worker_image: str
    endpoint_url: str | None
    keys_file: str | None
    data_folder: str
    x_authority: str | None = None
    display: str | None = None


@dataclass(frozen=True)
class TrainingJob:
    """What a training of the images is about, beside the settings.

    Attributes:
        hyperparameters: The user's, as the file has them.
        worlds: Name of the track of each multi-config entry; empty when all workers share one.
        run_token: Random name of this start of the run.
        limits: Facts that tell how far it is; see `drctl.status.community`.
    """

    hyperparameters: Mapping[str, Any]
    worlds: tuple[str, ...]
    run_token: str
    limits: Mapping[str, Any]


def community_images(settings: Settings) -> tuple[str, str]:
    """Return the images of trainer and workers: the community's, or those that settings name instead."""
    source = settings.simapp_source
    has_tag = ":" in source.rpartition("/")[2]
    image = source if has_tag else f"{source}:{settings.simapp_version}"
    return settings.sagemaker_image or image, settings.robomaker_image or image


def has_gpu(image: str) -> bool:
    """Tell whether an image is one for GPUs, as the images' own launcher does (contract 0)."""
    return "gpu" in image


def community_training_plan(
    settings: Settings, folders: RunFolders, host: CommunityHost, job: TrainingJob, *, engine: str
) -> RunPlan:
    """Build the plan of a training: one trainer and ``DR_WORKERS`` workers.

    Args:
        settings: Of the run.
        folders: Where it keeps its things on this machine.
        host: What the containers take from it.
        job: What is trained.
        engine: Engine that will carry the plan out.
    """
    make_trainer = _launcher if settings.coach == "sdk" else _trainer
    return _plan(
        settings,
        folders,
        engine=engine,
        run_token=job.run_token,
        facts=job.limits,
        parts=(
            make_trainer(settings, host, job),
            *(_worker(number, settings, host, job) for number in range(settings.workers)),
        ),
    )


def community_evaluation_plan(
    settings: Settings, folders: RunFolders, host: CommunityHost, *, run_token: str, engine: str
) -> RunPlan:
    """Build the plan of an evaluation: one worker that races a stored model and leaves.

    Args:
        settings: Of the run.
        folders: Where the evaluation keeps its things on this machine.
        host: What the container takes from it.
        run_token: Random name of this evaluation.
        engine: Engine that will carry the plan out.
    """
    environment = {
        "MODEL_S3_BUCKET": settings.local_s3_bucket,
        "MODEL_S3_PREFIX": settings.local_s3_model_prefix,
        "S3_YAML_NAME": settings.local_s3_eval_params_file,
        "DEBUG_REWARD": str(settings.eval_debug_reward),
        "ROLLOUT_IDX": "0",
        "RTF_OVERRIDE": _text(settings.eval_rtf),
        **_simulation_environment(settings, host),
    }
    container = Container(
        name=f"deepracer-eval-{settings.run_id}-{WORKER_SERVICE}-1",
        service=WORKER_SERVICE,
        image=host.worker_image,
        mounts=_worker_mounts(settings, host),
        ports=(_stream_port(1),),
        env_files=_env_files(host),
        gpus=_gpus(host.worker_image),
    )
    work = _WORK.format(mode="run", launch_file=_EVALUATION_FILE)
    return _plan(
        settings,
        folders,
        engine=engine,
        run_token=run_token,
        facts={},
        parts=(Part("worker-0", "worker", (work,), environment, container=container),),
        job="evaluation",
    )


def pretrained_place(settings: Settings) -> tuple[str, str]:
    """Return bucket and prefix of the model to begin with; an ``s3://`` address names another bucket."""
    place = settings.local_s3_pretrained_prefix
    if not place.startswith("s3://"):
        return settings.local_s3_bucket, place
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    return bucket, prefix.strip("/")


def multi_config(settings: Settings, worlds: tuple[str, ...]) -> str:
    """Return the variable that tells each worker its parameter file and track (contract 2.6)."""
    entries = [
        {"config_file": training_params_name(number, settings.local_s3_training_params_file), "world_name": world}
        for number, world in enumerate(worlds, start=1)
    ]
    return json.dumps({"multi_config": entries})


def _plan(
    settings: Settings,
    folders: RunFolders,
    *,
    engine: str,
    run_token: str,
    facts: Mapping[str, Any],
    parts: tuple[Part, ...],
    job: JobKind = "training",
) -> RunPlan:
    return RunPlan(
        run_id=settings.run_id,
        run_token=run_token,
        prefix=settings.local_s3_model_prefix,
        engine=engine,
        stack="community",
        project=str(folders.project),
        run_folder=str(folders.run_folder),
        link_port=0,
        ticket="",
        trainer=dict(facts),
        parts=parts,
        restart=RestartPolicy(limit=0),
        job=job,
        cloud_watch=cloud_watch_for(settings),
    )


def _trainer(settings: Settings, host: CommunityHost, job: TrainingJob) -> Part:
    """Start the trainer itself, as the launcher would through the Docker socket (appendix A)."""
    arguments = _trainer_arguments(settings)
    hyperparameters = {"hyperparameters": {**arguments, **job.hyperparameters}}
    environment = {
        "AWS_REGION": settings.aws_app_region,
        "RUN_ID": str(settings.run_id),
        "SAGEMAKER_PROGRAM": PurePosixPath(_TRAIN).name,
        "SM_TRAINING_ENV": json.dumps(hyperparameters),
        "TRAINING_JOB_NAME": settings.local_s3_model_prefix,
        **_endpoint(host),
        **_telegraf(settings),
    }
    if settings.train_max_steps_per_iteration is not None:
        environment["MAX_MEMORY_STEPS"] = str(settings.train_max_steps_per_iteration)
    if has_gpu(host.trainer_image) and settings.sagemaker_cuda_devices:
        environment["CUDA_VISIBLE_DEVICES"] = settings.sagemaker_cuda_devices
    container = Container(
        name=f"deepracer-{settings.run_id}-{TRAINER_SERVICE}-1",
        service=TRAINER_SERVICE,
        image=host.trainer_image,
        env_files=_env_files(host),
        gpus=_gpus(host.trainer_image),
    )
    words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    return Part("trainer", "trainer", (shlex.join([_TRAIN, *words]),), environment, container=container)


def _trainer_arguments(settings: Settings) -> dict[str, str]:
    bucket, keys = settings.local_s3_bucket, ModelKeys(settings.local_s3_model_prefix)
    arguments = {
        "s3_bucket": bucket,
        "s3_prefix": settings.local_s3_model_prefix,
        "aws_region": settings.aws_app_region,
        "model_metadata_s3_key": f"s3://{bucket}/{keys.custom_files('model_metadata.json')}",
    }
    if settings.local_s3_pretrained:
        pretrained_bucket, pretrained_prefix = pretrained_place(settings)
        arguments |= {
            "pretrained_s3_bucket": pretrained_bucket,
            "pretrained_s3_prefix": pretrained_prefix,
            "pretrained_checkpoint": settings.local_s3_pretrained_checkpoint,
        }
    return arguments


def _launcher(settings: Settings, host: CommunityHost, job: TrainingJob) -> Part:  # noqa: ARG001 - it reads the store
    """Start DeepRacer-for-Cloud's launcher, which starts the trainer through this machine's Docker socket."""
    keys = ModelKeys(settings.local_s3_model_prefix)
    pretrained_bucket, pretrained_prefix = pretrained_place(settings)
    environment = {
        "AWS_REGION": settings.aws_app_region,
        "CUDA_VISIBLE_DEVICES": settings.sagemaker_cuda_devices or "",
        "HYPERPARAMETER_FILE_S3_KEY": keys.custom_files("hyperparameters.json"),
        "MAX_MEMORY_STEPS": _text(settings.train_max_steps_per_iteration),
        "MODELMETADATA_FILE_S3_KEY": keys.custom_files("model_metadata.json"),
        "MODEL_S3_BUCKET": settings.local_s3_bucket,
        "MODEL_S3_PREFIX": settings.local_s3_model_prefix,
        "PRETRAINED": str(settings.local_s3_pretrained),
        "PRETRAINED_CHECKPOINT": settings.local_s3_pretrained_checkpoint,
        "PRETRAINED_S3_BUCKET": pretrained_bucket,
        "PRETRAINED_S3_PREFIX": pretrained_prefix,
        "RUN_ID": str(settings.run_id),
        "SAGEMAKER_IMAGE": host.trainer_image,
        **_endpoint(host),
        **_telegraf(settings),
    }
    container = Container(
        name=f"deepracer-{settings.run_id}-{LAUNCHER_SERVICE}-1",
        service=LAUNCHER_SERVICE,
        image=host.trainer_image,
        mounts=(Mount(_DOCKER_SOCKET, _DOCKER_SOCKET), Mount(SDK_FOLDER, SDK_FOLDER)),
        env_files=_env_files(host),
    )
    return Part("trainer", "trainer", (_LAUNCH,), environment, container=container)


def _worker(number: int, settings: Settings, host: CommunityHost, job: TrainingJob) -> Part:
    is_alone = settings.workers == 1
    environment = {
        "SAGEMAKER_SHARED_S3_BUCKET": settings.local_s3_bucket,
        "SAGEMAKER_SHARED_S3_PREFIX": settings.local_s3_model_prefix,
        "S3_YAML_NAME": settings.local_s3_training_params_file,
        "RTF_OVERRIDE": _text(settings.train_rtf),
        **_simulation_environment(settings, host),
    }
    if not is_alone:
        # Workers that choose their numbers through a shared file can end up with the same one (contract 10, item 26).
        environment["DOCKER_REPLICA_SLOT"] = str(number + 1)
    if job.worlds:
        environment["MULTI_CONFIG"] = multi_config(settings, job.worlds)
    last_vnc_port = _FIRST_VNC_PORT + max(_FEWEST_VNC_PORTS, settings.workers) - 1
    container = Container(
        name=f"deepracer-{settings.run_id}-{WORKER_SERVICE}-{number + 1}",
        service=f"{WORKER_SERVICE}-{number + 1}",
        image=host.worker_image,
        mounts=_worker_mounts(settings, host),
        ports=(_stream_port(settings.workers), Port(VNC_PORT, f"{_FIRST_VNC_PORT}-{last_vnc_port}", LOOPBACK)),
        env_files=_env_files(host),
        gpus=_gpus(host.worker_image),
    )
    work = _WORK.format(mode="run" if is_alone else "multi", launch_file=_TRAINING_FILE)
    return Part(f"worker-{number}", "worker", (work,), environment, container=container)


def _simulation_environment(settings: Settings, host: CommunityHost) -> dict[str, str]:
    """Return the variables that workers have in trainings and evaluations alike; what is not set is empty."""
    found = {
        "APP_REGION": settings.aws_app_region,
        "CUDA_VISIBLE_DEVICES": settings.robomaker_cuda_devices or "",
        "ENABLE_GUI": str(settings.gui_enable),
        "ENABLE_KINESIS": str(settings.camera_kvs_enable),
        "GAZEBO_ARGS": settings.gazebo_args or "",
        "GAZEBO_RENDER_ENGINE": settings.gazebo_render_engine,
        "KINESIS_VIDEO_STREAM_NAME": settings.kinesis_stream_name or "",
        "ROS_IP": "127.0.0.1",
        "ROS_MASTER_URI": "http://localhost:11311/",
        "WORLD_NAME": settings.world_name,
        **_endpoint(host),
        **_telegraf(settings),
    }
    if settings.host_x:
        found |= {
            "DISPLAY": host.display or "",
            "NVIDIA_DRIVER_CAPABILITIES": "all",
            "QT_X11_NO_MITSHM": "1",
            "USE_EXTERNAL_X": "True",
            "XAUTHORITY": "/root/.Xauthority",
        }
    return found


def _worker_mounts(settings: Settings, host: CommunityHost) -> tuple[Mount, ...]:
    mounts = []
    if settings.robomaker_mount_logs:
        mounts.append(Mount(f"{host.data_folder}/logs/robomaker/{settings.local_s3_model_prefix}", "/root/.ros/log"))
    if settings.robomaker_mount_scripts_dir:
        mounts.append(Mount(settings.robomaker_mount_scripts_dir, "/scripts"))
    if settings.robomaker_mount_simapp_dir:
        mounts.append(Mount(settings.robomaker_mount_simapp_dir, "/opt/simapp"))
    if settings.host_x:
        mounts.append(Mount("/tmp/.X11-unix", "/tmp/.X11-unix"))  # noqa: S108 - where X servers have their sockets
        if host.x_authority:
            mounts.append(Mount(host.x_authority, "/root/.Xauthority"))
    return tuple(mounts)


def _stream_port(workers: int) -> Port:
    """Return the port of a worker's camera streams: the first free one of a range, which Docker chooses."""
    last = STREAM_PORT + max(_FEWEST_STREAM_PORTS, workers) - 1
    return Port(STREAM_PORT, f"{STREAM_PORT}-{last}", LOOPBACK)


def _gpus(image: str) -> tuple[str, ...]:
    """Return which GPUs a container sees: all, of which CUDA_VISIBLE_DEVICES chooses by this machine's numbers."""
    return ("all",) if has_gpu(image) else ()


def _endpoint(host: CommunityHost) -> dict[str, str]:
    return {"S3_ENDPOINT_URL": host.endpoint_url} if host.endpoint_url else {}


def _telegraf(settings: Settings) -> dict[str, str]:
    is_on = settings.telegraf_host is not None
    return {
        "TELEGRAF_HOST": settings.telegraf_host or "",
        "TELEGRAF_PORT": str(settings.telegraf_port) if is_on else "",
    }


def _env_files(host: CommunityHost) -> tuple[str, ...]:
    return (host.keys_file,) if host.keys_file else ()


def _text(value: object) -> str:
    return "" if value is None else str(value)
