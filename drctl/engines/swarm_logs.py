"""What the containers of one slot printed, one after the other, on whichever machine of the swarm each of them ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from drctl.engines.container_logs import read_stamped, split_stamps
from drctl.engines.docker import run_docker
from drctl.engines.swarm_tasks import Task

_POLL_S: Final = 0.5


def read_tasks(tasks: Sequence[Task], here: str, lines: int) -> list[str]:
    """Return the last lines of a slot.

    Args:
        tasks: Of the slot, oldest first.
        here: Id of this machine.
        lines: How many.
    """
    found: list[str] = []
    for task in reversed(tasks):
        if len(found) >= lines:
            break
        found = [text for _, text in _read(task, here, "", lines - len(found))] + found
    return found


def follow_tasks(
    find: Callable[[], Sequence[Task]], here: str, is_over: Callable[[], bool], *, lines: int
) -> Iterator[str]:
    """Give the last lines of a slot and then each new one, also those of containers that take an earlier one's place.

    Args:
        find: Returns the tasks of the slot, oldest first.
        here: Id of this machine.
        is_over: Asked before each look; after one that says True there is no other.
        lines: How many old lines to begin with.
    """
    last: dict[str, str] = {}
    finished: set[str] = set()
    is_first = True
    while True:
        over, tasks = is_over(), find()
        if is_first and tasks:
            yield from read_tasks(tasks[:-1], here, lines) if len(tasks) > 1 and not tasks[-1].container else ()
            finished.update(task.id for task in tasks[:-1])
            is_first = False
        for task in tasks:
            if task.id in finished:
                continue
            known = last.get(task.id, "")
            for stamp, text in _read(task, here, known, lines if not known else 0):
                if stamp > known:
                    last[task.id] = known = stamp
                    yield text
            if task.is_over:
                finished.add(task.id)
        if over:
            return
        time.sleep(_POLL_S)


def _read(task: Task, here: str, since: str, lines: int) -> list[tuple[str, str]]:
    if not task.container:
        return []
    if task.node == here:
        return read_stamped(task.container, since=since, lines=lines)
    chosen = ["--since", since] if since else ["--tail", str(lines)]
    # A machine that is down gives nothing; that it is down is told elsewhere.
    return split_stamps(run_docker(["service", "logs", "--raw", "--timestamps", *chosen, task.id]).stdout)
