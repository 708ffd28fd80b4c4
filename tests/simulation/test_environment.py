"""Batches of cars: the order of a step, what rewards are told, and that cars do not know of each other."""

import builtins
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.environment import BatchEnvironment, EnvironmentSpec, WorldSpec
from drctl.simulation.reward.function import RewardFailedError

CENTRE, RIGHT, LEFT = 2, 0, 4
ALL_KEYS = {
    "all_wheels_on_track": bool,
    "x": float,
    "y": float,
    "heading": float,
    "distance_from_center": float,
    "projection_distance": float,
    "progress": float,
    "steps": float,
    "speed": float,
    "steering_angle": float,
    "track_width": float,
    "track_length": float,
    "waypoints": list,
    "closest_waypoints": list,
    "is_left_of_center": bool,
    "is_reversed": bool,
    "is_crashed": bool,
    "is_offtrack": bool,
    "sim_time": float,
    "closest_objects": list,
    "objects_location": list,
    "objects_left_of_center": list,
    "object_in_camera": bool,
    "objects_speed": list,
    "objects_heading": list,
    "objects_distance_from_center": list,
    "objects_distance": list,
}


@pytest.fixture
def seen():
    """Params of the calls of `SPY`."""
    builtins.drctl_test_seen = []
    yield builtins.drctl_test_seen
    del builtins.drctl_test_seen


SPY = "def reward_function(params):\n    drctl_test_seen.append(params)\n    return 1.0"
COUNTER = (
    "calls = 0\ndef reward_function(params):\n    global calls\n    calls += 1\n"
    "    return calls + 0.001 * params['progress'] + params['speed']"
)


def one_step(environment, action=CENTRE):
    return environment.step(np.array([0]), np.array([action]))


def test_params_have_exactly_the_contract_s_keys_and_plain_types(make_environment, training_start, seen):
    environment = make_environment(reward_source=SPY)
    environment.begin(0, training_start())
    one_step(environment)
    assert {key: type(value) for key, value in seen[0].items()} == ALL_KEYS
    assert all(type(number) is float for point in seen[0]["waypoints"] for number in point)
    assert all(type(point) is tuple for point in seen[0]["waypoints"])
    assert all(type(index) is int for index in seen[0]["closest_waypoints"] + seen[0]["closest_objects"])


def test_the_first_call_is_told_of_the_start(make_environment, training_start, seen):
    environment = make_environment(reward_source=SPY, has_step_jitter=False)
    environment.begin(0, training_start())
    one_step(environment, LEFT)
    told = seen[0]
    assert told["steps"] == 2.0
    assert told["progress"] == pytest.approx(100 * 0.14 / told["track_length"], rel=1e-3)
    assert (told["speed"], told["steering_angle"]) == (0.6, 30.0)
    assert told["sim_time"] == pytest.approx(1 / 15)
    assert told["distance_from_center"] < 0.005
    assert told["all_wheels_on_track"] is True
    assert told["is_offtrack"] is False
    assert (told["closest_objects"], told["objects_location"]) == ([0, 0], [])
    assert told["waypoints"][0] == told["waypoints"][-1]
    assert len(told["waypoints"]) == 119


def test_the_pose_is_that_before_the_action_and_the_frame_that_after_it(make_environment, training_start, seen):
    environment = make_environment(reward_source=SPY)
    environment.begin(0, training_start())
    first_frame = environment.frames[0].copy()
    before = environment.poses(np.array([0]))[0]
    for _ in range(10):
        one_step(environment)
        pose = seen[-1]
        assert pose["x"] == pytest.approx(before[0] + 0.14 * math.cos(before[2]))
        assert pose["y"] == pytest.approx(before[1] + 0.14 * math.sin(before[2]))
        assert pose["heading"] == pytest.approx(math.degrees(before[2]))
        before = environment.poses(np.array([0]))[0]
    assert not np.array_equal(environment.frames[0], first_frame)


