"""Which episodes an iteration and an evaluation consist of, and where each starts (DESIGN 4.5, 4.6)."""

from __future__ import annotations

from collections.abc import Sequence

from drctl.formats.training_params import WorldParams
from drctl.simulation.episode import EpisodeStart


def training_starts(
    worlds: Sequence[WorldParams], iteration: int, episodes: int, max_steps_per_iteration: int | None
) -> list[EpisodeStart]:
    """List the training episodes of an iteration.

    Episode e is driven in world e mod W. Each world counts its own episodes c over all iterations: c decides the
    start position (offset + c * advance) and, with alternating direction, the direction.

    Args:
        worlds: One entry, or one per worker with multi-config.
        iteration: From 0.
        episodes: Episodes per iteration, N.
        max_steps_per_iteration: Cap on the steps of the iteration, spread evenly: floor(cap / N) per episode; None
            for no cap.
    """
    max_steps = None if max_steps_per_iteration is None else max(1, max_steps_per_iteration // episodes)
    starts = []
    for episode in range(episodes):
        entry = episode % len(worlds)
        world = worlds[entry]
        per_iteration = len(range(entry, episodes, len(worlds)))
        count = iteration * per_iteration + episode // len(worlds)
        advance = world.round_robin_advance_dist if world.change_start_position else 0.0
        flips = world.alternate_driving_direction and count % 2 == 1
        starts.append(
            EpisodeStart(
                phase="training",
                iteration=iteration,
                episode=episode,
                world=entry,
                start_fraction=(world.start_position_offset + count * advance) % 1.0,
                is_reversed=world.reverse_dir != flips,
                max_steps=max_steps,
            )
        )
    return starts


def evaluation_starts(
    worlds: Sequence[WorldParams], is_closed: Sequence[bool], iteration: int, trials: int
) -> list[EpisodeStart]:
    """List the greedy episodes that judge a checkpoint: spread around the track, the first on the start line.

    On an open track every trial starts at its beginning: elsewhere there is no lap to complete.

    Args:
        worlds: As in `training_starts`; trial t is driven in world t mod W.
        is_closed: Whether each world's track is a loop.
        iteration: Iteration that made the checkpoint.
        trials: ``DR_TRAIN_MIN_EVAL_TRIALS``.
    """
    return [
        EpisodeStart(
            phase="evaluation",
            iteration=iteration,
            episode=trial,
            world=trial % len(worlds),
            start_fraction=trial / trials if is_closed[trial % len(worlds)] else 0.0,
            is_reversed=worlds[trial % len(worlds)].reverse_dir,
        )
        for trial in range(trials)
    ]


def cars_per_worker(episodes: int, trials: int, workers: int) -> int:
    """Return how many cars a worker needs so that nobody waits for one.

    Args:
        episodes: Episodes per iteration.
        trials: Evaluation trials, which are driven together with the next iteration.
        workers: ``DR_WORKERS``.
    """
    return -(-(episodes + trials) // workers)
