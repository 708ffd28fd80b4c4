"""model_metadata.json: both kinds of action space, the rules of versions and sensors, every refusal."""

from __future__ import annotations

import json

import pytest

from drctl.errors import FormatError
from drctl.formats.model_metadata import (
    ContinuousActionSpace,
    DiscreteActionSpace,
    LidarConfig,
    parse_model_metadata,
)

LEFT_AND_RIGHT = [{"steering_angle": 10, "speed": 1, "index": 0}, {"steering_angle": -10.5, "speed": 2, "index": 1}]
BOUNDS = {"steering_angle": {"low": -20, "high": 25}, "speed": {"low": 0.5, "high": 3}}


def parse(**values):
    return parse_model_metadata(json.dumps({"action_space": LEFT_AND_RIGHT, **values}), "model_metadata.json")


def problems_of(**values):
    with pytest.raises(FormatError) as caught:
        parse(**values)
    return caught.value.problems


def test_a_discrete_action_space_keeps_the_files_order_degrees_and_metres_per_second():
    metadata = parse()
    assert metadata.action_space == DiscreteActionSpace(steering_deg=(10.0, -10.5), speed_m_s=(1.0, 2.0))
    assert (metadata.num_actions, metadata.is_continuous) == (2, False)


def test_a_continuous_action_space():
    metadata = parse(action_space=BOUNDS, action_space_type="Continuous", sensor=["FRONT_FACING_CAMERA"])
    assert metadata.action_space == ContinuousActionSpace(-20.0, 25.0, 0.5, 3.0)
    assert (metadata.num_actions, metadata.is_continuous) == (None, True)


@pytest.mark.parametrize(
    ("values", "version", "sensors"),
    [
        ({}, 1.0, ("observation",)),
        ({"sensor": ["LEFT_CAMERA"]}, 2.0, ("LEFT_CAMERA",)),
        ({"sensor": ["FRONT_FACING_CAMERA"], "version": "5"}, 5.0, ("FRONT_FACING_CAMERA",)),
        ({"sensor": ["FRONT_FACING_CAMERA", "LIDAR"], "version": 3}, 3.0, ("FRONT_FACING_CAMERA", "LIDAR")),
        ({"version": 4}, 4.0, ("observation",)),
        ({"sensor": ["FRONT_FACING_CAMERA"], "version": 1}, 1.0, ("observation",)),
    ],
)
def test_versions_and_sensors(values, version, sensors):
    metadata = parse(**values)
    assert (metadata.version, metadata.sensors) == (version, sensors)


def test_a_version_below_2_says_that_the_sensor_is_not_the_one_in_the_file():
    assert parse(sensor=["FRONT_FACING_CAMERA"], version=1).warnings == (
        "version 1 senses with observation, not FRONT_FACING_CAMERA",
    )


def test_defaults():
    metadata = parse()
    assert metadata.neural_network == "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
    assert metadata.training_algorithm == "clipped_ppo"
    assert metadata.lidar == LidarConfig(8, 8, 2.0)


def test_commands_beyond_the_cars_limits_are_noted():
    metadata = parse(action_space=[{"steering_angle": -35, "speed": 5}, {"steering_angle": 30, "speed": 0.05}])
    assert metadata.warnings == (
        "action_space[0]: steering_angle -35 is driven as -30 degrees",
        "action_space[0]: speed 5 is driven as 4 m/s",
        "action_space[1]: speed 0.05 is driven as 0.1 m/s",
    )
    assert metadata.action_space == DiscreteActionSpace((-35.0, 30.0), (5.0, 0.05))


