"""What a training that has ended leaves its user with: how it went, what to do next, where the model is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drctl.errors import ConflictError, DrctlError, FailedError, FormatError, UnavailableError
from drctl.formats.object_keys import ModelKeys
from drctl.result import Level, Message, Result
from drctl.storage.location import describe as describe_location
from drctl.storage.location import project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.status.run_status import RunStatus

# Exit status of an ended run -> the kind of error that gives it; each problem carries its own code.
_ERRORS: dict[int, type[DrctlError]] = {3: FormatError, 4: UnavailableError, 5: ConflictError}


def describe_end(status: RunStatus, messages: Sequence[Message] = ()) -> Result:
    """Return the outcome of a run that has ended, and what to do next.

    Args:
        status: Of the run.
        messages: What comes first.

    Raises:
        DrctlError: The run failed; its exit status is the run's.
    """
    if status.exit_status and status.problems:
        raise _ERRORS.get(status.exit_status, FailedError).from_problems(status.problems)
    data = {
        "run_id": status.run_id,
        "prefix": status.prefix,
        "run_folder": status.run_folder,
        "is_running": False,
        "reason": status.reason,
        "message": status.message,
        "exit_status": status.exit_status,
    }
    level: Level = "success" if status.exit_status == 0 else "warning"
    lines = [*messages, Message(f"The training of {status.prefix} has ended: {status.message}", level)]
    checkpoint = status.trainer.get("checkpoint")
    if checkpoint:
        lines.append(Message(f"best checkpoint {checkpoint['best']}, last checkpoint {checkpoint['last']}"))
    if status.reason == "finished" or status.stack == "community":
        steps: tuple[str, ...] = ("drctl eval --mp4", "drctl report")
    else:
        steps = ("drctl start-training --resume",)
    return Result(data, tuple(lines), steps, exit_status=status.exit_status or 0)


def describe_model(project: Project, status: RunStatus) -> tuple[Message, ...]:
    """Return where the model of a training is, and which of its files a car loads.

    Args:
        project: The project.
        status: Of the run.
    """
    keys = ModelKeys(project.settings.local_s3_model_prefix)
    place = describe_location(project_store_location(project))
    lines = [Message(f"The model is {place}/{keys.prefix}")]
    checkpoint = status.trainer.get("checkpoint")
    if checkpoint:
        lines.append(
            Message(f"Its best checkpoint, as the car loads it: {place}/{keys.frozen_graph(checkpoint['best'])}")
        )
    return tuple(lines)
