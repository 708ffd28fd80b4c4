"""A multi-config run's entries: what each worker's own ``worker-N.env`` changes about the race (contract 2.6).

Nothing leaks from one entry into the next: each is read from the project's files and its own file alone. Which worker
plays an entry is another matter; the names of the files are those of DeepRacer-for-Cloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from drctl.config.checks import find_contradictions
from drctl.config.env_file import parse_env_file
from drctl.config.layers import Resolution, layer_of_file, layer_of_mapping
from drctl.config.reading import check_names, check_older_names, read_values, sort_problems
from drctl.config.registry import SETTINGS, todays_name
from drctl.config.settings import COMMAND_LINE, ENVIRONMENT, Settings
from drctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from drctl.config.project import Project

_FIRST: Final = 2
"""Entry 1 is the run's own file."""


def worker_file(run_file: str, number: int) -> str:
    """Return the name of an entry's file, beside the run's own.

    Args:
        run_file: Name of the run's file relative to the project's folder.
        number: Of the entry, from 2.
    """
    return str(PurePosixPath(run_file).with_name(f"worker-{number}.env"))


def read_entries(
    project: Project, texts: Mapping[str, str], overrides: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[tuple[Settings, ...], list[str]]:
    """Read the settings of every entry: ``DR_WORKERS`` of them.

    The order of strength is defaults < system.env < run.env < environment < worker-N.env < ``--set``: a shell in which
    run.env was exported must not undo what worker-N.env is there for.

    Args:
        project: The project, whose own settings are entry 1.
        texts: Its env files, the weaker first.
        overrides: Values of ``--set``, by name.
        environment: The shell's variables.

    Returns:
        The entries, none where there is one worker only, and what is odd and harmless, one line each.

    Raises:
        ConfigError: Everything that is wrong with the files, at once.
    """
    run_file = list(texts)[-1]
    entries, problems, notes = [project.settings], [], []
    for number in range(_FIRST, project.settings.workers + 1):
        name = worker_file(run_file, number)
        try:
            text = (project.root / name).read_bytes().decode()
        except FileNotFoundError:
            problems.append(_missing(name, number))
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(f"{name} cannot be read: {error}", name, "text in UTF-8"))
            continue
        settings, found = _read_entry(project.settings, {**texts, name: text}, overrides, environment)
        entries.append(settings)
        problems += sort_problems(found, [name])
    if problems:
        raise ConfigError.from_problems(problems)
    if project.settings.workers == 1:
        entries.clear()
        notes.append("DR_TRAIN_MULTI_CONFIG has no effect with one worker; raise DR_WORKERS")
    folder = (project.root / run_file).parent
    for path in sorted(folder.glob("worker-*.env")):
        number_text = path.stem.removeprefix("worker-")
        if number_text.isdecimal() and int(number_text) > project.settings.workers:
            notes.append(f"{path.name} is not used: DR_WORKERS is {project.settings.workers}")
    return tuple(entries), notes


def _read_entry(
    run: Settings, texts: Mapping[str, str], overrides: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[Settings, list[Problem]]:
    files = [parse_env_file(text, name) for name, text in texts.items()]
    *common, own = [layer_of_file(file.label, file.assignments) for file in files]
    shell = layer_of_mapping(
        {name: value for name, value in environment.items() if todays_name(name) in SETTINGS}, ENVIRONMENT
    )
    resolution = Resolution([*common, shell, own, layer_of_mapping(overrides, COMMAND_LINE)], environment)
    values, origins, refused = read_values(resolution)
    settings = Settings(**values, origins=MappingProxyType(origins))
    label = files[-1].label
    problems = [*files[-1].problems, *check_names(files[-1]), *check_older_names(own)]
    problems += [one for one in (*resolution.problems, *refused.values()) if (one.where or "").startswith(f"{label}:")]
    known = {problem.what for problem in find_contradictions(run)}
    problems += [one for one in find_contradictions(settings, refused) if one.what not in known]
    for name, origin in origins.items():
        is_shared = not SETTINGS[name].about.is_per_worker
        if origin.source == label and is_shared and settings.text(name) != run.text(name):
            what = f"{name} is {settings.text(name)!r} in {label}, but all workers share the run's {run.text(name)!r}"
            problems.append(Problem(what, str(origin), f"a setting of the race: {_listed()}", f"delete {origin}"))
    return settings, problems


def _listed() -> str:
    return ", ".join(name for name, entry in SETTINGS.items() if entry.about.is_per_worker)


def _missing(name: str, number: int) -> Problem:
    return Problem(
        f"DR_TRAIN_MULTI_CONFIG is True, and {name} is missing",
        name,
        f"the settings in which worker {number}'s race differs from the run's",
        f"echo DR_WORLD_NAME=Oval_track > {name}",
    )
