"""Collections with workers in threads of this process, over the real link."""

from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from drctl.link.codec import MessageError
from drctl.link.messages import Act, Bye, Heartbeat, Hello, RewardFailed, Setup, Tick
from drctl.link.ticket import read_ticket
from drctl.link.transport import TrainerLink, WorkerLink
from drctl.simulation.episode import EpisodeStart
from drctl.trainer.collection import (
    CollectionStopped,
    Collector,
    EpisodeRewardError,
    FrameStore,
    Group,
    GroupProgress,
)
from drctl.trainer.collection.batch import one_by_one
from drctl.trainer.collection.roster import Peer
from drctl.trainer.shards import Shards

_spec = importlib.util.spec_from_file_location("fake_world", Path(__file__).parents[1] / "link" / "fake_world.py")
fake_world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake_world)


def starts_of(count, iteration=3, phase="training", max_steps=None):
    return [
        EpisodeStart(phase, iteration, episode, start_fraction=episode / count, max_steps=max_steps)
        for episode in range(count)
    ]


@pytest.fixture
def run(tmp_path):
    """A trainer's link and collector, and a way to start workers; everything is closed at the end."""
    spec = SimpleNamespace(
        ipc_folder=str(tmp_path / "ipc"),
        tcp_host=None,
        tcp_port=0,
        advertised_host="127.0.0.1",
        local_ticket=str(tmp_path / "ticket.json"),
        remote_ticket=None,
    )
    threads = []

    def start(name, **options):
        threads.append(fake_world.WorkerThread(Path(spec.local_ticket), name, **options))
        return threads[-1]

    link = TrainerLink.open(spec, 0)
    lines = []
    collector = Collector(link, say=lines.append)
    yield SimpleNamespace(collector=collector, link=link, start=start, ticket=Path(spec.local_ticket), lines=lines)
    collector.close("the test is over")
    for thread in threads:
        thread.join()
    link.close()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_result_does_not_depend_on_the_number_of_workers(run, workers):
    starts = starts_of(11)
    for number in range(workers):
        run.start(f"worker-{number}")
    run.collector.set_up(fake_world.FakeSpec(), -(-11 // workers))
    policy = fake_world.HashPolicy()

    fake_world.assert_played(fake_world.play(run.collector, starts, policy), starts)

    assert policy.sizes == {(11, 11, 11)}


def test_collections_follow_each_other_and_truncation_keeps_the_final_frame(run):
    run.start("worker-0")
    run.collector.set_up(fake_world.FakeSpec(), 4)
    first, second = starts_of(7), starts_of(9, iteration=4, phase="evaluation", max_steps=5)

    fake_world.assert_played(fake_world.play(run.collector, first, fake_world.HashPolicy()), first)
    run.collector.poll()
    episodes = fake_world.play(run.collector, second, fake_world.HashPolicy())

    fake_world.assert_played(episodes, second)
    assert any(episode.truncated for episode in episodes)
    assert any(episode.terminated for episode in episodes)


@pytest.mark.parametrize("at_once", [one_by_one, Shards(2).call], ids=["one by one", "in threads"])
def test_groups_are_played_at_the_same_time_each_by_its_own_policy(run, at_once):
    """Each policy is asked only with its own rows, and what it decides is what it would decide alone."""
    trials, episodes = starts_of(3, phase="evaluation"), starts_of(8, iteration=4)
    judge, sampler, seen = fake_world.HashPolicy(), fake_world.HashPolicy(), []
    run.collector.set_up(fake_world.FakeSpec(), 4)
    run.start("worker-0")
    run.start("worker-1")

    played = run.collector.collect(Group(trials, judge), Group(episodes, sampler), at_once=at_once, on_tick=seen.append)

    for group, starts in zip(played, (trials, episodes), strict=True):
        fake_world.assert_played(group, starts)
    assert (judge.sizes, sampler.sizes) == ({(3, 3, 3)}, {(8, 8, 8)})
    assert any(group.steps > 0 and not group.is_complete for progress in seen for group in progress.groups[1:])
    assert [group.is_complete for group in seen[-1].groups] == [True, True]


def test_rows_are_decided_in_equal_blocks_each_until_its_last_episode_ends(run):
    starts = starts_of(11)
    run.start("worker-0")
    run.collector.set_up(fake_world.FakeSpec(), 11)
    policy = fake_world.HashPolicy(rows_at_once=4)

    episodes = fake_world.play(run.collector, starts, policy)

    fake_world.assert_played(episodes, starts)
    assert policy.sizes == {(4, 4, 4), (3, 3, 3)}
    blocks = (episodes[:3], episodes[3:7], episodes[7:])
    longest = [max(len(episode) for episode in block) for block in blocks]
    assert min(longest) < max(longest)
    assert policy.calls == sum(longest)


def test_a_worker_may_join_late_and_progress_says_who_is_waited_for(run):
    starts, seen = starts_of(8), []
    run.collector.set_up(fake_world.FakeSpec(step_s=0.002), 2)
    policy = fake_world.HashPolicy()
    joined = []

    def on_tick(progress):
        seen.append(progress)
        if progress.is_waiting_for_workers and not joined:
            joined.append(run.start("worker-0"))
        elif progress.groups[0].finished >= 2 and len(joined) == 1:
            joined.append(run.start("worker-1"))

    before = time.time()
    episodes = fake_world.play(run.collector, starts, policy, on_tick=on_tick)

    fake_world.assert_played(episodes, starts)
    assert seen[0].is_waiting_for_workers
    assert before <= seen[0].waiting_since <= time.time()
    assert not seen[-1].is_waiting_for_workers
    assert seen[-1].groups == (GroupProgress(8, 8, sum(len(episode) for episode in episodes)),)
    assert seen[-1].running == 0
    assert len(joined) == 2


def test_a_worker_that_leaves_in_the_middle_changes_nothing(run):
    starts, calls = starts_of(10), []

    def leave():
        calls.append(1)
        if len(calls) == 8:
            raise RuntimeError("out of petrol")

    run.collector.set_up(fake_world.FakeSpec(), 5)
    leaver = run.start("worker-0", on_step=leave)
    run.start("worker-1")

    fake_world.assert_played(fake_world.play(run.collector, starts, fake_world.HashPolicy()), starts)

    leaver.join()
    assert str(leaver.error) == "out of petrol"
    states = {view.name: (view.state, view.reason) for view in run.collector.workers()}
    assert states["worker-0"] == ("left", "RuntimeError")
    assert states["worker-1"][0] == "idle"


def test_a_worker_of_the_same_name_takes_the_place_of_the_former(run):
    starts = starts_of(6)
    run.collector.set_up(fake_world.FakeSpec(step_s=0.01), 6)
    former, latter = run.start("worker-0"), []

    def on_tick(progress):
        if progress.steps > 20 and not latter:
            latter.append(run.start("worker-0"))

    fake_world.assert_played(fake_world.play(run.collector, starts, fake_world.HashPolicy(), on_tick=on_tick), starts)

    former.join()
    assert "another worker named worker-0 has joined" in str(former.error)
    assert [view.name for view in run.collector.workers()] == ["worker-0"]


def test_a_stop_takes_effect_soon_and_the_next_collection_is_clean(run):
    run.start("worker-0")
    run.collector.set_up(fake_world.FakeSpec(step_s=0.02), 4)
    stop = threading.Event()

    with pytest.raises(CollectionStopped):
        fake_world.play(
            run.collector,
            starts_of(4),
            fake_world.HashPolicy(),
            on_tick=lambda progress: progress.steps > 10 and stop.set(),
            should_stop=stop.is_set,
        )

    starts = starts_of(3, iteration=5)
    fake_world.assert_played(fake_world.play(run.collector, starts, fake_world.HashPolicy()), starts)


def test_a_stop_is_obeyed_without_any_worker(run):
    with pytest.raises(CollectionStopped):
        fake_world.play(run.collector, starts_of(2), fake_world.HashPolicy(), should_stop=lambda: True)


def test_no_episodes_need_no_worker(run):
    assert fake_world.play(run.collector, [], fake_world.HashPolicy()) == []


def test_a_failing_reward_function_is_told_with_its_episode(run):
    run.start("worker-0")
    run.collector.set_up(fake_world.FakeSpec(reward_fails_at=(2, 1)), 4)

    with pytest.raises(EpisodeRewardError) as caught:
        fake_world.play(run.collector, starts_of(4), fake_world.HashPolicy())

    problem = caught.value.problems[0]
    assert problem.what == "division by zero"
    assert problem.where == "reward_function.py:7: 1 / 0 (training episode 2 of iteration 3, step 2)"
    assert problem.expected == "no division"
    assert problem.fix == "correct custom_files/reward_function.py, then start the training again"
    details = caught.value.details
    assert details.params == {"steps": 2.0, "x": "<class 'object'>"}
    assert (details.start.episode, details.step, details.line) == (2, 2, 7)
    assert caught.value.exit_status == 3
    assert run.collector.workers()[0].state == "failed"


def test_a_reward_function_that_is_not_python_ends_the_next_collection(run):
    run.start("worker-0")
    run.collector.set_up(fake_world.FakeSpec(reward_fails_at=(fake_world.NOT_PYTHON, 0)), 4)
    while [view.state for view in run.collector.workers()] != ["failed"]:
        run.collector.poll()
    with pytest.raises(EpisodeRewardError, match=r"reward_function\.py is not Python") as caught:
        fake_world.play(run.collector, starts_of(4), fake_world.HashPolicy())
    assert caught.value.problems[0].where == "reward_function.py:3: retrun 1"


def test_workers_are_told_that_the_run_has_ended(run):
    worker = run.start("worker-0")
    run.collector.set_up(fake_world.FakeSpec(), 2)
    fake_world.play(run.collector, starts_of(2), fake_world.HashPolicy())

    run.collector.close("the car drives three clean evaluations")

    worker.join()
    assert worker.status == 0
    assert "The run has ended: the car drives three clean evaluations" in worker.lines


class HandWorker:
    """A worker that says what a test wants it to say."""

    def __init__(self, run, name="worker-9"):
        self.link = WorkerLink(read_ticket(run.ticket), b"hand-" + name.encode())
        self._run = run
        deadline = time.monotonic() + 10
        while not self.link.take_new_connection():
            assert time.monotonic() < deadline
            self.link.receive(0.1)
        self.say(Hello(name, "host", 1, ""))

    def say(self, message):
        deadline = time.monotonic() + 10
        while not self.link.send(message):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def hear(self, kind):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self._run.collector.poll()
            message = self.link.receive(0.02)
            if isinstance(message, kind):
                return message
        raise AssertionError(f"no {kind.__name__}")


def tick_of(setup, number, **changes):
    no_cars, no_frames = np.empty(0, np.int32), np.empty((0, 120, 160), np.uint8)
    content = {
        "setup": setup.setup,
        "number": number,
        "records": [],
        "acted": no_cars,
        "rewards": np.empty(0, np.float32),
        "outcomes": np.empty(0, np.uint8),
        "waiting": no_cars,
        "frames": no_frames,
        "final_frames": no_frames,
        "rows": np.empty(0, fake_world.TRACE_DTYPE),
    }
    return Tick(**{**content, **changes})


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda setup: tick_of(setup, 7),
        lambda setup: tick_of(setup, 0, acted=np.array([0], np.int32)),
        lambda setup: tick_of(setup, 0, waiting=np.array([99], np.int32), frames=np.zeros((1, 120, 160), np.uint8)),
        lambda setup: tick_of(setup, 0, frames=np.zeros((1, 120, 160), np.uint8)),
        lambda setup: tick_of(setup, 0, records=[{"status": "off_track"}]),
        lambda setup: tick_of(setup, 0, final_frames=np.zeros((1, 120, 160), np.uint8)),
        lambda setup: tick_of(setup, 0, rows=np.zeros(1, fake_world.TRACE_DTYPE)),
        lambda setup: Heartbeat(setup.setup, "waiting", 0),  # a tick that never came
    ],
)
def test_nonsense_is_counted_and_the_worker_starts_over(run, nonsense):
    run.collector.set_up(fake_world.FakeSpec(), 2)
    hand = HandWorker(run)
    setup = hand.hear(Setup)

    hand.say(nonsense(setup))
    again = hand.hear(Setup)

    assert again.setup != setup.setup
    assert run.link.dropped == 1
    hand.say(tick_of(again, 0))
    hand.say(Bye("done"))
    hand.link.close()
    while run.collector.workers()[0].state != "left":
        run.collector.poll()


