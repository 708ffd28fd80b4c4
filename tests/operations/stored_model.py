"""Models as they lie in a store, made without a training."""

from __future__ import annotations

import hashlib
import json

from drctl.formats.checkpoint_index import CheckpointIndex, CheckpointRecord, render_checkpoint_index
from drctl.formats.manifest import (
    BestRecord,
    Counters,
    EvaluationRecord,
    FileRecord,
    Manifest,
    SlotState,
    render_manifest,
)
from drctl.formats.object_keys import ModelKeys

PARAMS = """---
'METRICS_S3_BUCKET': '{bucket}'
'METRICS_S3_OBJECT_KEY': '{prefix}/metrics/TrainingMetrics.json'
'MODEL_METADATA_FILE_S3_KEY': '{prefix}/custom_files/model_metadata.json'
'SAGEMAKER_SHARED_S3_BUCKET': '{bucket}'
'SAGEMAKER_SHARED_S3_PREFIX': '{prefix}'
'SIMTRACE_S3_BUCKET': '{bucket}'
'SIMTRACE_S3_PREFIX': '{prefix}'
'WORLD_NAME': '{track}'
"""


def checkpoint(number):
    return f"{number}_Step-{10 * number}.ckpt"


def content(prefix, name):
    """Return what an object of a made model holds, so that tests need not keep it."""
    return f"{name} of {prefix}".encode() * 50


def metrics(*laps_ms):
    entries = [
        {"episode_status": "Lap complete", "elapsed_time_in_milliseconds": lap_ms, "phase": "training"}
        for lap_ms in laps_ms
    ]
    entries.append({"episode_status": "Off track", "elapsed_time_in_milliseconds": 1, "phase": "training"})
    return json.dumps({"metrics": entries, "version": 2.0, "best_model_metric": "progress"}).encode()


def index(best, last, metric=75.0):
    return render_checkpoint_index(
        CheckpointIndex(CheckpointRecord(checkpoint(best), metric, 1.0), CheckpointRecord(checkpoint(last), 50.0, 2.0))
    )


def add_model(store, prefix, *, checkpoints=3, best=2, pretrained=None, track="reinvent_base", bucket="bucket"):
    """Put a model of our trainer."""
    keys = ModelKeys(prefix)
    for number in range(checkpoints + 1):
        files = {keys.weights(number): "weights", keys.frozen_graph(number): "graph"}
        if number >= checkpoints - 1:
            files[keys.optimizer(number)] = "optimizer"
        records = {}
        for key, kind in files.items():
            data = content(prefix, f"{kind} {number}")
            store.put(key, data)
            records[key.removeprefix(f"{prefix}/")] = FileRecord(len(data), hashlib.sha256(data).hexdigest())
        manifest = Manifest(
            number=number,
            steps=10 * number,
            name=checkpoint(number),
            created=0.0,
            run_token="t",
            lease_epoch=1,
            files=records,
            counters=Counters(episodes=20 * number, steps=10 * number, best_lap_s=9.5),
            slots=(SlotState(1000.0 * number),),
            conditions={"pretrained": pretrained} if pretrained else {},
            best=BestRecord(best, checkpoint(best), 80.0, 1.0),
            evaluation=EvaluationRecord(70.0 + number, 5, 1, 70.0 + number, 10.0, (9.5,)),
        )
        store.put(keys.manifest(number), render_manifest(manifest))
    store.put(keys.lease, b"{}")
    store.put(keys.status, b"{}")
    store.put(keys.trace(0, 0, 1), b"episode,steps\n")
    add_files(store, prefix, track=track, bucket=bucket)
    store.put(keys.checkpoint_index, index(best, checkpoints))


def add_files(store, prefix, *, track="reinvent_base", bucket="bucket"):
    keys = ModelKeys(prefix)
    store.put(keys.training_params(), PARAMS.format(prefix=prefix, track=track, bucket=bucket).encode())
    store.put(keys.metrics(0), metrics(12000, 9500))
    for name in ("model_metadata.json", "reward_function.py", "hyperparameters.json"):
        store.put(keys.custom_files(name), content(prefix, name))
    store.put(keys.model_metadata, content(prefix, "model_metadata.json"))
    store.put(keys.reward_function, content(prefix, "reward_function.py"))
    store.put(keys.hyperparameters, content(prefix, "hyperparameters.json"))


def add_community_model(store, prefix, *, numbers=(4, 5), best=4, last=5):
    """Put a model as the community's trainer leaves it (contract 1.2)."""
    keys = ModelKeys(prefix)
    add_files(store, prefix)
    for name in ("model_metadata.json", "reward_function.py", "hyperparameters.json"):
        store.delete(keys.custom_files(name))
    for number in numbers:
        store.put(keys.frozen_graph(number), content(prefix, f"graph {number}"))
        for ending in ("index", "meta", "data-00000-of-00001"):
            store.put(f"{prefix}/model/{checkpoint(number)}.{ending}", content(prefix, f"{ending} {number}"))
    store.put(keys.coach_checkpoint, checkpoint(last).encode())
    for key in (keys.trainer_is_ready, keys.trainer_has_left, keys.trainer_is_known):
        store.put(key, b"")
    store.put(keys.checkpoint_index, index(best, last))
