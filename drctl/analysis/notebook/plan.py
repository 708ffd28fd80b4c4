"""What the notebook's process is told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from drctl.errors import FormatError

PLAN_FILE: Final = "plan.json"
NOTEBOOK: Final = "log-analysis.ipynb"
SHIPPED: Final = Path(__file__).with_name(NOTEBOOK)


@dataclass(frozen=True)
class NotebookPlan:
    """How JupyterLab is served.

    Attributes:
        folder: What it shows.
        notebook: File in it that is opened first.
        port: On loopback.
        token_file: Holds the word that its address carries.
        own_folder: Where it keeps settings and run-time files of its own, instead of the user's home.
        environment: Variables of the notebooks' kernels, such as ``DR_EXPERIMENT_NAME``.
    """

    folder: str
    notebook: str
    port: int
    token_file: str
    own_folder: str
    environment: dict[str, str]


def write_notebook_plan(plan: NotebookPlan, folder: Path) -> Path:
    """Write it into a folder and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN_FILE
    path.write_text(json.dumps(asdict(plan), indent=1) + "\n")
    return path


def read_notebook_plan(path: Path) -> NotebookPlan:
    """Read what `write_notebook_plan` wrote.

    Raises:
        FormatError: It is not there or is something else.
    """
    try:
        return NotebookPlan(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise FormatError(f"this is not the start file of a notebook: {error}", where=str(path)) from error
