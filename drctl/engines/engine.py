"""What every engine does with a plan: processes on this machine now, containers later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from drctl.engines.lock import RunLock
from drctl.engines.state import EngineState
from drctl.stack.plan import RunPlan


@dataclass(frozen=True)
class Preview:
    """What a start would do.

    Attributes:
        files: Text of each file that it would write for people to read, by path.
        commands: Argument lists of the programs that it would start, in order.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()


class Engine(Protocol):
    """Starts, stops and watches the parts of a run; it knows nothing of trainings."""

    def preview(self, plan: RunPlan) -> Preview:
        """Tell what `up` would do; nothing is started, written or asked.

        Args:
            plan: What to run.
        """

    def up(self, plan: RunPlan, lock: RunLock) -> None:
        """Start every part of a plan and return once they are started, not once they are ready.

        Args:
            plan: What to run; its run folder exists.
            lock: Of the run folder; the engine holds it too, for as long as the run lasts.

        Raises:
            FailedError: The parts cannot be started; none is left running.
        """

    def down(self, run_folder: Path, *, at_once: bool = False) -> bool:
        """Stop a run and wait until nothing of it is left.

        Args:
            run_folder: Folder of the run.
            at_once: Do not wait for the publish under way.

        Returns:
            False when nothing was running.

        Raises:
            FailedError: Something cannot be ended.
        """

    def state(self, run_folder: Path) -> EngineState | None:
        """Return what is known about a run; None when nothing was ever started in this folder."""

    def is_running(self, run_folder: Path) -> bool:
        """Tell whether a run is under way: somebody is there who will bring it to its end."""

    def logs(self, run_folder: Path, part: str, *, lines: int, is_following: bool) -> Iterator[str]:
        """Give the output of a part, line by line.

        Args:
            run_folder: Folder of the run.
            part: Name of the part.
            lines: How many of the last lines.
            is_following: Go on with new lines until the run has ended.
        """
