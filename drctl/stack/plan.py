"""What a run consists of: pure data that an engine carries out and a person can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from drctl.errors import FormatError

VERSION = 2
PLAN_FILE = "plan.json"

LINK_FOLDER = "link"
"""In the run folder: holds the local socket between trainer and workers."""

LINK_PORT_BASE = 7300
"""Port of run 0's link; run n has the n-th one after it (DESIGN 2)."""

PARENT_PID = "{parent_pid}"
"""Stands in an argument list for the process id of whoever starts the part."""

PartKind = Literal["trainer", "worker", "evaluation", "viewer"]
JobKind = Literal["training", "evaluation"]


@dataclass(frozen=True)
class RestartPolicy:
    """When a part that died is started again.

    Attributes:
        limit: Restarts allowed within the window (DESIGN 4.8); one more death ends the run.
        window_s: Length of the window.
        first_delay_s: Pause before the first restart; each further one within the window waits twice as long.
    """

    limit: int = 5
    window_s: float = 600.0
    first_delay_s: float = 0.5


@dataclass(frozen=True)
class LogPolicy:
    """How much of a part's output is kept: files of at most `max_bytes`, the newest `files` of them."""

    max_bytes: int = 10_000_000
    files: int = 5


@dataclass(frozen=True)
class CloudWatch:
    """Where containers send their logs beside this machine.

    Attributes:
        region: AWS region.
        group: Log group.
        stream: Name of each container's stream, with Docker's ``{{.Name}}`` for the container's.
    """

    region: str
    group: str
    stream: str


@dataclass(frozen=True)
class Port:
    """A port of a container that others than its network reach.

    Attributes:
        target: Inside.
        published: On this machine; a range such as ``8080-8089`` stands for its first free port.
        address: Of this machine; ``0.0.0.0`` for all of them.
    """

    target: int
    published: int | str
    address: str


@dataclass(frozen=True)
class Mount:
    """A folder or file of this machine, or a named volume, inside a container.

    Attributes:
        source: Absolute path, or the volume's name.
        target: Path inside.
        is_read_only: Whether the container may only read it.
    """

    source: str
    target: str
    is_read_only: bool = False

    @property
    def is_volume(self) -> bool:
        """Whether the source is a named volume."""
        return not self.source.startswith("/")


@dataclass(frozen=True)
class SecretFile:
    """A secret that Docker carries to whichever machine runs the container.

    Attributes:
        name: Of the secret, within the run.
        source: File of this machine with what it says.
        target: Absolute path inside, for the container's user alone.
    """

    name: str
    source: str
    target: str


@dataclass(frozen=True)
class Placement:
    """On which machines of a swarm a container may run.

    Attributes:
        constraints: What must hold of the machine, in Docker's notation.
        most_per_node: Most containers of the service on one machine; None for as many as fit.
        slot: Number of the container among those of its service, from 1; one that takes its place has the same.
    """

    constraints: tuple[str, ...]
    most_per_node: int | None = None
    slot: int = 1


@dataclass(frozen=True)
class Container:
    """How a part runs in a container.

    Attributes:
        name: Of the container, as Docker shows it.
        service: Its host name on the network, and its name in the compose file.
        image: What it is started from.
        user: ``uid:gid`` inside; None for the image's own.
        mounts: What it sees of this machine; the rest of its file system is read-only.
        memory: Most memory, in Docker's notation, such as ``2g``; None for no bound.
        processes: Most processes and threads; None for no bound.
        gpus: Ids of the GPUs that it may use; ``all`` alone for every one.
        ports: What it offers beyond its network.
        entrypoint: Program in place of the image's own; empty for that.
        has_health_check: Whether the image's health check fits what it runs.
        env_files: Files with secret variables, so that none stands in what is rendered.
        pinned_image: The image's content under a name that means the same on every machine: its id, or its name with
            a digest; None on this machine alone.
        secrets: Secrets that Docker carries; see `SecretFile`.
        placement: Where it runs in a swarm; None on this machine alone.
    """

    name: str
    service: str
    image: str
    user: str | None = None
    mounts: tuple[Mount, ...] = ()
    memory: str | None = None
    processes: int | None = None
    gpus: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    entrypoint: tuple[str, ...] = ()
    has_health_check: bool = True
    env_files: tuple[str, ...] = ()
    pinned_image: str | None = None
    secrets: tuple[SecretFile, ...] = ()
    placement: Placement | None = None


@dataclass(frozen=True)
class Part:
    """One process of a run.

    Attributes:
        name: ``trainer``, ``worker-0``, ...; also the name of its log.
        kind: What it does.
        argv: Program and arguments; `PARENT_PID` is filled in when it is started.
        environment: Variables on top of those of whoever started the run.
        dropped_environment: Prefixes of variables that it must not get, such as ``AWS_``.
        container: Where it runs; None for a process of this machine. The arguments then follow the image's own.
    """

    name: str
    kind: PartKind
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    dropped_environment: tuple[str, ...] = ()
    container: Container | None = None