def test_commands_are_told_unclipped(make_environment, make_spec, training_start, seen):
    metadata = json.loads(make_spec().metadata)
    metadata["action_space"] = [{"steering_angle": 45, "speed": 5.0}, {"steering_angle": 0, "speed": 0.02}]
    environment = make_environment(2, reward_source=SPY, metadata=json.dumps(metadata))
    for car in (0, 1):
        environment.begin(car, training_start(car))
    for _ in range(30):
        environment.step(np.array([1]), np.array([1]))
    assert (seen[-1]["speed"], seen[-1]["steering_angle"]) == (0.02, 0.0)
    x = [told["x"] for told in seen]
    # Driven at the least speed of 0.1 m/s all the same.
    assert (x[-1] - x[-11]) / (seen[-1]["sim_time"] - seen[-11]["sim_time"]) == pytest.approx(0.1 * 36 / 35, rel=0.01)
    environment.step(np.array([0]), np.array([0]))
    assert (seen[-1]["speed"], seen[-1]["steering_angle"]) == (5.0, 45.0)


def test_continuous_actions_are_scaled_to_their_bounds(make_environment, make_spec, training_start, seen):
    metadata = json.loads(make_spec().metadata) | {
        "action_space_type": "continuous",
        "action_space": {"steering_angle": {"low": -20, "high": 30}, "speed": {"low": 0.5, "high": 2.5}},
    }
    environment = make_environment(reward_source=SPY, metadata=json.dumps(metadata))
    environment.begin(0, training_start())
    for action in ([-1.0, -1.0], [0.0, 0.5], [7.0, 1.0]):
        environment.step(np.array([0]), np.array([action], np.float32))
    told = [(params["steering_angle"], params["speed"]) for params in seen]
    assert told == [(-20.0, 0.5), (5.0, 2.0), (30.0, 2.5)]


def test_users_may_change_what_they_are_given(make_environment, training_start):
    source = (
        "def reward_function(params):\n    n = len(params['waypoints'])\n    params['waypoints'].clear()\n"
        "    params['closest_objects'].append(3)\n    params.clear()\n    return n"
    )
    environment = make_environment(reward_source=source)
    environment.begin(0, training_start())
    assert [float(one_step(environment).rewards[0]) for _ in range(3)] == [119.0] * 3


def test_driving_the_other_way_is_told(make_environment, training_start, seen):
    environment = make_environment(reward_source=SPY)
    environment.begin(0, training_start(is_reversed=True, start_fraction=0.25))
    for _ in range(5):
        one_step(environment)
    told = seen[-1]
    assert told["is_reversed"] is True
    assert 0.25 * told["track_length"] < told["projection_distance"] < 0.3 * told["track_length"]
    assert 0.0 < told["progress"] < 5.0


def random_episode(environment, car, start, steps, seed):
    """Play an episode with actions that depend on its own number alone; return rewards, poses and the last frame."""
    environment.begin(car, start)
    rng, rewards, poses = np.random.default_rng(seed), [], []
    for _ in range(steps):
        result = environment.step(np.array([car]), rng.integers(1, 4, 1))
        rewards.append(result.rewards[0])
        poses.append(environment.poses(np.array([car]))[0])
        if result.terminated[0] or result.truncated[0]:
            break
    return np.array(rewards), np.array(poses), environment.frames[car].copy()


def test_a_batch_plays_each_episode_as_a_single_car_does(make_environment, training_start):
    """Also with a reward that counts its calls in a global, and also when an episode is played again."""
    num_cars, steps = 5, 25
    batch, single = make_environment(num_cars, reward_source=COUNTER), make_environment(1, reward_source=COUNTER)
    starts = [training_start(e, start_fraction=e / num_cars) for e in range(num_cars)]
    rngs = [np.random.default_rng(e) for e in range(num_cars)]
    order = np.array([3, 0, 4, 1, 2])  # cars need not act in the order of the rows
    for car in range(num_cars):
        batch.begin(car, starts[car])
    rewards, poses = np.zeros((steps, num_cars)), np.zeros((steps, num_cars, 3))
    for step in range(steps):
        actions = np.array([rng.integers(1, 4) for rng in rngs])
        result = batch.step(order, actions[order])
        assert not result.terminated.any()
        rewards[step, order] = result.rewards
        poses[step] = batch.poses(np.arange(num_cars))
    for again in range(2):
        for e in range(num_cars):
            own_rewards, own_poses, frame = random_episode(single, 0, starts[e], steps, e)
            np.testing.assert_array_equal(own_rewards, rewards[:, e].astype(np.float32), err_msg=f"{e} {again}")
            np.testing.assert_array_equal(own_poses, poses[:, e])
            np.testing.assert_array_equal(frame, batch.frames[e])


