"""The way to Docker: its command line for what changes something, its SDK for what there is."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from drctl.engines.subnet import BRIDGE_SUBNETS, choose_subnet, host_routes
from drctl.errors import FailedError, UnavailableError

PROJECT_LABEL: Final = "com.docker.compose.project"
STACK_LABEL: Final = "com.docker.stack.namespace"
OWNER_LABEL: Final = "drctl.project"
PART_LABEL: Final = "drctl.part"
TITLE_LABEL: Final = "org.opencontainers.image.title"

_LIMIT_S: Final = 180.0
_TAIL_LINES: Final = 8

Echo = Callable[[str], None]


@dataclass(frozen=True)
class ContainerFacts:
    """What Docker knows about a container.

    Attributes:
        id: Short id; also the host name inside.
        name: Its name.
        part: Part of the run that it plays, or ``store``.
        owner: Folder of the drctl project that started it; None when it is none of ours.
        status: Docker's word: ``created``, ``running``, ``paused``, ``restarting``, ``exited``, ``dead``.
        health: ``starting``, ``healthy``, ``unhealthy``; empty without a health check.
        exit_code: How it ended last.
        started: When it was started last, epoch seconds; 0 for never.
        finished: When it ended last, epoch seconds; 0 for never.
        restarts: How often Docker started it again.
    """

    id: str
    name: str
    part: str
    owner: str | None
    status: str
    health: str
    exit_code: int
    started: float
    finished: float
    restarts: int


def run_docker(arguments: Sequence[str], echo: Echo | None = None) -> subprocess.CompletedProcess[str]:
    """Run the docker command.

    Args:
        arguments: Behind ``docker``.
        echo: Gets the command as one would type it; None for commands that only look.

    Raises:
        UnavailableError: There is no docker command.
        FailedError: It takes too long.
    """
    argv = ["docker", *arguments]
    if echo is not None:
        echo(shlex.join(argv))
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except FileNotFoundError as error:
        raise _not_installed() from error
    except subprocess.TimeoutExpired as error:
        raise FailedError(
            f"docker takes more than {_LIMIT_S:.0f} s", where=shlex.join(argv), fix="docker info"
        ) from error


def change(arguments: Sequence[str], echo: Echo) -> None:
    """Run a docker command that must work.

    Raises:
        FailedError: It did not; says what it printed.
    """
    done = run_docker(arguments, echo)
    if done.returncode:
        raise FailedError(
            f"docker {arguments[0]} failed with status {done.returncode}",
            where="\n".join([shlex.join(["docker", *arguments]), *last_words(done)]),
            fix="the lines above say why",
        )


def last_words(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the last lines that a command printed."""
    return (done.stderr + done.stdout).strip().splitlines()[-_TAIL_LINES:]


def is_installed() -> bool:
    """Tell whether there is a docker command."""
    return shutil.which("docker") is not None


def check_docker() -> None:
    """Make sure that Docker and Docker Compose are there.

    Raises:
        UnavailableError: What is missing, and how to get it.
    """
    if not is_installed():
        raise _not_installed()
    found = run_docker(["version", "--format", "{{.Server.Version}}"])
    if found.returncode:
        raise _no_answer((last_words(found) or [""])[-1])
    if run_docker(["compose", "version", "--short"]).returncode:
        raise UnavailableError(
            "Docker has no compose command",
            expected="Docker Compose 2, a plugin of Docker",
            fix="sudo apt-get install docker-compose-plugin",
        )


def missing_images(names: Sequence[str]) -> list[str]:
    """Return which of some images this machine does not have."""
    return [name for name in dict.fromkeys(names) if run_docker(["image", "inspect", name]).returncode]


def pin_image(name: str) -> str:
    """Return a name of an image's content that is the same on every machine.

    An image of a registry has a digest, with which other machines pull it. One that was built here has its id alone:
    they must be given it, and Docker asks no registry, where a stranger's image might have the name.

    Args:
        name: Of an image that this machine has.
    """
    found = run_docker(["image", "inspect", "--format", "{{json .RepoDigests}} {{.Id}}", name])
    digests, _, content = found.stdout.strip().rpartition(" ")
    head, _, tag = name.rpartition(":")
    repository = head if head and "/" not in tag else name
    return next((one for one in json.loads(digests or "null") or () if one.startswith(f"{repository}@")), content)


