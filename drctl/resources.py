"""Where the files that ship with the program are: inside the wheel first, in a checkout second."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """Return the folder ``compose`` or ``defaults``.

    Args:
        name: ``compose`` or ``defaults``.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the installation of drctl lacks its folder {name!r}; reinstall it")