@pytest.mark.parametrize(
    "change",
    [{"episode": 1}, {"iteration": 1}, {"phase": "evaluation"}, {"seed": 1}],
    ids=["episode", "iteration", "phase", "seed"],
)
def test_another_key_is_another_jitter(make_environment, make_spec, training_start, change):
    start, spec = training_start(), make_spec()
    _, poses, frame = random_episode(make_environment(), 0, start, 12, 0)
    if "seed" in change:
        spec = make_spec(seed=change["seed"])
    else:
        start = replace(start, **change)
    _, other_poses, other_frame = random_episode(BatchEnvironment(spec, 1), 0, start, 12, 0)
    assert not np.array_equal(poses, other_poses)
    assert not np.array_equal(frame, other_frame)


def test_step_times_are_those_of_the_original(make_environment, training_start):
    environment = make_environment(8, has_step_jitter=True)
    times = []
    for episode in range(40):
        environment.begin(0, training_start(episode))
        for _ in range(30):
            if one_step(environment).terminated[0]:
                break
        else:
            random_end(environment)
        times.extend(np.diff(environment.record(0).rows["tstamp"]))
    # simulator-facts 1.4: mean 66.7-67 ms, median 67, 5 to 95 % from 50 to 82 ms.
    assert np.mean(times) == pytest.approx(0.0667, abs=0.0010)
    assert np.median(times) == pytest.approx(0.067, abs=0.002)
    assert np.percentile(times, [5, 95]) == pytest.approx([0.050, 0.082], abs=0.003)


def random_end(environment):
    """Drive a car off the track."""
    for _ in range(300):
        if one_step(environment, RIGHT).terminated[0]:
            return
    pytest.fail("the car did not leave the track")


def test_the_record_tells_the_episode(make_environment, training_start):
    environment = make_environment(has_step_jitter=False)
    environment.begin(0, training_start(start_fraction=0.3))
    assert environment.status(0) is EpisodeStatus.PREPARE
    rewards = []
    for _ in range(300):
        result = one_step(environment, RIGHT)
        rewards.append(float(result.rewards[0]))
        if result.terminated[0]:
            break
    record = environment.record(0)
    rows = record.rows
    assert record.status is EpisodeStatus.OFF_TRACK
    assert record.steps == len(rewards) == len(rows) - 1
    assert record.reward == pytest.approx(sum(rewards))
    np.testing.assert_allclose(rows["reward"][1:], rewards, rtol=1e-6)
    assert rows["status"][0] == EpisodeStatus.PREPARE.index
    assert (rows["reward"][0], rows["steer"][0], rows["throttle"][0]) == (0.0, 0.0, 0.0)
    assert rows["steps"].tolist() == list(range(1, len(rows) + 1))
    np.testing.assert_allclose(rows["tstamp"], np.arange(1, len(rows) + 1) / 15)
    assert record.duration_s == pytest.approx(len(rows) / 15)
    assert rows["done"].tolist() == [False] * (len(rows) - 1) + [True]
    assert set(rows["action"][1:]) == {RIGHT}
    assert set(rows["steer"][1:]) == {-30.0}
    assert set(rows["status"][1:-1]) == {EpisodeStatus.IN_PROGRESS.index}
    # The car stood still during the prepare step, and moved after the first action.
    assert (rows["x"][0], rows["y"][0]) == (rows["x"][1], rows["y"][1])
    assert rows["x"][2] != rows["x"][1]
    assert record.progress_percent == rows["progress"][-1]
    assert rows["track_len"][0] == pytest.approx(17.7, abs=0.1)


def test_an_episode_is_cut_off_at_its_greatest_number_of_steps(make_environment, training_start):
    environment = make_environment()
    environment.begin(0, training_start(max_steps=3))
    ends = [one_step(environment) for _ in range(3)]
    assert [(bool(end.terminated[0]), bool(end.truncated[0])) for end in ends] == [(False, False)] * 2 + [(False, True)]
    record = environment.record(0)
    assert (record.status, record.steps, record.rows["done"][-1]) == (EpisodeStatus.IN_PROGRESS, 3, False)


