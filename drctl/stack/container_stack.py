"""Our own stack in containers: the same programs as `drctl_stack`, each in an image of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.stack.drctl_stack import RunFolders, usable_cores, worker_environment
from drctl.stack.plan import LINK_PORT_BASE, CloudWatch, Container, EvaluationPlan, Mount, Part, Port, RunPlan
from drctl.trainer.memory import allocator_environment
from drctl.trainer.spec import LinkSpec, TrainerSpec

if TYPE_CHECKING:
    from drctl.config.settings import Settings
    from drctl.storage.location import StoreLocation

NETWORK: Final = "sagemaker-local"  # contract 0
TRAINER_SERVICE: Final = "algo"  # contract 0: tools look for containers with this in their name
WORKER_SERVICE: Final = "robomaker"
STORE_PROJECT: Final = "s3"
STORE_SERVICE: Final = "minio"  # contract 0: inside the network the store is http://minio:9000

KERNELS_LABEL: Final = "drctl.kernels"
"""Label of the volumes with compiled kernels."""

IMAGE_USER: Final = 10001
"""User of the images, for a host user who is root: our containers never run as root."""

TRAINER_FOLDER: Final = "trainer"
"""In the run folder: what the trainer's container sees of it."""

EVALUATION_FOLDER: Final = "container"
"""In the folder of a run's evaluations: what an evaluation's container sees of it."""

LOG_GROUP: Final = "/deepracer-for-cloud"
"""Of CloudWatch, as DeepRacer-for-Cloud names it."""

COMPOSE_FILE: Final = "compose.yml"

# Paths that the images' entry points and health checks name (compose/images/Dockerfile).
_RUN_INSIDE: Final = "/run/drctl"
SECRETS_INSIDE: Final = "/run/secrets"
TICKET: Final = "join"
LINK_KEYS: Final = "keys"
"""Folder beside that of the ticket, with the link's keys; the trainer alone sees it."""

_LINK_INSIDE: Final = "/run/link"
_LINK_KEYS_INSIDE: Final = "/run/link-keys"
STORE_KEYS_INSIDE: Final = f"{SECRETS_INSIDE}/store_keys"
_KERNELS_INSIDE: Final = "/var/cache/drctl"