@dataclass(frozen=True)
class RunPlan:
    """A run before it is started.

    Attributes:
        run_id: ``DR_RUN_ID``.
        run_token: Random name of this start of the run.
        prefix: Model prefix ``<P>``.
        engine: How its processes run: ``process``, ``compose`` or ``swarm``.
        stack: Which software simulates and trains: ``drctl``, or ``community`` for the community images.
        project: Folder of the project.
        run_folder: Folder of the run's state and logs.
        link_port: TCP port on which the trainer listens for workers.
        ticket: File with which this machine's workers join.
        trainer: The trainer's start file, as `TrainerSpec.to_json` gives it; facts about it for the community's.
        parts: Its processes, the trainer first.
        restart: See `RestartPolicy`.
        log: See `LogPolicy`.
        stop_grace_s: How long a trainer may take to finish the publish under way when the run is stopped; the workers
            and the rest need up to 3 s more, which keeps the promise of 15 s (DESIGN 4.8).
        cloud_watch: Where containers send their logs as well, or None.
        job: What it does.
    """

    run_id: int
    run_token: str
    prefix: str
    engine: str
    stack: str
    project: str
    run_folder: str
    link_port: int
    ticket: str
    trainer: Mapping[str, Any]
    parts: tuple[Part, ...]
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    log: LogPolicy = field(default_factory=LogPolicy)
    stop_grace_s: float = 11.0
    cloud_watch: CloudWatch | None = None
    job: JobKind = "training"

    @property
    def compose_project(self) -> str:
        """Name under which Docker Compose knows the run, and Docker Swarm its stack (contract 0)."""
        return f"deepracer-{self.run_id}" if self.job == "training" else f"deepracer-eval-{self.run_id}"

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the run's own workers."""
        return tuple(part.name for part in self.parts if part.kind == "worker")

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `from_json` reads; it holds no secret."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunPlan:
        """Read what `to_json` gave.

        Raises:
            FormatError: It is not a plan of this version.
        """
        try:
            fields = dict(data)
            version = fields.pop("version")
            if version != VERSION:
                raise ValueError(f"version {version}")
            fields["parts"] = tuple(_part(part) for part in fields["parts"])
            fields["restart"] = RestartPolicy(**fields["restart"])
            fields["log"] = LogPolicy(**fields["log"])
            fields["cloud_watch"] = fields["cloud_watch"] and CloudWatch(**fields["cloud_watch"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"the run's plan does not fit this version: {error}",
                where=PLAN_FILE,
                expected=f"a plan of version {VERSION}",
                fix="drctl start-training --resume",
            ) from error


@dataclass(frozen=True)
class EvaluationPlan:
    """An evaluation in a container before it is started.

    Attributes:
        run_id: ``DR_RUN_ID``.
        run_token: Random name of this evaluation.
        prefix: Prefix of the model.
        project: Folder of the project.
        folder: Folder of the run's evaluations.
        part: Its container.
        log: See `LogPolicy`.
        cloud_watch: See `RunPlan.cloud_watch`.
    """

    run_id: int
    run_token: str
    prefix: str
    project: str
    folder: str
    part: Part
    log: LogPolicy = field(default_factory=LogPolicy)
    cloud_watch: CloudWatch | None = None

    @property
    def compose_project(self) -> str:
        """Name under which Docker Compose knows the evaluation (contract 0)."""
        return f"deepracer-eval-{self.run_id}"


def _part(data: Mapping[str, Any]) -> Part:
    fields = dict(data)
    fields["argv"] = tuple(fields["argv"])
    fields["dropped_environment"] = tuple(fields["dropped_environment"])
    if fields.get("container") is not None:
        inner = dict(fields["container"])
        inner["mounts"] = tuple(Mount(**mount) for mount in inner["mounts"])
        inner["ports"] = tuple(Port(**port) for port in inner["ports"])
        for name in ("gpus", "entrypoint", "env_files"):
            inner[name] = tuple(inner[name])
        inner["secrets"] = tuple(SecretFile(**secret) for secret in inner["secrets"])
        place = inner["placement"]
        inner["placement"] = place and Placement(**{**place, "constraints": tuple(place["constraints"])})
        fields["container"] = Container(**inner)
    return Part(**fields)


def write_plan(plan: RunPlan) -> None:
    """Write a plan into its run folder, replacing the last one in one step."""
    path = Path(plan.run_folder) / PLAN_FILE
    temporary = path.with_name(f".{PLAN_FILE}")
    temporary.write_text(json.dumps(plan.to_json(), indent=1) + "\n")
    temporary.replace(path)


def read_plan(run_folder: Path) -> RunPlan | None:
    """Read the plan of a run folder; None when nothing was ever started there.

    Raises:
        FormatError: It is not a plan of this version.
    """
    try:
        text = (run_folder / PLAN_FILE).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        data = json.loads(text)
    except ValueError:
        data = {}
    return RunPlan.from_json(data)
