"""TensorBoard scalars of a training, one event file per start of the trainer, under ``<P>/tensorboard/``."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from drctl.formats.manifest import Manifest
    from drctl.formats.object_keys import ModelKeys

FILE_VERSION = "brain.Event:2"
"""First record of every event file; readers look for it."""

# Of an iteration's summary; each algorithm has some of the last ones.
_FIGURES: Final = (
    *("reward_mean", "progress_mean", "laps", "steps", "entropy", "policy_loss", "value_loss"),
    *("kl_divergence", "q_loss", "replay_transitions"),
)


class EventWriter:
    """Collects events in memory and puts the whole file after each evaluation.

    Args:
        keys: Object keys of the model.
        put: Stores an object.
    """

    def __init__(self, keys: ModelKeys, put: Callable[[str, bytes], None]) -> None:
        self._key = keys.tensorboard(f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}")
        self._put = put
        self._file = io.BytesIO()

    def add_iteration(self, manifest: Manifest) -> None:
        """Add the figures of the iteration that made a checkpoint; steps are environment steps."""
        summary = manifest.summary
        if summary is None:
            return
        values = {f"training/{name}": float(summary[name]) for name in _FIGURES if name in summary}
        self._add(manifest, {**values, **{f"seconds/{part}": s for part, s in summary["seconds"].items()}})

    def add_evaluation(self, manifest: Manifest) -> None:
        """Add a checkpoint's evaluation and put the file."""
        evaluation = manifest.evaluation
        if evaluation is None:
            return
        values = {
            "evaluation/progress_mean": evaluation.progress_mean_percent,
            "evaluation/reward_mean": evaluation.reward_mean,
            "evaluation/laps": float(evaluation.laps),
        }
        if evaluation.lap_times_s:
            values["evaluation/best_lap_s"] = min(evaluation.lap_times_s)
        self._add(manifest, values)
        self._put(self._key, self._file.getvalue())

    def _add(self, manifest: Manifest, values: Mapping[str, float]) -> None:
        # Half a second and 30 MB: not before the first iteration is through.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        writer = RecordWriter(self._file)
        if not self._file.tell():
            writer.write(Event(wall_time=time.time(), file_version=FILE_VERSION).SerializeToString())
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        writer.write(Event(wall_time=time.time(), step=manifest.steps, summary=summary).SerializeToString())
