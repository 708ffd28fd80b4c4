"""The errors a user can meet: one tree, stable codes and exit statuses.

Libraries raise these; the command line renders them once. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, told so that the reader can mend it.

    Attributes:
        what: What is wrong, one line, naming the value that was found.
        where: Place of the value: ``run.env:12``, ``hyperparameters.json: lr``, a key or a process.
        expected: What would have been right, with the nearest valid choice where there is one.
        fix: One command or one edit that mends it; it works when typed.
        code: Code of its own kind where problems of several kinds are reported at once; else that of the error counts.
    """

    what: str
    where: str | None = None
    expected: str | None = None
    fix: str | None = None
    code: str | None = None


class DrctlError(Exception):
    """Base of every error that is shown to users without a traceback.

    Args:
        what: See `Problem.what`; the other arguments likewise.
    """

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: str | None = None, expected: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(what)
        self.problems: tuple[Problem, ...] = (Problem(what, where, expected, fix),)

    @classmethod
    def from_problems(cls, problems: Sequence[Problem]) -> Self:
        """Make one error that reports every problem at once.

        Args:
            problems: At least one; the first one's text becomes ``str(error)``.
        """
        first = problems[0]
        error = cls(first.what, where=first.where, expected=first.expected, fix=first.fix)
        error.problems = tuple(problems)
        return error

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _rebuild, (type(self), self.problems)


def _rebuild(kind: type[DrctlError], problems: tuple[Problem, ...]) -> DrctlError:
    return kind.from_problems(problems)


class FailedError(DrctlError):
    """Something that should have worked did not."""

    code = "failed"
    exit_status = 1


class UsageError(DrctlError):
    """The command line asks for something that does not exist or does not go together."""

    code = "usage"
    exit_status = 2


class ConfigError(DrctlError):
    """A setting in an env file, the environment or ``--set`` is wrong."""

    code = "config_invalid"
    exit_status = 3


class FormatError(DrctlError):
    """A file of the user or of a model does not follow its format."""

    code = "file_invalid"
    exit_status = 3


class RewardError(DrctlError):
    """The reward function is missing, raised, hung or returned something that is not a finite number."""

    code = "reward_failed"
    exit_status = 3


class TrackError(DrctlError):
    """A track name is unknown or a track file is not usable."""

    code = "track_invalid"
    exit_status = 3


class NotSupportedError(DrctlError):
    """A valid setting asks for a part that this version does not have."""

    code = "not_supported"
    exit_status = 3


class UnavailableError(DrctlError):
    """Something outside the program (store, port, disk, GPU, package) cannot be used now."""

    code = "unavailable"
    exit_status = 4


class ObjectNotFoundError(UnavailableError):
    """The store has no object under this key."""

    code = "object_not_found"


class ConflictError(DrctlError):
    """The request clashes with what exists or runs already; nothing was changed."""

    code = "conflict"
    exit_status = 5


class PreconditionFailedError(ConflictError):
    """A conditional put found another version of the object than it asked for."""

    code = "precondition_failed"


class InterruptedByUserError(DrctlError):
    """The user pressed Ctrl-C."""

    code = "interrupted"
    exit_status = 130


def combine_errors(errors: Sequence[DrctlError]) -> DrctlError:
    """Make one error of several: every problem keeps its code, the first error's kind gives the exit status.

    Args:
        errors: At least one, the most important first.
    """
    problems = [replace(problem, code=problem.code or error.code) for error in errors for problem in error.problems]
    return type(errors[0]).from_problems(problems)


def nearest(word: str, choices: Sequence[str]) -> str | None:
    """Return the choice that looks most like a misspelt word, or None when none is close."""
    import difflib

    folded = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None
