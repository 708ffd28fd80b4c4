"""``drctl watch``: a run that somebody else started, live in a terminal and as plain lines."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

from drctl.cli.app import main
from drctl.cli.live import time as live_time
from drctl.operations.training import read_project_run, start_training

EVALUATION = {"checkpoint": 3, "trials": 5, "laps": 4, "progress_mean": 91.0, "best_lap_s": 25.25}
DRIVE = f"""
report('collecting', checkpoint={{'last': 3, 'best': 2}}, evaluation={EVALUATION}, steps_total=4342)
while not (folder / "seen").exists() and os.getppid() == parent:
    time.sleep(0.05)
finish()
"""


@pytest.fixture
def running(project, planner):
    """A run that goes on until its folder has a file ``seen``."""
    start_training(project, plan=planner(DRIVE))
    return project


def words(project, *more):
    return ["--project", str(project.root), "--set", "DR_RUN_ID=7", "watch", *more]


def test_nothing_to_watch(project, capsys):
    assert main(words(project)) == 0
    assert "nothing was started in this project yet" in capsys.readouterr().out


def test_a_program_reads_lines_until_the_run_has_ended(running, monkeypatch, capsys):
    sleep = live_time.sleep

    def look_once(seconds):
        (running.run_folder / "seen").touch()
        sleep(min(seconds, 0.05))

    monkeypatch.setattr("drctl.cli.live.time.sleep", look_once)
    assert main(words(running)) == 0
    out = capsys.readouterr().out
    assert "checkpoint 3: 4342 steps, " in out
    assert "has ended: enough episodes" in out
    assert "\x1b" not in out


def test_a_terminal_is_drawn_until_ctrl_c_and_the_run_goes_on(running):
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "drctl", *words(running)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "110"},
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b"Ctrl-C ends this display" not in shown:
        shown += os.read(screen, 65_536)
    process.send_signal(signal.SIGINT)
    while b"goes on without this display" not in shown:
        shown += os.read(screen, 65_536)
    assert process.wait(30) == 0
    os.close(screen)
    text = shown.decode()
    assert "rl-deepracer-sagemaker (run 7)" in text
    assert "4/5 laps" in text
    assert read_project_run(running).is_running
