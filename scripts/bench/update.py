#!/usr/bin/env python3
"""Speed of the PPO update against what this machine's convolutions reach at best.

Peak and updates are measured in turn, so that a slow or busy machine slows both.

usage: update.py [--repetitions 5] [--epochs 5] [--transitions 2048] [--precision auto] [--shards N]
(DESIGN 8: at minibatch 256 floor 0.40 of the peak, aim 0.60)
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from measure import emit, median, note

from drctl.trainer.memory import allocator_environment

if TYPE_CHECKING:
    from drctl.trainer.ppo import PpoLearner
    from drctl.trainer.rollout import Episode

MINIBATCH_SIZES = (64, 256)
# Shallow network: 44.5 MFLOP forward, 84.3 backward (the first layer needs no gradient of its input).
FLOP_PER_SAMPLE = 128.8e6
# Second and third convolution of the shallow network: input channels, filters, kernel, stride, input height and width.
PROBES = ((32, 64, 4, 2, 29, 39), (64, 64, 3, 1, 13, 18))
PROBE_FLOP = 4e10
EPISODES = 16


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def measure_peak(dtype: str, device: str) -> float:
    """Return the best FLOP/s of a forward convolution on all cores; in a process of its own, which may use them all."""
    cores = str(usable_cores())
    environment = {**os.environ, "OMP_NUM_THREADS": cores, "MKL_NUM_THREADS": cores}
    argv = [sys.executable, __file__, "--peak-of", dtype, "--device", device]
    return float(subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout)


def probe_peak(dtype: str, device: str) -> float:
    """Return the best FLOP/s over two layers, two batch sizes and, on a CPU, two ways to use all cores.

    Either all cores share every convolution, or each computes its own ones: on a busy machine the first stands still
    whenever one of its threads does.
    """
    import torch

    cores = 1 if device != "cpu" else usable_cores()
    best = 0.0
    for streams in sorted({1, cores}):
        torch.set_num_threads(max(1, cores // streams))
        with ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=(cores // streams,)) as pool:
            for batch in MINIBATCH_SIZES:
                for shape in PROBES:
                    best = max(best, time_convolution(pool, streams, batch, shape, dtype, device))
    return best


def time_convolution(
    pool: ThreadPoolExecutor, streams: int, batch: int, shape: tuple[int, ...], dtype: str, device: str
) -> float:
    """Return the best FLOP/s of one convolution, channels last, computed in several streams at once."""
    import torch

    channels, filters, kernel, stride, height, width = shape
    options = {"dtype": getattr(torch, dtype), "device": device, "memory_format": torch.channels_last}
    frames = torch.randn(batch, channels, height, width).to(**options)
    weights = torch.randn(filters, channels, kernel, kernel).to(**options)
    flop = 2 * torch.conv2d(frames, weights, None, stride).numel() * channels * kernel * kernel
    calls = max(1, round(PROBE_FLOP / 4 / flop / streams))

    def compute(_: int) -> None:
        with torch.inference_mode():
            for _ in range(calls):
                torch.conv2d(frames, weights, None, stride)

    best = 0.0
    for _ in range(4):
        finish(device)
        started = time.perf_counter()
        list(pool.map(compute, range(streams)))
        finish(device)
        best = max(best, flop * calls * streams / (time.perf_counter() - started))
    return best


def finish(device: str) -> None:
    """Wait until a GPU has done what it was given."""
    import torch

    if device != "cpu":
        torch.cuda.synchronize()


def make_learner(minibatch_size: int, epochs: int, precision: Any, shards: int | None) -> PpoLearner:
    """Make a learner with the shipped network and action space."""
    from drctl.formats.hyperparameters import Hyperparameters
    from drctl.formats.model_metadata import DiscreteActionSpace, ModelMetadata
    from drctl.trainer.ppo import PpoLearner

    metadata = ModelMetadata(DiscreteActionSpace((-30.0, -15.0, 0.0, 15.0, 30.0), (0.6,) * 5))
    hyperparameters = Hyperparameters(
        minibatch_size=minibatch_size, num_epochs=epochs, gamma=0.99, value_loss="huber", learning_rate=1e-5
    )
    return PpoLearner(metadata, hyperparameters, seed=0, precision=precision, shards=shards)


def make_episodes(learner: PpoLearner, transitions: int) -> list[Episode]:
    """Play random pictures."""
    import numpy as np

    from drctl.formats.episode_status import EpisodeStatus
    from drctl.simulation.episode import EpisodeRecord, EpisodeStart
    from drctl.trainer.rollout import Episode

    generator = np.random.default_rng(0)
    length = transitions // EPISODES
    record = EpisodeRecord(np.empty(0, [("steps", "f4")]), EpisodeStatus.OFF_TRACK, 0.0, length, 0.0, 0.0)
    episodes = []
    for number in range(EPISODES):
        start = EpisodeStart("training", 0, number)
        frames = generator.integers(0, 256, (length, 120, 160), dtype=np.uint8)
        answer = learner.sampler().act(frames, [start] * length, np.arange(length))
        rewards = generator.random(length, dtype=np.float32)
        episodes.append(
            Episode(
                start,
                frames,
                None,
                answer.actions,
                answer.log_probs,
                answer.values,
                rewards,
                terminated=True,
                truncated=False,
                record=record,
            )
        )
    return episodes


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--transitions", type=int, default=2048)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--shards", type=int, help="other than one per core")
    parser.add_argument("--peak-of", help="only print the peak of this torch type")
    parser.add_argument("--device", default="cpu", help="where to look for the peak")
    options = parser.parse_args()
    if options.peak_of:
        sys.stdout.write(f"{probe_peak(options.peak_of, options.device)}\n")
        return
    wanted = allocator_environment()
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        # The allocator reads them when a process starts; the engine starts trainers with them too.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})

    from drctl.trainer.precision import compute_dtype

    learners = {size: make_learner(size, options.epochs, options.precision, options.shards) for size in MINIBATCH_SIZES}
    episodes = make_episodes(learners[64], options.transitions)
    device = "cpu" if learners[64].device_name == "cpu" else "cuda"
    dtype = str(compute_dtype(learners[64].precision)).removeprefix("torch.")
    for learner in learners.values():
        learner.update(episodes[:4], 0, lambda *_: None)
    raw: dict[str, list[float]] = {"peak_gflops": [], **{f"samples_per_s_{size}": [] for size in MINIBATCH_SIZES}}
    for repetition in range(options.repetitions):
        raw["peak_gflops"].append(measure_peak(dtype, device) / 1e9)
        for size, learner in learners.items():
            stats = learner.update(episodes, repetition, lambda *_: None)
            raw[f"samples_per_s_{size}"].append(stats.samples / stats.seconds)
        note(f"repetition {repetition + 1}/{options.repetitions}: " + str({k: round(v[-1]) for k, v in raw.items()}))
    peak = median(raw["peak_gflops"])
    fractions = {
        str(size): round(median(raw[f"samples_per_s_{size}"]) * FLOP_PER_SAMPLE / 1e9 / peak, 3)
        for size in MINIBATCH_SIZES
    }
    emit(
        "update",
        unit="trained samples/s",
        precision=learners[64].precision,
        device=learners[64].description,
        raw=raw,
        median={name: round(median(values), 1) for name, values in raw.items()},
        fraction_of_peak=fractions,
        floor=0.40,
        aim=0.60,
    )


if __name__ == "__main__":
    main()
