"""Episodes with objects: how they end, what depends on what, and where cars start."""

from __future__ import annotations

import builtins
import json
from math import hypot

import numpy as np
import pytest
from simulation.ring import RADIUS_M, ring_rows

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.race_params import RaceParams
from drctl.simulation.environment import EnvironmentSpec, WorldSpec
from drctl.simulation.race.traffic import Rival

RING = tuple(map(tuple, ring_rows().tolist()))
LEFT, CENTRE = 3, 2  # the shipped actions: 15 degrees to the left turn on a ring of about 1 m
LAP_M = 2 * np.pi * RADIUS_M
SPY = "def reward_function(params):\n    drctl_test_seen.append(params)\n    return 1.0"


@pytest.fixture
def seen():
    """Params of the calls of `SPY`."""
    builtins.drctl_test_seen = []
    yield builtins.drctl_test_seen
    del builtins.drctl_test_seen


@pytest.fixture
def on_ring(make_environment):
    """Return a function that builds a batch of cars on the ring with what a race puts there."""

    def make(race, num_cars=1, **changes):
        return make_environment(
            num_cars, worlds=(WorldSpec("ring", RING, race=race),), has_step_jitter=False, **changes
        )

    return make


def drive(environment, car=0, action=CENTRE, most=300):
    """Drive one car until its episode ends and return its steps."""
    for step in range(1, most + 1):
        result = environment.step(np.array([car]), np.array([action]))
        if result.terminated[0] or result.truncated[0]:
            return step
    return most


def box_at(along_m, lane=-1):
    return RaceParams("OBJECT_AVOIDANCE", obstacle_positions=((along_m / LAP_M, lane),))


def test_a_crash_ends_the_episode(on_ring, training_start, seen):
    """Straight on from the start, 0.617 m/s; a box stands across the way, 1 m along the track on the outer lane."""
    environment = on_ring(box_at(1.2), reward_source=SPY)
    environment.begin(0, training_start())
    steps = drive(environment)
    record = environment.record(0)
    assert environment.status(0) is EpisodeStatus.CRASHED
    assert record.status.label == "Crashed"
    assert [told["is_crashed"] for told in seen] == [False] * (steps - 1) + [True]
    assert bool(record.rows["done"][-1])
    # One of the front corners is inside the box, so the car's middle is within reach of it, and one step before not.
    box = environment.traffic.of(0)[0]
    away = [hypot(told["x"] - box[0], told["y"] - box[1]) for told in seen]
    assert away[-1] < hypot(0.25, 0.2) + 0.11
    assert len(seen) == steps


def test_without_the_box_the_same_way_leads_off_the_track(on_ring, training_start):
    environment = on_ring(RaceParams())
    environment.begin(0, training_start())
    drive(environment)
    assert environment.status(0) is EpisodeStatus.OFF_TRACK
    assert environment.traffic.is_empty


def test_what_a_reward_is_told_in_a_race_has_the_same_keys(on_ring, training_start, seen):
    for race in (RaceParams(), box_at(6.0), RaceParams("HEAD_TO_BOT", bots=2)):
        environment = on_ring(race, reward_source=SPY)
        environment.begin(0, training_start())
        environment.step(np.array([0]), np.array([CENTRE]))
    assert seen[0].keys() == seen[1].keys() == seen[2].keys()
    assert [len(told["objects_speed"]) for told in seen] == [0, 1, 2]
    assert seen[2]["objects_speed"] == [0.2, 0.2]


def test_bot_cars_drive_with_the_steps(on_ring, training_start, seen):
    environment = on_ring(RaceParams("HEAD_TO_BOT", bots=1, bot_gap_m=6.0, bot_speed_m_s=0.9), reward_source=SPY)
    environment.begin(0, training_start())
    for _ in range(10):
        environment.step(np.array([0]), np.array([CENTRE]))
    along = [told["objects_distance"][0] for told in seen]
    # The first call comes after the prepare step, which moves nothing; each step is 1/15 s.
    assert np.diff(along) == pytest.approx([0.9 / 15] * 9, abs=8e-3)  # the ring has corners
    assert (along[0], along[9]) == pytest.approx((6.0, 6.0 + 9 * 0.06), abs=5e-3)


