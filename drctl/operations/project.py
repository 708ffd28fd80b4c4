"""Make a project, show and change its settings."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drctl.config.env_file import parse_env_file, set_value
from drctl.config.project import (
    CUSTOM_FILES,
    EXPERIMENT,
    SYSTEM_FILE,
    Project,
    env_files,
    find_experiment,
    find_root,
    project_of_texts,
    read_env_files,
)
from drctl.config.registry import (
    DERIVED_NAMES,
    OLDER_NAMES,
    RETIRED_NAMES,
    SETTINGS,
    has_default,
    idle_condition,
    idle_settings,
    nearest_name,
    refused_settings,
    todays_name,
)
from drctl.config.setting import Setting
from drctl.config.values import describe_values
from drctl.errors import ConfigError, Problem, UnavailableError, UsageError
from drctl.operations.amount import count_text
from drctl.resources import resource_folder
from drctl.result import Message, Result


def init_project(folder: Path) -> Result:
    """Make a folder a project: env files and custom files, ready to train.

    What exists already stays as it is.

    Args:
        folder: Made when it is missing.

    Raises:
        UnavailableError: A file cannot be written.
    """
    source = resource_folder("defaults")
    wanted = [source / name for name in env_files(None)]
    wanted += sorted(path for path in (source / CUSTOM_FILES).iterdir() if path.is_file())
    written, kept = [], []
    for path in wanted:
        relative = path.relative_to(source)
        target = folder / relative
        if os.path.lexists(target):
            kept.append(str(relative))
            continue
        copy_file(path, target)
        written.append(str(relative))
    messages = [Message(f"kept {name} as it is") for name in kept] + [Message(f"wrote {name}") for name in written]
    if written:
        messages.append(Message(f"{folder.absolute()} is a project", "success"))
    else:
        messages.append(Message(f"{folder.absolute()} was a project already; nothing changed"))
    steps = ["drctl start-training"]
    if folder.absolute() != Path.cwd():
        steps.insert(0, f"cd {folder}")
    return Result({"folder": str(folder.absolute()), "written": written, "kept": kept}, tuple(messages), tuple(steps))


def show_config(project: Project) -> Result:
    """List every setting with its value and where that comes from."""
    rows = [_describe_row(entry, project) for entry in SETTINGS.values()]
    width = max(len(f"{row['name']}={row['value']}") for row in rows if row["origin"] != "default")
    width = min(max(width, 40), 72)
    messages = [Message(_show_row(row, width)) for row in rows]
    return Result(
        {"project": str(project.root), "settings": rows, "notes": list(project.notes)},
        (*messages, *(Message(note, "warning") for note in project.notes)),
    )


def check_config(project: Project) -> Result:
    """Report on settings that could be read: what is odd, what this version cannot do, what is overridden."""
    refused = refused_settings(project.settings, "start-training")
    messages = [Message(note, "warning") for note in project.notes]
    messages += _describe_overrides(project)
    messages += [Message(f"{one.what} ({one.where}); {one.fix}", "warning") for one in refused]
    messages += [Message(text, "warning") for text in idle_settings(project.settings)]
    messages.append(_summary_of_values(project))
    if not refused:
        messages.append(Message("the settings are valid", "success"))
    return Result(
        {
            "project": str(project.root),
            "notes": list(project.notes),
            "refused": [{"what": one.what, "where": one.where, "fix": one.fix} for one in refused],
            "environment_overrides": _overrides_for_json(project),
        },
        tuple(messages),
    )


def update_environment(project: Project) -> Result:
    """Answer ``update-env``: the files were read and checked just now, as every command does."""
    checked = check_config(project)
    note = Message("every command reads the env files anew; there is nothing to reload and no record of what changed")
    return Result(checked.data, (*checked.messages, note))


def explain_setting(name: str, project: Project | None = None) -> Result:
    """Tell what a setting is.

    Args:
        name: A ``DR_`` name, also an older one, in any case; ``DR_`` may be left out.
        project: For its present value; None when there is no project here.

    Raises:
        UsageError: There is no such name.
    """
    name = _complete_name(name)
    for table, words in ((RETIRED_NAMES, "does nothing any more"), (DERIVED_NAMES, "is worked out from")):
        if name in table:
            text = f"{name} {words}{':' if table is RETIRED_NAMES else ''} {table[name]}"
            return Result({"name": name, "meaning": text}, (Message(text),))
    entry = SETTINGS.get(todays_name(name))
    if entry is None:
        raise UsageError(f"there is no setting {name}", expected=_closest(name), fix=_fix_unknown(name, "explain"))
    row = _explain_row(entry)
    if project is not None:
        row |= {key: value for key, value in _describe_row(entry, project).items() if key in ("value", "origin")}
    lines = [f"{entry.name}: {entry.about.meaning}"]
    if name in OLDER_NAMES:
        lines.insert(0, f"{name} is the older name of {entry.name}")
    labels = ("values", "unit", "default", "file", "read by", "commands", "used when", "available", "value", "origin")
    lines += [f"  {label + ':':<11}{row[_key(label)]}" for label in labels if row.get(_key(label)) not in (None, "")]
    return Result(row, tuple(Message(line) for line in lines))


def set_config(
    start: Path | None,
    changes: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    *,
    experiment: str | None = None,
) -> Result:
    """Change settings in the env files, after checking that the outcome is valid.

    A setting is changed in the file that sets it now, otherwise in the file it belongs to. Comments, order and line
    ends stay. A file that was wrong before may stay wrong in what is not changed.

    Args:
        start: Where the search for the project begins.
        changes: Name to new text; ``$NAME`` in it stands for another setting, except in a secret.
        environment: The shell's variables; default: those of this process.
        experiment: Whose ``run.env`` is changed; None for the one that environment or system.env chooses.

    Raises:
        ConfigError: An unknown name, or a value that brings a new problem; nothing is written.
    """
    shell = os.environ if environment is None else environment
    root = find_root(start)
    if EXPERIMENT in changes and len(changes) > 1:
        raise ConfigError(
            f"{EXPERIMENT} chooses the file that the other settings go to",
            expected="one call for it alone",
            fix=f"drctl config set {EXPERIMENT}={changes[EXPERIMENT]}",
        )
    chosen = {EXPERIMENT: experiment} if experiment is not None else {}
    before = read_env_files(root, find_experiment(root, chosen, shell))
    _refuse_unknown(changes)
    after, places = _apply(before, changes)
    left = _remaining_problems(root, before, after, shell)
    for file in before:
        if after[file] != before[file]:
            _replace(root / file, after[file])
    messages = [Message(f"{todays_name(name)}={value} in {places[name]}", "success") for name, value in changes.items()]
    messages += [
        Message(f"{todays_name(name)}={shell[todays_name(name)]} in this shell wins over it", "warning")
        for name in changes
        if todays_name(name) in shell and not SETTINGS[todays_name(name)].is_secret
    ]
    messages += [
        Message(f"still wrong: {problem.what} ({problem.where}); {problem.fix}", "warning") for problem in left
    ]
    return Result(
        {
            "changes": {todays_name(name): {"file": places[name]} for name in changes},
            "problems": [{"what": problem.what, "where": problem.where} for problem in left],
        },
        tuple(_hide(messages, changes)),
    )


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, making the folders that it needs.

    Raises:
        UnavailableError: It cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise UnavailableError(
            f"cannot write {target}: {error.strerror}",
            where=str(target),
            expected="a folder that this user may write to",
        ) from error


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, with the mode it had."""
    path = path.resolve()  # a link stays a link
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(text.encode())
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}", where=str(path), expected="a file that this user may write to"
        ) from error


