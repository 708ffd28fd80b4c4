"""What a trainer process is told when it starts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from drctl.errors import FormatError
from drctl.storage.location import StoreLocation

StopRuleName = Literal["max_episodes", "score", "laps"]


@dataclass(frozen=True)
class LinkSpec:
    """Where the trainer listens for workers.

    Attributes:
        ipc_folder: Folder (0700) for the local socket, or None for TCP only.
        tcp_host: Address to bind, such as ``127.0.0.1`` or ``0.0.0.0``; None for the local socket only.
        tcp_port: Port to bind; DESIGN 2: 7300 + run id.
        advertised_host: Host name or address that goes into tickets for workers on other machines.
        local_ticket: File in which the trainer leaves the ticket of workers on this machine.
        remote_ticket: File for the ticket of workers elsewhere, or None when the link is not reachable from elsewhere.
    """

    ipc_folder: str | None
    tcp_host: str | None
    tcp_port: int
    advertised_host: str
    local_ticket: str
    remote_ticket: str | None


@dataclass(frozen=True)
class PretrainedSpec:
    """The checkpoint whose weights a new model begins with; it is only read.

    Attributes:
        bucket: Bucket beside that of the new model.
        prefix: Prefix of the model it belongs to.
        checkpoint: Its number.
        is_full: Take the optimiser and the counters over as well (``DR_PRETRAINED_FULL``).
        is_graph: Only its graph is there, as with models of the original: the policy is taken out of it.
    """

    bucket: str
    prefix: str
    checkpoint: int
    is_full: bool
    is_graph: bool = False


@dataclass(frozen=True)
class TrainerSpec:
    """Everything that is not in the files of the model's snapshot.

    Whether a training begins or goes on is no part of it: a trainer continues from the newest complete checkpoint under
    the prefix, and begins where there is none.

    Worlds, start positions, evaluation trials and the best-model metric stand in ``<P>/training_params.yaml``; the
    user's files under ``<P>/custom_files/``.

    Attributes:
        run_id: ``DR_RUN_ID``.
        run_token: Random name of this start of the run; a restarted trainer keeps it and so takes its own lease over.
        prefix: Model prefix ``<P>`` in the store's bucket.
        metrics_prefix: Where metrics files go, normally ``<P>/metrics``.
        training_params_file: ``DR_LOCAL_S3_TRAINING_PARAMS_FILE``.
        store: The bucket.
        link: Where workers connect.
        workers: ``DR_WORKERS``.
        cars_per_worker: Cars that one worker drives at once; None for `schedule.cars_per_worker`.
        seed: Seed of every random number of the run; a resume takes the checkpoint's.
        physics: ``DR_PHYSICS``; a resume takes the checkpoint's.
        stop_when: ``DR_TRAIN_STOP_WHEN``.
        max_steps_per_iteration: ``DR_TRAIN_MAX_STEPS_PER_ITERATION``; None for no cap.
        keep_gb: Space for the thinned history of checkpoints, in GB (1e9 bytes).
        network_heads: ``shared`` trunk for policy and value or ``separate`` networks.
        sim_trace_log: Whether workers print a SIM_TRACE_LOG line per step.
        sac_buffer_gb: ``DR_SAC_BUFFER_GB``.
        sac_update_ratio: ``DR_SAC_UPDATE_RATIO``.
        pretrained: What a new model begins with; None for an untrained network.
        worlds: Entries of a multi-config run, each with its own ``training_params_<i>.yaml``; 1 for all others.
    """

    run_id: int
    run_token: str
    prefix: str
    metrics_prefix: str
    training_params_file: str
    store: StoreLocation
    link: LinkSpec
    workers: int
    cars_per_worker: int | None
    seed: int
    physics: str
    stop_when: StopRuleName
    max_steps_per_iteration: int | None
    keep_gb: float
    network_heads: Literal["shared", "separate"]
    sim_trace_log: bool
    sac_buffer_gb: float
    sac_update_ratio: float
    pretrained: PretrainedSpec | None = None
    worlds: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `from_json` reads; it holds no secret."""
        return {**asdict(self), "store": self.store.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrainerSpec:
        """Read what `to_json` gave.

        Raises:
            FormatError: A key is missing or unknown.
        """
        try:
            pretrained = data["pretrained"] and PretrainedSpec(**data["pretrained"])
            store, link = StoreLocation.from_json(data["store"]), LinkSpec(**data["link"])
            return cls(**{**data, "store": store, "link": link, "pretrained": pretrained})
        except (KeyError, TypeError) as error:
            raise FormatError(
                f"the trainer's start file does not fit this version: {error}",
                where="trainer.json",
                fix="drctl start-training",
            ) from error


def read_trainer_spec(run_folder: Path) -> TrainerSpec:
    """Read ``trainer.json`` of a run folder."""
    data: dict[str, Any] = json.loads((run_folder / "trainer.json").read_text())
    return TrainerSpec.from_json(data)
