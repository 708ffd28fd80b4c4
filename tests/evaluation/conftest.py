"""Fixtures of the evaluation's tests."""

from __future__ import annotations

import json

import pytest
from evaluation.round_track import METADATA, circle_rows

from drctl.evaluation import centre_line_reward
from drctl.simulation.environment_spec import EnvironmentSpec, WorldSpec


@pytest.fixture
def circle():
    return WorldSpec("circle", tuple(map(tuple, circle_rows().tolist())))


@pytest.fixture
def circle_spec(circle):
    """Return a function that makes a spec of the round track; steps are 1/15 s unless told otherwise."""

    def make(**changes):
        values = {
            "worlds": (circle,),
            "metadata": json.dumps(METADATA),
            "physics": "ros2",
            "reward_source": centre_line_reward.SOURCE,
            "reward_file": centre_line_reward.FILE_NAME,
            "has_step_jitter": False,
        }
        return EnvironmentSpec(**(values | changes))

    return make
