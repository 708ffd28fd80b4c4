"""How long an iteration will take on this machine, from a small iteration that is really played and learned from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.simulation.environment import BatchEnvironment
from drctl.trainer.algorithm import make_learner
from drctl.trainer.rollout import Episode
from drctl.trainer.sac import ReplaySettings
from drctl.trainer.schedule import training_starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.environment import EnvironmentSpec
    from drctl.trainer.networks import Heads
    from drctl.trainer.snapshot import Snapshot

_TRIAL_STEPS: Final = 25
"""Steps per episode of the trial: about what an untrained network drives (simulator-facts 8)."""
_TRIAL_UPDATES: Final = 8
"""Gradient steps of SAC in the trial; as many as the settings ask for would take a minute."""


@dataclass(frozen=True)
class Estimate:
    """What the trial measured, and what follows from it.

    Attributes:
        steps_per_s: Steps that workers and trainer together collect per second.
        updates_per_s: Steps per second that go through the network while it learns; each counts as often as it does.
        passes_per_step: How many of them there are for each step collected.
        first_iteration_s: Time of an iteration of the untrained network.
        lap_iteration_s: Time of an iteration in which every episode is a lap.
    """

    steps_per_s: float
    updates_per_s: float
    passes_per_step: float
    first_iteration_s: float
    lap_iteration_s: float


def estimate_iteration(
    snapshot: Snapshot,
    spec: EnvironmentSpec,
    *,
    heads: Heads,
    update_ratio: float,
    workers: int,
    lap_steps: float,
) -> Estimate:
    """Play and learn a small iteration in this process.

    The time of messages between trainer and workers is not in it; it is a few percent.

    Args:
        snapshot: The user's files.
        spec: What workers would simulate.
        heads: ``DR_NETWORK_HEADS``.
        update_ratio: ``DR_SAC_UPDATE_RATIO``.
        workers: Workers that simulate at the same time: no more than there are cores.
        lap_steps: Steps of a lap.
    """
    rules = snapshot.hyperparameters
    count = rules.episodes_per_iteration
    learner = make_learner(
        snapshot.metadata,
        rules,
        seed=spec.seed,
        precision="auto",
        heads=heads,
        shards=None,
        replay=ReplaySettings(update_ratio=_TRIAL_UPDATES / (count * _TRIAL_STEPS)),
    )
    starts = training_starts(snapshot.worlds, 0, count, count * _TRIAL_STEPS)
    environment, policy = BatchEnvironment(spec, count), learner.sampler()
    for car, start in enumerate(starts):
        environment.begin(car, start)
    kept: list[list[tuple[Any, ...]]] = [[] for _ in starts]
    running, ends = np.arange(count), dict.fromkeys(range(count), False)
    steps = np.zeros(count, np.int64)
    stack = rules.stack_size
    policy.act(_show(environment.frames, stack), starts, steps)  # allocates, compiles
    simulating = deciding = 0.0
    while len(running):
        began = time.perf_counter()
        seen = environment.frames.copy()
        decided = policy.act(_show(seen, stack), starts, steps)
        between = time.perf_counter()
        result = environment.step(running, decided.actions[running])
        simulating += time.perf_counter() - between
        deciding += between - began
        for row, car in enumerate(running.tolist()):
            decision = (decided.actions[car], decided.log_probs[car], decided.values[car])
            kept[car].append((seen[car], *decision, result.rewards[row]))
            ends[car] = bool(result.terminated[row])
        steps[running] += 1
        running = running[~(result.terminated | result.truncated)]
    episodes = []
    for number, start in enumerate(starts):
        frames, actions, log_probs, values, rewards = (np.array(column) for column in zip(*kept[number], strict=True))
        is_terminated, record = ends[number], environment.record(number)
        final = None if is_terminated else environment.frames[number].copy()
        episodes.append(
            Episode(start, frames, final, actions, log_probs, values, rewards, is_terminated, not is_terminated, record)
        )
    learner.update(episodes[:2], 0, lambda _done, _total: None)  # allocates, compiles
    update = learner.update(episodes, 1, lambda _done, _total: None)
    total = int(steps.sum())
    collected = total / (simulating / workers + deciding)
    learned = update.samples / update.seconds
    trials = snapshot.min_eval_trials
    is_replayed = snapshot.metadata.training_algorithm == "sac"
    passes = update_ratio * rules.minibatch_size if is_replayed else rules.num_epochs
    per_step = 1.0 / collected + passes / learned

    def iteration_s(episode_steps: float) -> float:
        return count * episode_steps * per_step + trials * episode_steps / collected

    return Estimate(collected, learned, passes, iteration_s(total / count), iteration_s(lap_steps))


def _show(frames: NDArray[np.uint8], stack: int) -> NDArray[np.uint8]:
    """Return frames, shape (B, *frame), as a policy takes them; older frames cost as much as these do."""
    return frames if stack == 1 else np.repeat(frames[:, np.newaxis], stack, axis=1)