@pytest.mark.parametrize(
    ("values", "where", "what"),
    [
        ({"action_space": None}, "action_space", "no action space defined"),
        ({"action_space": []}, "action_space", "action_space is [], but the type is discrete"),
        ({"action_space": [3]}, "action_space[0]", "action_space[0] is 3"),
        ({"action_space": [{"speed": 1}]}, "action_space[0].steering_angle", '"steering_angle" is missing'),
        (
            {"action_space": [{"steering_angle": "left", "speed": 1}]},
            "action_space[0].steering_angle",
            'steering_angle is "left"',
        ),
        (
            {"action_space": [{"steering_angle": 0, "speed": 1, "sped": 1}]},
            "action_space[0].sped",
            'unknown key "sped"',
        ),
        (
            {"action_space_type": "continuous", "action_space": {**BOUNDS, "speed": {"low": 2, "high": 2}}},
            "action_space.speed",
            "the bounds of speed are 2 and 2",
        ),
        (
            {"action_space_type": "continuous", "action_space": {"speed": {"low": 1, "high": 2}}},
            "action_space.steering_angle",
            "action_space.steering_angle is missing",
        ),
        (
            {"action_space_type": "continuous", "action_space": {**BOUNDS, "speed": {"low": 1}}},
            "action_space.speed.high",
            '"high" is missing',
        ),
        ({"action_space_type": "both"}, "action_space_type", 'action_space_type is "both"'),
        ({"training_algorithm": "dqn"}, "training_algorithm", 'training_algorithm is "dqn"'),
        ({"training_algorithm": "sac"}, "training_algorithm", "sac cannot choose from a list of actions"),
        ({"neural_network": "DEEP"}, "neural_network", 'neural_network is "DEEP"'),
        ({"version": "five"}, "version", 'version is "five"'),
        ({"version": 0.5}, "version", "version is 0.5"),
        ({"sensor": 3}, "sensor", "sensor is 3"),
        ({"sensor": ["FRONT_CAMERA"]}, "sensor[0]", 'sensor[0] is "FRONT_CAMERA"'),
        (
            {"sensor": ["FRONT_FACING_CAMERA", "STEREO_CAMERAS"]},
            "sensor",
            'model_metadata MUST contain only 1 camera sensor: ["FRONT_FACING_CAMERA", "STEREO_CAMERAS"]',
        ),
        ({"sensor": ["LIDAR"]}, "sensor", 'model_metadata MUST contain only 1 camera sensor: ["LIDAR"]'),
        (
            {"sensor": ["LEFT_CAMERA", "LIDAR", "SECTOR_LIDAR"]},
            "sensor",
            'model_metadata contains more than 1 lidar sensor: ["LEFT_CAMERA", "LIDAR", "SECTOR_LIDAR"]',
        ),
        ({"lidar_config": {"num_sectors": 7}}, "lidar_config.num_sectors", "num_sectors 7 does not divide 64"),
        ({"lidar_config": {"clipping_dist": 0}}, "lidar_config.clipping_dist", "clipping_dist is 0"),
        ({"lidar_config": 8}, "lidar_config", "lidar_config is 8"),
        ({"sensors": ["LIDAR"]}, "sensors", 'unknown key "sensors"'),
    ],
)
def test_a_refusal(values, where, what):
    (problem,) = problems_of(**values)
    assert (problem.where, problem.what) == (f"model_metadata.json: {where}", what)


def test_the_wrong_kind_of_action_space_suggests_the_right_type():
    (problem,) = problems_of(action_space=BOUNDS)
    assert problem.fix == 'set "action_space_type": "continuous" in model_metadata.json'
    (problem,) = problems_of(action_space_type="continuous")
    assert problem.fix == 'set "action_space_type": "discrete" in model_metadata.json'


def test_a_misspelt_sensor_names_the_nearest():
    (problem,) = problems_of(sensor=["FRONT_FACING_CAMRA"])
    assert problem.expected.startswith("FRONT_FACING_CAMERA (one of: ")


def test_all_problems_at_once():
    assert len(problems_of(action_space=[{}, 1], version="x", neural_network="y", extra=0)) == 6


@pytest.mark.parametrize("camera", ["FRONT_FACING_CAMERA", "LEFT_CAMERA", "observation", "STEREO_CAMERAS"])
@pytest.mark.parametrize("lidar", [[], ["LIDAR"], ["SECTOR_LIDAR"], ["DISCRETIZED_SECTOR_LIDAR"]])
@pytest.mark.parametrize("network", ["DEEP_CONVOLUTIONAL_NETWORK", "DEEP_CONVOLUTIONAL_NETWORK_DEEP"])
def test_every_combination_of_sensors_and_networks_is_supported(camera, lidar, network):
    metadata = parse(sensor=[camera, *lidar], version=5, neural_network=network)
    assert metadata.sensors == (camera, *lidar)


def test_sac_takes_bounds_of_actions():
    metadata = parse(action_space=BOUNDS, action_space_type="continuous", training_algorithm="SAC")
    assert metadata.training_algorithm == "sac"


def test_what_a_lidar_cannot_do_is_said():
    config = {"num_sectors": 4}
    assert parse(sensor=["LEFT_CAMERA", "DISCRETIZED_SECTOR_LIDAR"], version=5, lidar_config=config).warnings == (
        "the physical car has no DISCRETIZED_SECTOR_LIDAR: the model drives in simulation only",
    )
    assert parse(sensor=["LEFT_CAMERA", "SECTOR_LIDAR"], version=5, lidar_config=config).warnings == (
        "lidar_config has no effect: DISCRETIZED_SECTOR_LIDAR is not among the sensors",
    )


def test_an_impossible_combination_and_its_lidar_are_refused_at_once():
    problems = problems_of(
        sensor=["LEFT_CAMERA", "STEREO_CAMERAS", "LIDAR", "SECTOR_LIDAR"],
        lidar_config={"num_sectors": 5, "num_values_per_sector": 0, "clipping_dist": 20},
    )
    assert [problem.what.partition(":")[0] for problem in problems][:2] == [
        "model_metadata MUST contain only 1 camera sensor",
        "model_metadata contains more than 1 lidar sensor",
    ]
    assert sorted(problem.where for problem in problems[2:]) == [
        "model_metadata.json: lidar_config.clipping_dist",
        "model_metadata.json: lidar_config.num_sectors",
        "model_metadata.json: lidar_config.num_values_per_sector",
    ]
