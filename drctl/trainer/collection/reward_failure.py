"""A reward function that failed in some worker, told with the episode it failed in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drctl.errors import RewardError

if TYPE_CHECKING:
    from drctl.link.messages import RewardFailed
    from drctl.simulation.episode import EpisodeStart


@dataclass(frozen=True)
class RewardTrouble:
    """Where and with what the reward function failed.

    Attributes:
        file: The user's file.
        line: Line in it, or None where it is not in the file.
        message: What went wrong.
        params: What the function was called with.
        start: The episode, or None where the worker could not tell.
        step: ``steps`` of the params, or 0 where there are none.
    """

    file: str
    line: int | None
    message: str
    params: dict[str, Any]
    start: EpisodeStart | None
    step: int


class EpisodeRewardError(RewardError):
    """The reward function failed while episodes were collected.

    Attributes:
        details: Where and with what; None after pickling.
    """

    details: RewardTrouble | None = None


def reward_error(message: RewardFailed, start: EpisodeStart | None) -> EpisodeRewardError:
    """Return the error for what a worker reported.

    Args:
        message: The report.
        start: Episode of the car it names, if it names one.
    """
    try:
        params = json.loads(message.params)
    except ValueError:
        params = None
    trouble = RewardTrouble(
        file=message.file,
        line=message.line,
        message=message.message,
        params=params if isinstance(params, dict) else {},
        start=start,
        step=message.step,
    )
    where = message.where
    if start is not None:
        where += f" ({start.phase} episode {start.episode} of iteration {start.iteration}, step {trouble.step})"
    error = EpisodeRewardError(
        trouble.message,
        where=where,
        expected=message.expected or None,
        fix=f"correct custom_files/{trouble.file}, then start the training again",
    )
    error.details = trouble
    return error
