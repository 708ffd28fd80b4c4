"""What a training needs of this machine beside programs: a GPU where one is asked for, a port, room on its disks."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from typing import TYPE_CHECKING, Final

from drctl.errors import ConfigError, UnavailableError
from drctl.link.listening import bind_error, probe_port, tcp_endpoint
from drctl.operations.containers import is_in_containers
from drctl.stack.drctl_stack import LOOPBACK, is_open_to_network
from drctl.stack.plan import LINK_PORT_BASE

if TYPE_CHECKING:
    from drctl.config.project import Project

LEAST_FREE_BYTES: Final = 1_000_000_000
PORT_PATIENCE_S: Final = 1.0
"""How long a run that has just ended may hold its port: the system closes a killed process's sockets last."""


def check_gpu(project: Project) -> None:
    """Make sure that there is a GPU where one is asked for; `check_machine` does so for containers.

    Raises:
        UnavailableError: There is none.
    """
    settings = project.settings
    if is_in_containers(project) or not settings.sagemaker_cuda_devices or shutil.which("nvidia-smi"):
        return
    raise UnavailableError(
        f"DR_SAGEMAKER_CUDA_DEVICES is {settings.sagemaker_cuda_devices}, but this machine has no NVIDIA driver",
        where=str(settings.origin("DR_SAGEMAKER_CUDA_DEVICES")),
        expected="an NVIDIA GPU and its driver, of which nvidia-smi is a part",
        fix="drctl config set DR_SAGEMAKER_CUDA_DEVICES= trains without a GPU",
    )


def check_port(project: Project) -> None:
    """Make sure that the port on which the trainer listens can be had.

    Raises:
        UnavailableError: Somebody has it.
        ConfigError: ``DR_LINK_LISTEN`` is no address of this machine.
    """
    settings = project.settings
    if is_in_containers(project) and not is_open_to_network(settings.link_listen):
        return  # the trainer's port is one of its container, and of nobody else
    host, port = settings.link_listen or LOOPBACK, LINK_PORT_BASE + settings.run_id
    deadline = time.monotonic() + PORT_PATIENCE_S
    while True:
        try:
            probe_port(host, port)
        except socket.gaierror as error:
            raise _address_error(project, host, str(error)) from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _address_error(project, host, "this machine does not have that address") from error
            if time.monotonic() > deadline:
                raise bind_error(tcp_endpoint(host, port), os.strerror(error.errno or 0).lower()) from error
            time.sleep(0.05)
        else:
            return


def _address_error(project: Project, host: str, reason: str) -> ConfigError:
    return ConfigError(
        f"DR_LINK_LISTEN is {host!r}: {reason}",
        where=str(project.settings.origin("DR_LINK_LISTEN")),
        expected="an address of this machine, or 0.0.0.0 for all of them",
        fix="drctl config set DR_LINK_LISTEN=0.0.0.0",
    )


def check_disk(project: Project, *, has_folder_store: bool) -> None:
    """Make sure that there is room for a training.

    Args:
        project: The project.
        has_folder_store: The store is a folder of this machine.

    Raises:
        UnavailableError: There is not.
    """
    for name, folder in (("the store", project.data_folder), ("logs and run state", project.root / "tmp")):
        if name == "the store" and not has_folder_store:
            continue
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < LEAST_FREE_BYTES:
            raise UnavailableError(
                f"only {free / 1e9:.2f} GB are free for {name}",
                where=str(folder),
                expected=f"at least {LEAST_FREE_BYTES / 1e9:.0f} GB",
                fix=f"du -xh --max-depth=2 {project.root} shows what takes the space",
            )
