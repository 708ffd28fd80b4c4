"""The Gymnasium environments keep Gymnasium's rules."""

import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from drctl.errors import TrackError
from drctl.simulation.gym import DeepRacerEnv, DeepRacerVectorEnv
from drctl.simulation.registration import ENVIRONMENT_ID, register


@pytest.fixture
def continuous_metadata(tmp_path):
    path = tmp_path / "model_metadata.json"
    space = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 0.5, "high": 2}}
    metadata = {
        "action_space_type": "continuous",
        "action_space": space,
        "sensor": ["FRONT_FACING_CAMERA"],
        "version": 5,
    }
    path.write_text(json.dumps(metadata))
    return path


def test_gymnasium_s_checker_is_content():
    check_env(gymnasium.make(ENVIRONMENT_ID, render_mode="rgb_array").unwrapped)


def test_the_checker_is_content_with_continuous_actions_too(continuous_metadata):
    environment = gymnasium.make(ENVIRONMENT_ID, model_metadata=continuous_metadata, render_mode="rgb_array")
    assert environment.action_space == gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    check_env(environment.unwrapped)


def test_spaces_are_those_of_the_shipped_files():
    environment = DeepRacerEnv()
    assert environment.observation_space == gymnasium.spaces.Box(0, 255, (120, 160, 1), np.uint8)
    assert environment.action_space == gymnasium.spaces.Discrete(5)


@pytest.fixture
def metadata_with(tmp_path):
    """Return a function that writes a model of some sensors."""

    def write(*sensors):
        path = tmp_path / "sensors.json"
        space = [{"steering_angle": 0, "speed": 1}, {"steering_angle": 20, "speed": 1}]
        path.write_text(json.dumps({"action_space": space, "sensor": sensors, "version": 5}))
        return path

    return write


def test_two_cameras_are_two_planes(metadata_with):
    model = metadata_with("STEREO_CAMERAS")
    environment = gymnasium.make(ENVIRONMENT_ID, model_metadata=model, render_mode="rgb_array").unwrapped
    assert environment.observation_space == gymnasium.spaces.Box(0, 255, (120, 160, 2), np.uint8)
    check_env(environment)
    observation, _ = environment.reset(seed=0)
    assert np.array_equal(environment.render()[..., 0], observation[..., 0])
    assert not np.array_equal(observation[..., 0], observation[..., 1])


def test_a_lidar_lies_beside_the_camera(metadata_with):
    model = metadata_with("LIDAR", "LEFT_CAMERA")
    environment = gymnasium.make(ENVIRONMENT_ID, model_metadata=model, render_mode="rgb_array").unwrapped
    boxes = gymnasium.spaces
    assert environment.observation_space == boxes.Dict(
        {"LEFT_CAMERA": boxes.Box(0, 255, (120, 160, 1), np.uint8), "LIDAR": boxes.Box(0.15, 1.0, (64,), np.float32)}
    )
    check_env(environment)
    before, _ = environment.reset(seed=0)
    copy = {name: value.copy() for name, value in before.items()}
    environment.step(1)
    assert all(np.array_equal(before[name], copy[name]) for name in before)  # not overwritten by the step


def test_sectors_are_zeros_and_ones(metadata_with):
    vector = DeepRacerVectorEnv(2, model_metadata=metadata_with("LEFT_CAMERA", "DISCRETIZED_SECTOR_LIDAR"))
    observations, _ = vector.reset(seed=0)
    assert vector.observation_space.contains(observations)
    sectors = observations["DISCRETIZED_SECTOR_LIDAR"].reshape(2, 8, 8)
    assert sectors.sum(axis=2).max() == 1.0
    # The start of reinvent_base is 1.3 m from the wall on the right: bin 5 of 0.25 m in the sector that looks there.
    assert (sectors[0].argmax(axis=1)[sectors[0].any(axis=1)] == 5).any()


def test_registering_twice_is_harmless():
    register()
    assert gymnasium.spec(ENVIRONMENT_ID).entry_point == "drctl.simulation.gym:DeepRacerEnv"


def test_an_episode_is_what_the_class_says():
    environment = DeepRacerEnv(reward_function=lambda params: params["steps"], has_step_jitter=False)
    observation, info = environment.reset(seed=1)
    assert (observation.shape, observation.dtype) == ((120, 160, 1), np.uint8)
    assert info["status"] == "prepare"
    rewards, terminated = [], False
    while not terminated:
        observation, reward, terminated, truncated, info = environment.step(0)
        rewards.append(reward)
        assert not truncated
    assert rewards == [step + 2.0 for step in range(len(rewards))]
    assert info["status"] == "off_track"
    assert 0 < info["progress"] < 50
    assert info["pose"].shape == (3,)
    with pytest.raises(ValueError, match="may not be driving"):
        environment.step(0)


