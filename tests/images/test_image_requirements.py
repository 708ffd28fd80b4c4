"""The list of packages that the image build reads out of the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "compose" / "images" / "requirements.py"
METADATA = """\
Metadata-Version: 2.4
Name: Drctl
Version: 9.9
Provides-Extra: sim
Provides-Extra: train
Provides-Extra: viewer
Requires-Dist: boto3>=1.38
Requires-Dist: tomli>=2; python_version < '3'
Requires-Dist: numba>=0.61; extra == 'sim'
Requires-Dist: numpy[dev]>=2.1; extra == 'sim'
Requires-Dist: drctl[sim]; extra == 'train'
Requires-Dist: torch>=2.7; extra == 'train'
"""


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "drctl-9.9-py3-none-any.whl", "w") as archive:
        archive.writestr("drctl-9.9.dist-info/METADATA", METADATA)
    return folder


def run(folder, extra):
    return subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), extra], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("viewer", ["boto3>=1.38"]),
        ("sim", ["boto3>=1.38", "numba>=0.61", "numpy[dev]>=2.1"]),
        ("train", ["boto3>=1.38", "numba>=0.61", "numpy[dev]>=2.1", "torch>=2.7"]),
    ],
)
def test_extra_gives_its_packages_and_those_of_the_extras_it_names(extra, expected, wheels):
    done = run(wheels, extra)
    assert done.stderr == ""
    assert done.stdout.splitlines() == expected


def test_unknown_extra_is_refused(wheels):
    done = run(wheels, "gpu")
    assert (done.returncode, done.stderr) == (1, "drctl-9.9-py3-none-any.whl has no extra 'gpu'\n")


def test_another_wheel_beside_it_is_refused(wheels):
    (wheels / "torch-2.13.0-py3-none-any.whl").write_bytes(b"")
    done = run(wheels, "sim")
    assert done.returncode == 1
    assert done.stderr == (
        "wheels/ must hold the wheel of drctl alone; found drctl-9.9-py3-none-any.whl, torch-2.13.0-py3-none-any.whl\n"
    )
