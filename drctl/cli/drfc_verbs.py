"""What becomes of every command of DeepRacer-for-Cloud: one table, for the shell functions, the docs and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Answer = Literal["works", "renamed", "replaced"]


@dataclass(frozen=True)
class Verb:
    """One command of DeepRacer-for-Cloud.

    Attributes:
        name: What its users type.
        answer: ``works``: does the same, with the same flags. ``renamed``: the same under another name here.
            ``replaced``: does nothing but say what takes its place.
        command: Words that it becomes, before the flags; empty where it is replaced.
        flags: Those that keep their meaning.
        note: What differs, or what takes its place.
    """

    name: str
    answer: Answer
    command: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    note: str = ""


def _works(name: str, flags: str = "", note: str = "") -> Verb:
    return Verb(f"dr-{name}", "works", (name,), tuple(flags.split()), note)


def _renamed(name: str, command: str, flags: str = "", note: str = "") -> Verb:
    return Verb(name, "renamed", tuple(command.split()), tuple(flags.split()), note)


def _replaced(name: str, note: str) -> Verb:
    return Verb(name, "replaced", note=note)


_NO_CONSOLE: Final = "drctl does not speak to DeepRacer-on-AWS; "
_NO_GRAFANA: Final = (
    "drctl start-viewer shows a run live, drctl report afterwards; TensorBoard reads the events of a model"
)
_NO_CONTAINER: Final = "drctl status names every part, with its process or container"

VERBS: Final = (
    # Training
    _works("start-training", "-w -q -s -a -v -r", "-r takes the worker's number, from 0"),
    _works("stop-training"),
    _works("increment-training", "-f -w -p -d", "counts on only what is a number: my-model becomes my-model-1"),
    _works("start-evaluation", "-q -c"),
    _works("stop-evaluation"),
    _works("stop-all"),
    Verb("dr-logs-sagemaker", "works", ("logs-sagemaker", "-f"), ("-w", "-a"), "shows 100 lines and follows"),
    Verb(
        "dr-logs-robomaker",
        "works",
        ("logs-robomaker", "-f", "--from-one"),
        ("-w", "-a", "-n"),
        "-n counts from 1, that of drctl logs-robomaker from 0; an evaluation's log is tmp/eval-N/evaluation.log",
    ),
    _replaced("dr-find-sagemaker", _NO_CONTAINER),
    _replaced("dr-find-robomaker", _NO_CONTAINER),
    _replaced("dr-get-robomaker-stats", "drctl status and drctl watch tell what every worker does"),
    _replaced("dr-start-tournament", "drctl eval --opponent PREFIX races two models"),
    # Files and settings
    _works("upload-custom-files"),
    _works("download-custom-files"),
    _works("update-env", note="every command reads the files; this one checks them"),
    _renamed("dr-update", "update-env"),
    _renamed("dr-reload", "update-env", note='eval "$(drctl -e NAME activate)" changes to an experiment'),
    _renamed("dr-summary", "status"),
    _replaced("dr-local-aws", "the store is the folder data/ unless DR_CLOUD or DR_DOCKER_STYLE says otherwise"),
    # Models
    _works("upload-model", "-f -w -d -b -c -p -1 -L"),
    _works("download-model", "-f -w -d -c -s -t"),
    _works("increment-upload-model", "-f -w -p -d"),
    _works("set-upload-model"),
    _renamed("dr-list-aws-models", "list-models --upload"),
    _works("upload-car-zip", "-L -f -b -p", "needs no training under way; the last checkpoint without -b"),
    _renamed("dr-create-car-zip", "export-car", "-b -p -o", "writes here, not to data/output"),
    # Watching
    _works("start-viewer", note="picture size, quality and camera are chosen on the page"),
    _works("stop-viewer"),
    _works("update-viewer", note="the viewer follows by itself which workers there are"),
    _works("view-stream", note="prints the address; -n chooses the worker, -c the camera"),
    _works("start-loganalysis"),
    _works("stop-loganalysis"),
    _works("url-loganalysis"),
    _replaced("dr-logs-loganalysis", "drctl url-loganalysis says where JupyterLab is"),
    _replaced("dr-start-metrics", _NO_GRAFANA),
    _replaced("dr-stop-metrics", _NO_GRAFANA),
    # DeepRacer-on-AWS
    _replaced("droa-list-models", f"{_NO_CONSOLE}drctl list-models lists what is here"),
    _replaced("droa-get-model", f"{_NO_CONSOLE}drctl list-models --output json tells about the models here"),
    _replaced("droa-download-logs", f"{_NO_CONSOLE}drctl import-model takes a model's folder"),
    _replaced("droa-delete-model", f"{_NO_CONSOLE}drctl delete-model moves one that is here to the trash"),
    _replaced("droa-import-model", f"{_NO_CONSOLE}drctl upload-model copies a model to a bucket"),
)


def find_verb(name: str) -> Verb | None:
    """Return a command of DeepRacer-for-Cloud, or None for a name that it does not have."""
    return next((verb for verb in VERBS if verb.name == name), None)


def render_table() -> str:
    """Return the table as the docs show it."""
    rows = [
        "| DeepRacer-for-Cloud | here | becomes | remarks |",
        "|---|---|---|---|",
    ]
    for verb in VERBS:
        typed = " ".join([verb.name, *verb.flags])
        becomes = f"`drctl {' '.join(verb.command)}`" if verb.command else ""
        rows.append(f"| `{typed}` | {verb.answer} | {becomes} | {verb.note.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"
