"""Which actions a drive took, and how they are called."""

from __future__ import annotations

import numpy as np
import pytest

from drctl.analysis.drawing.actions import use_of_actions
from drctl.analysis.drive import Drive
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.model_metadata import ContinuousActionSpace, DiscreteActionSpace, ModelMetadata
from drctl.formats.simtrace import CONTINUOUS_ACTION, TRACE_DTYPE


def drive_of(actions, steer=0.0):
    """Return two iterations: the first takes the actions, the second the last of them alone; prepare rows before."""
    files = []
    for iteration, taken in enumerate((actions, actions[-1:])):
        rows = np.zeros(len(taken) + 1, TRACE_DTYPE)
        rows["status"] = EpisodeStatus.IN_PROGRESS.index
        rows["status"][0] = EpisodeStatus.PREPARE.index
        rows["action"][1:], rows["steer"] = taken, steer
        files.append((iteration, 0, rows))
    return Drive.join(files)


def test_discrete_actions():
    space = DiscreteActionSpace((-30.0, 0.0, 15.0), (0.6, 2.0, 1.25))
    use = use_of_actions(drive_of([0, 1, 1, 1]), ModelMetadata(space))
    assert use.names == ("-30° 0.6 m/s", "0° 2 m/s", "+15° 1.25 m/s")
    assert use.percent.tolist() == [[25.0, 0.0], [75.0, 100.0], [0.0, 0.0]]
    assert [share.percent for share in use.recent(1)] == [0.0, 100.0, 0.0]
    assert len(set(use.colors)) == 3


def test_actions_of_one_angle_differ_in_lightness():
    use = use_of_actions(drive_of([0, 1]), ModelMetadata(DiscreteActionSpace((0.0, 0.0), (1.0, 2.0))))
    assert use.colors == ("#3db56b", "#a8debc")


def test_actions_without_metadata_have_numbers():
    assert use_of_actions(drive_of([0, 2]), None).names == ("action 0", "action 1", "action 2")


@pytest.mark.parametrize(("steer", "band"), [(-28.0, "right, over 25°"), (0.5, "straight"), (14.9, "left 5-15°")])
def test_continuous_actions_are_counted_by_angle(steer, band):
    metadata = ModelMetadata(ContinuousActionSpace(-30.0, 30.0, 0.5, 3.0))
    use = use_of_actions(drive_of([CONTINUOUS_ACTION] * 3, steer), metadata)
    assert [name for name, row in zip(use.names, use.percent, strict=True) if row[0] == 100.0] == [band]


def test_nothing_was_driven():
    assert use_of_actions(Drive.join([]), None) is None
