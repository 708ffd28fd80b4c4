"""Write a report about models: one HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drctl.analysis.opening import model_keys, project_store
from drctl.errors import ConflictError, DrctlError, ObjectNotFoundError, UnavailableError, UsageError, combine_errors
from drctl.operations.amount import count_text, size_text
from drctl.operations.tracks import tracks_folder
from drctl.result import Message, Result

if TYPE_CHECKING:
    from drctl.analysis.record import ModelRecord
    from drctl.config.project import Project

_MARK: Final = b'<meta name="generator" content="drctl'
_MARK_WITHIN: Final = 1000


def report(project: Project, prefixes: Sequence[str] = (), file: Path | None = None) -> Result:
    """Read models from the store and write the report.

    Args:
        project: The project.
        prefixes: The models; that of ``DR_LOCAL_S3_MODEL_PREFIX`` when empty.
        file: What to write; ``report-<prefix>.html`` in the current folder when None. An earlier report is replaced.

    Returns:
        ``file`` and ``models``: one mapping per model, see `drctl.analysis.figures.model_to_json`.

    Raises:
        UsageError: A prefix cannot be one, or there are too many.
        ObjectNotFoundError: Nothing lies under a prefix; all of them at once.
        ConflictError: The file is there and is no report.
        UnavailableError: The store does not answer, or the file cannot be written.
    """
    from drctl.analysis.drawing.curves import MODEL_COLORS
    from drctl.analysis.figures import model_to_json
    from drctl.analysis.report import Tracks, render_report

    names = list(dict.fromkeys(prefix.strip("/") for prefix in prefixes)) or [project.settings.local_s3_model_prefix]
    if len(names) > len(MODEL_COLORS):
        raise UsageError(
            f"{len(names)} models are too many for one report",
            expected=f"at most {len(MODEL_COLORS)}",
            fix=f"drctl report {' '.join(names[: len(MODEL_COLORS)])}",
        )
    target = file or Path(f"report-{names[0].replace('/', '-')}{'-and-others' if len(names) > 1 else ''}.html")
    _check_target(target)
    records = _read(project, names)
    page = render_report(records, Tracks(tracks_folder(project.root)))
    _write(target, page)
    messages = [Message(_describe(record)) for record in records]
    messages += [Message(f"{record.name}: {text}") for record in records for text in record.missing]
    messages.append(Message(f"The report is {target.absolute()} ({size_text(len(page.encode()))})", "success"))
    return Result(
        {"file": str(target.absolute()), "models": [model_to_json(record) for record in records]},
        tuple(messages),
        (_next_step(names, project),),
    )


def _read(project: Project, names: Sequence[str]) -> list[ModelRecord]:
    from drctl.analysis.reading import read_model

    store = project_store(project)
    records: list[ModelRecord] = []
    errors: list[DrctlError] = []
    for name in names:
        try:
            records.append(read_model(store, model_keys(project, name)))
        except (ObjectNotFoundError, UsageError) as error:
            errors.append(error)
    if errors:
        raise combine_errors(errors)
    return records


def _check_target(target: Path) -> None:
    """Make sure that nothing but an earlier report is replaced.

    Raises:
        ConflictError: Something else is there.
        UnavailableError: It cannot be written there.
    """
    if target.is_dir():
        raise ConflictError(f"{target} is a folder", expected="a file", fix=f"drctl report -o {target}/report.html")
    if not target.absolute().parent.is_dir():
        raise UnavailableError(
            f"{target} cannot be written: there is no such folder",
            where=str(target.absolute().parent),
            fix=f"mkdir -p {target.parent}",
        )
    if not target.exists():
        return
    with target.open("rb") as present:
        if _MARK in present.read(_MARK_WITHIN):
            return
    raise ConflictError(
        f"{target} is there, and it is no report",
        where=str(target.absolute()),
        expected="a new name, or that of an earlier report",
        fix=f"drctl report -o {target.with_name(f'report-{target.stem}.html')}",
    )


def _write(target: Path, page: str) -> None:
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        new.write_text(page, encoding="utf-8")
        new.replace(target)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise UnavailableError(f"{target} cannot be written: {error.strerror}", where=str(target.absolute())) from error


def _describe(record: ModelRecord) -> str:
    parts = [f"{len(record.iterations)} iterations", f"{record.episodes} episodes"]
    judged = [one.evaluation for one in record.iterations if one.evaluation is not None]
    if judged:
        parts.append(f"last evaluation {judged[-1].laps}/{judged[-1].episodes} laps")
    if record.races:
        parts.append(count_text(len(record.races), "race"))
    if record.best_lap_s is not None:
        parts.append(f"best lap {record.best_lap_s:.2f} s")
    return f"{record.name}: {', '.join(parts)}"


def _next_step(names: Sequence[str], project: Project) -> str:
    own = project.settings.local_s3_model_prefix
    return f"drctl report {names[0]} OTHER-MODEL" if len(names) == 1 else f"drctl eval --model {own}"
