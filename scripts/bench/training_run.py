"""A real training in a folder of its own, driven through the command line as a user would, for the benchmarks."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PREFIX = "bench"


def learning_speed(summaries: Sequence[Mapping[str, Any]]) -> float:
    """Return the environment steps per second of iterations, the trials that judge them included.

    Trials are driven together with the next iteration's episodes, so their time cannot be told apart.
    """
    seconds = sum(sum(summary["seconds"].values()) for summary in summaries)
    return float(sum(summary["steps"] for summary in summaries)) / seconds


def add_hyperparameters(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark be run with other hyperparameters than the shipped ones."""
    parser.add_argument("--batch-size", type=int, help="batch_size other than the shipped one")
    parser.add_argument("--lr", type=float, help="lr other than the shipped one")


def changed_hyperparameters(options: argparse.Namespace) -> dict[str, Any]:
    """Return those that were given, under their names in ``hyperparameters.json``."""
    given = {"batch_size": options.batch_size, "lr": options.lr}
    return {name: value for name, value in given.items() if value is not None}


class TrainingRun:
    """A project in a temporary folder with one training in it.

    Args:
        settings: ``DR_*`` settings that differ from what ``drctl init`` writes.
        hyperparameters: Entries of ``hyperparameters.json`` that differ from the shipped ones.
        metadata: Entries of ``model_metadata.json`` that do.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        hyperparameters: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="drctl-bench-"))
        self._drctl = [sys.executable, "-m", "drctl"]
        self.command("init")
        assignments = {"DR_LOCAL_S3_MODEL_PREFIX": PREFIX, "DR_RUN_ID": "7", **settings}
        self.command("config", "set", *(f"{name}={value}" for name, value in assignments.items()))
        for name, changes in (("hyperparameters", hyperparameters), ("model_metadata", metadata)):
            if changes:
                file = self.folder / "custom_files" / f"{name}.json"
                file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
        self.entered = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run([*self._drctl, "stop-training"], cwd=self.folder, capture_output=True, check=False)
        shutil.rmtree(self.folder)

    def command(self, *arguments: str) -> str:
        """Run one drctl command in the project and return its output; a failure ends the benchmark."""
        done = subprocess.run([*self._drctl, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"drctl {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Press Enter on ``drctl start-training -q`` and note when; it returns before the training has ended."""
        self.entered = time.time()
        self.command("start-training", "-q")

    def status(self) -> dict[str, Any]:
        """Return the trainer's status file, empty while there is none."""
        return self._read("status.json")

    def iterations(self) -> list[dict[str, Any]]:
        """Return the summaries of all iterations so far, in order."""
        folder = self._model / "iterations"
        files = sorted(folder.glob("*.json"), key=lambda file: int(file.stem)) if folder.is_dir() else []
        return [json.loads(file.read_text()) for file in files]

    def manifest(self, number: int) -> dict[str, Any]:
        """Return the manifest of a checkpoint."""
        return self._read(f"manifests/{number}.json")

    def wait(self, condition: Callable[[], bool], limit_s: float) -> float | None:
        """Wait for a condition; return seconds since Enter when it was seen, or None at the limit or the run's end."""
        while time.time() - self.entered < limit_s:
            if condition():
                return time.time() - self.entered
            if self.status().get("outcome"):
                return time.time() - self.entered if condition() else None
            time.sleep(0.1)
        return None

    def memory_mb(self) -> tuple[float, float]:
        """Return the sums of resident and of proportional memory of the run's processes, in MB (1e6 bytes)."""
        state = json.loads(next((self.folder / "tmp").glob("run-*/state.json")).read_text())
        pids = [state["supervisor"]["pid"], *(part["process"]["pid"] for part in state["parts"] if part["process"])]
        sums = [_memory_mb(pid) for pid in pids]
        return sum(resident for resident, _ in sums), sum(proportional for _, proportional in sums)

    @property
    def _model(self) -> Path:
        return self.folder / "data" / "bucket" / PREFIX / ".drctl"

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self._model / name).read_text())
        except FileNotFoundError:
            return {}
        return content


def _memory_mb(pid: int) -> tuple[float, float]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0.0, 0.0
    kilobytes = {name: float(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return kilobytes["Rss"] * 1.024e-3, kilobytes["Pss"] * 1.024e-3
