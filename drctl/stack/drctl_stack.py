"""Our own stack: which programs a training consists of and what they are told."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drctl.stack.plan import LINK_FOLDER, LINK_PORT_BASE, PARENT_PID, Part, RunPlan
from drctl.trainer.memory import allocator_environment
from drctl.trainer.spec import LinkSpec, PretrainedSpec, TrainerSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drctl.config.settings import Settings
    from drctl.storage.location import StoreLocation

LOOPBACK = "127.0.0.1"
ALL_GPUS = ("all",)

# A worker computes on one core; more threads would only take the other workers' time.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
_ALWAYS = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}

STORE_VARIABLES = ("AWS_",)
"""Prefixes of variables with access to stores: workers hold no store keys (DESIGN 4.6)."""


@dataclass(frozen=True)
class RunFolders:
    """Where a run keeps its things.

    Attributes:
        project: Folder of the project.
        run_folder: ``tmp/run-<RUN_ID>``.
        secrets_folder: ``tmp/secrets``.
    """

    project: Path
    run_folder: Path
    secrets_folder: Path


def gpu_ids(setting: str | None) -> tuple[str, ...]:
    """Return the GPUs that a setting such as ``DR_SAGEMAKER_CUDA_DEVICES`` names: ``0,1`` or ``all``."""
    return tuple(setting.split(",")) if setting else ()


def is_open_to_network(listen: str) -> bool:
    """Tell whether ``DR_LINK_LISTEN`` lets workers of other machines in."""
    return bool(listen) and listen not in (LOOPBACK, "localhost", "::1")


def invite_path(secrets_folder: Path, run_id: int) -> Path:
    """Return the file with the ticket for workers on other machines."""
    return secrets_folder / f"run-{run_id}-invite.json"


def trainer_spec(
    settings: Settings,
    folders: RunFolders,
    store: StoreLocation,
    *,
    run_token: str,
    metrics_prefix: str,
    advertised_host: str,
    pretrained: PretrainedSpec | None = None,
    worlds: int = 1,
) -> TrainerSpec:
    """Build what the trainer is told.

    Args:
        settings: Of the run.
        folders: Where the run keeps its things.
        store: The bucket.
        run_token: Random name of this start.
        metrics_prefix: Folder of the metrics files in the bucket.
        advertised_host: How other machines reach this one.
        pretrained: What a new model begins with.
        worlds: Entries of a multi-config run; 1 for all others.
    """
    run_id = settings.run_id
    invite = invite_path(folders.secrets_folder, run_id)
    link = LinkSpec(
        ipc_folder=str(folders.run_folder / LINK_FOLDER),
        tcp_host=settings.link_listen or LOOPBACK,
        tcp_port=LINK_PORT_BASE + run_id,
        advertised_host=advertised_host,
        local_ticket=str(folders.secrets_folder / f"run-{run_id}-join.json"),
        remote_ticket=str(invite) if is_open_to_network(settings.link_listen) else None,
    )
    return TrainerSpec(
        run_id=run_id,
        run_token=run_token,
        prefix=settings.local_s3_model_prefix,
        metrics_prefix=metrics_prefix,
        training_params_file=settings.local_s3_training_params_file,
        store=store,
        link=link,
        workers=settings.workers,
        cars_per_worker=settings.cars_per_worker,
        seed=settings.seed,
        physics=settings.physics,
        stop_when=settings.train_stop_when,
        max_steps_per_iteration=settings.train_max_steps_per_iteration,
        keep_gb=settings.keep_gb,
        network_heads=settings.network_heads,
        sim_trace_log=settings.sim_trace_log,
        sac_buffer_gb=settings.sac_buffer_gb,
        sac_update_ratio=settings.sac_update_ratio,
        pretrained=pretrained,
        worlds=worlds,
    )


def training_plan(
    spec: TrainerSpec, folders: RunFolders, *, engine: str = "process", gpus: tuple[str, ...] = ()
) -> RunPlan:
    """Build the plan of a training: one trainer and its workers, as processes of this Python.

    Args:
        spec: What the trainer is told.
        folders: Where the run keeps its things.
        engine: Engine that will carry the plan out.
        gpus: Ids of the GPUs that the trainer may use; empty, or ``all`` alone, for every one.
    """
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus not in ((), ALL_GPUS) else {}
    trainer = Part(
        name="trainer",
        kind="trainer",
        argv=(*_module("drctl.trainer.main"), str(folders.run_folder), "--parent-pid", PARENT_PID),
        environment={**_ALWAYS, **_trainer_threads(), **allocator_environment(), **visible},
    )
    workers = (
        Part(
            name=name,
            kind="worker",
            argv=(*worker_argv(spec.link.local_ticket, name), "--streams", LOOPBACK, "--parent-pid", PARENT_PID),
            environment={**_ALWAYS, **_ONE_THREAD},
            dropped_environment=STORE_VARIABLES,
        )
        for name in (f"worker-{number}" for number in range(spec.workers))
    )
    return RunPlan(
        run_id=spec.run_id,
        run_token=spec.run_token,
        prefix=spec.prefix,
        engine=engine,
        stack="drctl",
        project=str(folders.project),
        run_folder=str(folders.run_folder),
        link_port=spec.link.tcp_port,
        ticket=spec.link.local_ticket,
        trainer=spec.to_json(),
        parts=(trainer, *workers),
    )


def worker_argv(ticket: str, name: str | None) -> tuple[str, ...]:
    """Return the command of a worker that joins with a ticket; without a name it chooses one."""
    named = ("--name", name) if name else ()
    return (*_module("drctl.simulation.worker"), "--join", ticket, *named)


def worker_environment() -> Mapping[str, str]:
    """Return the variables of a worker that no plan describes."""
    return {**_ALWAYS, **_ONE_THREAD}


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


def _trainer_threads() -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(usable_cores())}


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
