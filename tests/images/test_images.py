"""What our images promise: small rights, no secrets, kernels compiled, torch only where it learns."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest

import drctl

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

TARGETS = ("worker", "trainer", "viewer", "store")
ANOTHER_USER = "4711:0"
BUILD_LIMIT_S = 600

# Bytes; what a build of today takes and a tenth, so that a package that comes along by accident is noticed.
LARGEST = {"worker": 900e6, "trainer": 1.75e9, "viewer": 900e6, "store": 330e6}


@pytest.fixture(params=TARGETS)
def target(request):
    return request.param


@pytest.fixture
def image(build, target):
    return build(target)


def test_image_runs_as_an_ordinary_user(image, inspect):
    assert inspect(image)["Config"]["User"] == "10001:0"


def test_image_says_what_it_is(image, target, inspect):
    labels = inspect(image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"drctl {target}"
    assert labels["org.opencontainers.image.version"] == drctl.__version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_image_is_small(image, target, inspect):
    assert inspect(image)["Size"] < LARGEST[target]


def test_image_has_no_installer_and_no_build_files(image, run_once):
    script = "ls -A /opt; find /build -type f; find / -xdev -name '*.whl' -path '*/drctl*'; ls /opt/drctl/bin"
    found = run_once(image, "sh", "-c", script).stdout.split()
    assert found[0] == "drctl"
    assert not [name for name in found if "pip" in name or name.startswith("/")]


def test_image_runs_as_any_user_of_group_0(image, run_once):
    """A host's own user can be put in, so that files only it can read can be mounted."""
    script = (
        "import getpass, os, tempfile; tempfile.mkstemp(); print(os.getuid(), getpass.getuser(), os.environ['HOME'])"
    )
    said = run_once(image, "python3", "-c", script, options=[f"--user={ANOTHER_USER}"]).stdout
    assert said == "4711 drctl /tmp\n"


@pytest.mark.parametrize("target", ["worker", "trainer", "store"], indirect=True)
def test_image_checks_its_health(image, inspect):
    assert inspect(image)["Config"]["Healthcheck"]["Test"][0] == "CMD"


@pytest.mark.parametrize("target", ["worker", "trainer", "viewer"], indirect=True)
def test_program_in_the_image_is_this_version_and_cannot_be_changed(image, run_once):
    assert run_once(image, "drctl", "--version").stdout == f"drctl {drctl.__version__}\n"
    script = (
        "import drctl, os, pathlib;"
        "print(any(os.access(file, os.W_OK) for file in pathlib.Path(drctl.__file__).parent.rglob('*')))"
    )
    assert run_once(image, "python", "-c", script).stdout == "False\n"


def test_trainer_has_torch_for_the_cpu_and_nobody_else_has_any(build, run_once):
    script = "import torch; print(torch.__version__, torch.version.cuda)"
    version, cuda = run_once(build("trainer"), "python", "-c", script).stdout.split()
    assert cuda == "None", version
    for target in ("worker", "viewer"):
        assert "No module named 'torch'" in run_once(build(target), "python", "-c", script, check=False).stderr


def test_trainer_and_worker_start_and_say_what_they_miss(build, docker):
    worker = docker("run", "--rm", build("worker"), "--help")
    assert "ticket of the run" in worker.stdout
    trainer = docker("run", "--rm", build("trainer"), "--help")
    assert "RUN_FOLDER" in trainer.stdout.upper()


def test_kernels_are_compiled_in_the_image(build, run_once):
    options = ["--env=NUMBA_DEBUG_CACHE=1", f"--user={ANOTHER_USER}"]
    script = "from drctl.simulation.compile import compile_kernels; compile_kernels()"
    said = run_once(build("worker"), "python", "-c", script, options=options).stdout
    assert "data loaded from '/var/cache/drctl/" in said
    assert "data saved" not in said


def test_another_kind_of_processor_compiles_once_and_keeps_it_in_the_volume(build, run_once, docker):
    volume = docker("volume", "create").stdout.strip()
    try:
        options = ["--env=NUMBA_DEBUG_CACHE=1", "--env=NUMBA_CPU_NAME=x86-64-v2", f"--volume={volume}:/var/cache/drctl"]
        first, second = (
            run_once(
                build("worker"),
                "python",
                "-c",
                "import drctl.simulation.random_kernel as r; r.keyed_uniform(*range(6))",
                options=options,
            ).stdout
            for _ in range(2)
        )
    finally:
        docker("volume", "rm", volume)
    assert "data saved" in first
    assert "data saved" not in second
    assert "data loaded" in second


def times_of_sources(run_once, image):
    script = (
        "import drctl, pathlib;"
        "print(*{file.stat().st_mtime for file in pathlib.Path(drctl.__file__).parent.rglob('*.py')})"
    )
    return [float(text) for text in run_once(image, "python", "-c", script).stdout.split()]


def test_sources_have_one_time_that_a_registry_keeps(build, run_once):
    """Registries cut fractions of a second off; numba would take the sources for changed and compile again."""
    (time_s,) = times_of_sources(run_once, build("worker"))
    assert time_s % 1 == 0


def test_sources_of_another_version_have_another_time(build, build_context, run_once, docker, tmp_path):
    """Else a volume with its kernels would be taken for this version's where the sizes are the same."""
    context = tmp_path / "context"
    shutil.copytree(build_context, context)
    (wheel,) = (context / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = {info: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for info, content in files.items():
            is_changed = info.filename == "drctl/simulation/episode.py"  # its first letter, in a docstring
            archive.writestr(info, content[:4].swapcase() + content[4:] if is_changed else content)
    name = f"--tag={(image := 'drctl/project:test')}"
    docker("buildx", "build", "--load", "--quiet", "--target=project", name, str(context), timeout=BUILD_LIMIT_S)
    found = docker("run", "--rm", image, "find", "/project", "-name", "episode.py", "-printf", "%T@").stdout
    docker("image", "rm", image)
    assert float(found) not in times_of_sources(run_once, build("worker"))


def test_build_refuses_another_kind_of_torch(build, build_context, docker):
    build("trainer")  # so that only the step in question runs
    done = docker(
        "buildx",
        "build",
        "--progress=plain",
        "--target=trainer",
        "--build-arg=TORCH=rocm",
        str(build_context),
        check=False,
        timeout=BUILD_LIMIT_S,
    )
    assert done.returncode != 0
    assert "TORCH is 'rocm'; expected cpu or cuda" in done.stderr


def test_only_the_files_of_the_build_travel_to_the_engine(build_context, docker, tmp_path):
    context = tmp_path / "context"
    shutil.copytree(build_context, context)
    (context / "run.env").write_text("DR_X=1")
    (context / "tmp").mkdir()
    (context / "tmp" / "store-keys.json").write_text(json.dumps({"secret_access_key": "x"}))
    dockerfile = tmp_path / "Dockerfile"
    base = next(
        line for line in (context / "Dockerfile").read_text().splitlines() if line.startswith("ARG BASE_IMAGE=")
    )
    listing = "find /context -mindepth 1 -maxdepth 1 -printf '%f ' >/list"
    dockerfile.write_text(f"FROM {base.partition('=')[2]}\nRUN --mount=type=bind,target=/context {listing}\n")
    image = docker("buildx", "build", "--load", "--quiet", f"--file={dockerfile}", str(context)).stdout.strip()
    try:
        listed = docker("run", "--rm", image, "cat", "/list").stdout.split()
    finally:
        docker("image", "rm", image)
    assert sorted(listed) == ["constraints.txt", "health.py", "packages", "requirements.py", "store.py", "wheels"]