def test_episodes_are_cut_off():
    environment = DeepRacerEnv(max_episode_steps=2)
    environment.reset(seed=1)
    assert environment.step(2)[2:4] == (False, False)
    assert environment.step(2)[2:4] == (False, True)


def test_options_choose_place_and_direction():
    environment = DeepRacerEnv()
    _, info = environment.reset(seed=1, options={"start_fraction": 0.5})
    _, other = environment.reset(seed=1, options={"start_fraction": 0.5, "is_reversed": True})
    assert abs(info["pose"][2] - other["pose"][2]) > 2
    with pytest.raises(ValueError, match="reset options are start_fraction and is_reversed, got start"):
        environment.reset(options={"start": 0.5})


def test_episodes_begin_a_20th_of_a_lap_after_each_other():
    environment = DeepRacerEnv()
    starts = [environment.reset(seed=1 if episode == 0 else None)[1]["pose"][:2] for episode in range(21)]
    np.testing.assert_allclose(starts[20], starts[0], atol=1e-6)
    assert np.linalg.norm(starts[1] - starts[0]) > 0.5


def test_the_same_seed_gives_the_same_trajectory():
    environment = DeepRacerEnv()

    def play(seed):
        frames = [environment.reset(seed=seed)[0]]
        return [*frames, *(environment.step(action)[0] for action in (2, 3, 2, 1, 2, 2, 3))]

    first, again, other = play(5), play(5), play(6)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_reward_file_is_used_and_blamed(tmp_path):
    path = tmp_path / "reward.py"
    path.write_text("def reward_function(params):\n    return params['speed'] * 2\n")
    environment = DeepRacerEnv(reward_function=path)
    environment.reset(seed=1)
    assert environment.step(2)[1] == pytest.approx(1.2)


def test_a_wrong_track_or_mode_is_refused():
    with pytest.raises(TrackError, match="there is no track 'nowhere'"):
        DeepRacerEnv(track="nowhere")
    with pytest.raises(ValueError, match="render_mode must be None or 'rgb_array', got 'human'"):
        DeepRacerEnv(render_mode="human")


def test_the_picture_is_the_observation_in_three_colours():
    environment = DeepRacerEnv(render_mode="rgb_array")
    observation, _ = environment.reset(seed=1)
    picture = environment.render()
    assert picture.shape == (120, 160, 3)
    assert all(np.array_equal(picture[..., color], observation[..., 0]) for color in range(3))


def test_a_vector_environment_plays_the_episodes_of_a_single_one():
    single, vector = DeepRacerEnv(), DeepRacerVectorEnv(num_envs=3)
    frames, infos = vector.reset(seed=4)
    first_frames, _ = single.reset(seed=4)
    np.testing.assert_array_equal(frames[0], first_frames)
    assert infos["progress"].shape == infos["_progress"].shape == (3,)
    ended = np.zeros(3, bool)
    for _ in range(60):
        frames, rewards, terminated, truncated, infos = vector.step(np.array([2, 0, 2]))
        np.testing.assert_array_equal(rewards[ended], 0.0)
        assert all(status == "prepare" for status in infos["status"][ended])
        if not ended[0]:
            frame, reward, single_ended, _, _ = single.step(2)
            np.testing.assert_array_equal(frame, frames[0])
            assert (reward, single_ended) == (rewards[0], terminated[0])
            if single_ended:
                break
        ended = terminated | truncated
    assert frames.shape == vector.observation_space.shape == (3, 120, 160, 1)
    assert vector.observation_space.contains(frames)


def test_cars_begin_their_next_episode_in_the_step_after_the_end():
    vector = gymnasium.make_vec(
        ENVIRONMENT_ID,
        num_envs=2,
        vectorization_mode="vector_entry_point",
        max_episode_steps=3,
        render_mode="rgb_array",
    )
    vector.reset(seed=0)
    truncations = [vector.step(np.array([2, 2]))[3].tolist() for _ in range(8)]
    assert truncations == [[False] * 2, [False] * 2, [True] * 2, [False] * 2] * 2
    assert [picture.shape for picture in vector.render()] == [(120, 160, 3)] * 2
    with pytest.raises(ValueError, match="one seed is for all cars"):
        vector.reset(seed=[1, 2])


def test_gymnasium_imports_the_module_that_it_is_told():
    code = (
        "import gymnasium\n"
        f"env = gymnasium.make('drctl.simulation.gym:{ENVIRONMENT_ID}', disable_env_checker=True)\n"
        "print(env.spec.id, env.reset(seed=1)[0].shape)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == f"{ENVIRONMENT_ID} (120, 160, 1)"
