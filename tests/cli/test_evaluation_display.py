"""What is seen of an evaluation that is under way: bars on a terminal, a line per lap elsewhere, nothing with JSON."""

from __future__ import annotations

from types import SimpleNamespace

from drctl.cli.evaluation import _watching
from drctl.cli.output import Output
from drctl.evaluation.race import RaceProgress
from drctl.evaluation.rules import RacedLap
from drctl.formats.episode_status import EpisodeStatus
from drctl.operations.evaluation_report import view_race

CAR = SimpleNamespace(checkpoint=SimpleNamespace(number=4))
JOB = SimpleNamespace(number=0, track="circle", entrants=(CAR,))
LAP = RacedLap(1, 0.0, 12.3456, EpisodeStatus.LAP_COMPLETE, 100.0, resets=2)
BETWEEN = RaceProgress(1, 3, 41.5, 5.0, 0)
AT_THE_END = RaceProgress(1, 3, 100.0, 12.3456, 2, LAP)


def show(output):
    with _watching(output) as watch:
        for progress in (BETWEEN, AT_THE_END, RaceProgress(2, 3, 10.0, 1.0, 2)):
            watch(view_race(JOB, progress))


def test_a_pipe_gets_a_line_per_lap(capsys):
    show(Output())
    assert capsys.readouterr().out == "checkpoint 4 on circle, lap 1/3: 12.346 s, 2 resets\n"


def test_json_gets_nothing(capsys):
    show(Output("json"))
    assert capsys.readouterr().out == ""


def test_a_terminal_gets_a_bar_per_lap(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    show(Output("text", is_interactive=True))
    lines = capsys.readouterr().out.splitlines()
    last = lines[-2:]
    assert last[0].startswith("checkpoint 4 on circle, lap 1/3")
    assert last[0].rstrip().endswith("100 % 12.3 s 2 resets")
    assert last[1].startswith("checkpoint 4 on circle, lap 2/3")
