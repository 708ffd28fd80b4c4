"""The evaluation that is under way beside a run, as somebody sees it who may not ask Docker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drctl.engines.evaluation_process import STATE_FILE, evaluation_folder, read_evaluation
from drctl.stack.community_stack import RACE_FOLDER, STREAM_PORT
from drctl.stack.plan import read_plan

if TYPE_CHECKING:
    from pathlib import Path

    from drctl.stack.plan import RunPlan


@dataclass(frozen=True)
class RunningEvaluation:
    """A race of a stored model.

    Attributes:
        description: What is raced.
        since: Epoch seconds of its start.
        address: Where it streams pictures, as ``host:port``; empty where it does not: drctl's own races are over sooner
            than anybody could watch them.
    """

    description: str
    since: float
    address: str = ""


def find_evaluation(root: Path, plan: RunPlan) -> RunningEvaluation | None:
    """Return the evaluation that goes on under the number of a run, or None.

    Args:
        root: The project's folder, or what a container sees of it.
        plan: Of the run.
    """
    folder = evaluation_folder(root, plan.run_id)
    if plan.engine == "process":
        found = read_evaluation(folder)
        return None if found is None else RunningEvaluation(found.description, found.since)
    try:
        state: dict[str, Any] = json.loads((folder / STATE_FILE).read_text())
        return RunningEvaluation(state["description"], state["since"], _address(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _address(folder: Path) -> str:
    """Return where the container of the community images streams; empty where another one races."""
    race = read_plan(folder / RACE_FOLDER)
    containers = [part.container for part in race.parts if part.container] if race is not None else []
    return f"{containers[0].name}:{STREAM_PORT}" if containers else ""
