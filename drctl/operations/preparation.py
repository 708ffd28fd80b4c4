"""What is known before a training starts: while it is checked, and when nothing stands against it any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.formats.hyperparameters import Hyperparameters
    from drctl.formats.model_metadata import ModelMetadata
    from drctl.formats.object_keys import ModelKeys
    from drctl.operations.finding import Finding
    from drctl.operations.prefix import PrefixContent
    from drctl.operations.snapshot import UserFiles
    from drctl.result import Message
    from drctl.storage.location import StoreLocation
    from drctl.storage.objects import ObjectStore
    from drctl.trainer.spec import PretrainedSpec


@dataclass(frozen=True)
class Preparation:
    """What a start needs to know; nothing stands against it.

    Attributes:
        project: The project.
        is_resume: Continue an earlier training.
        location: Where the bucket is.
        store: The bucket.
        keys: Object keys of the model.
        files: The user's files.
        content: What lies under the prefix.
        differences: What of the files differs from the snapshot that is resumed.
        notes: What is worth knowing and wrong in no way.
        pretrained: What a new model begins with; None for an untrained network.
    """

    project: Project
    is_resume: bool
    location: StoreLocation
    store: ObjectStore
    keys: ModelKeys
    files: UserFiles
    content: PrefixContent
    differences: tuple[str, ...]
    notes: tuple[Message, ...]
    pretrained: PretrainedSpec | None = None


@dataclass(frozen=True)
class PlanBasis:
    """What a plan is made of; a `Preparation` has it too.

    Attributes:
        project: The project.
        location: Where the bucket is.
        keys: Object keys of the model.
        files: The user's files; None when they are in a bucket that was not asked.
        notes: What is worth knowing and wrong in no way.
        pretrained: What a new model begins with; not looked up where nothing is started.
    """

    project: Project
    location: StoreLocation
    keys: ModelKeys
    files: UserFiles | None
    notes: tuple[Message, ...]
    pretrained: PretrainedSpec | None = None


@dataclass
class Draft:
    """A preparation while it is checked: each check fills in what it finds, and does without what others missed."""

    project: Project
    is_resume: bool
    provide_store: Callable[[], None]
    is_refused: bool = False
    location: StoreLocation | None = None
    store: ObjectStore | None = None
    keys: ModelKeys | None = None
    files: UserFiles | None = None
    hyperparameters: Hyperparameters | None = None
    metadata: ModelMetadata | None = None
    content: PrefixContent | None = None
    differences: list[str] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    pretrained: PretrainedSpec | None = None

    @property
    def has_folder_store(self) -> bool:
        """Whether the store is a folder of this machine."""
        return self.location is not None and self.location.kind == "directory"

    def finish(self) -> Preparation:
        """Return the result; every check has passed."""
        if not (self.location and self.store and self.keys and self.files and self.content):
            raise RuntimeError("a check passed and left nothing")
        return Preparation(
            self.project,
            self.is_resume,
            self.location,
            self.store,
            self.keys,
            self.files,
            self.content,
            tuple(self.differences),
            tuple(self.notes),
            self.pretrained,
        )


@dataclass(frozen=True)
class CheckedFiles:
    """A project's files, against which nothing stands.

    Attributes:
        files: The user's files.
        findings: What is odd about them.
        notes: What else is worth knowing.
    """

    files: UserFiles
    findings: tuple[Finding, ...]
    notes: tuple[Message, ...]
