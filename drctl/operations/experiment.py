"""Make an experiment: a run.env and custom files of its own beside the project's."""

from __future__ import annotations

from pathlib import Path

from drctl.config.project import CUSTOM_FILES, RUN_FILE, env_files, find_root
from drctl.config.text_rules import TEXT_RULES
from drctl.errors import ConflictError, UsageError
from drctl.operations.project import copy_file, set_config
from drctl.result import Message, Result


def init_experiment(folder: Path, name: str) -> Result:
    """Copy the project's run.env, worker-N.env and custom files to ``experiments/NAME``; the model is named after it.

    Args:
        folder: Where the search for the project begins.
        name: Of the experiment.

    Returns:
        ``experiment``, ``folder`` and ``written``.

    Raises:
        ConflictError: The experiment exists.
        UnavailableError: A file cannot be written.
        UsageError: That is no name.
    """
    if not TEXT_RULES["name"].is_kept(name):
        raise UsageError(f"-e {name} is no name", expected=TEXT_RULES["name"].expected, fix="drctl -e my-test init")
    root = find_root(folder)
    target = (root / env_files(name)[1]).parent
    if (target / RUN_FILE).exists():
        raise ConflictError(
            f"the experiment {name} exists",
            where=str(target),
            expected="a new name",
            fix=f"drctl -e {name} config show shows its settings",
        )
    wanted = [root / RUN_FILE, *sorted(root.glob("worker-*.env"))]
    wanted += sorted(path for path in (root / CUSTOM_FILES).glob("*") if path.is_file())
    for path in wanted:
        copy = target / path.relative_to(root)
        if not copy.exists():
            copy_file(path, copy)
    set_config(root, {"DR_LOCAL_S3_MODEL_PREFIX": name}, experiment=name)
    written = [str((target / path.relative_to(root)).relative_to(root)) for path in wanted]
    messages = [Message(f"wrote {one}") for one in written]
    messages.append(Message(f"{target.relative_to(root)} is an experiment; its model is {name}", "success"))
    data = {"experiment": name, "folder": str(target), "written": written}
    steps = (f"drctl -e {name} config set NAME=VALUE", f"drctl -e {name} start-training")
    return Result(data, tuple(messages), steps)
