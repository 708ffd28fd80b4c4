"""An evaluation in a container: ``python -m drctl.operations.evaluation_part FOLDER``.

``evaluation.json`` in the folder says what to race. Each line that it prints is a JSON object about how the races go;
``result.json`` holds what came of them, or the error. The exit status is that of the evaluation.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from drctl.config.project import Project
from drctl.config.transfer import settings_from_json
from drctl.errors import DrctlError
from drctl.operations.evaluation import race_here
from drctl.operations.evaluation_report import RaceView
from drctl.operations.race_preparation import EvaluationRequest
from drctl.result import Message, Result
from drctl.storage.location import StoreLocation

REQUEST_FILE: Final = "evaluation.json"
RESULT_FILE: Final = "result.json"


@dataclass(frozen=True)
class Told:
    """One line of what an evaluation prints: exactly one of both.

    Attributes:
        view: Where a race stands.
        message: What is worth knowing.
    """

    view: RaceView | None = None
    message: Message | None = None

    def to_line(self) -> str:
        """Return the line that `from_line` reads."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    @classmethod
    def from_line(cls, line: str) -> Told:
        """Read what `to_line` gave; any other line is told as a message."""
        try:
            data = json.loads(line)
            if "view" in data:
                return cls(view=RaceView(**data["view"]))
            return cls(message=Message(**data["message"]))
        except (ValueError, KeyError, TypeError):
            return cls(message=Message(line))


def main(arguments: list[str] | None = None) -> int:
    """Carry the evaluation of a folder out."""
    (name,) = sys.argv[1:] if arguments is None else arguments
    folder = Path(name)
    request = json.loads((folder / REQUEST_FILE).read_text())
    project = Project(folder, settings_from_json(request["settings"]))
    try:
        result = race_here(
            project,
            EvaluationRequest.from_json(request["request"]),
            watch=lambda view: _tell(Told(view=view)),
            report=lambda message: _tell(Told(message=message)),
            location=StoreLocation.from_json(request["store"]),
            place=request["place"],
        )
    except DrctlError as error:
        problems = [asdict(problem) for problem in error.problems]
        _write(folder, {"error": type(error).__name__, "problems": problems})
        return error.exit_status
    _write(folder, {"result": result_to_json(result)})
    return result.exit_status


def result_to_json(result: Result) -> dict[str, Any]:
    """Return what `result_from_json` reads."""
    return asdict(result)


def result_from_json(data: Mapping[str, Any]) -> Result:
    """Read what `result_to_json` gave."""
    messages = tuple(Message(**message) for message in data["messages"])
    return Result(data["data"], messages, tuple(data["next_steps"]), data["exit_status"])


def _tell(told: Told) -> None:
    sys.stdout.write(told.to_line() + "\n")
    sys.stdout.flush()


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    temporary = folder / f".{RESULT_FILE}"
    temporary.write_text(json.dumps(content))
    temporary.replace(folder / RESULT_FILE)


if __name__ == "__main__":
    sys.exit(main())