def test_a_bot_car_that_runs_into_the_car_stops_and_spares_it(on_ring, training_start, seen):
    race = RaceParams("HEAD_TO_BOT", bots=1, bot_gap_m=0.0, bot_speed_m_s=3.0, bot_penalty_s=1.0)
    environment = on_ring(race, reward_source=SPY)
    # The only bot car starts at waypoint 0, on the inner lane; within a metre of it the car starts on the outer one.
    environment.begin(0, training_start(start_fraction=1.2 / LAP_M))
    statuses = [
        (bool(environment.step(np.array([0]), np.array([LEFT])).terminated[0]), environment.status(0))
        for _ in range(14)
    ]
    speeds = [told["objects_speed"][0] for told in seen]
    assert 0.0 in speeds
    hit = speeds.index(0.0)
    # The step in which it is hit, and those that follow, end nothing.
    assert statuses[hit] == (False, EpisodeStatus.IN_PROGRESS)
    assert not any(told["is_crashed"] for told in seen)
    assert set(speeds[:hit]) == {3.0}


@pytest.mark.parametrize(("lane", "expected_m"), [(-1, RADIUS_M - 0.2), (1, RADIUS_M + 0.2)])
@pytest.mark.parametrize("along_m", [0.6, LAP_M - 0.6])
def test_a_car_starts_on_the_lane_that_is_free(on_ring, training_start, lane, expected_m, along_m):
    environment = on_ring(box_at(along_m, lane))
    environment.begin(0, training_start())
    x, y, _ = environment.poses(np.array([0]))[0]
    assert hypot(x, y) == pytest.approx(expected_m, abs=2e-3)
    environment.begin(0, training_start(start_fraction=0.5))  # far away from it
    x, y, _ = environment.poses(np.array([0]))[0]
    assert hypot(x, y) == pytest.approx(RADIUS_M, abs=2e-3)


def test_every_car_of_a_batch_has_its_own_objects(make_environment, training_start):
    worlds = (
        WorldSpec("ring", RING, race=RaceParams("OBJECT_AVOIDANCE", obstacles=3, randomizes_obstacles=True)),
        WorldSpec("reinvent_base", race=RaceParams("HEAD_TO_BOT", bots=2)),
        WorldSpec("Oval_track"),
    )
    environment = make_environment(4, worlds=worlds)
    for car, world in enumerate((0, 1, 2, 0)):
        environment.begin(car, training_start(car, world=world))
    assert [len(environment.traffic.of(car)) for car in range(4)] == [3, 2, 0, 3]
    assert not np.array_equal(environment.traffic.of(0), environment.traffic.of(3))  # another episode, other places
    assert environment.frames[2].any()


RANDOM_BOTS = RaceParams(
    "HEAD_TO_BOT", bots=4, randomizes_bots=True, changes_lanes=True, lane_change_after_s=(0.2, 0.5), bot_speed_m_s=1.0
)


def test_an_episode_is_the_same_alone_and_in_a_batch(make_environment, training_start):
    """So it does not matter which worker plays it (DESIGN 4.8)."""
    worlds = (WorldSpec("reinvent_base", race=RANDOM_BOTS),)
    batch, alone = make_environment(5, worlds=worlds), make_environment(1, worlds=worlds)
    for car in range(5):
        batch.begin(car, training_start(car))
    alone.begin(0, training_start(3))
    for step in range(40):
        action = np.array([step % 5])
        together = batch.step(np.arange(5), np.repeat(action, 5)) if batch.status(3) else None
        single = alone.step(np.zeros(1, np.int64), action)
        assert together is not None
        np.testing.assert_array_equal(batch.frames[3], alone.frames[0])
        np.testing.assert_array_equal(batch.traffic.of(3), alone.traffic.of(0))
        if single.terminated[0] or together.terminated.any():
            break
    assert step > 10