def image_id(name: str) -> str:
    """Return the first twelve digits of an image's id; empty when there is none of that name."""
    found = run_docker(["image", "inspect", "--format", "{{.Id}}", name])
    return "" if found.returncode else found.stdout.strip().removeprefix("sha256:")[:12]


def network_argv(name: str, subnet: IPv4Network) -> list[str]:
    """Return the command, behind ``docker``, that makes a network."""
    return ["network", "create", "--subnet", str(subnet), name]


def ensure_network(name: str, echo: Echo) -> None:
    """Make a network unless it is there, with addresses that this machine uses for nothing else.

    One that is there, that nothing is connected with and that clashes with a route of this machine is made anew.
    """
    found = run_docker(["network", "inspect", name])
    if found.returncode == 0:
        (facts,) = json.loads(found.stdout)
        # One that spans a swarm serves containers of this machine too.
        if facts["Scope"] == "swarm" or facts["Containers"] or not clashes(facts):
            return
        change(["network", "rm", name], echo)
    change(network_argv(name, free_subnet()), echo)


def free_subnet(candidates: Sequence[IPv4Network] = BRIDGE_SUBNETS) -> IPv4Network:
    """Return addresses for a network that neither this machine nor another network of Docker uses.

    Args:
        candidates: To choose from, the best first.
    """
    names = run_docker(["network", "ls", "--quiet"]).stdout.split()
    networks = json.loads(run_docker(["network", "inspect", *names]).stdout or "[]") if names else []
    used = [subnet for facts in networks for subnet in _subnets(facts)]
    return choose_subnet([*(route.network for route in host_routes()), *used], candidates)


def clashes(facts: Mapping[str, Any]) -> bool:
    """Tell whether this machine reaches something else under the addresses of a network that was inspected."""
    own = {f"br-{facts['Id'][:12]}", (facts["Options"] or {}).get("com.docker.network.bridge.name")}
    others = [route.network for route in host_routes() if route.interface not in own]
    return any(subnet.overlaps(other) for subnet in _subnets(facts) for other in others)


def _subnets(facts: Mapping[str, Any]) -> list[IPv4Network]:
    texts = [entry.get("Subnet", "") for entry in facts["IPAM"]["Config"] or []]
    return [IPv4Network(text) for text in texts if text and ":" not in text]


def volume_argv(name: str, *labels: str) -> list[str]:
    """Return the command, behind ``docker``, that makes a named volume."""
    return ["volume", "create", *(f"--label={label}" for label in labels), name]


def compose_argv(file: Path) -> list[str]:
    """Return how a command on the containers of a compose file begins, behind ``docker``."""
    return ["compose", "--ansi", "never", "--file", str(file)]


def up_argv(file: Path) -> list[str]:
    """Return the command that starts the containers of a compose file, without the word ``docker``."""
    return [*compose_argv(file), "up", "--detach", "--no-build"]


@dataclass(frozen=True)
class ImageFacts:
    """An image that no name leads to any more.

    Attributes:
        id: First twelve digits.
        title: What it says it is.
        size_bytes: Space it takes, layers that others use included.
    """

    id: str
    title: str
    size_bytes: int


def list_dangling(title: str) -> list[ImageFacts]:
    """Return the images without a name whose title begins with a text.

    Raises:
        UnavailableError: Docker does not answer.
    """
    check_docker()
    found = [one.attrs for one in open_client().images.list(filters={"dangling": True})]
    images = [
        ImageFacts(
            facts["Id"].removeprefix("sha256:")[:12],
            ((facts["Config"] or {}).get("Labels") or {}).get(TITLE_LABEL, ""),
            facts["Size"],
        )
        for facts in found
    ]
    return [image for image in images if image.title.startswith(title)]


def remove_image(image: str) -> bool:
    """Remove an image; False when a container uses it."""
    return run_docker(["image", "rm", image]).returncode == 0


def image_label(name: str, label: str) -> str:
    """Return a label of an image; empty when it has none, or there is no such image."""
    found = run_docker(["image", "inspect", "--format", f'{{{{index .Config.Labels "{label}"}}}}', name])
    return "" if found.returncode else found.stdout.strip()


def has_gpu_runtime() -> bool:
    """Tell whether Docker can give NVIDIA GPUs to containers."""
    runtimes = run_docker(["info", "--format", "{{json .Runtimes}}"]).stdout
    # Docker calls the toolkit's hook when it is installed, also where no runtime of that name was set up.
    return '"nvidia"' in runtimes or shutil.which("nvidia-container-runtime-hook") is not None


