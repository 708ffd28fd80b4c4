"""``drctl check``: run the custom files against the chosen tracks before hours go into a training."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from drctl.errors import ObjectNotFoundError
from drctl.formats.object_keys import ModelKeys
from drctl.operations.amount import count_text
from drctl.operations.finding import Finding
from drctl.operations.preflight import check_files
from drctl.result import Message, Result
from drctl.stack.drctl_stack import usable_cores
from drctl.status.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drctl.config.project import Project
    from drctl.operations.estimate import Estimate
    from drctl.operations.sample_drive import SampleDrive
    from drctl.operations.snapshot import UserFiles
    from drctl.trainer.snapshot import Snapshot

SAMPLE_STEPS: Final = 200
"""Steps of each of the cars that drive a race for a sample."""


def check_training(project: Project, *, report: Callable[[Message], None] = lambda _message: None) -> Result:
    """Check settings and files, drive every race, and estimate how long an iteration takes.

    Args:
        project: The project, read with its entries.
        report: Gets a line about what is done now.

    Returns:
        ``findings``: what, where, fix; ``races``: track, race type, rewards and steps per second of each; ``estimate``.

    Raises:
        DrctlError: What stands against a start, as far as the files tell; all problems at once.
    """
    checked = check_files(project)
    snapshot = _snapshot_of(project, checked.files)
    findings, races = list(checked.findings), []
    drives = []
    for number, race in enumerate(project.races):
        report(Message(f"driving {race.world_name} ({race.race_type})"))
        drive = _drive(project, snapshot, number)
        drives.append(drive)
        found = _judge_drive(drive, race.world_name, checked.files.places["reward_function.py"])
        findings += [one for one in found if one not in findings]
        races.append(_describe_race(race.world_name, race.race_type, drive))
    report(Message("playing and learning a small iteration"))
    estimate = _estimate(project, snapshot, drives)
    data = {
        "findings": [asdict(one) for one in findings],
        "races": races,
        "estimate": asdict(estimate),
    }
    lines = [*checked.notes, *(one.as_message() for one in findings)]
    lines += [Message(_tell_race(race)) for race in races]
    lines += _tell_estimate(estimate, project)
    count = len(findings)
    done = "nothing stands against a training" + (f"; {count_text(count, 'finding')} above" if count else "")
    lines.append(Message(done, "success"))
    return Result(data, tuple(lines), ("drctl start-training",))


class _Objects:
    """Objects that are in no store."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    def get(self, key: str) -> bytes:
        """Return the content of an object."""
        try:
            return self._contents[key]
        except KeyError:
            raise ObjectNotFoundError(f"there is no {key}") from None


def _snapshot_of(project: Project, files: UserFiles) -> Snapshot:
    """Parse the files the way a trainer does, without putting them into the model's prefix."""
    from drctl.trainer.snapshot import load_snapshot

    settings = project.settings
    keys = ModelKeys(settings.local_s3_model_prefix, settings.local_s3_metrics_prefix)
    params_file = settings.local_s3_training_params_file
    return load_snapshot(_Objects(files.objects(keys, params_file)), keys, params_file, len(project.races))


def _drive(project: Project, snapshot: Snapshot, number: int) -> SampleDrive:
    from drctl.operations.sample_drive import drive_along
    from drctl.simulation.vehicle.physics import resolve_physics

    settings = project.settings
    physics = resolve_physics(settings.physics, snapshot.metadata.version)
    return drive_along(snapshot.environment(settings.seed, physics), number, snapshot.metadata, SAMPLE_STEPS)


def _judge_drive(drive: SampleDrive, track: str, place: str) -> list[Finding]:
    mean = float(drive.rewards.mean())
    if mean <= 0.0:
        what = f"a car that follows the centre line of {track} gets {mean:.3g} per step: standing still would pay more"
        return [Finding(what, place, "pay more than 0 for a step along the centre line")]
    if float(drive.rewards.max() - drive.rewards.min()) == 0.0:
        return [Finding(f"every step along {track} gets the same {mean:.3g}", place)]
    return []


def _describe_race(track: str, race_type: str, drive: SampleDrive) -> dict[str, Any]:
    return {
        "track": track,
        "race_type": race_type,
        "steps": drive.steps,
        "steps_per_s": round(drive.steps_per_s),
        "lap_steps": round(drive.lap_steps),
        "reward_mean": float(drive.rewards.mean()),
        "reward_low": float(drive.rewards.min()),
        "reward_high": float(drive.rewards.max()),
    }


def _tell_race(race: dict[str, Any]) -> str:
    return (
        f"{race['track']} ({race['race_type']}): {race['reward_mean']:.3g} per step along the centre line "
        f"({race['reward_low']:.3g} to {race['reward_high']:.3g}), about {race['lap_steps']} steps per lap; "
        f"a core simulates {race['steps_per_s']} steps/s"
    )


def _estimate(project: Project, snapshot: Snapshot, drives: list[SampleDrive]) -> Estimate:
    from drctl.operations.estimate import estimate_iteration
    from drctl.simulation.vehicle.physics import resolve_physics

    settings = project.settings
    physics = resolve_physics(settings.physics, snapshot.metadata.version)
    return estimate_iteration(
        snapshot,
        snapshot.environment(settings.seed, physics),
        heads=settings.network_heads,
        update_ratio=settings.sac_update_ratio,
        workers=min(settings.workers, usable_cores()),
        lap_steps=sum(drive.lap_steps for drive in drives) / len(drives),
    )


def _tell_estimate(estimate: Estimate, project: Project) -> list[Message]:
    workers = project.settings.workers
    return [
        Message(
            f"collecting about {estimate.steps_per_s:.0f} steps/s with {count_text(workers, 'worker')}, "
            f"learning about {estimate.updates_per_s:.0f} steps/s, {estimate.passes_per_step:g} for each step collected"
        ),
        Message(
            f"an iteration takes about {duration(estimate.first_iteration_s)} at first, and about "
            f"{duration(estimate.lap_iteration_s)} when every episode is a lap"
        ),
    ]
