"""An engine, and the images built from this checkout, for the tests that run containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import drctl

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "compose" / "images"
BUILD_LIMIT_S = 900
HARDENED = (
    "--init",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)


def run_docker(*arguments, check=True, timeout=120):
    """Run the docker command and return the finished process."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        pytest.fail(f"docker {' '.join(arguments)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


@pytest.fixture(scope="session")
def docker():
    """Return a function that runs the docker command; skip where no engine answers, which is a failure in CI."""
    if shutil.which("docker") and run_docker("version", "--format={{.Server.Version}}", check=False).returncode == 0:
        return run_docker
    reason = "no Docker engine answers; scripts/docker-engine starts one"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def build_context(docker, tmp_path_factory):
    """Put a build context together from this checkout, as the Dockerfile describes it."""
    folder = tmp_path_factory.mktemp("images") / "context"
    shutil.copytree(IMAGES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "wheels").mkdir()
    (folder / "packages").mkdir()
    shutil.copy(ROOT / "scripts" / "constraints.txt", folder)
    _pip("wheel", "--no-deps", f"--wheel-dir={folder / 'wheels'}", str(ROOT))
    _take_cpu_torch(folder / "packages")
    return folder


def _take_cpu_torch(folder):
    """Hand a CPU build of torch over where this machine's pip finds one; else the build takes PyTorch's index."""
    from importlib.metadata import version

    if version("torch").endswith("+cpu"):
        _pip("download", "--no-deps", f"--dest={folder}", f"torch=={version('torch')}", check=False)


def _pip(*arguments, check=True):
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=check, capture_output=True, timeout=300)


@pytest.fixture(scope="session")
def build(docker, build_context):
    """Return a function that builds a target and returns the image's name; each target is built once per session."""
    built = {}

    def build(target):
        if target not in built:
            name = f"drctl/{target}:test"
            version = f"--build-arg=VERSION={drctl.__version__}"
            docker(
                *("buildx", "build", "--load", "--quiet", f"--target={target}", f"--tag={name}", version),
                str(build_context),
                timeout=BUILD_LIMIT_S,
            )
            built[target] = name
        return built[target]

    return build


@pytest.fixture(scope="session")
def hardened():
    """Return the options with which our containers run."""
    return HARDENED


@pytest.fixture
def run_once(docker):
    """Return a function that runs a program in a hardened container of an image and returns what it did."""

    def run(image, *command, options=(), check=True):
        program, *arguments = command
        return docker("run", "--rm", *HARDENED, *options, f"--entrypoint={program}", image, *arguments, check=check)

    return run


@pytest.fixture
def inspect(docker):
    """Return a function that tells what the engine knows of an image or container."""
    return lambda name: json.loads(docker("inspect", name).stdout)[0]