def test_evaluation_and_training_episodes_draw_other_places(make_environment, training_start):
    environment = make_environment(1, worlds=(WorldSpec("reinvent_base", race=RANDOM_BOTS),))
    environment.begin(0, training_start())
    training = environment.traffic.of(0).copy()
    environment.begin(0, training_start(phase="evaluation"))
    assert not np.array_equal(training, environment.traffic.of(0))


def test_a_rival_is_seen_and_touched_where_it_is(on_ring, training_start):
    environment = on_ring(RaceParams("HEAD_TO_MODEL"))
    environment.begin(0, training_start())
    empty = environment.frames[0].copy()
    pose = (RADIUS_M * np.cos(0.4), RADIUS_M * np.sin(0.4), 0.4 + np.pi / 2)
    environment.show_rival(0, Rival(pose, 0.6, (159, 42, 195)))
    assert (environment.frames[0] != empty).sum() > 200
    assert environment.traffic.of(0)[0][:3] == pytest.approx(pose)
    drive(environment, action=LEFT)
    assert environment.status(0) is EpisodeStatus.CRASHED
    environment.begin(0, training_start())
    environment.show_rival(0, Rival(pose, 0.6, (159, 42, 195), is_solid=False))
    drive(environment, action=LEFT)
    assert environment.status(0) is not EpisodeStatus.CRASHED


def test_a_rival_that_is_shown_again_changes_nothing(on_ring, make_spec, training_start):
    """Also not the lidar, which scans ten times a second: between scans it keeps what it saw."""
    metadata = json.dumps({**json.loads(make_spec().metadata), "sensor": ["FRONT_FACING_CAMERA", "LIDAR"]})
    environment = on_ring(RaceParams("HEAD_TO_MODEL"), metadata=metadata)
    environment.begin(0, training_start())
    rival = Rival((0.0, RADIUS_M, np.pi), 0.6, (159, 42, 195))
    environment.show_rival(0, rival)
    for _ in range(10):
        environment.step(np.zeros(1, np.int64), np.array([LEFT]))
        seen = environment.frames.copy()
        environment.show_rival(0, rival)
        np.testing.assert_array_equal(environment.frames, seen)


def test_who_waits_sees_the_others_drive_on(on_ring, training_start):
    environment = on_ring(RaceParams("HEAD_TO_BOT", bots=1, bot_gap_m=2.0, bot_speed_m_s=0.5))
    environment.begin(0, training_start())
    drive(environment, action=CENTRE)
    x, y, yaw = environment.traffic.of(0)[0, :3]
    environment.put_back(0, (x - 0.8 * np.cos(yaw), y - 0.8 * np.sin(yaw), yaw), 0.0)
    before = environment.frames.copy()
    environment.wait(0, 0.5)
    assert (environment.frames != before).any()


def test_a_lane_to_start_on(on_ring, make_environment, training_start):
    environment = on_ring(RaceParams("HEAD_TO_MODEL"))
    environment.begin(0, training_start(lane=1))
    inner = hypot(*environment.poses(np.zeros(1, np.int64))[0][:2])
    environment.begin(0, training_start(lane=-1))
    outer = hypot(*environment.poses(np.zeros(1, np.int64))[0][:2])
    assert inner < RADIUS_M < outer
    assert inner + outer == pytest.approx(2 * RADIUS_M, abs=5e-3)
    with pytest.raises(ValueError, match="lane is 1, but nothing is on the track"):
        make_environment(1).begin(0, training_start(lane=1))


def test_a_spec_with_objects_survives_json(make_spec):
    spec = make_spec(worlds=(WorldSpec("reinvent_base", race=RANDOM_BOTS), WorldSpec("Oval_track", race=box_at(1.0))))
    assert EnvironmentSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
