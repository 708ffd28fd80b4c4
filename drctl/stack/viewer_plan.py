"""What the viewer is told when it is started: plain data that holds no secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drctl.errors import FormatError

VIEWER_FOLDER = "viewer"
"""In the project's ``tmp``: start file, state and log of the viewer."""

PLAN_FILE = "viewer.json"


@dataclass(frozen=True)
class ViewerPlan:
    """A viewer before it is started.

    Attributes:
        root: Folder whose ``tmp/run-<RUN_ID>`` folders are looked at.
        engine: Engine of the runs that it shows.
        run_id: The only run to show; None for all.
        host: Address to listen on.
        port: TCP port.
        token_file: File with the token of the link; None lets everybody in.
        is_loopback_free: Browsers of this machine need no token.
        cameras: Pictures to offer: ``overlay``, ``chase``, ``top``, ``onboard``.
        has_details: The overlay shows more about the training.
        car_color: Of the cars in the pictures.
        store: Where runs that do not say it keep their files, as `StoreLocation.to_json` gives it; None for nowhere.
    """

    root: str
    engine: str
    run_id: int | None
    host: str
    port: int
    token_file: str | None
    is_loopback_free: bool
    cameras: tuple[str, ...]
    has_details: bool
    car_color: str
    store: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `from_json` reads."""
        return asdict(self)

    def to_text(self) -> str:
        """Return the text of its start file."""
        return json.dumps(self.to_json(), indent=1) + "\n"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ViewerPlan:
        """Read what `to_json` gave.

        Raises:
            FormatError: It is something else.
        """
        try:
            return cls(**{**data, "cameras": tuple(data["cameras"])})
        except (TypeError, KeyError) as error:
            raise FormatError(
                f"the viewer's start file does not fit this version: {error}",
                where=PLAN_FILE,
                fix="drctl update-viewer",
            ) from error


def write_viewer_plan(plan: ViewerPlan, folder: Path) -> Path:
    """Write a plan into the viewer's folder and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN_FILE
    path.write_text(plan.to_text())
    return path


def read_viewer_plan(path: Path) -> ViewerPlan:
    """Read a plan.

    Raises:
        FormatError: It is not one.
    """
    try:
        data = json.loads(path.read_text())
    except ValueError:
        data = {}
    return ViewerPlan.from_json(data)
