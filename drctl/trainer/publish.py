"""Put checkpoints into the store so that a kill at any moment leaves a loadable model (DESIGN 4.5, publish 1 and 2).

Order of publish 1: weights, optimiser, frozen graph, traces, metrics, iteration summary, manifest, index. The
manifest makes the checkpoint exist; what was put before it without one is overwritten by the next try. Order of
publish 2: metrics, summary, manifest with the evaluation, index.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from drctl.errors import FormatError, ObjectNotFoundError, UnavailableError
from drctl.formats.checkpoint_index import (
    CheckpointIndex,
    CheckpointRecord,
    checkpoint_name,
    render_checkpoint_index,
)
from drctl.formats.manifest import (
    BestRecord,
    Counters,
    EvaluationRecord,
    FileRecord,
    Manifest,
    parse_manifest,
    render_manifest,
)
from drctl.trainer.retention import OPTIMIZERS, checkpoints_to_drop

if TYPE_CHECKING:
    from drctl.formats.object_keys import ModelKeys
    from drctl.storage.objects import ObjectStore
    from drctl.trainer.lease import Lease
    from drctl.trainer.slots import SlotBook

RETRY_S = 5.0


@dataclass(frozen=True)
class CheckpointContent:
    """What a checkpoint consists of besides its bookkeeping: serialized weights, optimiser state and frozen graph."""

    weights: bytes
    optimizer: bytes
    frozen_graph: bytes


class Publisher:
    """Writes checkpoints, evaluations and the index under one prefix.

    A store that fails for a while (network, full disk) holds the training up instead of ending it: each put is tried
    again every 5 s, and `on_store_trouble` hears about it.

    Args:
        store: Bucket.
        keys: Object keys of the model.
        lease: Checked right before each manifest.
        run_token: Start of the run.
        keep_bytes: Budget of the checkpoint history.
        on_store_trouble: Called with the error at each failed try and with None once it works again; it may raise to
            give up.
    """

    def __init__(
        self,
        store: ObjectStore,
        keys: ModelKeys,
        lease: Lease,
        run_token: str,
        keep_bytes: float,
        on_store_trouble: Callable[[UnavailableError | None], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._lease = lease
        self._run_token = run_token
        self._keep_bytes = keep_bytes
        self._on_store_trouble = on_store_trouble
        self._sizes: dict[int, int] = {}
        self._optimizers: set[int] = set()

    def publish_checkpoint(
        self,
        number: int,
        content: CheckpointContent,
        *,
        counters: Counters,
        slots: SlotBook,
        traces: Mapping[str, bytes],
        conditions: Mapping[str, Any],
        summary: Mapping[str, Any] | None,
        previous: Manifest | None,
    ) -> Manifest:
        """Do publish 1 and return the manifest that was written.

        Args:
            number: Checkpoint number.
            content: The learner's state.
            counters: After this iteration's training episodes.
            slots: Likewise.
            traces: Trace files of this iteration by key.
            conditions: See `Manifest.conditions`.
            summary: Figures of this iteration, None for checkpoint 0.
            previous: Manifest of the checkpoint before, None for checkpoint 0.
        """
        steps, name = counters.steps, checkpoint_name(number, counters.steps)
        files = {
            self._keys.weights(number): content.weights,
            self._keys.optimizer(number): content.optimizer,
            self._keys.frozen_graph(number): content.frozen_graph,
        }
        stamp = slots.states[0].clock_ms / 1000.0
        manifest = Manifest(
            number=number,
            steps=steps,
            name=name,
            created=time.time(),
            run_token=self._run_token,
            lease_epoch=self._lease.epoch,
            files={_relative(self._keys, key): FileRecord.of(data) for key, data in files.items()},
            counters=counters,
            slots=slots.states,
            conditions=dict(conditions),
            best=previous.best if previous else BestRecord(number, name, None, stamp),
            summary=None if summary is None else dict(summary),
        )
        self._put_all(files)
        self._put_all(traces)
        self._put_all(slots.metrics_files())
        self._commit(manifest)
        self._sizes[number] = len(content.weights) + len(content.frozen_graph)
        self._optimizers.add(number)
        return manifest

    def publish_evaluation(
        self, manifest: Manifest, evaluation: EvaluationRecord, *, counters: Counters, slots: SlotBook, is_best: bool
    ) -> Manifest:
        """Do publish 2 and return the manifest that was written.

        Args:
            manifest: Of the checkpoint that was evaluated.
            evaluation: The outcome.
            counters: Including this evaluation.
            slots: Likewise.
            is_best: Whether the checkpoint becomes the best one.
        """
        stamp = slots.states[0].clock_ms / 1000.0
        best = BestRecord(manifest.number, manifest.name, evaluation.metric, stamp) if is_best else manifest.best
        updated = replace(manifest, counters=counters, slots=slots.states, evaluation=evaluation, best=best)
        self._put_all(slots.metrics_files([0]))
        self._commit(updated)
        self._thin_out(updated)
        return updated

    def write_index(self, manifest: Manifest) -> None:
        """Write the checkpoint index that follows from the newest manifest."""
        metric = manifest.evaluation.metric if manifest.evaluation else None
        index = CheckpointIndex(
            best=CheckpointRecord(manifest.best.name, manifest.best.metric, manifest.best.time_stamp),
            last=CheckpointRecord(manifest.name, metric, manifest.slots[0].clock_ms / 1000.0),
        )
        self._put(self._keys.checkpoint_index, render_checkpoint_index(index))

    def put(self, key: str, data: bytes) -> None:
        """Put one object that belongs to no checkpoint, with the same patience."""
        self._put(key, data)

    def adopt(self, manifests: Sequence[Manifest], newest: Manifest) -> None:
        """Take over the checkpoints that an earlier trainer left.

        Those after `newest` are incomplete and files without a manifest belong to nothing: both are removed.

        Args:
            manifests: What is in the store.
            newest: The checkpoint to go on from.
        """
        for manifest in manifests:
            if manifest.number <= newest.number:
                optimizer = _relative(self._keys, self._keys.optimizer(manifest.number))
                self._sizes[manifest.number] = sum(
                    record.size_bytes for name, record in manifest.files.items() if name != optimizer
                )
            else:
                self._delete(self._keys.manifest(manifest.number))
        for folder in (self._keys.weights_folder, self._keys.optimizers_folder):
            for info in list(self._store.list(folder)):
                stem = info.key.rpartition("/")[2].partition(".")[0]
                if not stem.isdigit():
                    continue
                if int(stem) not in self._sizes:
                    self._delete(info.key)
                elif folder == self._keys.optimizers_folder:
                    self._optimizers.add(int(stem))
        if newest.evaluation is not None:
            self._thin_out(newest)

    def _commit(self, manifest: Manifest) -> None:
        if manifest.summary is not None:
            summary = {**manifest.summary, "evaluation": _evaluation_summary(manifest.evaluation)}
            data = (json.dumps(summary, indent=1) + "\n").encode()
            self._put(self._keys.iteration_summary(manifest.number - 1), data)
        self._patiently(self._lease.check)
        self._put(self._keys.manifest(manifest.number), render_manifest(manifest))
        self.write_index(manifest)

    def _thin_out(self, manifest: Manifest) -> None:
        for number in sorted(self._optimizers)[:-OPTIMIZERS]:
            self._delete(self._keys.optimizer(number))
            self._optimizers.discard(number)
        for number in checkpoints_to_drop(self._sizes, manifest.best.number, self._keep_bytes):
            # The manifest goes first: a checkpoint without one does not exist, one without weights would be broken.
            for key in (self._keys.manifest(number), self._keys.weights(number), self._keys.frozen_graph(number)):
                self._delete(key)
            del self._sizes[number]

    def _put_all(self, files: Mapping[str, bytes]) -> None:
        for key, data in files.items():
            self._put(key, data)

    def _put(self, key: str, data: bytes) -> None:
        self._patiently(lambda: self._store.put(key, data))

    def _delete(self, key: str) -> None:
        self._patiently(lambda: self._store.delete(key))

    def _patiently(self, action: Callable[[], object]) -> None:
        has_failed = False
        while True:
            try:
                action()
            except UnavailableError as error:
                has_failed = True
                self._on_store_trouble(error)
                time.sleep(RETRY_S)
                continue
            if has_failed:
                self._on_store_trouble(None)
            return


def load_manifests(store: ObjectStore, keys: ModelKeys) -> list[Manifest]:
    """Read every readable manifest under a prefix, oldest checkpoint first."""
    found = []
    for info in store.list(keys.manifests_folder):
        try:
            found.append(parse_manifest(store.get(info.key), info.key))
        except (FormatError, ObjectNotFoundError):
            continue
    return sorted(found, key=lambda manifest: manifest.number)


def load_newest_complete(
    store: ObjectStore, keys: ModelKeys, manifests: Sequence[Manifest]
) -> tuple[Manifest, CheckpointContent] | None:
    """Load the newest checkpoint whose every file is there with the recorded size and checksum.

    Returns:
        Its manifest and content, or None when there is no checkpoint yet.

    Raises:
        FormatError: There are checkpoints, and none can be loaded: beginning anew would write over them.
    """
    for manifest in reversed(manifests):
        number = manifest.number
        data = {}
        for key in (keys.weights(number), keys.optimizer(number), keys.frozen_graph(number)):
            try:
                data[key] = store.get(key)
            except ObjectNotFoundError:
                break
            if FileRecord.of(data[key]) != manifest.files.get(_relative(keys, key)):
                break
        else:
            return manifest, CheckpointContent(*data.values())
    if any(True for _ in store.list(keys.manifests_folder)):
        raise FormatError(
            f"no checkpoint under {keys.prefix} can be loaded",
            where=f"{store.name}/{keys.manifests_folder}",
            expected="a checkpoint of this version, whose files have the sizes and checksums of its manifest",
            fix="drctl start-training -w moves the model to the trash and begins anew",
        )
    return None


def _relative(keys: ModelKeys, key: str) -> str:
    return key.removeprefix(f"{keys.prefix}/")


def _evaluation_summary(evaluation: EvaluationRecord | None) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    return {
        "trials": evaluation.trials,
        "laps": evaluation.laps,
        "progress_mean": evaluation.progress_mean_percent,
        "reward_mean": evaluation.reward_mean,
        "lap_times_s": list(evaluation.lap_times_s),
        "metric": evaluation.metric,
    }