def test_what_belongs_to_a_former_setup_or_an_unknown_session_is_ignored(run):
    run.collector.set_up(fake_world.FakeSpec(), 2)
    hand = HandWorker(run)
    old = hand.hear(Setup)
    run.collector.set_up(fake_world.FakeSpec(), 3)
    new = hand.hear(Setup)

    hand.say(tick_of(old, 0))
    hand.say(RewardFailed(old.setup, 0, 1, "late", "", None, "", "", "{}"))
    hand.say(tick_of(new, 0))
    run.start("worker-0")
    starts = starts_of(4)
    seen = []

    def act_once(progress):
        # The hand-made worker takes episodes and then leaves with them.
        if not seen and (message := hand.link.receive(0)) is not None:
            seen.append(message)
            hand.say(Bye("enough"))

    fake_world.assert_played(fake_world.play(run.collector, starts, fake_world.HashPolicy(), on_tick=act_once), starts)
    assert isinstance(seen[0], Act)
    assert seen[0].setup == new.setup
    hand.link.close()


def test_a_silent_worker_is_lost_after_a_while_and_taken_back_when_it_speaks(tmp_path, run):
    now = [0.0]
    collector = run.collector
    collector._clock = lambda: now[0]
    collector._checked = 0.0
    collector.set_up(fake_world.FakeSpec(), 2)
    hand = HandWorker(run)
    setup = hand.hear(Setup)
    for seconds, state in ((500, "setting_up"), (90, "setting_up"), (20, "lost")):
        now[0] += seconds
        collector.poll()
        assert collector.workers()[0].state == state
    assert collector.workers()[0].reason == "silent for 610 s"

    hand.say(Heartbeat(setup.setup, "setting_up", None))

    assert hand.hear(Setup).setup != setup.setup
    assert collector.workers()[0].state == "setting_up"
    hand.say(Bye("done"))
    hand.link.close()
    while collector.workers()[0].state != "left":
        collector.poll()
    now[0] += 601
    collector.poll()
    assert collector.workers() == []


