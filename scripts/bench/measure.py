"""What every benchmark shares: facts about the machine, medians of alternating runs, one JSON line as output."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def machine() -> dict[str, Any]:
    """Describe the machine and the code that ran on it."""
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def emit(benchmark: str, **figures: Any) -> None:
    """Print a benchmark's figures as one JSON line."""
    sys.stdout.write(json.dumps({"benchmark": benchmark, "machine": machine(), **figures}) + "\n")
    sys.stdout.flush()


def alternate(ours: Callable[[], float], theirs: Callable[[], float], pairs: int) -> dict[str, Any]:
    """Run two measurements in turn and compare their medians.

    Args:
        ours: Returns a rate.
        theirs: Returns the rate to compare with.
        pairs: How often each is run.

    Returns:
        Raw runs of both sides, their medians and the ratio ours / theirs.
    """
    raw: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(pairs):
        for name, run in (("ours", ours), ("theirs", theirs)):
            raw[name].append(run())
            note(f"pair {number + 1}/{pairs}: {name} {raw[name][-1]:.1f}")
    medians = {name: statistics.median(values) for name, values in raw.items()}
    return {**raw, "median": medians, "ratio": medians["ours"] / medians["theirs"]}


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def note(text: str) -> None:
    """Tell whoever waits how far the benchmark is; on stderr, so that stdout stays one JSON line."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
