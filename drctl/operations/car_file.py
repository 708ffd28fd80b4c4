"""The file that the physical car loads: made of a stored checkpoint, and tried before it goes out."""

from __future__ import annotations

import io
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import ConflictError, FailedError, FormatError, ObjectNotFoundError, UnavailableError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.amount import size_text
from drctl.result import Message, Result
from drctl.storage.location import open_store, project_store_location, upload_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.evaluation.car_check import CarCheck, TrainedWeights
    from drctl.evaluation.checkpoint import StoredCheckpoint
    from drctl.storage.objects import ObjectStore

_ENDING: Final = ".tar.gz"
_COMMAND: Final = "drctl export-car -p"


@dataclass(frozen=True)
class CarFile:
    """A car file that was made and tried.

    Attributes:
        prefix: Of the model.
        checkpoint: Its number.
        data: The archive.
        check: What came of running it.
        notes: What is worth knowing before it drives.
        best: Number of the model's best checkpoint; None when it is not known or gone.
    """

    prefix: str
    checkpoint: int
    data: bytes
    check: CarCheck
    notes: tuple[str, ...]
    best: int | None

    def describe(self) -> tuple[Message, ...]:
        """Return what it is for people."""
        check = self.check
        text = f"answers as checkpoint {self.checkpoint} does on {check.frames} frames, with {check.choices} "
        text += "different actions" if check.choices != 1 else "action"
        if check.weights_difference is not None:
            text += f"; differs from the trainer's weights by {check.weights_difference:.1g} at most"
        half = f"with weights in half precision, which the car may take: the same on {check.same_in_half_precision}"
        warnings = (Message(note, "warning") for note in self.notes)
        is_best = self.best in (None, self.checkpoint)
        best = () if is_best else (Message(f"the best checkpoint is {self.best}, which -b takes"),)
        return (*warnings, Message(f"unpacked again and run: {text}"), Message(f"{half} of them"), *best)

    @property
    def next_steps(self) -> tuple[str, ...]:
        """Return what shows how it drives before a car does."""
        return (f"drctl eval --model {self.prefix} --checkpoint {self.checkpoint} --mp4",)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a mapping."""
        return {
            "prefix": self.prefix,
            "checkpoint": self.checkpoint,
            "best_checkpoint": self.best,
            "size_bytes": len(self.data),
            "check": asdict(self.check),
        }


@dataclass(frozen=True)
class CarUpload:
    """A car file and where it will go; nothing has been stored yet.

    Attributes:
        car_file: The file.
        store: The bucket.
        key: Its key there.
        is_taken: Something lies under the key already.
    """

    car_file: CarFile
    store: ObjectStore
    key: str
    is_taken: bool

    def describe(self) -> tuple[Message, ...]:
        """Return what will happen, for people."""
        place = f"{self.store.name}/{self.key}"
        text = f"checkpoint {self.car_file.checkpoint} of {self.car_file.prefix} goes to {place}"
        taken = (Message(f"{place} is there already and will be replaced", "warning"),) if self.is_taken else ()
        return (*self.car_file.describe(), Message(text), *taken)


def make_car_file(project: Project, *, prefix: str | None = None, checkpoint: str = "last") -> CarFile:
    """Pack a stored checkpoint for the car, unpack it again and run it.

    Args:
        project: The project.
        prefix: Of the model; None for the project's.
        checkpoint: ``best``, ``last`` or a number.

    Raises:
        FailedError: The packed model drives otherwise than the checkpoint.
        FormatError: The model is broken, or none that a car can drive.
        ObjectNotFoundError: There is no such model or checkpoint.
        UnavailableError: The store or OpenVINO cannot be used.
    """
    from drctl.evaluation.car_check import check_car_model
    from drctl.evaluation.checkpoint import load_checkpoint, read_metadata
    from drctl.evaluation.graph_policy import check_graph
    from drctl.formats.car_archive import read_car_archive, write_car_archive
    from drctl.formats.car_metadata import write_for_car
    from drctl.formats.model_metadata import parse_model_metadata

    store = open_store(project_store_location(project))
    keys = ModelKeys(prefix or project.settings.local_s3_model_prefix)
    text, place = read_metadata(store, keys, _COMMAND)
    stored = load_checkpoint(store, keys, checkpoint, _COMMAND)
    frames = check_graph(stored.graph, parse_model_metadata(text, place), stored.source)
    metadata = write_for_car(text, place, frames=frames)
    packed = write_car_archive(stored.graph, metadata.data)
    unpacked = read_car_archive(io.BytesIO(packed), keys.car_file)
    weights = _trained_weights(store, keys, stored)
    check = check_car_model(unpacked.graph, unpacked.metadata, stored, text, weights)
    notes = list(metadata.notes)
    if check.choices == 1:
        notes.append("it chooses the same action whatever it sees: is it trained?")
    return CarFile(keys.prefix, stored.number, packed, check, tuple(notes), _best_number(store, keys))


def export_car(
    project: Project,
    target: Path | None = None,
    *,
    prefix: str | None = None,
    checkpoint: str = "last",
    force: bool = False,
) -> Result:
    """Write a car file to this machine.

    Args:
        project: The project.
        target: The file, or a folder to put it into; None for the current folder.
        prefix: See `make_car_file`.
        checkpoint: Likewise.
        force: Replace a file that is there.

    Returns:
        ``file`` and the facts of `CarFile.to_json`.

    Raises:
        ConflictError: The file is there already.
        DrctlError: See `make_car_file`.
    """
    folder = target if target is not None and target.is_dir() else None
    if folder is None and target is not None:
        _refuse_existing(target, force=force)
    car_file = make_car_file(project, prefix=prefix, checkpoint=checkpoint)
    if folder is not None or target is None:
        name = f"{car_file.prefix.replace('/', '-')}-{car_file.checkpoint}{_ENDING}"
        target = (folder or Path()) / name
        _refuse_existing(target, force=force)
    _write(target, car_file.data)
    messages = [*car_file.describe()]
    if not target.name.endswith(_ENDING):
        messages.append(Message(f"the car takes names that end in {_ENDING}", "warning"))
    size = size_text(len(car_file.data))
    text = f"wrote checkpoint {car_file.checkpoint} of {car_file.prefix} to {target}, {size}"
    messages.append(Message(text, "success"))
    return Result({"file": str(target), **car_file.to_json()}, tuple(messages), car_file.next_steps)


def plan_upload(
    project: Project, *, is_local: bool = False, prefix: str | None = None, checkpoint: str = "last"
) -> CarUpload:
    """Make a car file and find out where it will go: ``DR_UPLOAD_S3_PREFIX/carfile.tar.gz``.

    Args:
        project: The project.
        is_local: To the project's own bucket, not to ``DR_UPLOAD_S3_BUCKET``.
        prefix: See `make_car_file`.
        checkpoint: Likewise.

    Raises:
        ConfigError: There is no bucket to upload to.
        DrctlError: See `make_car_file`.
    """
    store = open_store(project_store_location(project) if is_local else upload_store_location(project))
    key = ModelKeys(project.settings.upload_s3_prefix).car_file
    is_taken = store.stat(key) is not None
    return CarUpload(make_car_file(project, prefix=prefix, checkpoint=checkpoint), store, key, is_taken)


def upload_car_file(plan: CarUpload) -> Result:
    """Store a car file and read it back.

    Returns:
        ``store``, ``key``, ``was_replaced`` and the facts of `CarFile.to_json`.

    Raises:
        FailedError: The store gives back something else.
        UnavailableError: The store cannot be used.
    """
    car_file, place = plan.car_file, f"{plan.store.name}/{plan.key}"
    plan.store.put(plan.key, car_file.data)
    if plan.store.get(plan.key) != car_file.data:
        raise FailedError("the store does not give back what was put there", where=place, fix="upload it again")
    data = {"store": plan.store.name, "key": plan.key, "was_replaced": plan.is_taken, **car_file.to_json()}
    text = f"uploaded checkpoint {car_file.checkpoint} of {car_file.prefix} to {place}"
    return Result(data, (*car_file.describe(), Message(text, "success")), car_file.next_steps)


def _trained_weights(store: ObjectStore, keys: ModelKeys, checkpoint: StoredCheckpoint) -> TrainedWeights | None:
    from drctl.evaluation.car_check import TrainedWeights
    from drctl.formats.manifest import parse_manifest

    key = keys.manifest(checkpoint.number)
    try:
        manifest = parse_manifest(store.get(key), key)
        return TrainedWeights(store.get(keys.weights(checkpoint.number)), manifest.conditions["network_heads"])
    except (ObjectNotFoundError, FormatError, KeyError):  # a model of other software
        return None


def _best_number(store: ObjectStore, keys: ModelKeys) -> int | None:
    from drctl.evaluation.checkpoint import chosen_number

    try:
        best = chosen_number(store, keys, "best")
    except (ObjectNotFoundError, FormatError):
        return None
    return best if store.stat(keys.frozen_graph(best)) is not None else None


def _refuse_existing(target: Path, *, force: bool) -> None:
    if target.exists() and not force:
        raise ConflictError(
            f"{target} is there already", where=str(target), expected="a new name", fix=f"drctl export-car {target} -f"
        )


def _write(target: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(data)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UnavailableError(
            f"{target} cannot be written: {os.strerror(error.errno or 0)}",
            where=str(target.parent),
            expected="a folder that this user may write to, with room for the file",
        ) from error
