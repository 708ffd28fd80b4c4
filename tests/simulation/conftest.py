"""Fixtures of the simulator's tests."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from drctl.simulation.environment import BatchEnvironment, EnvironmentSpec, WorldSpec
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.track.track import Track

DATA = Path(__file__).parent / "data"
SHIPPED = Path(__file__).parents[2] / "defaults" / "custom_files"


@pytest.fixture(scope="session")
def original_track():
    """The track of the excerpt, from its exact waypoint file under a name that the library does not have."""
    return Track.from_waypoints("original", np.load(DATA / "reinvent_base.npy"))


@pytest.fixture(scope="session")
def excerpt():
    """Episodes of the original simulator: lists of rows with numbers where there are numbers."""
    episodes = {}
    with gzip.open(DATA / "trace_excerpt.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            numbers = {key: float(value) for key, value in row.items() if key not in _WORDS}
            words = {key: row[key] for key in _WORDS}
            episodes.setdefault(row["episode"], []).append(numbers | words)
    return list(episodes.values())


_WORDS = ("episode_status", "all_wheels_on_track")


@pytest.fixture
def make_spec():
    """Return a function that makes a spec of the shipped files; keyword arguments change it."""

    def make(track="reinvent_base", **changes):
        values = {
            "worlds": (WorldSpec(track),),
            "metadata": (SHIPPED / "model_metadata.json").read_text(),
            "physics": "ros2",
            "reward_source": (SHIPPED / "reward_function.py").read_text(),
        }
        return EnvironmentSpec(**(values | changes))

    return make


@pytest.fixture
def make_environment(make_spec):
    """Return a function that builds a batch of cars; see `make_spec`."""

    def make(num_cars=1, **changes):
        return BatchEnvironment(make_spec(**changes), num_cars)

    return make


@pytest.fixture
def training_start():
    """Return a function that makes the start of training episode e."""

    def make(episode=0, **changes):
        return EpisodeStart(**({"phase": "training", "iteration": 0, "episode": episode} | changes))

    return make
