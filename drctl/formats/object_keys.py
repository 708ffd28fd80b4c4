"""Every key under a model prefix ``<P>``, written down once (contract 1.1, 1.2, 4.4; DESIGN 4.6)."""

from __future__ import annotations

from pathlib import PurePosixPath


class ModelKeys:
    """Names the objects of one model.

    Args:
        prefix: The model prefix ``<P>``, such as ``rl-deepracer-sagemaker``; slashes at its ends do not count.
        metrics_prefix: Folder of the metrics files (``DR_LOCAL_S3_METRICS_PREFIX``); ``<P>/metrics`` when None.

    Raises:
        ValueError: A prefix is empty or holds empty, ``.`` or ``..`` segments.
    """

    def __init__(self, prefix: str, metrics_prefix: str | None = None) -> None:
        self.prefix = _clean(prefix)
        self.metrics_prefix = _clean(metrics_prefix) if metrics_prefix else f"{self.prefix}/metrics"

    @property
    def all_prefixes(self) -> tuple[str, ...]:
        """Everything of the model lies under one of these: its prefix, and that of metrics which lie elsewhere."""
        if self.metrics_prefix.startswith(f"{self.prefix}/"):
            return (self.prefix,)
        return (self.prefix, self.metrics_prefix)

    # What the user gave, as it was when the run started

    @property
    def custom_files_folder(self) -> str:
        """Folder with the snapshot that every process of the run reads."""
        return f"{self.prefix}/custom_files"

    def custom_files(self, name: str) -> str:
        """Return the key of one file of the snapshot, such as ``reward_function.py``."""
        return f"{self.custom_files_folder}/{name}"

    def training_params(self, worker: int | None = None, *, file_name: str = "training_params.yaml") -> str:
        """Return the key of the workers' parameters.

        Args:
            worker: Number of a multi-config entry, from 1; None when all workers share one file.
            file_name: ``DR_LOCAL_S3_TRAINING_PARAMS_FILE``.
        """
        return f"{self.prefix}/{training_params_name(worker, file_name)}"

    def all_training_params(self, entries: int, file_name: str = "training_params.yaml") -> list[str]:
        """Return the keys of the parameters of all races: one file, or one per multi-config entry.

        Args:
            entries: How many races there are, at least 1.
            file_name: ``DR_LOCAL_S3_TRAINING_PARAMS_FILE``.
        """
        numbers = [None] if entries == 1 else [*range(1, entries + 1)]
        return [self.training_params(number, file_name=file_name) for number in numbers]

    # What other tools read

    @property
    def reward_function(self) -> str:
        """Copy of the reward function where upload tools look for it."""
        return f"{self.prefix}/reward_function.py"

    @property
    def hyperparameters(self) -> str:
        """Hyperparameters in effect."""
        return f"{self.prefix}/ip/hyperparameters.json"

    @property
    def model_metadata(self) -> str:
        """Byte copy of the metadata in use."""
        return f"{self.prefix}/model/model_metadata.json"

    @property
    def checkpoint_index(self) -> str:
        """Names of the best and the last checkpoint."""
        return f"{self.prefix}/model/deepracer_checkpoints.json"

    def frozen_graph(self, number: int) -> str:
        """Return the key of a checkpoint's graph for the car."""
        return f"{self.prefix}/model/model_{number}.pb"

    def metrics(self, slot: int) -> str:
        """Return the key of a log slot's training metrics; slot 0 carries no number."""
        suffix = f"_{slot}" if slot else ""
        return f"{self.metrics_prefix}/TrainingMetrics{suffix}.json"

    def trace(self, slot: int, iteration: int, slots: int) -> str:
        """Return the key of a slot's trace of one iteration.

        Args:
            slot: Log slot, from 0 to 9: tools know one character for it (contract 4.4).
            iteration: From 0.
            slots: How many slots the prefix has; a single one has no folder of its own.
        """
        folder = self.prefix if slots == 1 else f"{self.prefix}/{slot}"
        return f"{folder}/training-simtrace/{iteration}-iteration.csv"

    # What the community's trainer writes, beside what ours does too (contract 1.2)

    @property
    def trainer_is_known(self) -> str:
        """There once the trainer has told where it is."""
        return f"{self.prefix}/ip/done"

    @property
    def trainer_is_ready(self) -> str:
        """There once it has published its first checkpoint and listens for episodes."""
        return f"{self.prefix}/model/.ready"

    @property
    def trainer_has_left(self) -> str:
        """There once it has ended, also after most failures."""
        return f"{self.prefix}/model/.finished"

    @property
    def checkpoint_lock(self) -> str:
        """There while a checkpoint is being replaced."""
        return f"{self.prefix}/model/.lock"

    @property
    def coach_checkpoint(self) -> str:
        """Name of the newest checkpoint."""
        return f"{self.prefix}/model/.coach_checkpoint"

    # What an evaluation adds (contract 1.3)

    def evaluation_folder(self, stamp: str) -> str:
        """Return the folder of one evaluation; its stamp has 14 digits, ``YYYYmmddHHMMSS``."""
        return f"{self.prefix}/evaluation-{stamp}"

    def evaluation_trace(self, stamp: str) -> str:
        """Return the key of an evaluation's trace."""
        return f"{self.evaluation_folder(stamp)}/evaluation-simtrace/0-iteration.csv"

    def evaluation_metrics(self, stamp: str) -> str:
        """Return the key of an evaluation's metrics."""
        return f"{self.metrics_prefix}/evaluation/evaluation-{stamp}.json"

    def evaluation_video(self, stamp: str, camera: str) -> str:
        """Return the key of one of an evaluation's videos; `camera` is ``camera-pip`` or the like."""
        return f"{self.evaluation_folder(stamp)}/mp4/{camera}/0-video.mp4"

    def opponent_trace(self, stamp: str) -> str:
        """Return the key of the trace of the car that a race was against."""
        return f"{self.evaluation_folder(stamp)}/opponent/evaluation-simtrace/0-iteration.csv"

    def opponent_video(self, stamp: str, camera: str) -> str:
        """Return the key of a video of the car that a race was against; see `evaluation_video`."""
        return f"{self.evaluation_folder(stamp)}/opponent/mp4/{camera}/0-video.mp4"

    def metrics_as_opponent(self, epoch_s: int) -> str:
        """Return the key of this model's metrics of a race that began then and evaluated another model."""
        return f"{self.metrics_prefix}/EvaluationMetrics-{epoch_s}.json"

    @property
    def newest_trace_as_opponent(self) -> str:
        """Trace of the newest race that evaluated another model, where DRfC has it."""
        return f"{self.prefix}/evaluation-simtrace/0-iteration.csv"

    def newest_video(self, camera: str) -> str:
        """Return the key of the copy of the newest evaluation's video, where DRfC has it."""
        return f"{self.prefix}/mp4/{camera}/0-video.mp4"

    # Ours

    @property
    def private_folder(self) -> str:
        """Folder of what only drctl reads."""
        return f"{self.prefix}/.drctl"

    @property
    def status(self) -> str:
        """What the run is doing now."""
        return f"{self.private_folder}/status.json"

    @property
    def lease(self) -> str:
        """Which trainer may write."""
        return f"{self.private_folder}/lease.json"

    @property
    def car_file(self) -> str:
        """A checkpoint packed for the physical car; it may lie there without a model."""
        return f"{self.prefix}/carfile.tar.gz"

    @property
    def import_record(self) -> str:
        """Where an imported model came from."""
        return f"{self.private_folder}/import.json"

    @property
    def reward_failure(self) -> str:
        """What the reward function was called with when it failed."""
        return f"{self.private_folder}/reward-failure.json"

    @property
    def copy_record(self) -> str:
        """What the model was copied from."""
        return f"{self.private_folder}/copy.json"

    @property
    def iterations_folder(self) -> str:
        """Folder of the iteration summaries."""
        return f"{self.private_folder}/iterations"

    def iteration_summary(self, iteration: int) -> str:
        """Return the key of one iteration's summary."""
        return f"{self.iterations_folder}/{iteration}.json"

    @property
    def manifests_folder(self) -> str:
        """Folder of the checkpoints' manifests."""
        return f"{self.private_folder}/manifests"

    def manifest(self, number: int) -> str:
        """Return the key of a checkpoint's manifest."""
        return f"{self.manifests_folder}/{number}.json"

    @property
    def weights_folder(self) -> str:
        """Folder of the checkpoints' weights."""
        return f"{self.private_folder}/weights"

    def weights(self, number: int) -> str:
        """Return the key of a checkpoint's weights."""
        return f"{self.weights_folder}/{number}.pt"

    @property
    def optimizers_folder(self) -> str:
        """Folder of what an exact resume needs beside the weights."""
        return f"{self.private_folder}/optimizer"

    def optimizer(self, number: int) -> str:
        """Return the key of a checkpoint's optimiser and random number state."""
        return f"{self.optimizers_folder}/{number}.pt"

    @property
    def tensorboard_folder(self) -> str:
        """Folder of the TensorBoard event files."""
        return f"{self.private_folder}/tensorboard"

    def tensorboard(self, name: str) -> str:
        """Return the key of a TensorBoard event file."""
        return f"{self.tensorboard_folder}/{name}"


def training_params_name(worker: int | None, file_name: str = "training_params.yaml") -> str:
    """Return the name of a worker's parameter file: ``training_params_2.yaml`` for worker 2 (contract 2.6).

    Args:
        worker: From 1; None for the file that all workers share.
        file_name: ``DR_LOCAL_S3_TRAINING_PARAMS_FILE``.
    """
    if worker is None:
        return file_name
    name = PurePosixPath(file_name)
    return str(name.with_name(f"{name.stem}_{worker}{name.suffix}"))


def _clean(prefix: str) -> str:
    cleaned = prefix.strip("/")
    if not cleaned or any(segment in ("", ".", "..") for segment in cleaned.split("/")):
        raise ValueError(f"not a prefix: {prefix!r}")
    return cleaned