def test_a_lost_connection_is_noticed_without_waiting_for_patience(run):
    run.collector.set_up(fake_world.FakeSpec(), 2)
    hand = HandWorker(run)
    hand.hear(Setup)
    hand.link.close()
    while (view := run.collector.workers()[0]).state != "lost":
        run.collector.poll()
        time.sleep(0.05)
    assert view.reason == "its connection is gone"
    assert "worker-9 lost: its connection is gone; 0 episodes go to others" in run.lines


def test_frames_of_another_shape_than_the_sensors_have_are_no_tick():
    peer = Peer(b"", Hello("worker-9", "here", 1, ""), 0.0)
    setup = Setup("s", {}, 1, prints_steps=False)
    peer.start_over(setup.setup, 1, (38464,))
    peer.rows[0] = 3
    waiting = np.array([0], np.int32)
    peer.check(tick_of(setup, 0, waiting=waiting, frames=np.zeros((1, 38464), np.uint8)))
    with pytest.raises(MessageError, match=r"frames have the shape \(120, 160\) instead of \(38464,\)"):
        peer.check(tick_of(setup, 0, waiting=waiting, frames=np.zeros((1, 120, 160), np.uint8)))


def test_frames_keep_their_content_while_their_memory_grows():
    store = FrameStore()
    frames = np.random.default_rng(1).integers(0, 255, (1100, 120, 160), dtype=np.uint8)
    for frame in frames:
        store.append(frame)
    assert len(store) == 1100
    assert np.array_equal(store.take(), frames)


def test_long_episodes_grow_all_their_columns(run, monkeypatch):
    monkeypatch.setattr("drctl.trainer.collection.batch.FIRST_CAPACITY", 2)
    starts = starts_of(3)
    run.start("worker-0")
    run.collector.set_up(fake_world.FakeSpec(), 3)
    fake_world.assert_played(fake_world.play(run.collector, starts, fake_world.HashPolicy()), starts)
