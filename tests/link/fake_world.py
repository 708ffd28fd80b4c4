"""A world without a simulator, with the API of `BatchEnvironment`: what a car sees and earns is a hash of all it did.

Run as a script it is a worker process: ``fake_world.py --join FILE --name NAME``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np

from drctl.errors import RewardError
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import TRACE_DTYPE
from drctl.simulation.episode import EpisodeRecord
from drctl.trainer.collection import Group
from drctl.trainer.rollout import Actions

LONGEST = 60
ACTIONS = 5
NOT_PYTHON = -1


def mix(state, word):
    return ((state ^ (word + 0x9E3779B9)) * 0x2545F4914F6CDD1D + 0x1234567) & (2**63 - 1)


def first_state(start):
    state = mix(0, start.iteration * 1000 + start.episode + (500 if start.phase == "evaluation" else 0))
    return mix(state, int(start.start_fraction * 1e6) + start.is_reversed)


def ends(state, step, start):
    """Return (terminated, truncated) after `step` steps."""
    return (state >> 20) % 23 == 0, step >= (start.max_steps or LONGEST)


def paint(state):
    return np.tile(np.frombuffer(state.to_bytes(8, "little"), np.uint8), 2400).reshape(120, 160)


def reward_of(state):
    return np.float32((state >> 10) % 1000 / 1000)


def choose(state, episode, step):
    return (state ^ (episode * 7 + step)) % ACTIONS


class HashPolicy:
    """Chooses from what it sees; remembers the sizes of the batches it was asked with."""

    def __init__(self, slow_s=0.0, rows_at_once=1000):
        self.rows_at_once = rows_at_once
        self.sizes = set()
        self.calls = 0
        self.slow_s = slow_s

    def act(self, frames, starts, steps):
        self.sizes.add((len(frames), len(starts), len(steps)))
        self.calls += 1
        time.sleep(self.slow_s)
        states = [int.from_bytes(frame[0, :8].tobytes(), "little") for frame in frames]
        chosen = [choose(s, start.episode, int(step)) for s, start, step in zip(states, starts, steps, strict=True)]
        return Actions(
            np.array(chosen, np.int64),
            np.array([state % 97 for state in states], np.float32),
            np.array([state % 89 for state in states], np.float32),
        )


def play(collector, starts, policy, **options):
    """Collect the episodes of one group."""
    (episodes,) = collector.collect(Group(starts, policy), **options)
    return episodes


class FakeSpec:
    """What a trainer tells fake workers.

    `reward_fails_at` is (episode, step); `step_s` the time a step takes.
    """

    def __init__(self, reward_fails_at=None, step_s=0.0):
        self.reward_fails_at = reward_fails_at
        self.step_s = step_s

    def to_json(self):
        return {"reward_fails_at": self.reward_fails_at and list(self.reward_fails_at), "step_s": self.step_s}


class FakeWorld:
    def __init__(self, spec, num_cars, on_reward_call=lambda: None, on_step=lambda: None):
        self._fails_at = spec.get("reward_fails_at")
        if self._fails_at == [NOT_PYTHON, 0]:
            raise RewardError("reward_function.py is not Python", where="reward_function.py:3: retrun 1")
        self._step_s = spec.get("step_s", 0.0)
        self._pulse = on_reward_call
        self._on_step = on_step
        self.frames = np.zeros((num_cars, 120, 160), np.uint8)
        self._states = [0] * num_cars
        self._steps = [0] * num_cars
        self._starts = [None] * num_cars
        self._rows = [None] * num_cars

    def begin(self, car, start):
        self._states[car], self._steps[car], self._starts[car] = first_state(start), 0, start
        self.frames[car] = paint(self._states[car])
        row = np.zeros((), TRACE_DTYPE)
        row["steps"] = 1
        self._rows[car] = [row]

    def step(self, cars, actions):
        self._on_step()
        time.sleep(self._step_s)
        rewards, terminated, truncated = [], [], []
        for car, action in zip(cars.tolist(), actions.tolist(), strict=True):
            self._pulse()
            start = self._starts[car]
            self._steps[car] += 1
            if self._fails_at == [start.episode, self._steps[car]]:
                error = RewardError("division by zero", where="reward_function.py:7: 1 / 0", expected="no division")
                params = {"steps": self._steps[car] + 1.0, "x": object}
                error.details = SimpleNamespace(
                    file="reward_function.py", line=7, message=str(error), params=params, car=car
                )
                raise error
            self._states[car] = state = mix(self._states[car], action)
            self.frames[car] = paint(state)
            rewards.append(reward_of(state))
            is_over, is_cut = ends(state, self._steps[car], start)
            terminated.append(is_over)
            truncated.append(is_cut and not is_over)
            row = np.zeros((), TRACE_DTYPE)
            row["steps"], row["action"], row["reward"] = self._steps[car] + 1, action, rewards[-1]
            self._rows[car].append(row)
        return SimpleNamespace(
            rewards=np.array(rewards, np.float32),
            terminated=np.array(terminated, np.bool_),
            truncated=np.array(truncated, np.bool_),
        )

    def record(self, car):
        rows = np.array(self._rows[car], TRACE_DTYPE)
        is_over, _ = ends(self._states[car], self._steps[car], self._starts[car])
        return EpisodeRecord(
            rows=rows,
            status=EpisodeStatus.OFF_TRACK if is_over else EpisodeStatus.IN_PROGRESS,
            reward=float(rows["reward"].sum()),
            steps=self._steps[car],
            progress_percent=float(self._steps[car]),
            duration_s=self._steps[car] / 15,
        )


def drive(start):
    """Return what an episode must be: played in one loop, by nobody's help."""
    state, step = first_state(start), 0
    seen, chosen, earned = [], [], []
    while True:
        seen.append(state)
        chosen.append(choose(state, start.episode, step))
        state, step = mix(state, chosen[-1]), step + 1
        earned.append(reward_of(state))
        is_over, is_cut = ends(state, step, start)
        if is_over or is_cut:
            return SimpleNamespace(
                states=seen,
                actions=chosen,
                rewards=earned,
                terminated=is_over,
                truncated=is_cut and not is_over,
                last_state=state,
            )


