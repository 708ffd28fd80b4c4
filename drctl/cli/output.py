"""How a command tells what came of it: lines for people, one JSON document for programs.

Nothing else prints results, so that ``--output json`` holds for every command.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import typer

from drctl.errors import DrctlError, Problem
from drctl.result import ENVELOPE_VERSION, Level, Message, Result

OutputFormat = Literal["text", "json"]

_COLORS: dict[Level, str | None] = {"info": None, "warning": "yellow", "success": "green"}
_LABEL_WIDTH = len("expected: ")


@dataclass(frozen=True)
class Output:
    """For whom a command prints.

    Attributes:
        format: ``text`` for people, ``json`` for programs.
        is_interactive: Standard output is a terminal and the format is text: a live display may be drawn.
        has_color: Colour may be used on standard output and standard error.
        experiment: What ``-e`` said; commands that are shown repeat it.
        verbs: First words of the program's commands.
    """

    format: OutputFormat = "text"
    is_interactive: bool = False
    has_color: bool = False
    experiment: str | None = None
    verbs: frozenset[str] = frozenset()

    def retell(self, text: str) -> str:
        """Return a text whose commands act on the experiment that this one acted on."""
        if self.experiment is None or "drctl " not in text:
            return text
        verbs = "|".join(sorted(map(re.escape, self.verbs), key=len, reverse=True))
        return re.sub(rf"\bdrctl (?=(?:{verbs})(?![\w-]))", f"drctl -e {self.experiment} ", text)


def detect_output(chosen: OutputFormat, experiment: str | None = None, verbs: frozenset[str] = frozenset()) -> Output:
    """Find out what the terminal can show; ``NO_COLOR`` and ``TERM=dumb`` count, a pipe gets plain text.

    Args:
        chosen: ``--output``.
        experiment: See `Output`.
        verbs: See `Output`.
    """
    is_terminal = sys.stdout.isatty() and chosen == "text"
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    has_color = is_terminal and sys.stderr.isatty() and not is_plain
    return Output(chosen, is_interactive=is_terminal, has_color=has_color, experiment=experiment, verbs=verbs)


def show(result: Result, command: str, output: Output) -> None:
    """Print what an operation returned.

    Text: warnings go to standard error, everything else to standard output. JSON: one document on standard output.

    Args:
        result: What came of it.
        command: Words of the command without the program's name, such as ``config show``.
        output: For whom.
    """
    if output.format == "json":
        _print_json(envelope(command, result), output)
        return
    for message in result.messages:
        show_message(message, output)
    if result.next_steps:
        _print("Next:", output)
        for step in result.next_steps:
            _print(f"  {step}", output, color="cyan")


def show_message(message: Message, output: Output) -> None:
    """Print one line of a command that is still at work; with JSON it is left out."""
    if output.format == "json":
        return
    if message.level == "warning":
        _print(f"warning: {message.text}", output, color=_COLORS["warning"], file=sys.stderr)
    else:
        _print(message.text, output, color=_COLORS[message.level])


def show_error(error: DrctlError, command: str, output: Output) -> None:
    """Print an error: all its problems on standard error, or the envelope on standard output with JSON."""
    if output.format == "json":
        _print_json(error_envelope(command, error), output)
        return
    for problem in error.problems:
        head, *rest = error_lines(problem.code or error.code, problem)
        _print(head, output, color="red", file=sys.stderr)
        for line in rest:
            _print(line, output, file=sys.stderr)


def error_lines(code: str, problem: Problem) -> list[str]:
    """Return the lines that show one problem; only what is known gets a line."""
    lines = [f"error[{code}]: {problem.what}"]
    for label in ("where", "expected", "fix"):
        text = getattr(problem, label)
        if text:
            first, *more = str(text).splitlines()
            lines.append(f"  {label + ': ':<{_LABEL_WIDTH}}{first}")
            lines += [" " * (2 + _LABEL_WIDTH) + line for line in more]
    return lines


def envelope(command: str, result: Result) -> dict[str, Any]:
    """Return the JSON document of a result; its keys are part of the interface.

    Args:
        command: See `show`.
        result: What came of it; ``ok`` is whether its exit status is 0.
    """
    return {
        "version": ENVELOPE_VERSION,
        "command": command,
        "ok": result.exit_status == 0,
        "data": dict(result.data),
        "messages": [{"level": message.level, "text": message.text} for message in result.messages],
        "next_steps": list(result.next_steps),
        "errors": [],
    }


def error_envelope(command: str, error: DrctlError) -> dict[str, Any]:
    """Return the JSON document of an error: the same keys as `envelope`, with every problem."""
    problems = [
        {
            "code": problem.code or error.code,
            "what": problem.what,
            "where": problem.where,
            "expected": problem.expected,
            "fix": problem.fix,
        }
        for problem in error.problems
    ]
    return {**envelope(command, Result(exit_status=error.exit_status)), "errors": problems}


def _print_json(document: dict[str, Any], output: Output) -> None:
    for message in document["messages"]:
        message["text"] = output.retell(message["text"])
    for problem in document["errors"]:
        problem["fix"] = problem["fix"] and output.retell(problem["fix"])
    document["next_steps"] = [output.retell(step) for step in document["next_steps"]]
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _print(text: str, output: Output, *, color: str | None = None, file: TextIO | None = None) -> None:
    text = output.retell(text)
    if output.has_color and color:
        text = typer.style(text, fg=color)
    typer.echo(text, file=file, color=output.has_color)
