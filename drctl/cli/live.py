"""How a training goes, while it goes: a display on a terminal, one line per change elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from drctl.cli.output import Output, show_message
from drctl.result import Message
from drctl.status.text import describe_results, describe_rule, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from drctl.config.project import Project
    from drctl.status.run_status import RunStatus

_REFRESH_S = 0.5


def watch(project: Project, output: Output) -> None:
    """Show a run until it has ended; Ctrl-C raises KeyboardInterrupt and changes nothing about the run."""
    from drctl.operations.training import reachable_store
    from drctl.status.run_status import RunReader

    reader = RunReader(project.run_folder, reachable_store(project))
    if output.is_interactive:
        _watch_on_terminal(reader.read)
        return
    lines = PlainLines()
    while True:
        status = reader.read()
        if status is not None:
            for message in lines.describe(status):
                show_message(message, output)
        if status is None or not status.is_running:
            return
        time.sleep(_REFRESH_S)


class PlainLines:
    """Says what has changed about a run since it was last asked: an iteration, or trouble."""

    def __init__(self) -> None:
        self._iteration = ""
        self._troubles: set[str] = set()

    def describe(self, status: RunStatus) -> list[Message]:
        """Return the lines that are new."""
        messages = []
        evaluation = status.trainer.get("evaluation")
        if evaluation and f"{evaluation['checkpoint']}" != self._iteration:
            self._iteration = f"{evaluation['checkpoint']}"
            steps = status.trainer.get("steps_total", 0)
            text = f"checkpoint {self._iteration}: {steps} steps, {describe_results(status.trainer)}"
            messages.append(Message(text))
        troubles = {wait.for_whom: wait for wait in status.waits if wait.is_trouble}
        for name in sorted(set(troubles) - self._troubles):
            wait = troubles[name]
            text = f"{wait.who} waits for {name} since {duration(wait.since_s)}: {wait.why}"
            messages.append(Message(text, "warning"))
        self._troubles = set(troubles)
        return messages


def _watch_on_terminal(read: Callable[[], RunStatus | None]) -> None:
    from rich.live import Live

    with Live(refresh_per_second=4, transient=False) as live:
        while True:
            status = read()
            if status is not None:
                live.update(render(status, time.time()))
            if status is None or not status.is_running:
                return
            time.sleep(_REFRESH_S)


def render(status: RunStatus, now: float) -> RenderableType:
    """Draw a run.

    Args:
        status: Of the run.
        now: Epoch seconds.
    """
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    facts = status.trainer
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    phase = f"{status.phase.replace('_', ' ')} for {duration(max(0.0, now - status.phase_since))}"
    table.add_row("phase", phase)
    done, wanted = facts.get("episodes_done", 0), facts.get("episodes_wanted", 0)
    bar = Table.grid(padding=(0, 1))
    fraction = facts.get("update_fraction", 0.0) if status.phase == "updating" else None
    if fraction is not None:
        bar.add_row(ProgressBar(total=1.0, completed=fraction, width=30), f"{fraction:.0%} of the update")
    else:
        bar.add_row(ProgressBar(total=max(wanted, 1), completed=done, width=30), f"{done}/{wanted} episodes")
    table.add_row(f"iteration {facts.get('iteration', 0)}", bar)
    rate = f", {facts['steps_per_s']:.0f} steps/s" if facts.get("steps_per_s") else ""
    table.add_row("driven", f"{facts.get('episodes_total', 0)} episodes, {facts.get('steps_total', 0)} steps{rate}")
    results = describe_results(facts)
    if results:
        table.add_row("results", results)
    if facts.get("stop_rule"):
        table.add_row("ends", describe_rule(status).removeprefix("stop rule: "))
    workers = [part for part in status.parts if part.kind == "worker"]
    table.add_row("workers", "\n".join(f"{part.name}: {part.doing or part.condition}" for part in workers))
    rows: list[RenderableType] = [Text(f"{status.prefix} (run {status.run_id})", style="bold cyan"), table]
    rows += [
        Text(f"{wait.who} waits for {wait.for_whom} since {duration(wait.since_s)}: {wait.why}", style="yellow")
        for wait in status.waits
        if wait.is_trouble
    ]
    rows.append(Text("Ctrl-C ends this display; the training goes on", style="dim"))
    return Group(*rows)
