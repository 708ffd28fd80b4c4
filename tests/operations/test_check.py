"""``drctl check``: what it finds in rewards, actions and arithmetic, and what it measures."""

import json
from math import pi

import numpy as np
import pytest

from drctl.cli.app import main
from drctl.config.project import load_project
from drctl.config.settings import Settings
from drctl.errors import DrctlError
from drctl.formats.hyperparameters import Hyperparameters
from drctl.formats.model_metadata import ContinuousActionSpace, DiscreteActionSpace, ModelMetadata
from drctl.operations.action_check import check_actions, tightest_radius_m
from drctl.operations.arithmetic_check import check_arithmetic, start_count
from drctl.operations.check import check_training
from drctl.operations.reward_check import check_reward
from drctl.simulation.track.library import load_track
from drctl.simulation.track.track import Track


def whats(findings):
    return [one.what for one in findings]


def write_reward(project, body):
    (project.custom_files / "reward_function.py").write_text(f"def reward_function(params):\n    {body}\n")


@pytest.fixture(scope="module")
def base():
    return load_track("reinvent_base")


def ring(radius_m, half_width_m=0.5, count=200):
    angle = np.arange(count) * 2 * pi / count
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lines = [radius * circle for radius in (radius_m, radius_m - half_width_m, radius_m + half_width_m)]
    return Track.from_waypoints("ring", np.concatenate(lines, axis=1))


def discrete(*pairs):
    angles, speeds = zip(*pairs, strict=True)
    return ModelMetadata(DiscreteActionSpace(angles, speeds))


def actions_of(metadata, track, physics="ros2"):
    return whats(check_actions(metadata, [track], physics, "m.json"))


# Rewards


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("return 1.0 if params['is_offtrack'] else 0.5", "r.py pays more off the track (1 per step) than on its"),
        (
            "return 0.4 if params['is_offtrack'] else 1.0",
            "r.py pays 0.4 per step off the track, and 1 on its",
        ),
        ("return 2.0", "r.py pays 2 everywhere, on the track and off it"),
        (
            "return -1.0 - params['distance_from_center']",
            "r.py pays -1 per step on the track: an early end pays more than a lap",
        ),
    ],
)
def test_odd_rewards_are_told_with_a_fix(base, body, what):
    found = check_reward(f"def reward_function(params):\n    {body}\n", "r.py", base, None)
    assert [one.what.startswith(what[:60]) for one in found].count(True) == 1
    assert all(one.fix for one in found)


def test_a_usual_reward_is_not_odd(base):
    body = "return 0.001 if params['is_offtrack'] else 1.0 - params['distance_from_center'] / params['track_width']"
    assert check_reward(f"def reward_function(params):\n    {body}\n", "r.py", base, None) == []


# Actions


@pytest.mark.parametrize("radius_m", [0.8, 2.0])
def test_a_ring_s_tightest_bend_is_the_ring(radius_m):
    assert tightest_radius_m(ring(radius_m, 0.3)) == pytest.approx(radius_m, rel=0.03)


def test_a_straight_road_has_no_bend():
    assert tightest_radius_m(load_track("Straight_track")) > 1e6


def test_actions_that_cannot_follow_a_bend(base):
    # 10 degrees in the closed form of simulator-facts 1.5: 0.64 x tan(10 deg) / 0.164 = 0.688 1/m, 1.45 m.
    (what,) = actions_of(discrete((-10, 1.0), (0, 1.0), (10, 1.0)), ring(0.8, 0.3))
    assert what == (
        "no action follows the tightest bend of ring: its radius is 0.80 m on a road 0.60 m wide, "
        "and the car turns no tighter than 1.45 m"
    )
    assert actions_of(discrete((-10, 1.0), (0, 1.0), (10, 1.0)), ring(1.3, 0.3)) == []
    assert actions_of(discrete((-30, 1.0), (0, 1.0), (30, 1.0)), base) == []


def test_one_sided_double_and_single_actions(base):
    assert actions_of(discrete((0, 1.0), (30, 1.0)), base) == ["no action steers to the right"]
    assert actions_of(discrete((-30, 1.0), (30, 1.0), (-30, 1.0)), base) == ["actions are there twice: 0"]
    assert "there is one action only: nothing can be learned" in actions_of(discrete((30, 1.0)), base)
    many = [(angle, speed) for angle in (-30, -15, 0, 15, 30) for speed in np.arange(1.0, 3.0, 0.25)]
    assert actions_of(discrete(*many), base) == ["40 actions: each is tried seldom, so that learning takes long"]
    continuous = ModelMetadata(ContinuousActionSpace(-30.0, 30.0, 0.5, 2.0))
    assert actions_of(continuous, base) == []


# Arithmetic


@pytest.mark.parametrize(("advance", "places"), [(0.05, 20), (0.5, 2), (0.0, 1), (1.0, 1), (0.15, 20), (0.0333, 10000)])
def test_start_places(advance, places):
    assert start_count(advance) == places


