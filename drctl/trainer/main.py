"""The trainer process: ``python -m drctl.trainer.main RUN_FOLDER``.

It exits 0 only when the run has ended: finished, stopped by its user, or ended by an error of the user that a new
start would meet again. Reason and exit status for the command line stand in ``outcome.json``. SIGTERM without a
recorded stop request finishes the publish under way and exits 143, so that an engine starts it again (DESIGN 4.8).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from drctl.errors import ConflictError, DrctlError, Problem, UnavailableError, combine_errors
from drctl.formats import log_lines
from drctl.formats.object_keys import ModelKeys
from drctl.storage.location import open_store
from drctl.storage.objects import ObjectStore
from drctl.trainer.lease import Holder, Lease, LeaseLostError, acquire
from drctl.trainer.spec import TrainerSpec, read_trainer_spec
from drctl.trainer.status_file import StatusFile

STOP_FILE = "stop"
"""In the run folder: its presence says that the user asked for the end of the run."""

OUTCOME_FILE = "outcome.json"
ENDPOINTS_FILE = "endpoints.json"
EXIT_TERMINATED = 143
STORE_PATIENCE_S = 1800.0
LOCAL_STATUS_INTERVAL_S = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        reason: ``finished``, ``stopped`` or ``failed``.
        message: One sentence for people.
        exit_status: What the command that waits for the run returns.
        problems: Details of a failure.
    """

    reason: str
    message: str
    exit_status: int
    problems: tuple[Problem, ...] = ()


class StopFlag:
    """Set by SIGTERM and SIGINT; asked between steps."""

    def __init__(self) -> None:
        self._event = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._event.set())

    def __call__(self) -> bool:
        """Tell whether the process was asked to end."""
        return self._event.is_set()


