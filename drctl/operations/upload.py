"""Upload a model to a bucket for others, and download one from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drctl.errors import UsageError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.amount import objects_text
from drctl.operations.custom_files import write_custom_files
from drctl.operations.model_copy import CopyPlan, OnBytes, copy_model, plan_copy
from drctl.operations.model_selection import Place, select_all, select_checkpoint
from drctl.operations.upload_name import NewName, change_name, next_free_name
from drctl.result import Message, Result
from drctl.storage.location import create_bucket, open_store, project_store_location, upload_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.operations.model_selection import Selection
    from drctl.storage.location import StoreLocation
    from drctl.storage.trash import TrashEntry

UPLOADED = "drctl list-models --upload"


@dataclass(frozen=True)
class UploadRequest:
    """What is to be uploaded, and where.

    Attributes:
        prefix: Of the model; None for the project's.
        checkpoint: ``best``, ``last`` or a number.
        is_whole: All checkpoints, traces and evaluations instead.
        is_local: To the project's own bucket, not to ``DR_UPLOAD_S3_BUCKET``.
        is_counted_on: Under the next free prefix, which ``DR_UPLOAD_S3_PREFIX`` becomes.
        wipe: What lies at the target may be moved to the trash.
    """

    prefix: str | None = None
    checkpoint: str = "last"
    is_whole: bool = False
    is_local: bool = False
    is_counted_on: bool = False
    wipe: bool = False


@dataclass(frozen=True)
class Upload:
    """An upload that can be made; nothing has been changed yet."""

    copy: CopyPlan
    request: UploadRequest
    new_name: NewName | None

    def describe(self) -> tuple[Message, ...]:
        """Return what will happen, for people."""
        return (*self.copy.describe(), *(self.new_name.describe() if self.new_name else ()))


@dataclass(frozen=True)
class Download:
    """A download that can be made; nothing has been changed yet.

    Attributes:
        copy: The copy.
        project: The project.
        with_files: Put the model's files into ``custom_files`` too.
    """

    copy: CopyPlan
    project: Project
    with_files: bool

    def describe(self) -> tuple[Message, ...]:
        """Return what will happen, for people."""
        files = (Message("its reward function, hyperparameters and metadata become custom_files"),)
        return (*self.copy.describe(), *(files if self.with_files else ()))


def plan_upload(project: Project, request: UploadRequest, *, create_missing_bucket: bool = False) -> Upload:
    """Find out what an upload will do.

    Args:
        project: The project.
        request: What is wanted.
        create_missing_bucket: Make the bucket where there is none.

    Raises:
        ConfigError: There is no bucket to upload to.
        ConflictError: The target is in use.
        ObjectNotFoundError: There is no such model or checkpoint.
        UnavailableError: A store cannot be used.
    """
    settings = project.settings
    own = project_store_location(project)
    location = own if request.is_local else upload_store_location(project)
    if create_missing_bucket:
        create_bucket(location)
    source = _own_place(project, own, request.prefix or settings.local_s3_model_prefix)
    store = open_store(location)
    new_name = next_free_name(project, store) if request.is_counted_on else None
    name = new_name.name if new_name else settings.upload_s3_prefix
    target = Place(store, location.bucket, ModelKeys(name), location.endpoint_url)

    def select() -> Selection:
        return select_all(source, target) if request.is_whole else select_checkpoint(source, target, request.checkpoint)

    words = f"{' -L' if request.is_local else ''}{f' -p {request.prefix}' if request.prefix else ''}"
    copy = plan_copy(
        source,
        target,
        select,
        wipe=request.wipe,
        command="drctl upload-model -w",
        free_name=f"drctl upload-model{words} -1",
    )
    return Upload(copy, request, new_name)


def upload_model(plan: Upload, on_bytes: OnBytes = lambda _count: None) -> Result:
    """Make an upload.

    Args:
        plan: What `plan_upload` found.
        on_bytes: Called with the length of each object that has arrived.

    Returns:
        Data: ``source``, ``target``, ``checkpoint``, ``objects``, ``size_bytes``, ``trash`` (entry or None),
        ``backups`` (env files kept, with `UploadRequest.is_counted_on`).

    Raises:
        DrctlError: It failed; all is as it was.
    """
    trashed = copy_model(plan.copy, on_bytes)
    changed = change_name(plan.new_name) if plan.new_name else None
    option = "" if plan.request.is_local else " --upload"
    messages = [*_notes(plan.copy), *_told(plan.copy, trashed, option)]
    messages += changed.messages[:-1] if changed else ()
    messages.append(Message(f"uploaded {plan.copy.what} to {plan.copy.target.name}", "success"))
    data = {
        **plan.copy.to_json(),
        "trash": trashed.id if trashed else None,
        "backups": changed.data["backups"] if changed else [],
    }
    return Result(data, tuple(messages), (f"drctl list-models{option}",))


def plan_download(
    project: Project, *, source: str | None, target: str | None, with_files: bool, wipe: bool
) -> Download:
    """Find out what a download will do.

    Args:
        project: The project.
        source: Prefix in ``DR_UPLOAD_S3_BUCKET``, or ``s3://bucket/prefix``; None for ``DR_UPLOAD_S3_PREFIX``.
        target: Prefix in the project's bucket; None for the last part of the source's.
        with_files: Put the model's files into ``custom_files`` too.
        wipe: What lies at the target may be moved to the trash.

    Raises:
        ConfigError: There is no bucket to download from.
        ConflictError: The target is in use.
        ObjectNotFoundError: There is no such model.
        UnavailableError: A store cannot be used.
        UsageError: The source is no address.
    """
    bucket, prefix = _split(source or project.settings.upload_s3_prefix)
    location = upload_store_location(project, bucket)
    there = Place(open_store(location), location.bucket, _keys(prefix), location.endpoint_url, UPLOADED)
    name = target or prefix.rpartition("/")[2]
    here = _own_place(project, project_store_location(project), name)
    copy = plan_copy(
        there,
        here,
        lambda: select_all(there, here),
        wipe=wipe,
        command="drctl download-model -w",
        free_name=f"drctl download-model -s {source or prefix} -t {name}-1",
    )
    return Download(copy, project, with_files)


def download_model(plan: Download, on_bytes: OnBytes = lambda _count: None) -> Result:
    """Make a download.

    Args:
        plan: What `plan_download` found.
        on_bytes: Called with the length of each object that has arrived.

    Returns:
        Data: ``source``, ``target``, ``checkpoint``, ``objects``, ``size_bytes``, ``trash`` (entry or None),
        ``custom_files`` (names of those replaced or new), ``kept_in`` (folder with what was replaced, or None).

    Raises:
        DrctlError: It failed; all is as it was.
    """
    trashed = copy_model(plan.copy, on_bytes)
    target = plan.copy.target
    messages = [*_notes(plan.copy), *_told(plan.copy, trashed, "")]
    files: list[str] = []
    kept_in = None
    if plan.with_files:
        changes, kept_in = write_custom_files(plan.project, _custom_files(target))
        files = [name for name, change in changes.items() if change != "unchanged"]
        messages += [Message(f"wrote custom_files/{name}") for name in files]
        messages += [Message(f"the replaced files are in {kept_in}")] if kept_in else []
    messages.append(Message(f"downloaded {plan.copy.what} to {target.name}", "success"))
    data = {
        **plan.copy.to_json(),
        "trash": trashed.id if trashed else None,
        "custom_files": files,
        "kept_in": kept_in,
    }
    prefix = target.keys.prefix
    steps = (f"drctl eval --model {prefix}", f"drctl config set DR_LOCAL_S3_MODEL_PREFIX={prefix}")
    return Result(data, tuple(messages), steps)


def _own_place(project: Project, location: StoreLocation, prefix: str) -> Place:
    settings = project.settings
    metrics = settings.local_s3_metrics_prefix if prefix == settings.local_s3_model_prefix else None
    return Place(open_store(location), location.bucket, _keys(prefix, metrics), location.endpoint_url)


def _keys(prefix: str, metrics_prefix: str | None = None) -> ModelKeys:
    try:
        return ModelKeys(prefix, metrics_prefix)
    except ValueError:
        raise UsageError(
            f"{prefix!r} is not the prefix of a model", expected="a prefix such as my-model", fix="drctl list-models"
        ) from None


def _split(source: str) -> tuple[str | None, str]:
    """Part an address into bucket and prefix; a prefix alone is in the upload bucket."""
    if not source.startswith("s3://"):
        return None, source.strip("/")
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not bucket or not prefix.strip("/"):
        raise UsageError(
            f"-s {source} is no model's address",
            expected="s3://BUCKET/PREFIX, or a prefix in DR_UPLOAD_S3_BUCKET",
            fix=UPLOADED,
        )
    return bucket, prefix.strip("/")


def _notes(copy: CopyPlan) -> list[Message]:
    return [Message(note, "warning") for note in copy.selection.notes]


def _told(copy: CopyPlan, trashed: TrashEntry | None, option: str) -> list[Message]:
    amount = objects_text(len(copy.selection.target_keys), copy.selection.size_bytes)
    lines = [Message(f"{amount}, each checked on arrival")]
    if trashed is not None:
        text = f"what was at {copy.target.name} is in the trash: drctl undo {trashed.id} -w{option} brings it back"
        lines.insert(0, Message(text))
    return lines


def _custom_files(place: Place) -> dict[str, bytes]:
    """Return a model's files as their user wrote them or, of other software, as they were in effect."""
    keys = place.keys
    places = {
        "reward_function.py": keys.reward_function,
        "hyperparameters.json": keys.hyperparameters,
        "model_metadata.json": keys.model_metadata,
    }
    found = {}
    for name, other in places.items():
        for key in (keys.custom_files(name), other):
            if place.store.stat(key) is not None:
                found[name] = place.store.get(key)
                break
    return found
