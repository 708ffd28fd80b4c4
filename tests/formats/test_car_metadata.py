"""What goes on the car of a model_metadata.json, and which models cannot."""

from __future__ import annotations

import json

import pytest

from drctl.errors import FormatError
from drctl.formats.car_metadata import write_for_car
from drctl.formats.model_metadata import parse_model_metadata

ACTIONS = [{"steering_angle": -30, "speed": 0.6, "index": 0}, {"steering_angle": 30.0, "speed": 4, "index": 1}]
BASE = {"action_space": ACTIONS, "sensor": ["FRONT_FACING_CAMERA"], "version": "5", "training_algorithm": "clipped_ppo"}


def bounds(steering=(-30, 30), speed=(0.5, 4)):
    return {
        "action_space_type": "continuous",
        "action_space": {
            "steering_angle": {"low": steering[0], "high": steering[1]},
            "speed": {"low": speed[0], "high": speed[1]},
        },
    }


def written(frames=1, **changes):
    return write_for_car(json.dumps({**BASE, **changes}), "model_metadata.json", frames=frames)


@pytest.mark.parametrize("sensor", ["observation", "LEFT_CAMERA", "STEREO_CAMERAS", "LIDAR", "SECTOR_LIDAR"])
def test_what_the_car_knows_goes_there_byte_for_byte(sensor):
    sensors = [sensor, "FRONT_FACING_CAMERA"] if sensor.endswith("LIDAR") else [sensor]
    text = json.dumps({**BASE, "sensor": sensors}, indent=3)
    found = write_for_car(text, "model_metadata.json")
    assert (found.data, found.notes) == (text.encode(), ())


def test_actions_beyond_the_limits_are_written_as_they_were_driven():
    actions = [{"steering_angle": -35, "speed": 0.05}, {"steering_angle": 0, "speed": 5.5}]
    found = written(action_space=actions)
    space = parse_model_metadata(found.data, "model_metadata.json").action_space
    assert (space.steering_deg, space.speed_m_s) == ((-30.0, 0.0), (0.1, 4.0))
    assert found.notes == (
        "action 0: steering_angle -35 is written as -30 degrees, as it was driven",
        "action 0: speed 0.05 is written as 0.1 m/s, as it was driven",
        "action 1: speed 5.5 is written as 4 m/s, as it was driven",
    )


def test_names_are_written_as_the_car_compares_them():
    found = written(training_algorithm="Clipped_PPO", action_space_type="Discrete")
    content = json.loads(found.data)
    assert (content["training_algorithm"], content["action_space_type"]) == ("clipped_ppo", "discrete")
    assert found.notes[0] == "action_space_type Discrete is written as discrete, which is how the car reads it"


def test_what_nobody_has_seen_a_car_load_is_said():
    found = written(**bounds(), training_algorithm="sac")
    note = "the model was trained by sac, and the car's TFLite converter knows the policies of clipped_ppo"
    assert found.notes == (note,)


def test_a_model_that_the_car_cannot_drive_is_refused_with_every_reason():
    with pytest.raises(FormatError) as caught:
        written(frames=4, sensor=["FRONT_FACING_CAMERA", "DISCRETIZED_SECTOR_LIDAR"], **bounds((-35, 30), (0.05, 5)))
    assert [problem.what for problem in caught.value.problems] == [
        "the car has no DISCRETIZED_SECTOR_LIDAR",
        "the model sees 4 frames at once, and the car shows it one",
        "steering goes from -35 to 30 degrees",
        "speed goes from 0.05 to 5 m/s",
    ]