def arithmetic(entries=1, batch_size=64, episodes=20, **settings):
    rules = Hyperparameters(minibatch_size=batch_size, episodes_per_iteration=episodes)
    return check_arithmetic(Settings(**settings), entries, rules)


def test_the_shipped_arithmetic_comes_out_even():
    assert arithmetic() == []
    assert arithmetic(entries=2, train_round_robin_advance_dist=0.1) == []


def test_iterations_that_cover_the_track_unevenly_are_told_with_the_advance_that_does_not():
    (one,) = arithmetic(episodes=30)
    assert one.what.startswith("30 episodes x 0.05 = 1.5 laps: an iteration of reinvent_base does not cover the track")
    assert one.fix == "drctl config set DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST=0.03333"


def test_few_start_places():
    assert whats(arithmetic(train_round_robin_advance_dist=0.5)) == ["episodes of reinvent_base start at 2 places only"]
    (one,) = arithmetic(train_change_start_position=False)
    assert one.fix == "drctl config set DR_TRAIN_CHANGE_START_POSITION=True"


def test_alternating_directions_over_an_even_number_of_places_meet_each_place_one_way_only():
    (one,) = arithmetic(train_alternate_driving_direction=True)
    assert one.what.startswith("with 20 start places and a change of direction after every episode")
    assert one.fix == "drctl config set DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST=0.04762"  # 1 / 21


def test_a_batch_beyond_the_first_iterations():
    (one,) = arithmetic(batch_size=1024)
    assert one.what.startswith("batch_size 1024 is more than the 500 steps or so that 20 untrained episodes give")
    assert one.fix.startswith("set batch_size to 256 or less")


# The command


@pytest.mark.slow
def test_check_drives_and_measures_and_writes_nothing(project, capsys):
    before = {path: path.stat().st_mtime_ns for path in project.root.rglob("*")}
    status = main(["--project", str(project.root), "--output", "json", "check"])
    document = json.loads(capsys.readouterr().out)
    assert (status, document["command"]) == (0, "check")
    (race,) = document["data"]["races"]
    assert (race["track"], race["race_type"]) == ("reinvent_base", "TIME_TRIAL")
    # 17.67 m at 0.6 m/s and 15 steps per second are 430 steps; the wheels make 36/35 of it (simulator-facts 0.5).
    assert race["lap_steps"] == pytest.approx(430, rel=0.06)
    assert 0.5 <= race["reward_low"] <= race["reward_mean"] <= race["reward_high"] <= 1.0
    estimate = document["data"]["estimate"]
    assert 0.0 < estimate["first_iteration_s"] < estimate["lap_iteration_s"]
    assert document["data"]["findings"] == []
    assert {path: path.stat().st_mtime_ns for path in project.root.rglob("*")} == before


@pytest.mark.slow
def test_sac_s_iterations_are_estimated_by_its_gradient_steps(project):
    metadata = {
        "action_space": {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 0.5, "high": 1.0}},
        "action_space_type": "continuous",
        "sensor": ["FRONT_FACING_CAMERA"],
        "training_algorithm": "sac",
        "version": "5",
    }
    (project.custom_files / "model_metadata.json").write_text(json.dumps(metadata))
    rules = json.loads((project.custom_files / "hyperparameters.json").read_text())
    rules |= {"batch_size": 8, "num_episodes_between_training": 5}
    (project.custom_files / "hyperparameters.json").write_text(json.dumps(rules))
    loaded = load_project(project.root, {"DR_SAC_UPDATE_RATIO": "4"}, environment={})
    result = check_training(loaded)
    data = result.data
    estimate, lap_steps, trials = data["estimate"], data["races"][0]["lap_steps"], loaded.settings.train_min_eval_trials
    # 4 gradient steps of 8 rows each per step of 5 episodes; evaluation laps are only driven.
    per_step = 5 * (1 / estimate["steps_per_s"] + 4 * 8 / estimate["updates_per_s"]) + trials / estimate["steps_per_s"]
    assert estimate["lap_iteration_s"] == pytest.approx(lap_steps * per_step, rel=0.01)
    assert any(message.text.endswith(" steps/s, 32 for each step collected") for message in result.messages)


def test_a_reward_that_fails_far_along_the_track_is_found_with_its_line(project):
    write_reward(project, "return 1.0 / (0.0 if params['steps'] > 60 and params['speed'] > 0.1 else 1.0)")
    with pytest.raises(DrctlError) as caught:
        check_training(project)
    assert "reward_function.py:2" in caught.value.problems[0].where


@pytest.mark.slow
def test_each_race_of_a_multi_config_run_is_driven(project):
    (project.root / "worker-2.env").write_text("DR_WORLD_NAME=Oval_track\n")
    both = load_project(
        project.root, {"DR_WORKERS": "2", "DR_TRAIN_MULTI_CONFIG": "True"}, environment={}, with_entries=True
    )
    result = check_training(both)
    assert [race["track"] for race in result.data["races"]] == ["reinvent_base", "Oval_track"]
    texts = [message.text for message in result.messages]
    assert any("10 episodes x 0.05 = 0.5 laps: an iteration of Oval_track" in text for text in texts)
