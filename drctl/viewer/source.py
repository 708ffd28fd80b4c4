"""What the page shows, read from run folders and stores; nothing here is written or remembered for long."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drctl.engines.state import read_state
from drctl.errors import DrctlError, FormatError
from drctl.formats.object_keys import ModelKeys
from drctl.stack.plan import RunPlan, read_plan
from drctl.status.run_status import PartStatus, RunReader, RunStatus
from drctl.status.text import describe_results, describe_rule, duration
from drctl.status.witness import Witness
from drctl.storage.location import StoreLocation, open_store
from drctl.viewer.evaluation import RunningEvaluation, find_evaluation
from drctl.viewer.stored_laps import StoredLaps
from drctl.viewer.stored_races import StoredFiles

if TYPE_CHECKING:
    from drctl.stack.viewer_plan import ViewerPlan
    from drctl.storage.objects import ObjectStore

FILES_S: Final = 5.0
"""Files appear less often than phases change, and listing them costs more."""

STREAM_PORTS: Final = range(8080, 8180)
EVALUATION: Final = "evaluation"
"""Name of the part that races a stored model."""

_GONE: Final = ("lost", "left")
_REREAD: Final = 2
"""The newest iterations are read again: an evaluation is added to them."""


@dataclass
class _Run:
    """What is kept of a run between two looks at it."""

    plan: RunPlan
    reader: RunReader
    store: ObjectStore | None
    keys: ModelKeys
    stored: StoredFiles | None
    laps: StoredLaps | None
    iterations: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    files_read: float = float("-inf")
    addresses: dict[str, str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """Everything at one moment.

    Attributes:
        state: The runs: what they do, who lives. Plain data for the page.
        iterations: Summary of each iteration, by run id and iteration.
        files: Checkpoints and evaluations, by run id.
    """

    state: dict[str, Any]
    iterations: Mapping[int, Mapping[int, dict[str, Any]]]
    files: Mapping[int, dict[str, Any]]


class Source:
    """Reads the runs of a project again and again; for one thread at a time.

    Args:
        plan: Which runs.
    """

    def __init__(self, plan: ViewerPlan) -> None:
        self._plan = plan
        self._runs: dict[int, _Run] = {}

    def read(self, now: float | None = None) -> Snapshot:
        """Look at everything.

        Args:
            now: Epoch seconds; None for the clock's.
        """
        now = time.time() if now is None else now
        states, iterations, files = [], {}, {}
        for run_id, folder in self._folders():
            run = None
            elsewhere = self._other_engine(folder)
            if elsewhere:
                states.append({"id": run_id, "trouble": elsewhere})
                continue
            try:
                run = self._open(run_id, folder)
                state = None if run is None else self._look(run, now)
            except DrctlError as error:  # what was known before stays on the page
                states.append({"id": run_id, **(run.state if run else {}), "trouble": str(error)})
            else:
                if run is None or state is None:
                    continue
                run.state = state
                states.append(state)
            if run is not None:
                iterations[run_id], files[run_id] = dict(run.iterations), run.files
        state = {
            "version": 1,
            "time": round(now, 1),
            "host": socket.gethostname(),
            "cameras": list(self._plan.cameras),
            "runs": sorted(states, key=lambda one: (not one.get("is_running"), "parts" not in one, one["id"])),
        }
        return Snapshot(state, iterations, files)

    def _look(self, run: _Run, now: float) -> dict[str, Any] | None:
        status = run.reader.read(now)
        if status is None:
            return None
        evaluation = find_evaluation(Path(self._plan.root), run.plan)
        run.addresses = _addresses(run.plan, status)
        if evaluation is not None and evaluation.address:
            run.addresses[EVALUATION] = evaluation.address
        _read_iterations(run, int(status.trainer.get("iteration", 0)))
        if now - run.files_read > FILES_S and run.stored is not None:
            run.files, run.files_read = run.stored.read(), now
        return _describe(run, status, evaluation, now)

    def address(self, run_id: int, worker: str) -> str | None:
        """Return where a worker streamed when it was last looked at, as ``host:port``, or None."""
        run = self._runs.get(run_id)
        return run.addresses.get(worker) if run else None

    def object(self, run_id: int, key: str) -> tuple[ObjectStore, str] | None:
        """Return store and key of a file that the page links to, or None: nothing else is given away."""
        run = self._runs.get(run_id)
        if run is None or run.store is None or key not in run.files.get("keys", ()):
            return None
        return run.store, key

    def laps(self, run_id: int, stamp: str | None) -> dict[str, Any] | None:
        """Return driven lines of a run's newest training episodes, or of a race; None where there are none.

        Raises:
            DrctlError: See `StoredLaps.read`.
        """
        run = self._runs.get(run_id)
        return run.laps.read(stamp) if run is not None and run.laps is not None else None

    def _folders(self) -> list[tuple[int, Path]]:
        base = Path(self._plan.root) / "tmp"
        found = [(int(path.name[4:]), path) for path in base.glob("run-*") if path.name[4:].isdigit()]
        return [one for one in sorted(found) if self._plan.run_id in (None, one[0])]

    def _other_engine(self, folder: Path) -> str:
        """Tell which command shows a run that goes on in an engine that this viewer does not look at; else nothing."""
        try:
            plan, state = read_plan(folder), read_state(folder)
        except FormatError:  # said by whoever opens it
            return ""
        if plan is None or state is None or state.phase == "ended" or plan.engine == self._plan.engine:
            return ""
        return f"DR_DOCKER_STYLE was {plan.engine} at its start; drctl start-viewer --set DR_DOCKER_STYLE={plan.engine}"

    def _open(self, run_id: int, folder: Path) -> _Run | None:
        plan = read_plan(folder)
        if plan is None or plan.engine != self._plan.engine:
            self._runs.pop(run_id, None)
            return None
        run = self._runs.get(run_id)
        if run is None or run.plan.run_token != plan.run_token:
            run = self._runs[run_id] = self._remember(plan, folder)
        return run

    def _remember(self, plan: RunPlan, folder: Path) -> _Run:
        keys = ModelKeys(plan.prefix, plan.trainer.get("metrics_prefix"))
        store = self._open_store(plan)
        if store is None:
            return _Run(plan, RunReader(folder, None), None, keys, None, None)
        reader = RunReader(folder, store, None if plan.engine == "process" else Witness(folder, store).state)
        laps = StoredLaps(store, keys, Path(self._plan.root) / "tracks")
        return _Run(plan, reader, store, keys, StoredFiles(store, keys), laps)

    def _open_store(self, plan: RunPlan) -> ObjectStore | None:
        """Open the store as the run's own trainer sees it; None where a run of this machine's processes has none."""
        place = plan.trainer.get("store") or self._plan.store
        try:
            return open_store(StoreLocation.from_json(place)) if place else None
        except DrctlError:
            if plan.engine != "process":
                raise
            return None


def _addresses(plan: RunPlan, status: RunStatus) -> dict[str, str]:
    """Return where each worker streams.

    A worker tells its address itself, so it is believed only where a worker of this machine, or of the containers'
    network, can be: a viewer that fetched from anywhere would be a door into other services.
    """
    if plan.stack != "drctl":
        alive = {part.name for part in status.parts if part.condition == "alive"}
        containers = {part.name: part.container for part in plan.parts if part.kind == "worker" and part.name in alive}
        return {name: f"{one.name}:{STREAM_PORTS[0]}" for name, one in containers.items() if one is not None}
    found = {}
    for view in status.trainer.get("workers", ()) if status.is_running else ():
        host, _, port = str(view.get("address", "")).rpartition(":")
        is_own = host == "127.0.0.1" if plan.engine == "process" else host == view["host"]
        if is_own and port.isdigit() and int(port) in STREAM_PORTS and view["state"] not in _GONE:
            found[view["name"]] = f"{host}:{port}"
    return found


def _describe(run: _Run, status: RunStatus, evaluation: RunningEvaluation | None, now: float) -> dict[str, Any]:
    facts = status.trainer
    names = (
        *("iteration", "episodes_done", "episodes_wanted", "episodes_total", "steps_total", "steps_per_s"),
        *("laps_training", "best_lap_s", "progress_mean", "evaluation", "checkpoint", "update_fraction"),
        *("physics", "precision", "device"),
    )
    cars = {view["name"]: view["cars"] for view in facts.get("workers", ())}
    return {
        "id": status.run_id,
        "token": run.plan.run_token,
        "prefix": status.prefix,
        "stack": run.plan.stack,
        "engine": run.plan.engine,
        "phase": status.phase,
        "phase_since": status.phase_since,
        "is_running": status.is_running,
        "heartbeat": facts.get("heartbeat"),
        "message": status.message,
        "results": describe_results(facts),
        "rule": describe_rule(status).removeprefix("stop rule: "),
        "facts": {name: facts[name] for name in names if facts.get(name) is not None},
        "parts": [
            *(_describe_part(part, run, cars, now) for part in status.parts),
            *([_describe_evaluation(evaluation)] if evaluation is not None else []),
        ],
        "waits": [
            {
                "text": f"{wait.who} waits for {wait.for_whom} since {duration(wait.since_s)}: {wait.why}",
                "is_trouble": wait.is_trouble,
            }
            for wait in status.waits
        ],
    }


def _describe_part(part: PartStatus, run: _Run, cars: Mapping[str, int], now: float) -> dict[str, Any]:
    return {
        "name": part.name,
        "kind": part.kind,
        "condition": part.condition,
        "doing": part.doing,
        "since": part.since,
        "restarts": part.restarts,
        "last_heard": None if part.last_heard_s is None else round(now - part.last_heard_s, 1),
        "cars": cars.get(part.name, 0),
        "has_stream": part.name in run.addresses,
    }


def _describe_evaluation(evaluation: RunningEvaluation) -> dict[str, Any]:
    return {
        "name": EVALUATION,
        "kind": EVALUATION,
        "condition": "alive",
        "doing": evaluation.description,
        "since": evaluation.since,
        "restarts": 0,
        "last_heard": None,
        "cars": 1,
        "has_stream": bool(evaluation.address),
    }


def _read_iterations(run: _Run, current: int) -> None:
    """Read the summaries that are new, and the newest again, until one is missing."""
    if run.store is None:
        return
    newest = max(run.iterations, default=-1)
    for number in range(max(0, newest - _REREAD + 1), max(current, newest) + 2):
        try:
            run.iterations[number] = json.loads(run.store.get(run.keys.iteration_summary(number)))
        except (DrctlError, ValueError):
            if number > newest:
                return
