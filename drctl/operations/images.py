"""Build the images of this version from the running installation."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import drctl
from drctl.engines import docker
from drctl.errors import FailedError, UnavailableError, UsageError
from drctl.operations.wheel import pack_wheel
from drctl.resources import resource_folder
from drctl.result import Message, Result
from drctl.stack.container_stack import KERNELS_LABEL, image_name

TARGETS: Final = ("worker", "trainer", "viewer", "store")
"""In this order each one takes over layers of those before it."""

Report = Callable[[Message], None]

_TAIL_LINES: Final = 15

# A step's own line in BuildKit's plain output: ``#12 [trainer-packages 1/2] RUN ...``
_STEP = re.compile(r"#\d+ \[(?!internal)([^\]]+)\] (\S.*)")
_STEP_WIDTH: Final = 100


def build_images(
    *,
    has_cuda: bool = False,
    packages: Path | None = None,
    targets: Sequence[str] = TARGETS,
    report: Report = lambda _message: None,
) -> Result:
    """Build the images with the drctl that runs now.

    Args:
        has_cuda: Take the torch that uses NVIDIA GPUs; it is several GB larger.
        packages: Folder with wheels to prefer to the package index.
        targets: Which ones.
        report: Gets a message about each step.

    Returns:
        ``images``: name and seconds of each.

    Raises:
        UsageError: `packages` is no folder.
        UnavailableError: Docker or its build command is missing.
        FailedError: A build failed; says what it printed last.
    """
    if packages is not None and not packages.is_dir():
        raise UsageError(f"{packages} is not a folder", expected="a folder with wheels", fix="drctl build-images")
    docker.check_docker()
    _check_buildx()
    built = []
    seen: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="drctl-images-") as folder:
        context = Path(folder)
        assemble_context(context, packages=packages, has_cuda=has_cuda, report=report)
        for target in targets:
            started = time.monotonic()
            _build(build_argv(target, context, has_cuda=has_cuda), seen, report)
            seconds = round(time.monotonic() - started, 1)
            built.append({"name": image_name(target, drctl.__version__), "seconds": seconds})
            report(Message(f"built {built[-1]['name']} in {seconds:.0f} s", "success"))
    _remove_old_kernels()
    names = ", ".join(str(image["name"]) for image in built)
    step = "drctl start-training --engine compose"
    return Result({"images": built}, (Message(f"The images are ready: {names}", "success"),), (step,))


def build_argv(target: str, context: Path, *, has_cuda: bool) -> tuple[str, ...]:
    """Return the command that builds one image.

    Args:
        target: ``trainer``, ``worker``, ``viewer`` or ``store``.
        context: See `assemble_context`.
        has_cuda: See `build_images`.
    """
    return (
        *("docker", "buildx", "build", "--load", "--progress", "plain"),
        *("--target", target, "--tag", image_name(target, drctl.__version__)),
        *("--build-arg", f"VERSION={drctl.__version__}", "--build-arg", f"TORCH={'cuda' if has_cuda else 'cpu'}"),
        str(context),
    )


def assemble_context(
    folder: Path, *, packages: Path | None, has_cuda: bool, report: Report = lambda _message: None
) -> None:
    """Put together what the Dockerfile takes: its own files, our wheel, other wheels, versions.

    Args:
        folder: An empty folder.
        packages: See `build_images`.
        has_cuda: See `build_images`.
        report: See `build_images`.
    """
    images = resource_folder("compose") / "images"
    shutil.copytree(images, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "wheels").mkdir()
    pack_wheel(folder / "wheels")
    (folder / "packages").mkdir()
    for wheel in sorted(packages.glob("*.whl")) if packages is not None else ():
        shutil.copy(wheel, folder / "packages")
    versions = dict(_installed_versions())
    (folder / "constraints.txt").write_text("".join(f"{name}=={versions[name]}\n" for name in sorted(versions)))
    if not has_cuda and packages is None:
        _take_cpu_torch(folder / "packages", report)


def _installed_versions() -> Iterator[tuple[str, str]]:
    """Yield what is installed here, so that images get the versions that this installation was tried with.

    A local version such as 2.13.0+cpu names one build; the public one fits all builds.
    """
    for found in distributions():
        name = found.metadata["Name"]
        if name and name.lower() not in ("drctl", "pip", "setuptools", "wheel"):
            yield name.lower(), found.version.partition("+")[0]


def _take_cpu_torch(folder: Path, report: Report) -> None:
    """Hand a CPU build of torch over where this machine's pip finds one; else the build takes PyTorch's own index."""
    version = next((found.version for found in distributions(name="torch")), "")
    if not version.endswith("+cpu"):
        return
    argv = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", f"--dest={folder}", f"torch=={version}"]
    report(Message(f"$ {shlex.join(argv)}"))
    docker.run_build(argv, lambda _line: None)


def _check_buildx() -> None:
    if docker.run_docker(["buildx", "version"]).returncode:
        raise UnavailableError(
            "Docker has no buildx command",
            expected="Docker Buildx, a plugin of Docker",
            fix="sudo apt-get install docker-buildx-plugin",
        )


def _build(argv: Sequence[str], seen: set[str], report: Report) -> None:
    """Run a build; report the steps that no image before had."""
    report(Message(f"$ {shlex.join(argv)}"))
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def read(line: str) -> None:
        tail.append(line)
        step = describe_step(line)
        if step and step not in seen:
            seen.add(step)
            report(Message(f"  {step}"))

    status = docker.run_build(argv, read)
    if status:
        raise FailedError(
            f"building an image failed with status {status}",
            where="\n".join([shlex.join(argv), *tail]),
            fix="the lines above say why",
        )


def describe_step(line: str) -> str:
    """Return the step of the Dockerfile that a line of BuildKit's plain output begins, or nothing."""
    step = _STEP.match(line)
    if step is None:
        return ""
    words = " ".join(word for word in step[2].split() if not word.startswith("--mount="))
    return f"[{step[1]}] {words}"[:_STEP_WIDTH]


def _remove_old_kernels() -> None:
    """Remove the kernels of images that are gone; those that a container uses stay."""
    found = docker.run_docker(["volume", "ls", "--quiet", "--filter", f"label={KERNELS_LABEL}"])
    current = docker.image_id(image_name("worker", drctl.__version__))
    for volume in found.stdout.split():
        if not volume.endswith(current):
            docker.run_docker(["volume", "rm", volume])