def _describe_row(entry: Setting, project: Project) -> dict[str, Any]:
    settings = project.settings
    state = "used"
    idle = idle_condition(entry, settings)
    if idle is not None:
        state = f"unused: only when {idle}"
    elif entry.about.part != "now" and not has_default(entry, settings):
        state = f"not in this version: {entry.about.part}"
    row = {
        "name": entry.name,
        "value": settings.text(entry.name),
        "origin": str(settings.origin(entry.name)),
        "is_default": has_default(entry, settings),
        "state": state,
    }
    if entry.name in project.environment_overrides:
        row["overrides"] = project.environment_overrides[entry.name][1]
    return row


def _show_row(row: Mapping[str, Any], width: int) -> str:
    assignment = f"{row['name']}={row['value']}"
    remarks = [row["origin"]]
    if "overrides" in row:
        remarks.append(f"overrides {row['overrides'] or 'no value'}")
    if row["state"] != "used" and not row["is_default"]:
        remarks.append(row["state"])
    return f"{assignment:<{width}}  # {', '.join(remarks)}"


def _explain_row(entry: Setting) -> dict[str, Any]:
    about = entry.about
    return {
        "name": entry.name,
        "meaning": about.meaning,
        "values": describe_values(entry),
        "unit": about.unit,
        "default": entry.default_text,
        "file": f"{about.file}.env" + (", worker-N.env" if about.is_per_worker else ""),
        "read_by": about.read_by,
        "commands": ", ".join(about.commands),
        "used_when": " and ".join(map(str, entry.conditions)) or None,
        "available": "now" if about.part == "now" else f"with a later part: {about.part}",
    }


