"""A project's models by their prefixes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drctl.errors import UsageError
from drctl.formats.object_keys import ModelKeys
from drctl.storage.location import open_store, project_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.storage.objects import ObjectStore


def model_keys(project: Project, prefix: str | None = None) -> ModelKeys:
    """Return the keys of a model; the metrics of the project's own may lie elsewhere.

    Args:
        project: The project.
        prefix: Of the model; None for the project's own.

    Raises:
        UsageError: It cannot be a prefix.
    """
    settings = project.settings
    if prefix is None or prefix == settings.local_s3_model_prefix:
        return ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    try:
        return ModelKeys(prefix)
    except ValueError as error:
        raise UsageError(
            f"{prefix!r} is not a prefix", expected="the name of a model", fix="drctl list-models"
        ) from error


def project_store(project: Project) -> ObjectStore:
    """Open the bucket of a project.

    Raises:
        UnavailableError: It cannot be used.
    """
    return open_store(project_store_location(project))
