"""Models to read."""

from __future__ import annotations

from functools import partial

import pytest
from analysis.written_model import write_model_into

from drctl.simulation.track.library import load_track


@pytest.fixture(scope="session")
def track():
    return load_track("reinvent_base")


@pytest.fixture
def write_model(tmp_path):
    """Write models under one bucket."""
    return partial(write_model_into, tmp_path / "bucket")
