"""Which run this is: its number, track, car and model."""

# ruff: noqa: RUF009 - the calls in the classes make dataclass fields

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

from drctl.config.randomization import parse_randomized
from drctl.config.setting import Condition, Exclusion, setting

RaceType = Literal["TIME_TRIAL", "OBJECT_AVOIDANCE", "HEAD_TO_BOT", "HEAD_TO_MODEL"]
CarColor = Literal["Black", "Grey", "Blue", "Red", "Orange", "White", "Purple"]
BodyShell = Literal[
    "deepracer",
    "f1_2021",
    "f1_car_11",
    "f1_car_12",
    "f1_car_13",
    "f1_car_14",
    "f1_car_15",
    "f1_car_16",
    "f1_car_17",
    "f1_car_18",
    "f1_car_19",
    "f1_car_20",
    "f1_car_21",
]

_run = partial(setting, file="run")
_BOTH = ("start-training", "eval")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Run, track, car. Names and defaults: contract 3.2; values: contract 3.3."""

    run_id: int = _run(
        0,
        "Number of this run. Runs with different numbers live side by side, each with its own ports and its own "
        "folder tmp/run-N.",
        read_by="engine, trainer, worker, viewer",
        minimum=0,
        maximum=99,
        commands=_BOTH,
    )
    world_name: str = _run(
        "reinvent_base",
        "Track to drive on; `drctl tracks list` shows all.",
        read_by="worker, evaluation",
        rule="name",
        commands=_BOTH,
        is_per_worker=True,
    )
    race_type: RaceType = _run(
        "TIME_TRIAL",
        "Kind of race: alone, around obstacles, against bot cars, or (evaluation only) against another model.",
        read_by="worker, evaluation",
        excluded=MappingProxyType(
            {"HEAD_TO_MODEL": Exclusion("start-training", "it races two models that are trained")}
        ),
        commands=_BOTH,
        is_per_worker=True,
        is_in_images=True,
    )
    car_name: str = _run("FastCar", "Name of the car in videos.", read_by="worker, evaluation", commands=_BOTH)
    car_body_shell_type: BodyShell = _run(
        "deepracer",
        "Body that viewers and videos draw; the car drives the same with each.",
        read_by="worker, evaluation, viewer",
        commands=_BOTH,
        is_per_worker=True,
    )
    car_color: CarColor = _run(
        "Red",
        "Colour that viewers and videos draw the car in.",
        read_by="worker, evaluation, viewer",
        commands=_BOTH,
        is_per_worker=True,
    )
    display_name: str = _run(
        "$DR_CAR_NAME", "Name of the racer on screen.", read_by="worker, evaluation", commands=_BOTH
    )
    racer_name: str = _run("$DR_CAR_NAME", "Name of the racer in race videos.", read_by="evaluation", commands=_BOTH)
    enable_domain_randomization: bool = _run(
        False,
        "Change the world and the car a little in every episode, so that the model relies less on the simulator.",
        read_by="worker, evaluation",
        commands=_BOTH,
        is_per_worker=True,
    )
    randomize: str = _run(
        "all",
        "What changes, and by which share of its range. lights, colors (of boxes and bot cars), walls and texture are "
        "looks, camera is its pose; curvature, steering, grip and latency are how the car drives.",
        read_by="worker, evaluation",
        rule="groups",
        commands=_BOTH,
        used_when=Condition("DR_ENABLE_DOMAIN_RANDOMIZATION", ("True",)),
        is_per_worker=True,
        stack="drctl",
    )
    physics: Literal["auto", "effort", "kinematics", "ros2"] = _run(
        "auto",
        "How the car moves. auto takes effort for models of metadata version below 5 and ros2 from version 5 on, "
        "as the community images do.",
        read_by="worker, trainer",
        commands=_BOTH,
        stack="drctl",
    )
    seed: int = _run(
        0,
        "Seed of every random number of a run. Equal seed, files and DR_WORKERS give equal weights on equal machines.",
        read_by="trainer, worker",
        minimum=0,
        maximum=2**32 - 1,
        commands=_BOTH,
        stack="drctl",
    )

    @property
    def randomized(self) -> tuple[tuple[str, float], ...]:
        """Groups that vary from episode to episode, each with its share of the range."""
        return (parse_randomized(self.randomize) or ()) if self.enable_domain_randomization else ()
