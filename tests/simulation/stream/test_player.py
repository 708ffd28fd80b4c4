"""Which episode is shown when, and where in it the car is."""

import numpy as np
import pytest

from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.simulation.episode import EpisodeRecord, EpisodeStart
from drctl.simulation.stream.clip import Clip, cut_clip
from drctl.simulation.stream.player import PAUSE_S, Player
from drctl.simulation.stream.shelf import ClipShelf


def record(times_s, status=EpisodeStatus.OFF_TRACK, yaw_deg=0.0):
    """A car that drives straight ahead with 2 m/s."""
    rows = np.zeros(len(times_s), TRACE_DTYPE)
    rows["tstamp"] = times_s
    rows["yaw"] = yaw_deg
    rows["x"] = 2.0 * np.array(times_s) * np.cos(np.radians(yaw_deg)) + 5
    rows["y"] = 2.0 * np.array(times_s) * np.sin(np.radians(yaw_deg)) + 7
    return EpisodeRecord(rows, status, 0.0, len(times_s) - 1, 0.0, times_s[-1])


def clip(serial, times_s=(0.0, 1.0, 2.0), is_running=False, episode=0, **options):
    return cut_clip(serial, 3, EpisodeStart("training", 0, episode), record(times_s, **options), is_running=is_running)


def test_poses_are_those_of_the_middle_of_the_car_not_of_its_nose():
    ahead, to_the_left = clip(1), clip(2, yaw_deg=90.0)
    assert [ahead.rows[name][0] for name in ("x_m", "y_m")] == pytest.approx([5 - 0.14, 7])
    assert [to_the_left.rows[name][0] for name in ("x_m", "y_m")] == pytest.approx([5, 7 - 0.14])
    assert to_the_left.rows["yaw_rad"][0] == pytest.approx(np.pi / 2)


def test_a_yaw_that_passes_half_a_turn_does_not_spin_the_car():
    rows = record((0.0, 1.0))
    rows.rows["yaw"] = [179.0, -179.0]
    turned = cut_clip(1, 0, EpisodeStart("training", 0, 0), rows, is_running=False).rows["yaw_rad"]
    assert turned[1] - turned[0] == pytest.approx(np.radians(2), abs=1e-5)


def test_a_clip_survives_its_way_to_the_server():
    sent = clip(4, is_running=True)
    got = Clip.from_message(sent.to_message())
    assert got.rows.tobytes() == sent.rows.tobytes()
    assert (got.serial, got.car, got.start, got.status, got.is_running) == (4, 3, sent.start, "off_track", True)


def test_an_episode_is_shown_at_the_speed_of_life_and_then_the_newest():
    player = Player()
    assert player.at(100.0) is None
    player.offer(clip(1))
    first = player.at(100.0)
    assert (first.pose[0], first.has_jumped) == (pytest.approx(4.86), True)
    player.offer(clip(2, episode=1))
    player.offer(clip(3, episode=2))
    halfway = player.at(101.5)
    assert (halfway.clip.serial, halfway.time_s, halfway.has_jumped) == (1, pytest.approx(1.5), False)
    assert halfway.pose[0] == pytest.approx(4.86 + 2 * 1.5)
    assert player.at(102.0 + 0.9 * PAUSE_S).pose[0] == pytest.approx(4.86 + 4)
    after = player.at(102.0 + 1.1 * PAUSE_S)
    assert (after.clip.serial, after.time_s, after.has_jumped) == (3, 0.0, True)


def test_the_same_episode_is_shown_again_while_nothing_happens():
    player = Player()
    player.offer(clip(1))
    player.at(0.0)
    again = player.at(2.0 + 1.1 * PAUSE_S)
    assert (again.clip.serial, again.time_s, again.has_jumped) == (1, 0.0, True)


def test_an_episode_under_way_grows_while_it_is_shown():
    player = Player()
    assert player.wants_running(0.0)
    player.offer(clip(1, (0.0, 1.0), is_running=True))
    assert player.at(0.0).time_s == 0.0
    waiting = player.at(5.0)
    assert (waiting.time_s, waiting.has_jumped) == (1.0, False)
    assert player.wants_running(5.0)
    player.offer(clip(2, (0.0, 1.0, 10.0), is_running=True))
    assert player.at(6.0).time_s == pytest.approx(6.0)
    player.offer(clip(3, episode=1))
    assert not player.wants_running(7.0)
    assert player.at(9.0).clip.serial == 2
    assert player.at(10.1).clip.serial == 3


def test_laps_are_remembered():
    player = Player()
    for serial, seconds in enumerate((9.0, 8.0, 8.5)):
        player.offer(clip(serial, (0.0, seconds), status=EpisodeStatus.LAP_COMPLETE, episode=serial))
    player.offer(clip(9, (0.0, 3.0), episode=9))
    assert (player.best_lap_s, player.last_lap_s) == (8.0, 8.5)


def test_the_shelf_gives_what_was_not_seen_and_forgets_with_a_new_setup():
    shelf = ClipShelf()
    shelf.clear({"worlds": []}, 2)
    for car in (0, 1, 0):
        shelf.keep(car, EpisodeStart("training", 0, car), record((0.0, 1.0)))
    assert [(one.car, one.serial) for one in shelf.newer_than({0: 0, 1: 0})] == [(0, 3), (1, 2)]
    assert [one.car for one in shelf.newer_than({0: 3, 1: 0})] == [1]
    assert shelf.newer_than({1: 2, 7: 0}) == []
    assert shelf.setup == (1, {"worlds": []}, 2)
    shelf.clear({}, 3)
    assert (shelf.newer_than({0: 0}), shelf.setup[0]) == ([], 2)