def main(arguments: list[str] | None = None) -> int:
    """Run the trainer of a run folder and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m drctl.trainer.main", description="Train the model of a run.")
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--parent-pid", type=int, help="end at once when this process is no longer the parent")
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if options.parent_pid is not None:
        _end_with(options.parent_pid)
    should_stop = StopFlag()
    run_folder: Path = options.run_folder
    spec = read_trainer_spec(run_folder)
    (run_folder / OUTCOME_FILE).unlink(missing_ok=True)
    try:
        outcome = _train(spec, run_folder, should_stop)
    except UnavailableError as error:
        # The store or a part of this machine is missing: a later start may find it, so this is not the end of the run.
        _report(error)
        return error.exit_status
    if outcome is None:
        return EXIT_TERMINATED
    _write_whole(run_folder / OUTCOME_FILE, asdict(outcome))
    _say(f"The run has ended: {outcome.message}")
    return 0


def _train(spec: TrainerSpec, run_folder: Path, should_stop: StopFlag) -> Outcome | None:
    """Train until the run ends; None means that the process was asked to leave but the run goes on elsewhere."""
    store = open_store(spec.store)
    keys = ModelKeys(spec.prefix, spec.metrics_prefix)
    try:
        lease = acquire(store, keys.lease, spec.run_token, on_lost=_leave, on_wait=_Waiting(), should_stop=should_stop)
    except ConflictError:
        return _outcome_of_stop(run_folder)
    try:
        return _train_with_lease(spec, run_folder, lease, should_stop)
    finally:
        lease.release()


def _train_with_lease(spec: TrainerSpec, run_folder: Path, lease: Lease, should_stop: StopFlag) -> Outcome | None:
    from drctl.link.transport import TrainerLink
    from drctl.trainer.collection import Collector

    store = open_store(spec.store)
    keys = ModelKeys(spec.prefix, spec.metrics_prefix)
    link = TrainerLink.open(spec.link, spec.run_id)
    _write_whole(run_folder / ENDPOINTS_FILE, {"link": list(link.endpoints)})
    collector = Collector(link, say=_say)
    interval = LOCAL_STATUS_INTERVAL_S if spec.store.kind == "directory" else 5.0
    facts = {"run": _run_facts(spec, lease), "episodes_done": 0, "episodes_wanted": 0, "iteration": 0}
    status = StatusFile(store, keys.status, facts, lambda: [asdict(view) for view in collector.workers()], interval)
    outcome: Outcome | None = None
    try:
        outcome = _run(spec, run_folder, lease, should_stop, collector, status)
    except LeaseLostError as error:
        _leave(error.problems[0].expected or str(error))
    except DrctlError as error:
        if isinstance(error, UnavailableError):
            raise
        _report(error)
        _keep_reward_params(store, keys, error)
        outcome = Outcome("failed", str(error), error.exit_status, combine_errors([error]).problems)
    finally:
        if outcome is not None:
            collector.close(outcome.message)
        link.close()
        status.close(asdict(outcome) if outcome is not None else None)
    return outcome


def _run(
    spec: TrainerSpec,
    run_folder: Path,
    lease: Lease,
    should_stop: StopFlag,
    collector: Any,
    status: StatusFile,
) -> Outcome | None:
    from drctl.formats.hyperparameters import render_effective
    from drctl.formats.observation import ObservationForm
    from drctl.simulation.vehicle.physics import resolve_physics
    from drctl.trainer.collection import CollectionStopped
    from drctl.trainer.events import EventWriter
    from drctl.trainer.precision import PrecisionRequest
    from drctl.trainer.pretrained import inherit
    from drctl.trainer.publish import Publisher, load_manifests, load_newest_complete
    from drctl.trainer.schedule import cars_per_worker
    from drctl.trainer.snapshot import load_snapshot

    store = open_store(spec.store)
    keys = ModelKeys(spec.prefix, spec.metrics_prefix)
    snapshot = load_snapshot(store, keys, spec.training_params_file, spec.worlds)
    manifests = load_manifests(store, keys)
    found = load_newest_complete(store, keys, manifests)
    if found is not None:
        # What makes results equal comes from the checkpoint, not from settings that may have changed since.
        conditions = found[0].conditions
        spec = replace(
            spec,
            seed=conditions["seed"],
            physics=conditions["physics"],
            network_heads=conditions["network_heads"],
        )
    precision: PrecisionRequest = found[0].conditions["precision"] if found else "auto"
    shards: int | None = found[0].conditions["shards"] if found else None
    physics = resolve_physics(spec.physics, snapshot.metadata.version)
    cars = spec.cars_per_worker or cars_per_worker(
        snapshot.hyperparameters.episodes_per_iteration, snapshot.min_eval_trials, spec.workers
    )
    collector.set_up(
        snapshot.environment(spec.seed, physics),
        cars,
        frame_shape=ObservationForm.of(snapshot.metadata).shape,
        stack=snapshot.hyperparameters.stack_size,
        prints_steps=spec.sim_trace_log,
    )
    collector.poll()

    # Two seconds of imports: workers build their environments meanwhile.
    from drctl.trainer.algorithm import make_learner
    from drctl.trainer.sac import ReplaySettings
    from drctl.trainer.training import Parts, Training

    learner = make_learner(
        snapshot.metadata,
        snapshot.hyperparameters,
        seed=spec.seed,
        precision=precision,
        shards=shards,
        heads=spec.network_heads,
        replay=ReplaySettings(spec.sac_buffer_gb, spec.sac_update_ratio),
    )
    collector.poll()
    status.update(physics=physics, precision=learner.precision, device=learner.device_name)
    effective = render_effective(snapshot.hyperparameters, snapshot.metadata.training_algorithm)
    _say(log_lines.HYPERPARAMETERS_TITLE)
    _say(effective)
    _say(f"Physics {physics}; network on {learner.description}; {cars} cars per worker")
    publisher = Publisher(store, keys, lease, spec.run_token, spec.keep_gb * 1e9, _StoreTrouble(status, should_stop))
    publisher.put(keys.hyperparameters, effective.encode())
    publisher.put(keys.model_metadata, snapshot.metadata_text.encode())
    resumed = None
    if found is not None:
        resumed, content = found
        publisher.adopt(manifests, resumed)
        learner.load_weights(content.weights)
        learner.load_optimizer_state(content.optimizer)
        publisher.write_index(resumed)
        _say(log_lines.checkpoint_restoring(resumed.name))
    inherited = None
    if found is None and spec.pretrained is not None:
        inherited = inherit(spec.pretrained, spec.store, learner)
        _say(f"Begins with checkpoint {spec.pretrained.checkpoint} of {spec.pretrained.prefix}")
    try:
        parts = Parts(
            spec=spec,
            snapshot=snapshot,
            store=store,
            keys=keys,
            learner=learner,
            collector=collector,
            publisher=publisher,
            status=status,
            events=EventWriter(keys, publisher.put),
            say=_say,
            should_stop=should_stop,
            inherited=inherited,
        )
        return Outcome("finished", Training(parts, resumed).run(), 0)
    except CollectionStopped:
        return _outcome_of_stop(run_folder)


def _outcome_of_stop(run_folder: Path) -> Outcome | None:
    if (run_folder / STOP_FILE).exists():
        return Outcome("stopped", "stopped by its user", 0)
    return None


def _keep_reward_params(store: ObjectStore, keys: ModelKeys, error: DrctlError) -> None:
    """Store what a failed reward function was called with, so that its user can call it again."""
    trouble = getattr(error, "details", None)
    if trouble is None:
        return
    content = {"message": trouble.message, "file": trouble.file, "line": trouble.line, "params": trouble.params}
    with contextlib.suppress(DrctlError):
        store.put(keys.reward_failure, json.dumps(content, indent=1).encode())
        _say(f"The params of that call are in {store.name}/{keys.reward_failure}")


def _run_facts(spec: TrainerSpec, lease: Lease) -> dict[str, Any]:
    return {
        "id": spec.run_id,
        "prefix": spec.prefix,
        "token": spec.run_token,
        "epoch": lease.epoch,
        "started": time.time(),
        "pid": os.getpid(),
    }


class _Waiting:
    """Says once whose lease is waited for."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, holder: Holder) -> None:
        if not self._said:
            self._said = True
            _say(f"Waiting for the trainer on {holder.host} (pid {holder.pid}) to give the model back")


class _StoreTrouble:
    """Shows that the store does not take objects, and gives up after half an hour or when asked to stop."""

    def __init__(self, status: StatusFile, should_stop: StopFlag) -> None:
        self._status = status
        self._should_stop = should_stop
        self._since: float | None = None

    def __call__(self, error: UnavailableError | None) -> None:
        if error is None:
            self._since = None
            self._status.update(store_trouble=None)
            _say("The store works again")
            return
        if self._since is None:
            self._since = time.monotonic()
            _say(f"The store does not take objects; trying again every 5 s: {error}")
        self._status.update(store_trouble=str(error))
        if self._should_stop() or time.monotonic() - self._since > STORE_PATIENCE_S:
            raise error


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(content, indent=1))
    temporary.replace(path)


def _leave(who: str) -> NoReturn:
    _say(f"Another trainer has taken this model over ({who}); leaving without writing")
    os._exit(ConflictError.exit_status)


def _end_with(parent_pid: int) -> None:
    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _report(error: DrctlError) -> None:
    for problem in error.problems:
        _say(f"error[{error.code}]: {problem.what}")
        for label, text in (("where", problem.where), ("expected", problem.expected), ("fix", problem.fix)):
            if text:
                _say(f"  {label}: {text}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
