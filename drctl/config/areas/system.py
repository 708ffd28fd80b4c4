"""What this machine runs, and how: engine, workers, link, viewer, containers."""

# ruff: noqa: RUF009 - the calls in the classes make dataclass fields

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from drctl.config.setting import CONTAINER_STYLES, Condition, setting
from drctl.secrets import Secret

EngineName = Literal["process", "compose", "swarm"]

_BOTH = ("start-training", "eval")
_system = partial(setting, file="system")
_viewer = partial(_system, commands=("start-viewer",), read_by="viewer")
_container = partial(_system, part="containers", commands=_BOTH, read_by="engine")
_image = partial(_container, used_when=Condition("DR_DOCKER_STYLE", CONTAINER_STYLES))
_both_stacks = partial(_container, is_in_images=True)
_community = partial(_container, part="now", stack="community")


@dataclass(frozen=True, kw_only=True)
class SystemSettings:
    """Engine, workers, link and viewer. Contract 3.2; DESIGN 2 and 4."""

    docker_style: EngineName = _system(
        "process",
        "How trainer and workers run: as processes of this machine (no Docker needed), in containers by Docker "
        "Compose, or by Docker Swarm.",
        read_by="engine",
        commands=_BOTH,
    )
    workers: int = _system(
        1,
        "Workers that simulate at the same time.",
        read_by="engine, trainer",
        minimum=1,
        maximum=64,
    )
    link_listen: str = _system(
        "",
        "Address on which the trainer listens for workers of other machines, such as 0.0.0.0. Without a value only "
        "this machine's workers reach it.",
        read_by="trainer",
        rule="address",
        stack="drctl",
    )
    webviewer_port: int = _viewer(8100, "Port of the viewer.", minimum=1, maximum=65535)
    webviewer_token: Secret | None = _viewer(
        None,
        "Word that the viewer's link carries. Without a value a random one is made; off lets everyone in.",
    )
    camera_main_enable: bool = _viewer(True, "Offer the camera that follows the car.")
    camera_sub_enable: bool = _viewer(False, "Offer the camera above the track.")
    camera_kvs_enable: bool = _viewer(True, "Offer the picture with overlay.")
    enable_extra_kvs_overlay: bool = _viewer(False, "Show more about the training in the overlay.")
    quiet_activate: bool = _system(
        False,
        "No summary when the shell functions are activated.",
        read_by="activate",
        commands=("activate",),
    )


@dataclass(frozen=True, kw_only=True)
class ContainerSettings:
    """Images, GPUs, mounts and what only Gazebo knows. Contract 3.1 and 3.2."""

    simapp_source: str = _container(
        "drctl",
        "Software that simulates and trains: drctl, or an image source with deepracer-simapp in its name for the "
        "community images.",
        rule="stack",
        part="now",
    )
    simapp_version: str = _community("6.0.4-cpu", "Tag of the community image; one with gpu in it uses the GPU.")
    sagemaker_image: str | None = _image(None, "Image of the trainer, in place of the stack's own.", part="now")
    robomaker_image: str | None = _image(None, "Image of the workers, in place of the stack's own.", part="now")
    minio_image: str | None = _image(
        None,
        "Image of the S3 server: a tag of minio/minio or a full name. Without a value drctl takes its own store image.",
        part="now",
        rule="image",
        in_new_project="alpine/minio:RELEASE.2025-10-15T17-29-55Z",
    )
    coach: Literal["direct", "sdk"] = _community(
        "direct",
        "How the community trainer starts: directly, or through DeepRacer-for-Cloud's launcher, which needs the "
        "Docker socket.",
    )
    analysis_image: str = _system(
        "cpu",
        "Tag of the log analysis image.",
        read_by="start-loganalysis",
        commands=("start-loganalysis",),
        idle_with_drctl="log analysis needs no image, it is a part of this installation: pip install 'drctl[analysis]'",
        in_files=False,
    )
    sagemaker_cuda_devices: str | None = _container(
        None,
        "GPUs of the trainer, such as 0 or 0,1, or all. Without a value it takes all that it finds.",
        rule="devices",
        part="now",
    )
    robomaker_cuda_devices: str | None = _community(
        None,
        "GPUs of the community images' workers.",
        rule="devices",
        idle_with_drctl="drctl's own workers compute on the processor",
    )
    robomaker_mount_logs: bool = _community(
        False,
        "Keep the ROS logs of the community images' workers in data/logs/robomaker on this machine.",
        idle_with_drctl="drctl's own workers write no ROS logs; what they print is kept in tmp/run-N/logs",
    )
    robomaker_mount_simapp_dir: str | None = _community(None, "Folder of a changed simapp bundle to run instead.")
    robomaker_mount_scripts_dir: str | None = _community(
        None, "Folder with alter_environment.sh, which the community worker runs at its start."
    )
    cloud_watch_enable: bool = _image(
        False,
        "Send the containers' logs to AWS CloudWatch as well, with the keys that the Docker daemon has.",
        part="now",
    )
    cloud_watch_log_stream_prefix: str | None = _container(
        None,
        "Start of the CloudWatch streams' names.",
        used_when=Condition("DR_CLOUD_WATCH_ENABLE", ("True",)),
        part="now",
    )
    host_x: bool = _community(
        False,
        "Draw Gazebo on this machine's X server.",
        idle_with_drctl="drctl's own simulator draws without an X server",
    )
    display: str | None = _community(
        None, "X display for that, such as :99.", used_when=Condition("DR_HOST_X", ("True",))
    )
    gui_enable: bool = _community(False, "Open Gazebo's window (VNC on 5900).")
    kinesis_stream_name: str | None = _community(None, "AWS Kinesis video stream to publish to.")
    gazebo_args: str | None = _community(None, "Arguments for Gazebo.", file="run", in_files=False)
    gazebo_render_engine: Literal["ogre2", "ogre"] = _community(
        "ogre2", "Gazebo's render engine.", file="run", in_files=False
    )
    telegraf_host: str | None = _both_stacks(None, "Host that live metrics are sent to.", rule="address")
    telegraf_port: int = _both_stacks(
        8092, "UDP port of that host.", minimum=1, maximum=65535, used_when=Condition("DR_TELEGRAF_HOST")
    )
