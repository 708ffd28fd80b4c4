#!/usr/bin/env python3
"""How soon a car learns: steps and wall time to the first lap and to five of five laps, run by run.

usage: learning.py run [--only NAME ...] [--cap SECONDS] [--busy]   trains what has no result yet
       learning.py plot                                   draws the results that there are, and prints a table
       learning.py list                                   names the runs, done or not

With --busy no wall times are kept: the machine has other work, and a training's steps do not depend on it.

Each run's JSON (with commit and machine) and the plots lie in docs/learning/. "Not reached within the cap" is a result.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from learning_plot import draw
from measure import ROOT, machine, note
from training_run import TrainingRun

RESULTS = ROOT / "docs" / "learning"
TRIALS = 5
BOUNDS = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 0.5, "high": 1.0}}
CONTINUOUS = {"action_space": BOUNDS, "action_space_type": "continuous"}


@dataclass(frozen=True)
class Entry:
    """One training of the matrix.

    Attributes:
        name: Of its result.
        group: What it is drawn with.
        seed: ``DR_SEED``.
        track: ``DR_WORLD_NAME``.
        cap_s: Seconds after which it is ended.
        settings: Settings that differ from what ``drctl init`` writes, besides these.
        metadata: Entries of ``model_metadata.json`` that differ from the shipped ones.
    """

    name: str
    group: str
    seed: int
    track: str
    cap_s: float = 1800.0
    settings: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def entries() -> Iterator[Entry]:
    """Name every training of the matrix."""
    for track in ("reinvent_base", "reInvent2019_track", "2022_summit_speedway"):
        for seed in range(3):
            yield Entry(f"ppo-discrete-{track}-{seed}", f"ppo-discrete-{track}", seed, track)
    for seed in range(3):
        group = "ppo-continuous-reinvent_base"
        yield Entry(f"{group}-{seed}", group, seed, "reinvent_base", metadata=CONTINUOUS)
    sac = {**CONTINUOUS, "training_algorithm": "sac"}
    yield Entry("sac-reinvent_base-0", "sac-reinvent_base", 0, "reinvent_base", 3600.0, metadata=sac)
    for race in ("OBJECT_AVOIDANCE", "HEAD_TO_BOT"):
        name = race.lower().replace("_", "-")
        yield Entry(f"{name}-reinvent_base-0", name, 0, "reinvent_base", 3600.0, {"DR_RACE_TYPE": race})


def train(entry: Entry, cap_s: float, *, is_busy: bool) -> dict[str, Any]:
    """Train once from nothing and return its result, without wall times where the machine is busy otherwise."""
    settings = {
        "DR_SEED": str(entry.seed),
        "DR_WORLD_NAME": entry.track,
        "DR_TRAIN_MIN_EVAL_TRIALS": str(TRIALS),
        "DR_TRAIN_STOP_WHEN": "laps",
        **entry.settings,
    }
    described = machine()
    with TrainingRun(settings, {"term_cond_max_episodes": 1_000_000}, entry.metadata) as run:
        run.start()
        points: list[dict[str, Any]] = []

        def look() -> bool:
            summaries = run.iterations()
            judged = [summary for summary in summaries if summary["evaluation"]]
            for number in range(len(points), len(judged)):
                evaluation = judged[number]["evaluation"]
                points.append(
                    {
                        "wall_s": None if is_busy else round(time.time() - run.entered, 1),
                        "steps": sum(summary["steps"] for summary in judged[: number + 1]),
                        "progress_mean": evaluation["progress_mean"],
                        "laps": evaluation["laps"],
                        "lap_times_s": evaluation["lap_times_s"],
                    }
                )
                note(f"{entry.name}: {points[-1]['steps']} steps, {evaluation['laps']}/{TRIALS} laps")
            return False

        run.wait(look, cap_s)
        look()
        outcome = run.status().get("outcome")
    first = next((point for point in points if point["laps"]), None)
    clean = next((point for point in points if point["laps"] == TRIALS), None)
    return {
        "benchmark": "learning",
        "machine": described,
        "entry": {**asdict(entry), "cap_s": cap_s},
        "first_lap": first,
        "five_of_five": clean,
        "outcome": outcome["message"] if outcome else f"ended at the cap of {cap_s:g} s",
        "evaluations": points,
    }


def run(names: list[str], cap_s: float | None, *, is_busy: bool) -> None:
    """Train what has no result yet; each result is stored as its training ends."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for entry in entries():
        file = RESULTS / f"{entry.name}.json"
        if (names and entry.name not in names and entry.group not in names) or file.exists():
            continue
        result = train(entry, cap_s or entry.cap_s, is_busy=is_busy)
        _write_whole(file, json.dumps(result, indent=1) + "\n")
        note(f"{file}: first lap {_tell(result['first_lap'])}, five of five {_tell(result['five_of_five'])}")


def plot() -> None:
    """Draw one picture per group, and print a table of all runs."""
    results = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))]
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault(result["entry"]["group"], []).append(result)
    for group, runs in groups.items():
        lines = {
            f"seed {one['entry']['seed']}": [(point["steps"], point["progress_mean"]) for point in one["evaluations"]]
            for one in runs
        }
        title = f"{group}: mean progress of {TRIALS} evaluation laps (%) over steps"
        _write_whole(RESULTS / f"{group}.svg", draw(title, lines))
    print("| run | first lap | five of five | fastest lap |\n|---|---|---|---|")
    for result in results:
        laps = [time_s for point in result["evaluations"] for time_s in point["lap_times_s"]]
        fastest = f"{min(laps):.1f} s" if laps else "none"
        events = (_tell(result[event]) for event in ("first_lap", "five_of_five"))
        print(f"| {result['entry']['name']} | {' | '.join(events)} | {fastest} |")


def _tell(point: dict[str, Any] | None) -> str:
    if point is None:
        return "not reached within the cap"
    return f"{point['steps']:,} steps" + ("" if point["wall_s"] is None else f", {point['wall_s']:.0f} s")


def _write_whole(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}")
    temporary.write_text(text)
    temporary.replace(file)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "plot", "list"))
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="runs or groups")
    parser.add_argument("--cap", type=float, help="seconds after which a training is ended, instead of its own")
    parser.add_argument("--busy", action="store_true", help="keep no wall times")
    options = parser.parse_args()
    known = {name for entry in entries() for name in (entry.name, entry.group)}
    unknown = sorted(set(options.only) - known)
    if unknown:
        sys.exit(f"no such run: {', '.join(unknown)}; learning.py list names them")
    if options.verb == "run":
        run(options.only, options.cap, is_busy=options.busy)
    elif options.verb == "plot":
        plot()
    else:
        for entry in entries():
            print(f"{'done' if (RESULTS / f'{entry.name}.json').exists() else 'to do'}  {entry.name}")


if __name__ == "__main__":
    main()