def default_runtime() -> str:
    """Return what runs containers that name no runtime, such as ``runc``; empty when Docker does not answer."""
    return run_docker(["info", "--format", "{{.DefaultRuntime}}"]).stdout.strip()


def ensure_volume(name: str, echo: Echo, *labels: str) -> None:
    """Make a named volume unless it is there; Docker fills it from the first image that mounts it."""
    if run_docker(["volume", "inspect", name]).returncode:
        change(volume_argv(name, *labels), echo)


def run_build(argv: Sequence[str], on_line: Callable[[str], None]) -> int:
    """Run a long command and pass on what it prints.

    Args:
        argv: The whole command.
        on_line: Gets each line as it is printed.

    Returns:
        Its exit status.
    """
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            on_line(line.rstrip())
    return process.returncode


def list_containers(name: str) -> dict[str, list[str]]:
    """Return the variables of every container with a text in its name, running or not.

    Raises:
        UnavailableError: Docker does not answer.
    """
    inspected = _inspect_all({"name": name})
    return {attributes["Name"].lstrip("/"): list(attributes["Config"]["Env"] or ()) for attributes in inspected}


def find_containers(name: str, label: str = PROJECT_LABEL) -> list[ContainerFacts]:
    """Return this machine's containers of a Compose project or stack, running or not.

    Args:
        name: Of the project or stack.
        label: Of its containers: `PROJECT_LABEL` or `STACK_LABEL`.

    Raises:
        UnavailableError: Docker does not answer.
    """
    return [_facts(attributes) for attributes in _inspect_all({"label": f"{label}={name}"})]


def open_client() -> Any:
    """Return the SDK's client.

    Raises:
        UnavailableError: Docker does not answer.
    """
    import docker

    try:
        return _client()
    except docker.errors.DockerException as error:
        raise _no_answer(str(error)) from error


@contextlib.contextmanager
def docker_api() -> Iterator[Any]:
    """Give the SDK's plain interface, for questions.

    Raises:
        UnavailableError: Docker does not answer, or answers with an error.
    """
    import docker
    import requests

    api = open_client().api
    try:
        yield api
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise _no_answer(str(error)) from error


def _inspect_all(filters: Mapping[str, str]) -> list[dict[str, Any]]:
    import docker

    found = []
    with docker_api() as api:
        for row in api.containers(all=True, filters=filters):
            with contextlib.suppress(docker.errors.NotFound):  # removed in this very moment
                found.append(api.inspect_container(row["Id"]))
    return found


@functools.cache
def _client() -> Any:
    import docker

    # The command follows a context, such as that of Docker Desktop; the SDK must talk to the same daemon.
    host = os.environ.get("DOCKER_HOST")
    if not host:
        found = run_docker(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])
        host = found.stdout.strip() if found.returncode == 0 else ""
    return docker.DockerClient(base_url=host) if host.startswith("unix:") else docker.from_env()


def _facts(attributes: dict[str, Any]) -> ContainerFacts:
    state, labels = attributes["State"], attributes["Config"]["Labels"] or {}
    return ContainerFacts(
        id=attributes["Id"][:12],
        name=attributes["Name"].lstrip("/"),
        part=labels.get(PART_LABEL, ""),
        owner=labels.get(OWNER_LABEL),
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        exit_code=int(state["ExitCode"]),
        started=epoch_of(state["StartedAt"]),
        finished=epoch_of(state["FinishedAt"]),
        restarts=int(attributes["RestartCount"]),
    )


def epoch_of(text: str) -> float:
    """Read Docker's time, ``2026-11-21T07:00:00.123456789Z``; the year 1 stands for never."""
    if text.startswith("0001"):
        return 0.0
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def _not_installed() -> UnavailableError:
    return UnavailableError(
        "there is no docker command on this machine",
        expected="Docker with Docker Compose, because DR_DOCKER_STYLE is not process",
        fix="install it as docs.docker.com/engine/install says; drctl config set DR_DOCKER_STYLE=process needs none",
    )


def _no_answer(reason: str) -> UnavailableError:
    if "permission denied" in reason.lower():
        return UnavailableError(
            "this user may not talk to Docker",
            where=reason,
            expected="a user of the group docker",
            fix="sudo usermod -aG docker $USER, then log in again",
        )
    return UnavailableError(
        "Docker does not answer", where=reason, expected="a running Docker daemon", fix="sudo systemctl start docker"
    )