def assert_played(episodes, starts):
    """Check that the episodes are those of `starts`, complete and in order."""
    assert [episode.start for episode in episodes] == list(starts)
    for episode in episodes:
        expected = drive(episode.start)
        assert len(episode) == len(expected.states)
        assert np.array_equal(episode.frames, np.stack([paint(state) for state in expected.states]))
        assert episode.actions.tolist() == expected.actions
        assert episode.rewards.tolist() == [float(each) for each in expected.rewards]
        assert episode.log_probs.tolist() == [state % 97 for state in expected.states]
        assert episode.values.tolist() == [state % 89 for state in expected.states]
        assert (episode.terminated, episode.truncated) == (expected.terminated, expected.truncated)
        if expected.truncated:
            assert np.array_equal(episode.final_frame, paint(expected.last_state))
        else:
            assert episode.final_frame is None
        assert episode.record.steps == len(expected.states)
        assert episode.record.rows["action"].tolist() == [0, *expected.actions]
        assert episode.record.status is (EpisodeStatus.OFF_TRACK if expected.terminated else EpisodeStatus.IN_PROGRESS)


class WorkerThread:
    """A worker in this process; it ends with the run."""

    def __init__(self, ticket_file, name, on_step=lambda: None):
        from drctl.simulation.worker import Worker

        self.lines = []
        self.error = None
        self.status = None

        def build(spec, cars, pulse):
            return FakeWorld(spec, cars, pulse, on_step)

        self.worker = Worker(ticket_file, name, build, self.lines.append)
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def _run(self):
        try:
            self.status = self.worker.run()
        except BaseException as error:  # noqa: BLE001  tests look at it
            self.error = error

    def join(self):
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()


def main():
    from drctl.simulation.worker import main as run_worker

    return run_worker(sys.argv[1:], lambda spec, cars, pulse: FakeWorld(spec, cars, pulse))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
