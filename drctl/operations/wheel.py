"""The running installation as a wheel, made of the files it consists of: no source tree and no build tool is needed."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

import drctl
from drctl.resources import resource_folder

RESOURCES: Final = ("compose", "defaults")

# Files in the archive carry one time, so that equal contents give an equal wheel and image layers are kept.
_TIME: Final = (2020, 1, 1, 0, 0, 0)
_LEFT_OUT: Final = ("__pycache__", "_data")
_TAGS: Final = "Wheel-Version: 1.0\nGenerator: drctl\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def pack_wheel(folder: Path) -> Path:
    """Write the wheel of the running drctl into a folder.

    Args:
        folder: It exists.

    Returns:
        The file, ``drctl-<version>-py3-none-any.whl``.
    """
    found = distribution("drctl")
    information = f"drctl-{drctl.__version__}.dist-info"
    files = dict(_package_files())
    files |= {f"{information}/{name}": data for name, data in _metadata(found)}
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in sorted(files.items())]
    files[f"{information}/RECORD"] = "\n".join([*record, f"{information}/RECORD,,", ""]).encode()
    path = folder / f"drctl-{drctl.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return path


def _package_files() -> Iterator[tuple[str, bytes]]:
    package = Path(drctl.__file__).resolve().parent
    for path in sorted(package.rglob("*")):
        inner = path.relative_to(package)
        if path.is_file() and not set(inner.parts) & set(_LEFT_OUT):
            yield f"drctl/{inner.as_posix()}", path.read_bytes()
    for name in RESOURCES:
        folder = resource_folder(name)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"drctl/_data/{name}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _metadata(found: Distribution) -> Iterator[tuple[str, bytes]]:
    for name in ("METADATA", "entry_points.txt"):
        yield name, (found.read_text(name) or "").encode()
    yield "WHEEL", _TAGS.encode()
    for file in found.files or ():
        if ".dist-info/licenses/" in file.as_posix():
            yield f"licenses/{file.name}", Path(str(file.locate())).read_bytes()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