# The address that tells a machine's role is one hop further from a container (contract 3.1).
PATIENCE_WITH_ROLE: Final = {"AWS_METADATA_SERVICE_TIMEOUT": "3", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5"}

# Room for what a run may grow to; the default run takes an eighth of it.
_TRAINER_MEMORY: Final = "8g"
_WORKER_MEMORY: Final = "2g"
_EVALUATION_MEMORY: Final = "4g"
_PROCESSES: Final = 512


@dataclass(frozen=True)
class Images:
    """Names of the images.

    Attributes:
        trainer: Learns.
        worker: Simulates.
    """

    trainer: str
    worker: str


def images_for(settings: Settings, version: str) -> Images:
    """Return the images that a run takes: those of this version, or those that settings name instead."""
    return Images(
        settings.sagemaker_image or image_name("trainer", version),
        settings.robomaker_image or image_name("worker", version),
    )


def image_name(target: str, version: str) -> str:
    """Return the name of one of our images, such as ``drctl/worker:0.1.0``."""
    return f"drctl/{target}:{version}"


@dataclass(frozen=True)
class ContainerHost:
    """What the containers of a run take from this machine.

    Attributes:
        images: What they are started from.
        user_id: Their user; see `user_id_for`.
        kernel_volume: Volume with the compiled kernels.
        gpus: GPUs of the trainer, see `Container.gpus`.
        link_address: Address of this machine on which workers of others reach the trainer; None for none.
        cloud_watch: See `RunPlan.cloud_watch`.
        store_keys: File with the store's access key; None where the machine's role lets the trainer in.
    """

    images: Images
    user_id: int
    kernel_volume: str
    store_keys: Path | None
    gpus: tuple[str, ...] = ()
    link_address: str | None = None
    cloud_watch: CloudWatch | None = None


def user_id_for(host_user_id: int) -> int:
    """Return the user of containers: whoever starts them, so that files fit; never root."""
    return host_user_id or IMAGE_USER


def cloud_watch_for(settings: Settings) -> CloudWatch | None:
    """Return where in AWS CloudWatch containers' output goes; None where it stays on this machine."""
    if not settings.cloud_watch_enable:
        return None
    name = "{{.Name}}"  # Docker fills in the container's
    return CloudWatch(settings.aws_app_region, LOG_GROUP, f"{settings.cloud_watch_log_stream_prefix or ''}{name}")


def link_folders(folders: RunFolders, run_id: int) -> tuple[Path, Path]:
    """Return the folder with the link's keys, for the trainer alone, and the one with the workers' ticket."""
    base = folders.secrets_folder / f"run-{run_id}-link"
    return base / LINK_KEYS, base / "ticket"


def in_containers(spec: TrainerSpec, store: StoreLocation) -> TrainerSpec:
    """Return what a trainer is told when it runs in a container: store and link as they look from there.

    Args:
        spec: As for a process of this machine.
        store: The bucket as it is reached from there.
    """
    link = LinkSpec(
        ipc_folder=None,
        tcp_host="0.0.0.0",  # noqa: S104 - the container's own
        tcp_port=LINK_PORT_BASE + spec.run_id,
        advertised_host=TRAINER_SERVICE,
        # The server's keys are kept beside the local ticket: in a folder that workers do not see.
        local_ticket=f"{_LINK_KEYS_INSIDE}/{TICKET}",
        remote_ticket=f"{_LINK_INSIDE}/{TICKET}",
    )
    return replace(spec, store=store, link=link)


def container_plan(spec: TrainerSpec, folders: RunFolders, host: ContainerHost) -> RunPlan:
    """Build the plan of a training in containers: one trainer and its workers.

    Args:
        spec: What the trainer is told, see `in_containers`.
        folders: Where the run keeps its things on this machine.
        host: What the containers take from it.
    """
    _, ticket = link_folders(folders, spec.run_id)
    return RunPlan(
        run_id=spec.run_id,
        run_token=spec.run_token,
        prefix=spec.prefix,
        engine="compose",
        stack="drctl",
        project=str(folders.project),
        run_folder=str(folders.run_folder),
        link_port=spec.link.tcp_port,
        ticket=str(ticket / TICKET),
        trainer=spec.to_json(),
        parts=(
            _trainer(spec, folders, host),
            *(_worker(number, spec, folders, host) for number in range(spec.workers)),
        ),
        cloud_watch=host.cloud_watch,
    )


def evaluation_plan(
    settings: Settings, folders: RunFolders, host: ContainerHost, *, folder: Path, run_token: str, timezone: str
) -> EvaluationPlan:
    """Build the plan of an evaluation in a container.

    Args:
        settings: Of the run.
        folders: Where the project keeps its things.
        host: What the container takes from this machine.
        folder: Of the run's evaluations; its ``container`` is what the container sees.
        run_token: Random name of this evaluation.
        timezone: This machine's, in POSIX notation: local time names the files of an evaluation (contract 1.3).
    """
    container = Container(
        name=f"deepracer-eval-{settings.run_id}-{WORKER_SERVICE}-1",
        service=WORKER_SERVICE,
        image=host.images.worker,
        user=f"{host.user_id}:0",
        mounts=(
            Mount(str(folder / EVALUATION_FOLDER), _RUN_INSIDE),
            *([Mount(str(host.store_keys), STORE_KEYS_INSIDE, is_read_only=True)] if host.store_keys else []),
            Mount(host.kernel_volume, _KERNELS_INSIDE),
        ),
        memory=_EVALUATION_MEMORY,
        processes=_PROCESSES,
        entrypoint=("python", "-m", "drctl.operations.evaluation_part"),
        has_health_check=False,
    )
    environment = {"TZ": timezone, **({} if host.store_keys else PATIENCE_WITH_ROLE)}
    return EvaluationPlan(
        run_id=settings.run_id,
        run_token=run_token,
        prefix=settings.local_s3_model_prefix,
        project=str(folders.project),
        folder=str(folder),
        part=Part("evaluation", "evaluation", (_RUN_INSIDE,), environment, container=container),
        cloud_watch=host.cloud_watch,
    )


def _trainer(spec: TrainerSpec, folders: RunFolders, host: ContainerHost) -> Part:
    keys, ticket = link_folders(folders, spec.run_id)
    port = spec.link.tcp_port
    container = Container(
        name=f"deepracer-{spec.run_id}-{TRAINER_SERVICE}-1",
        service=TRAINER_SERVICE,
        image=host.images.trainer,
        user=f"{host.user_id}:0",
        mounts=(
            Mount(str(folders.run_folder / TRAINER_FOLDER), _RUN_INSIDE),
            Mount(str(keys), _LINK_KEYS_INSIDE),
            Mount(str(ticket), _LINK_INSIDE),
            *([Mount(str(host.store_keys), STORE_KEYS_INSIDE, is_read_only=True)] if host.store_keys else []),
        ),
        memory=_TRAINER_MEMORY,
        processes=_PROCESSES,
        gpus=host.gpus,
        ports=(Port(port, port, host.link_address),) if host.link_address else (),
    )
    environment = {"OMP_NUM_THREADS": str(usable_cores()), **allocator_environment()}
    if host.store_keys is None:
        environment |= PATIENCE_WITH_ROLE
    return Part("trainer", "trainer", (), environment, container=container)


def _worker(number: int, spec: TrainerSpec, folders: RunFolders, host: ContainerHost) -> Part:
    _, ticket = link_folders(folders, spec.run_id)
    container = Container(
        name=f"deepracer-{spec.run_id}-{WORKER_SERVICE}-{number + 1}",
        service=f"{WORKER_SERVICE}-{number + 1}",
        image=host.images.worker,
        user=f"{host.user_id}:0",
        # The folder and not the file: a ticket is replaced as a whole, and a mounted file would stay the old one.
        mounts=(Mount(str(ticket), SECRETS_INSIDE, is_read_only=True), Mount(host.kernel_volume, _KERNELS_INSIDE)),
        memory=_WORKER_MEMORY,
        processes=_PROCESSES,
    )
    name = f"worker-{number}"
    return Part(name, "worker", ("--name", name), worker_environment(), container=container)
