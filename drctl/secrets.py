"""Keys and passwords: a type that does not print itself, and the folder they are kept in."""

from __future__ import annotations

import contextlib
import os
import secrets as _random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, repr=False)
class Secret:
    """A text that shows as ``[REDACTED]`` wherever it is printed or logged; `reveal` gives it."""

    _value: str

    def reveal(self) -> str:
        """Return the text itself; call it where it is used, never where it is stored."""
        return self._value

    def __repr__(self) -> str:
        return "[REDACTED]"

    __str__ = __repr__


def secrets_path(root: Path) -> Path:
    """Return ``tmp/secrets`` of a project folder; nothing is made."""
    return root / "tmp" / "secrets"


def secrets_folder(root: Path) -> Path:
    """Return ``tmp/secrets`` of a project folder, made with access for its owner alone."""
    folder = secrets_path(root)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def write_secret(path: Path, secret: Secret) -> None:
    """Write a secret to a file that only its owner can read, replacing it in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret.reveal())
    temporary.replace(path)


def read_or_create_secret(path: Path, length: int = 32) -> Secret:
    """Read a secret file, or make one with `length` random bytes in URL-safe letters."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
        write_secret(draft, Secret(_random.token_urlsafe(length)))
        # The first of several creators wins, so that all of them read the same secret.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return Secret(path.read_text())
