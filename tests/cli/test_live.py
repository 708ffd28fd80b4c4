from __future__ import annotations

import io

import pytest

from drctl.cli.live import PlainLines, render
from drctl.status.run_status import PartStatus, RunStatus
from drctl.status.waiting import Wait

NOW = 1_800_000_000.0
FACTS = {
    "iteration": 3,
    "episodes_done": 5,
    "episodes_wanted": 20,
    "episodes_total": 60,
    "steps_total": 4342,
    "steps_per_s": 812.4,
    "progress_mean": 25.3,
    "laps_training": 2,
    "best_lap_s": 25.251,
    "evaluation": {"checkpoint": 3, "trials": 5, "laps": 4, "progress_mean": 91.0, "best_lap_s": 25.25},
    "stop_rule": {"name": "laps", "text": "all trials complete", "streak": 1, "needed": 3, "max_episodes": 1000},
}


def status(**changes):
    fields = {
        "run_id": 0,
        "prefix": "model",
        "run_folder": "/nowhere",
        "is_running": True,
        "is_orphaned": False,
        "phase": "collecting",
        "phase_since": NOW - 4,
        "heartbeat_s": 1.0,
        "parts": (
            PartStatus("trainer", "trainer", "alive", "collecting", 1, NOW, 0, 1.0),
            PartStatus("worker-0", "worker", "alive", "driving 15 of 20 cars", 2, NOW, 0, 1.0),
        ),
        "waits": (),
        "trainer": FACTS,
        "seconds_per_phase": ({"collect": 10.0, "update": 20.0},),
    }
    return RunStatus(**{**fields, **changes})


def drawn(run):
    from rich.console import Console

    console = Console(file=io.StringIO(), width=110)
    console.print(render(run, NOW))
    return console.file.getvalue()


def test_the_display_shows_what_the_user_wants_to_know():
    text = drawn(status())
    for expected in (
        "model (run 0)",
        "collecting for 4 s",
        "iteration 3",
        "5/20 episodes",
        "60 episodes, 4342 steps, 812 steps/s",
        "mean progress 25 %, evaluation 4/5 laps at 91 %, 2 laps in training, best lap 25.25 s",
        "all trials complete (1 of 3 in a row), in about 60 s",
        "worker-0: driving 15 of 20 cars",
        "Ctrl-C ends this display; the training goes on",
    ):
        assert expected in text


def test_the_display_before_anything_is_known_and_during_an_update():
    assert "starting for 4 s" in drawn(status(phase="starting", trainer={}, seconds_per_phase=()))
    assert "40% of the update" in drawn(status(phase="updating", trainer={**FACTS, "update_fraction": 0.4}))


def test_trouble_is_in_the_display():
    wait = Wait("trainer", "worker-0", 70.0, "worker-0 has not joined the trainer yet", is_trouble=True)
    assert "trainer waits for worker-0 since 70 s: worker-0 has not joined the trainer yet" in drawn(
        status(waits=(wait,))
    )


def test_plain_lines_say_each_thing_once():
    lines = PlainLines()
    first = lines.describe(status())
    results = "mean progress 25 %, evaluation 4/5 laps at 91 %, 2 laps in training, best lap 25.25 s"
    assert [message.text for message in first] == [f"checkpoint 3: 4342 steps, {results}"]
    assert lines.describe(status()) == []
    wait = Wait("trainer", "store", 70.0, "full", is_trouble=True)
    assert [message.level for message in lines.describe(status(waits=(wait,)))] == ["warning"]
    assert lines.describe(status(waits=(wait,))) == []
    assert lines.describe(status()) == []
    assert len(lines.describe(status(waits=(wait,)))) == 1


@pytest.mark.parametrize("trainer", [{}, {"iteration": 0, "episodes_done": 0, "episodes_wanted": 0}])
def test_nothing_to_say_before_the_first_evaluation(trainer):
    assert PlainLines().describe(status(trainer=trainer)) == []
