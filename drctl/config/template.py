"""The env files that ``drctl init`` writes, made from the registry so that their comments are its texts."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from drctl.config.areas.evaluation import EvaluationSettings
from drctl.config.areas.races import RaceSettings
from drctl.config.areas.run import RunSettings
from drctl.config.areas.storing import StorageSettings
from drctl.config.areas.system import ContainerSettings, SystemSettings
from drctl.config.areas.training import TrainingSettings
from drctl.config.registry import SETTINGS
from drctl.config.setting import Setting
from drctl.config.values import describe_values

TemplateKind = Literal["system", "run", "worker"]

_WIDTH: Final = 118

_HEADS: Final[Mapping[TemplateKind, str]] = {
    "system": "What this machine runs. `drctl config explain NAME` says more about a setting, `drctl config check` "
    "looks for mistakes.",
    "run": "What to train. `drctl config explain NAME` says more about a setting, `drctl config check` looks for "
    "mistakes. $NAME stands for the value of another setting.",
    "worker": "One worker's own world, for DR_TRAIN_MULTI_CONFIG=True: copy it to worker-2.env, worker-3.env and so "
    "on; worker 1 takes run.env. What is missing here is as in run.env.",
}
_AREAS: Final[Sequence[tuple[str, type]]] = (
    ("Machine", SystemSettings),
    ("Run", RunSettings),
    ("Model and store", StorageSettings),
    ("Training", TrainingSettings),
    ("Evaluation", EvaluationSettings),
    ("Obstacles and bot cars", RaceSettings),
    ("Containers and the community images", ContainerSettings),
)


def render_env_file(kind: TemplateKind) -> str:
    """Return the text of ``system.env``, ``run.env`` or ``worker.env`` as it ships."""
    blocks = [_comment(_HEADS[kind])]
    for title, area in _AREAS:
        entries = [entry for entry in SETTINGS.values() if _belongs(entry, kind, area)]
        if entries:
            blocks.append("\n\n".join([f"# --- {title} ---", *(_render(entry) for entry in entries)]))
    return "\n\n".join(blocks) + "\n"


def _belongs(entry: Setting, kind: TemplateKind, area: type) -> bool:
    if entry.attribute not in area.__annotations__ or not entry.about.in_files:
        return False
    return entry.about.is_per_worker if kind == "worker" else entry.about.file == kind


def _render(entry: Setting) -> str:
    value = entry.new_project_text
    # A setting without a value may be empty on purpose (DR_OA_OBJECT_POSITIONS); an optional one stays commented out.
    line = f"# {entry.name}=" if entry.is_optional and not value else f"{entry.name}={value}"
    return f"{_comment(describe_setting(entry))}\n{line}"


def describe_setting(entry: Setting) -> str:
    """Return meaning, unit and allowed values of a setting in one paragraph, as the shipped files have it."""
    about = entry.about
    words = [about.meaning]
    if entry.choices or entry.kind in ("int", "float"):
        unit = f" ({about.unit})" if about.unit else ""
        words.append(f"Takes {describe_values(entry)}{unit}.")
    if about.stack == "community" and "community" not in about.meaning:
        words.append("For the community images.")
    if about.part != "now":
        is_refused = "start-training" in about.commands and about.used_when is None and about.stack is None
        words.append("This version takes only the default." if is_refused else "For a later version.")
    if about.later_values:
        words.append(f"This version does not take {' or '.join(about.later_values)}.")
    return " ".join(words)


def _comment(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
