"""Images that a newer build has taken the name of: found by what they say they are, and removed."""

from __future__ import annotations

import io
import subprocess
import tarfile

import pytest

from drctl.operations.removable import find_images

pytestmark = pytest.mark.docker


@pytest.fixture
def make_image(docker):
    """Return a function that makes an image without a name, of an empty file."""
    made = []

    def make(title):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("empty"))
        change = f'LABEL org.opencontainers.image.title="{title}"'
        argv = ["docker", "import", "--change", change, "-"]
        done = subprocess.run(argv, input=content.getvalue(), capture_output=True, check=True)
        made.append(done.stdout.decode().strip().removeprefix("sha256:")[:12])
        return made[-1]

    yield make
    for image in made:
        docker("image", "rm", image, check=False)


def test_images_of_ours_without_a_name_may_go_and_others_stay(docker, make_image):
    ours, other = make_image("drctl worker"), make_image("somebody's")
    found = {item.name: item for item in find_images()}
    assert f"drctl worker {ours}" in found
    assert not any(other in name for name in found)
    assert found[f"drctl worker {ours}"].remove()
    assert docker("image", "inspect", ours, check=False).returncode != 0
    assert docker("image", "inspect", other).returncode == 0
