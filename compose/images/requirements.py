"""Print what an extra of a wheel needs, one requirement per line: a step of the image build.

``python requirements.py FOLDER EXTRA``: FOLDER holds the wheel. Extras that name the project itself, such as
``drctl[sim]``, are followed. The lines are sorted, so that equal needs give equal text.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needs(requirements: list[Requirement], project: str, extra: str) -> Iterator[str]:
    """Yield the requirements that hold for an extra, without their conditions.

    Args:
        requirements: Those of the wheel.
        project: Its name.
        extra: Name of the extra; the empty one stands for none.
    """
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        if canonicalize_name(requirement.name) == project:
            for inner in requirement.extras:
                yield from needs(requirements, project, inner)
        else:
            yield str(requirement).partition(";")[0].strip()


def main(folder: str, extra: str) -> int:
    """Print the list for the only wheel of a folder and return the exit status."""
    wheels = sorted(Path(folder).glob("*.whl"))
    if len(wheels) != 1:
        names = ", ".join(wheel.name for wheel in wheels) or "nothing"
        sys.stderr.write(f"wheels/ must hold the wheel of drctl alone; found {names}\n")
        return 1
    with zipfile.ZipFile(wheels[0]) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    project = canonicalize_name(metadata["Name"])
    if extra not in metadata.get_all("Provides-Extra", []):
        sys.stderr.write(f"{wheels[0].name} has no extra {extra!r}\n")
        return 1
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    lines = {*needs(requirements, project, extra), *needs(requirements, project, "")}
    sys.stdout.writelines(f"{line}\n" for line in sorted(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
