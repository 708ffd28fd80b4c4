"""The reward function of the user: compiled once, executed anew for every episode (DESIGN 4)."""

from __future__ import annotations

import linecache
import math
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from drctl.errors import RewardError
from drctl.simulation.reward.watchdog import TimeLimitError, Watchdog

if TYPE_CHECKING:
    from types import TracebackType

LARGEST_REWARD: Final = 1e5
"""A reward must lie within this on both sides of zero (contract 5.4)."""

FUNCTION_NAME: Final = "reward_function"
"""What the file must define."""

_MODULE_NAME: Final = "reward_function"


@dataclass(frozen=True)
class RewardFailure:
    """Where and with what a reward function failed.

    Attributes:
        file: Name of the file, as the user knows it.
        line: Line of the user's code that was at work; None where no line is to blame.
        message: What went wrong, one line.
        params: Parameters of the call; None when the module itself failed.
        car: Row of the batch; None when no car was being judged.
    """

    file: str
    line: int | None
    message: str
    params: dict[str, Any] | None = None
    car: int | None = None


class RewardFailedError(RewardError):
    """The user's code failed.

    Attributes:
        details: Where and with what; None after pickling.
    """

    details: RewardFailure | None = None


class EpisodeReward:
    """The reward function as one episode knows it, with globals of its own.

    Args:
        owner: The compiled file.
        function: What the file defines.
    """

    def __init__(self, owner: RewardFunction, function: Callable[[dict[str, Any]], Any]) -> None:
        self._owner = owner
        self._function = function

    def __call__(self, params: dict[str, Any], car: int | None = None) -> float:
        """Return the reward of a step, finite and within +-1e5.

        Args:
            params: Contract 5.1; the user's code may change it.
            car: Row of the batch, for messages.

        Raises:
            RewardFailedError: The code raised, took too long or returned something else.
        """
        self._owner.watchdog.call_begins()
        try:
            returned = self._function(params)
        except (Exception, SystemExit, TimeLimitError) as error:
            raise self._owner.failure_of(error, params, car) from error
        try:
            reward = float(returned)
        except (TypeError, ValueError, OverflowError):
            reward = math.nan
        if not -LARGEST_REWARD <= reward <= LARGEST_REWARD:  # also false for NaN
            line = getattr(getattr(self._function, "__code__", None), "co_firstlineno", None)
            raise self._owner.failure(
                f"reward_function returned {_shown(returned)}",
                line,
                params,
                car,
                "a finite number from -100000 to 100000",
            )
        return reward


class RewardFunction:
    """A user's reward file.

    Args:
        source: Text of the file.
        file_name: Its name for messages and tracebacks.
        watchdog: Limits the calls while it is entered.

    Raises:
        RewardFailedError: The text is not Python.
    """

    def __init__(self, source: str, file_name: str, watchdog: Watchdog | None = None) -> None:
        self.file_name = file_name
        self.watchdog = watchdog or Watchdog()
        self._function: Callable[[dict[str, Any]], Any] | None = None
        if source:
            # Lets tracebacks show the user's lines although the text may not be a file here.
            linecache.cache[file_name] = (len(source), None, source.splitlines(keepends=True), file_name)
        try:
            self._code: CodeType = compile(source, file_name, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise self.failure(f"{file_name} is not Python: {error.msg}", error.lineno) from None
        except ValueError as error:
            raise self.failure(f"{file_name} is not Python: {error}", None) from None

    @classmethod
    def from_callable(cls, function: Callable[[dict[str, Any]], Any]) -> RewardFunction:
        """Wrap a function of this process; its globals outlive episodes."""
        code = getattr(function, "__code__", None)
        wrapped = cls("", getattr(code, "co_filename", repr(function)))
        wrapped._function = function
        return wrapped

    def for_episode(self) -> EpisodeReward:
        """Execute the file in a namespace of its own and return its function.

        Raises:
            RewardFailedError: The file raises, or defines no ``reward_function``.
        """
        if self._function is not None:
            return EpisodeReward(self, self._function)
        module = ModuleType(_MODULE_NAME)
        module.__file__ = self.file_name
        shadowed = sys.modules.get(_MODULE_NAME)
        sys.modules[_MODULE_NAME] = module  # where dataclasses look for the names of their annotations
        try:
            with self.watchdog:
                exec(self._code, module.__dict__)  # noqa: S102 - running the user's file is the point
        except (Exception, SystemExit, TimeLimitError) as error:
            raise self.failure_of(error) from error
        finally:
            del sys.modules[_MODULE_NAME]
            if shadowed is not None:
                sys.modules[_MODULE_NAME] = shadowed
        function = module.__dict__.get(FUNCTION_NAME)
        if not callable(function):
            raise self._no_function(module)
        return EpisodeReward(self, cast("Callable[[dict[str, Any]], Any]", function))

    def line_of(self, traceback_: TracebackType | None) -> int | None:
        """Return the innermost line of the user's file in a traceback; None when it is not in there."""
        lines = [entry.lineno for entry in traceback.extract_tb(traceback_) if entry.filename == self.file_name]
        return lines[-1] if lines else None

    def failure_of(
        self, error: BaseException, params: dict[str, Any] | None = None, car: int | None = None
    ) -> RewardFailedError:
        """Return what users are told about an exception of their code."""
        line = self.line_of(error.__traceback__)
        if isinstance(error, TimeLimitError):
            what = f"reward_function took more than {self.watchdog.limit_s:g} s"
            return self.failure(what, line, params, car, "a call of well under a millisecond")
        return self.failure(f"reward_function raised {_exception_text(error)}", line, params, car)

    def failure(
        self,
        what: str,
        line: int | None,
        params: dict[str, Any] | None = None,
        car: int | None = None,
        expected: str | None = None,
    ) -> RewardFailedError:
        """Return an error about the user's code; see `RewardFailure` for the arguments."""
        where = self.file_name if line is None else f"{self.file_name}:{line}"
        text = linecache.getline(self.file_name, line).strip() if line else ""
        error = RewardFailedError(
            what, where=f"{where}: {text}" if text else where, expected=expected, fix=f"correct {self.file_name}"
        )
        error.details = RewardFailure(self.file_name, line, what, params, car)
        return error

    def _no_function(self, module: ModuleType) -> RewardFailedError:
        own = [
            name
            for name, value in vars(module).items()
            if isinstance(value, FunctionType) and value.__module__ == _MODULE_NAME
        ]
        found = f", only {', '.join(own)}" if own else ""
        what = f"{self.file_name} defines no {FUNCTION_NAME}{found}"
        return self.failure(what, None, expected="def reward_function(params):")


def _exception_text(error: BaseException) -> str:
    return " ".join("".join(traceback.format_exception_only(error)).split())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