def _key(label: str) -> str:
    return label.replace(" ", "_")


def _describe_overrides(project: Project) -> list[Message]:
    return [
        Message(f"{name}={shell} in this shell wins over {files or 'no value'} in the files", "warning")
        for name, (shell, files) in project.environment_overrides.items()
    ]


def _overrides_for_json(project: Project) -> dict[str, dict[str, str]]:
    return {name: {"shell": one, "files": other} for name, (one, other) in project.environment_overrides.items()}


def _summary_of_values(project: Project) -> Message:
    settings = project.settings
    return Message(
        f"run {settings.run_id}: model {settings.local_s3_model_prefix} on {settings.world_name}, "
        f"{count_text(settings.workers, 'worker')}, engine {settings.engine}, "
        f"store {settings.cloud}"
    )


def _complete_name(name: str) -> str:
    upper = name.strip().upper()
    if upper in RETIRED_NAMES or upper.startswith("DR_"):
        return upper
    return f"DR_{upper}"


def _closest(name: str) -> str:
    close = nearest_name(name)
    return f"closest is {close}" if close else "a name that `drctl config show` lists"


def _fix_unknown(name: str, verb: str, rest: str = "") -> str:
    close = nearest_name(name)
    return f"drctl config {verb} {shlex.quote(f'{close}{rest}')}" if close else "drctl config show"


def _refuse_unknown(changes: Mapping[str, str]) -> None:
    problems = []
    for name, value in changes.items():
        if name in DERIVED_NAMES:
            problems.append(Problem(f"{name} cannot be set", expected=f"it is worked out from {DERIVED_NAMES[name]}"))
        elif todays_name(name) not in SETTINGS:
            close = SETTINGS.get(todays_name(nearest_name(name) or ""))
            fix = _fix_unknown(name, "set", f"={'VALUE' if close and close.is_secret else value}")
            problems.append(Problem(f"there is no setting {name}", expected=_closest(name), fix=fix))
    if problems:
        raise ConfigError.from_problems(problems)


def _apply(before: Mapping[str, str], changes: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    after, places = dict(before), {}
    for name, value in changes.items():
        today = todays_name(name)
        older = [old for old, new in OLDER_NAMES.items() if new == today]
        file = _file_of(today, older, after)
        try:
            after[file] = set_value(
                after[file], today, value, replacing=older, is_expression=not SETTINGS[today].is_secret
            )
        except ValueError as error:
            raise ConfigError(str(error), expected="one line", fix=f"drctl config set {today}=VALUE") from error
        places[name] = file
    return after, places


def _file_of(name: str, older: Sequence[str], texts: dict[str, str]) -> str:
    for file in reversed(texts):  # the stronger file first
        if any(one.name in (name, *older) for one in parse_env_file(texts[file], file).assignments):
            return file
    return SYSTEM_FILE if SETTINGS[name].about.file == "system" else list(texts)[-1]


def _remaining_problems(
    root: Path, before: Mapping[str, str], after: Mapping[str, str], shell: Mapping[str, str]
) -> list[Problem]:
    known = {problem.what for problem in _problems_of(root, before, shell)}
    found = _problems_of(root, after, shell)
    new = [problem for problem in found if problem.what not in known]
    if new:
        raise ConfigError.from_problems([_unwritten(problem, after) for problem in new])
    return found


def _problems_of(root: Path, texts: Mapping[str, str], shell: Mapping[str, str]) -> list[Problem]:
    try:
        project_of_texts(root, texts, {}, shell)
    except ConfigError as error:
        return list(error.problems)
    return []


def _unwritten(problem: Problem, files: Iterable[str]) -> Problem:
    """Leave the line out: it is one of a text that was not written."""
    where = problem.where
    if where and any(where.startswith(f"{file}:") for file in files):
        where = f"{where.partition(':')[0]}, not written"
    return Problem(problem.what, where, problem.expected, problem.fix)


def _hide(messages: Sequence[Message], changes: Mapping[str, str]) -> list[Message]:
    hidden = [value for name, value in changes.items() if SETTINGS[todays_name(name)].is_secret and value]
    shown = list(messages)
    for value in hidden:
        shown = [Message(message.text.replace(value, "[REDACTED]"), message.level) for message in shown]
    return shown