def test_ending_and_being_cut_off_at_once_is_ending(make_environment, training_start):
    environment = make_environment()
    environment.begin(0, training_start())
    steps = 0
    while not one_step(environment, RIGHT).terminated[0]:
        steps += 1
    environment.begin(0, training_start(max_steps=steps + 1))
    for _ in range(steps):
        one_step(environment, RIGHT)
    end = one_step(environment, RIGHT)
    assert (bool(end.terminated[0]), bool(end.truncated[0])) == (True, False)


def test_worlds_and_directions_may_differ_within_a_batch(make_environment, training_start, seen, original_track):
    rows = tuple(map(tuple, original_track.waypoints_m.tolist()))
    worlds = (WorldSpec("reinvent_base"), WorldSpec("Oval_track"), WorldSpec("mine", rows))
    environment = make_environment(3, worlds=worlds, reward_source=SPY)
    for car in range(3):
        environment.begin(car, training_start(car, world=car, is_reversed=car == 1))
    environment.step(np.arange(3), np.full(3, CENTRE))
    lengths = [told["track_length"] for told in seen]
    assert lengths == pytest.approx([17.709, 19.55, original_track.length_m], abs=0.05)
    assert [told["is_reversed"] for told in seen] == [False, True, False]


def test_a_failing_reward_names_the_car_and_the_params(make_environment, training_start):
    source = "def reward_function(params):\n    return 1 / (params['speed'] - 0.6 + abs(params['steering_angle']))"
    environment = make_environment(3, reward_source=source)
    for car in range(3):
        environment.begin(car, training_start(car))
    with pytest.raises(RewardFailedError) as caught:
        environment.step(np.array([0, 2, 1]), np.array([LEFT, CENTRE, RIGHT]))
    details = caught.value.details
    assert (details.car, details.line, details.file) == (2, 2, "reward_function.py")
    assert details.message == "reward_function raised ZeroDivisionError: float division by zero"
    assert details.params["steps"] == 2.0


def test_before_each_reward_call_the_worker_is_told(make_spec, training_start):
    calls = []
    environment = BatchEnvironment(make_spec(), 2, on_reward_call=lambda: calls.append(1))
    for car in range(2):
        environment.begin(car, training_start(car))
    environment.step(np.arange(2), np.full(2, CENTRE))
    assert len(calls) == 2


def test_a_spec_survives_json(make_spec, original_track):
    rows = tuple(map(tuple, original_track.waypoints_m.tolist()))
    spec = make_spec(worlds=(WorldSpec("reinvent_base"), WorldSpec("mine", rows)), seed=5, has_step_jitter=False)
    assert EnvironmentSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"world": 1}, "world must be 0 to 0, got 1"),
        ({"start_fraction": 1.0}, r"start_fraction must be in \[0, 1\), got 1.0"),
    ],
)
def test_a_start_that_does_not_exist_is_refused(make_environment, training_start, change, message):
    with pytest.raises(ValueError, match=message):
        make_environment().begin(0, training_start(**change))


@pytest.mark.parametrize(
    ("car", "action", "message"),
    [
        (1, 0, r"cars \[1\], of which some may not be driving"),
        (0, 5, r"discrete actions must be 0 to 4, got \[5\]"),
        (0, -1, r"discrete actions must be 0 to 4, got \[-1\]"),
        (0, 0.5, "discrete actions need whole numbers"),
    ],
)
def test_a_step_that_means_nothing_is_refused(make_environment, training_start, car, action, message):
    environment = make_environment(2)
    environment.begin(0, training_start())
    with pytest.raises(ValueError, match=message):
        environment.step(np.array([car]), np.array([action]))


def test_only_a_finished_episode_has_a_record(make_environment, training_start):
    environment = make_environment(2)
    environment.begin(0, training_start())
    for car in range(2):
        with pytest.raises(ValueError, match=f"car {car} has no finished episode"):
            environment.record(car)
