"""A trainer and its workers as real processes around a folder store, without an engine: for tests that kill them."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from drctl.config.settings import Settings
from drctl.formats.object_keys import ModelKeys
from drctl.formats.training_params import render_training_params, training_params_for
from drctl.storage.location import StoreLocation, open_store
from drctl.trainer.memory import allocator_environment
from drctl.trainer.spec import LinkSpec, PretrainedSpec, TrainerSpec

CUSTOM_FILES = Path(__file__).resolve().parents[2] / "custom_files"
KEYS = ModelKeys("model")
PATIENCE_S = 120.0


class Processes:
    """One training in a folder.

    Args:
        folder: Empty folder for store, link and logs.
        workers: Worker processes, and ``DR_WORKERS``.
        episodes: Episodes per iteration.
        iterations: Iterations until the run ends by itself.
        steps: Cap on the steps of an iteration.
        trials: Evaluation trials.
        reward: Text of the reward function; None for the shipped one.
        entries: What the races of a multi-config run have of their own; empty for one race.
        pretrained: What the model begins with.
        sensors: Of the model; None for the shipped ones.
        stack: Frames that its network sees at once.
        sac: Train by soft actor-critic, with a continuous action space.
        settings: Settings that are not the default.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 1,
        episodes: int = 4,
        iterations: int = 3,
        steps: int | None = 120,
        trials: int = 2,
        reward: str | None = None,
        entries: Sequence[Mapping[str, Any]] = (),
        pretrained: PretrainedSpec | None = None,
        sensors: list[str] | None = None,
        stack: int = 1,
        sac: bool = False,
        **settings: Any,
    ) -> None:
        self.folder = folder
        location = StoreLocation(kind="directory", bucket="bucket", folder=str(folder / "data" / "bucket"))
        self.store = open_store(location)
        hyperparameters = json.loads((CUSTOM_FILES / "hyperparameters.json").read_text())
        hyperparameters.update(
            num_episodes_between_training=episodes,
            num_epochs=1,
            term_cond_max_episodes=episodes * iterations,
            stack_size=stack,
        )
        metadata = json.loads((CUSTOM_FILES / "model_metadata.json").read_text())
        if sensors is not None:
            metadata["sensor"] = sensors
        if sac:
            bounds = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 0.5, "high": 1.0}}
            metadata.update(action_space=bounds, action_space_type="continuous", training_algorithm="sac")
            hyperparameters.update(batch_size=16)
        files = {
            "hyperparameters.json": json.dumps(hyperparameters).encode(),
            "model_metadata.json": json.dumps(metadata).encode(),
            "reward_function.py": (reward or (CUSTOM_FILES / "reward_function.py").read_text()).encode(),
        }
        for name, data in files.items():
            self.store.put(KEYS.custom_files(name), data)
        common = {"local_s3_model_prefix": "model", "workers": workers, "train_min_eval_trials": trials, **settings}
        for number, own in enumerate(entries or ({},), 1):
            params = training_params_for(Settings(**{**common, **own}), worker=number if entries else None)
            key = KEYS.training_params(number if entries else None)
            self.store.put(key, render_training_params(params))
        self.ticket = folder / "join.json"
        spec = TrainerSpec(
            run_id=0,
            run_token="test",
            prefix="model",
            metrics_prefix="model/metrics",
            training_params_file="training_params.yaml",
            store=location,
            link=LinkSpec(str(folder / "link"), None, 0, "127.0.0.1", str(self.ticket), None),
            workers=workers,
            cars_per_worker=None,
            seed=3,
            physics="auto",
            stop_when="max_episodes",
            max_steps_per_iteration=steps,
            keep_gb=10.0,
            network_heads="shared",
            sim_trace_log=False,
            pretrained=pretrained,
            worlds=max(1, len(entries)),
            sac_buffer_gb=0.05,
            sac_update_ratio=0.25,
        )
        self.run_folder = folder / "run"
        self.run_folder.mkdir(parents=True)
        (self.run_folder / "trainer.json").write_text(json.dumps(spec.to_json()))
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._trainer: subprocess.Popen[bytes] | None = None
        self._count = workers

    def start(self) -> None:
        """Start the trainer, and the workers that do not run."""
        self.start_trainer()
        for number in range(self._count):
            self.start_worker(number)

    def start_trainer(self) -> None:
        """Start the trainer and wait until it listens."""
        self.ticket.unlink(missing_ok=True)
        self._trainer = self._spawn("trainer", "drctl.trainer.main", str(self.run_folder))
        self.wait_until(self.ticket.exists)

    def start_worker(self, number: int) -> None:
        """Start a worker unless it runs."""
        name = f"worker-{number}"
        if name not in self._workers or self._workers[name].poll() is not None:
            self._workers[name] = self._spawn(
                name, "drctl.simulation.worker", "--join", str(self.ticket), "--name", name
            )

    @property
    def trainer_pid(self) -> int:
        """Process of the trainer."""
        return self._trainer.pid

    def kill_trainer(self) -> None:
        """Kill -9."""
        self._trainer.send_signal(signal.SIGKILL)
        self._trainer.wait()

    def kill_worker(self, number: int) -> None:
        """Kill -9."""
        worker = self._workers[f"worker-{number}"]
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def pause_worker(self, number: int) -> None:
        """Let it stand still until `resume_worker`."""
        self._workers[f"worker-{number}"].send_signal(signal.SIGSTOP)

    def resume_worker(self, number: int) -> None:
        """Let it go on, if it was paused."""
        self._workers[f"worker-{number}"].send_signal(signal.SIGCONT)

    def terminate_trainer(self) -> int:
        """SIGTERM, and the exit status."""
        self._trainer.terminate()
        return self._trainer.wait(PATIENCE_S)

    def finish(self) -> dict[str, Any]:
        """Wait for the end of the run and return its outcome."""
        status = self._trainer.wait(PATIENCE_S)
        assert status == 0, self.log("trainer")
        for worker in self._workers.values():
            worker.wait(PATIENCE_S)
        return json.loads((self.run_folder / "outcome.json").read_text())

    def close(self) -> None:
        """Kill whatever runs."""
        for process in [*self._workers.values(), *([self._trainer] if self._trainer else [])]:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, as short as possible; fail when the trainer ends first."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self._trainer.poll() is None, self.log("trainer")
            assert time.monotonic() < deadline, self.log("trainer")
            time.sleep(0.005)

    def status(self) -> dict[str, Any]:
        """Return the trainer's status file."""
        return json.loads(self.store.get(KEYS.status)) if self.store.stat(KEYS.status) else {}

    @property
    def phase(self) -> str | None:
        """What the trainer does, by its status file."""
        return self.status().get("phase")

    def manifest(self, number: int) -> dict[str, Any] | None:
        """Return a manifest, or None while there is none."""
        key = KEYS.manifest(number)
        return json.loads(self.store.get(key)) if self.store.stat(key) else None

    def log(self, part: str) -> str:
        """Return what a part printed."""
        return (self.folder / f"{part}.log").read_text()

    def results(self) -> dict[str, Any]:
        """Return what must be equal whatever happened on the way: weights, graphs, traces, metrics, index."""
        found: dict[str, Any] = {}
        for info in self.store.list("model"):
            data = self.store.get(info.key)
            if info.key.endswith(".csv"):
                found[info.key] = _without_wall_clock(data)
            elif info.key.endswith((".pt", ".pb")) or "Metrics" in info.key or "checkpoints" in info.key:
                found[info.key] = data
        return found

    def _spawn(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **allocator_environment()},
            )


def _without_wall_clock(data: bytes) -> list[list[str]]:
    rows = list(csv.reader(io.StringIO(data.decode())))
    column = rows[0].index("wall_clock")
    return [row[:column] + row[column + 1 :] for row in rows]
