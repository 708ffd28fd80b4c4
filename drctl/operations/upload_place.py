"""Where models go when they leave the project: the upload bucket, or the project's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drctl.storage.location import open_store, project_store_location, upload_store_location

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.storage.objects import ObjectStore


def open_models_store(project: Project, *, is_uploaded: bool) -> ObjectStore:
    """Open the bucket that models are looked for in.

    Args:
        project: The project.
        is_uploaded: ``DR_UPLOAD_S3_BUCKET``, not the project's own bucket.

    Raises:
        ConfigError: There is no upload bucket.
        UnavailableError: The store cannot be opened.
    """
    location = upload_store_location(project) if is_uploaded else project_store_location(project)
    return open_store(location)


def upload_option(is_uploaded: bool) -> str:
    """Return what a command needs behind it to act on the upload bucket."""
    return " --upload" if is_uploaded else ""
