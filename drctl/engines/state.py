"""What an engine knows about a run: which of its parts live. The engine writes it, everybody may read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from drctl.engines.identity import ProcessIdentity
from drctl.errors import Problem

VERSION = 1
STATE_FILE = "state.json"

EnginePhase = Literal["starting", "running", "stopping", "ended"]


@dataclass(frozen=True)
class PartState:
    """One part of a run.

    Attributes:
        name: ``trainer``, ``worker-0``, ...
        kind: ``trainer`` or ``worker``.
        process: The process that was started last; None before the first start.
        since: When it was started, epoch seconds.
        restarts: How often it was started again.
        is_running: The supervisor has not seen it end.
        next_start: When it will be started again, epoch seconds, or None.
        last_exit: How it ended last: exit status, or minus the signal's number; None when it never did.
        last_exit_time: When, epoch seconds.
        container: Short id of the container that plays the part, which is also its host name; None for a process.
        node: The machine of a swarm on which it is; None without a swarm.
        trouble: Why it does not run, where the engine knows more than how it ended; goes behind the part's name.
    """

    name: str
    kind: str
    process: ProcessIdentity | None = None
    since: float = 0.0
    restarts: int = 0
    is_running: bool = False
    next_start: float | None = None
    last_exit: int | None = None
    last_exit_time: float | None = None
    container: str | None = None
    node: str | None = None
    trouble: str = ""


@dataclass(frozen=True)
class EngineState:
    """A run as its engine sees it.

    Attributes:
        run_token: Start of the run.
        host: Machine of the supervisor.
        supervisor: Its process; None for containers, which Docker looks after.
        phase: ``ended`` once nothing of the run is left.
        phase_since: Epoch seconds.
        parts: The trainer first.
        reason: Why it ended: ``finished``, ``stopped``, ``failed``, ``interrupted``; None before.
        message: The same as a sentence.
        exit_status: What a command that waits for the run returns.
        problems: Details of a failure; of a run that goes on, what must be mended before its parts can start.
    """

    run_token: str
    host: str
    supervisor: ProcessIdentity | None
    phase: EnginePhase
    phase_since: float
    parts: tuple[PartState, ...]
    reason: str | None = None
    message: str = ""
    exit_status: int | None = None
    problems: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `from_json` reads."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EngineState:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError: It is something else.
        """
        fields = dict(data)
        fields.pop("version")
        fields["supervisor"] = fields["supervisor"] and ProcessIdentity(**fields["supervisor"])
        fields["parts"] = tuple(
            PartState(**{**part, "process": part["process"] and ProcessIdentity(**part["process"])})
            for part in fields["parts"]
        )
        fields["problems"] = tuple(Problem(**problem) for problem in fields["problems"])
        return cls(**fields)


def write_state(run_folder: Path, state: EngineState) -> None:
    """Write the state of a run, replacing the last one in one step."""
    temporary = run_folder / f".{STATE_FILE}"
    temporary.write_text(json.dumps(state.to_json(), indent=1) + "\n")
    temporary.replace(run_folder / STATE_FILE)


def read_state(run_folder: Path) -> EngineState | None:
    """Read the state of a run; None when nothing was started in this folder, or by another version."""
    try:
        return EngineState.from_json(json.loads((run_folder / STATE_FILE).read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
