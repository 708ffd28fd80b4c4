"""The user's files as a run takes them: gathered once, written under the model's prefix, compared on a resume."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import FormatError, ObjectNotFoundError, Problem
from drctl.formats.training_params import render_training_params, training_params_for
from drctl.operations.container_store import location_inside
from drctl.operations.custom_files import chosen_files

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.location import StoreLocation
    from drctl.storage.objects import ObjectStore

REWARD_FUNCTION: Final = "reward_function.py"
HYPERPARAMETERS: Final = "hyperparameters.json"
MODEL_METADATA: Final = "model_metadata.json"
CUSTOM_FILES: Final = (REWARD_FUNCTION, HYPERPARAMETERS, MODEL_METADATA)

_LONGEST_LIST: Final = 6


@dataclass(frozen=True)
class UserFiles:
    """What a run is made of.

    Attributes:
        contents: Bytes of the custom files by name, and of each track ``NAME.npy`` that the user brought.
        places: Where each was read, for messages.
        params: ``training_params.yaml``; in a multi-config run one text per entry.
    """

    contents: Mapping[str, bytes]
    places: Mapping[str, str]
    params: tuple[bytes, ...]

    def objects(self, keys: ModelKeys, params_file: str) -> dict[str, bytes]:
        """Return what is written under the model's prefix, by key.

        Args:
            keys: Of the model.
            params_file: ``DR_LOCAL_S3_TRAINING_PARAMS_FILE``.
        """
        return {
            **{keys.custom_files(name): data for name, data in self.contents.items()},
            **dict(zip(keys.all_training_params(len(self.params), params_file), self.params, strict=True)),
            keys.reward_function: self.contents[REWARD_FUNCTION],
        }


def has_local_files(project: Project) -> bool:
    """Tell whether a project has custom files of its own, so that those in the bucket do not count."""
    by_name = chosen_files(project)
    return any(by_name[name][0].is_file() for name in CUSTOM_FILES)


def gather_files(project: Project, store: ObjectStore, location: StoreLocation) -> UserFiles:
    """Read the user's files: the project's own or, where it has none, those in the bucket.

    Raises:
        FormatError: Files are missing; names all of them.
    """
    by_name = chosen_files(project)
    chosen = {name: by_name[name] for name in CUSTOM_FILES}
    if has_local_files(project):
        contents, places, problems = _read_local(project.root, {name: path for name, (path, _) in chosen.items()})
    else:
        keys = {name: key for name, (_, key) in chosen.items()}
        contents, places, problems = _read_bucket(store, project.custom_files, keys)
    if problems:
        raise FormatError.from_problems(problems)
    for race in project.races:
        track = project.root / "tracks" / f"{race.world_name}.npy"
        if track.is_file():
            contents[track.name], places[track.name] = track.read_bytes(), str(track.relative_to(project.root))
    endpoint_url = location.endpoint_url
    if project.settings.docker_style != "process":
        endpoint_url = location_inside(project).endpoint_url  # those who read it are containers
    params = [
        training_params_for(race, endpoint_url=endpoint_url, worker=number if project.entries else None)
        for number, race in enumerate(project.races, 1)
    ]
    return UserFiles(contents, places, tuple(render_training_params(one) for one in params))


def _read_local(root: Path, files: Mapping[str, Path]) -> tuple[dict[str, bytes], dict[str, str], list[Problem]]:
    contents, places, problems = {}, {}, []
    for name, path in files.items():
        place = str(path.relative_to(root))
        try:
            contents[name], places[name] = path.read_bytes(), place
        except OSError as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            fix = "drctl init brings the sample, drctl download-custom-files the bucket's"
            expected = ", ".join(CUSTOM_FILES)
            problems.append(Problem(f"{place} {reason}", where=str(path.parent), expected=expected, fix=fix))
    return contents, places, problems


def _read_bucket(
    store: ObjectStore, local: Path, keys: Mapping[str, str]
) -> tuple[dict[str, bytes], dict[str, str], list[Problem]]:
    contents, places, missing = {}, {}, []
    for name, key in keys.items():
        try:
            contents[name], places[name] = store.get(key), f"{store.name}/{key}"
        except ObjectNotFoundError:
            missing.append(f"{store.name}/{key}")
    if not missing:
        return contents, places, []
    what = f"there are no custom files in {local}, and the bucket lacks {', '.join(missing)}"
    fix = "drctl init brings samples of all three files"
    return contents, places, [Problem(what, where=str(local), expected=", ".join(CUSTOM_FILES), fix=fix)]


def describe_differences(files: UserFiles, keys: ModelKeys, params_file: str, store: ObjectStore) -> list[str]:
    """Say what of the files differs from the model's snapshot, one line per difference.

    Args:
        files: The project's.
        keys: Of the model.
        params_file: ``DR_LOCAL_S3_TRAINING_PARAMS_FILE``.
        store: The bucket.
    """
    lines = []
    for key, new in files.objects(keys, params_file).items():
        if key == keys.reward_function:
            continue
        name = key.rpartition("/")[2]
        try:
            old = store.get(key)
        except ObjectNotFoundError:
            lines.append(f"{name} is new")
            continue
        if old != new:
            lines += [f"{name}: {line}" for line in _differences(name, old, new)]
    lines += [f"{name} is no longer there" for name in _left_over(files, keys, params_file, store)]
    return lines


def _left_over(files: UserFiles, keys: ModelKeys, params_file: str, store: ObjectStore) -> list[str]:
    """Name the parameter files of the snapshot that a run of these files would not read."""
    count = len(files.params)
    wanted = keys.all_training_params(count, params_file)
    others = [keys.training_params(file_name=params_file), keys.training_params(count + 1, file_name=params_file)]
    return [key.rpartition("/")[2] for key in others if key not in wanted and store.stat(key) is not None]


def _differences(name: str, old: bytes, new: bytes) -> list[str]:
    before, after = _mapping(name, old), _mapping(name, new)
    if before is not None and after is not None:
        found = [
            f"{key} was {_show(before.get(key))}, is {_show(after.get(key))}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
        return found[:_LONGEST_LIST] or ["written differently, same content"]
    if name.endswith(".npy"):
        return ["another track"]
    changes = difflib.unified_diff(
        old.decode(errors="replace").splitlines(), new.decode(errors="replace").splitlines(), n=0, lineterm=""
    )
    changed = [line for line in changes if line[:1] in "+-" and not line.startswith(("+++", "---"))]
    return [f"{len(changed)} lines differ, such as {changed[0]}" if changed else "differs in line ends"]


def _mapping(name: str, data: bytes) -> dict[str, Any] | None:
    import yaml

    try:
        found = json.loads(data) if name.endswith(".json") else yaml.safe_load(data) if name.endswith("ml") else None
    except (ValueError, yaml.YAMLError):
        return None
    return found if isinstance(found, dict) else None


def _show(value: Any) -> str:
    text = "not there" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
