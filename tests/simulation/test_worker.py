"""The worker on its own: in threads for what it says, as real processes for how it ends."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import drctl
from drctl.formats.log_lines import sim_trace
from drctl.link.messages import Refused
from drctl.link.transport import TrainerLink
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.worker import main
from drctl.trainer.collection import Collector

FAKE_WORLD = Path(__file__).parents[1] / "link" / "fake_world.py"
_spec = importlib.util.spec_from_file_location("fake_world_of_worker", FAKE_WORLD)
fake_world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake_world)

PATIENCE_S = 20.0
# The scripts are run by path, so they do not find the package of a checkout that is not installed.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(drctl.__file__).parents[1])}


def starts_of(count, iteration=0, phase="training"):
    return [EpisodeStart(phase, iteration, episode) for episode in range(count)]


@pytest.fixture
def spec(tmp_path):
    return SimpleNamespace(
        ipc_folder=str(tmp_path / "ipc"),
        tcp_host=None,
        tcp_port=0,
        advertised_host="127.0.0.1",
        local_ticket=str(tmp_path / "ticket.json"),
        remote_ticket=None,
    )


@pytest.fixture
def open_link(spec):
    """Opens the trainer's end; it is closed also when the test fails."""
    links = []
    yield lambda: links.append(TrainerLink.open(spec, 0)) or links[-1]
    for link in links:
        link.close()


@pytest.fixture
def start_process(tmp_path, spec):
    """Starts worker processes and reads what they print; kills what is left."""
    processes = []

    def start(name, *options):
        log = tmp_path / f"{name}-{len(processes)}.log"
        command = [sys.executable, str(FAKE_WORLD), "--join", spec.local_ticket, "--name", name, *options]
        with log.open("w") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env=ENVIRONMENT, start_new_session=True
            )
        processes.append(process)
        return SimpleNamespace(process=process, log=log, pid=process.pid)

    yield start
    for process in processes:
        process.kill()
        process.wait()


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_worker_waits_for_its_ticket_and_prints_trace_lines_of_training_only(spec, open_link):
    worker = fake_world.WorkerThread(Path(spec.local_ticket), "worker-0")
    wait_until(lambda: f"Waiting for the ticket {spec.local_ticket}" in worker.lines)
    collector = Collector(open_link())
    collector.set_up(fake_world.FakeSpec(), 2, prints_steps=True)

    episodes = fake_world.play(collector, starts_of(3, iteration=2), fake_world.HashPolicy())
    fake_world.play(collector, starts_of(1, phase="evaluation"), fake_world.HashPolicy())
    collector.close("done")
    worker.join()

    printed = [line for line in worker.lines if line.startswith("SIM_TRACE_LOG:")]
    expected = []
    for episode in episodes:
        rows = episode.record.rows.copy()
        rows["episode"] = 2 * 3 + episode.start.episode
        expected += [sim_trace(row) for row in rows]
    assert sorted(printed) == sorted(expected)
    # The lines of one episode stay together.
    numbers = [line.split(":")[1].split(",")[0] for line in printed]
    assert sum(a != b for a, b in itertools.pairwise(numbers)) == 2
    assert "Received termination signal from trainer. Goodbye." in worker.lines


def test_a_worker_goes_on_with_the_trainer_that_follows(spec, open_link):
    worker = fake_world.WorkerThread(Path(spec.local_ticket), "worker-0")
    for iteration in range(2):
        link = open_link()
        collector = Collector(link)
        collector.set_up(fake_world.FakeSpec(), 4)
        starts = starts_of(4, iteration=iteration)
        fake_world.assert_played(fake_world.play(collector, starts, fake_world.HashPolicy()), starts)
        if iteration == 1:
            collector.close("done")
        link.close()
    worker.join()
    assert worker.status == 0
    assert worker.lines.count("Setting up 4 cars") == 2
    assert "The connection to the trainer is lost; trying again until it is back" in worker.lines


def test_a_worker_that_is_alone_says_so_every_half_minute(spec, tmp_path):
    lines, now = [], [1000.0]
    TrainerLink.open(spec, 0).close()  # leaves its ticket
    build = fake_world.FakeWorld

    from drctl.simulation.worker import Worker

    worker = Worker(Path(spec.local_ticket), "worker-0", build, lines.append, clock=lambda: now[0])
    for _ in range(3):
        worker._keep_in_touch()
        now[0] += 31
    worker._link.close()
    assert lines[0] == f"Looking for the trainer at ipc://{spec.ipc_folder}/link.sock"
    assert lines[1:] == [
        f"Still no trainer after {seconds} s: nobody answers at ipc://{spec.ipc_folder}/link.sock; trying again"
        for seconds in (31, 62)
    ]


def test_a_refused_worker_ends_with_an_error(spec, open_link, capsys, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the test's own handlers stay
    monkeypatch.setattr("sys.stdout.reconfigure", lambda **_: None, raising=False)
    link = open_link()

    def refuse(*_):
        received = link.receive(0)
        if received is not None:
            link.send(received.session, Refused("there are enough"))

    monkeypatch.setattr("drctl.simulation.worker.Worker._pulse", refuse)
    assert main(["--join", spec.local_ticket, "--name", "worker-0"], fake_world.FakeWorld) == 5
    assert "error[conflict]: the trainer refuses this worker: there are enough\n" in capsys.readouterr().out


def test_a_damaged_ticket_ends_with_an_error(spec, capsys, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.stdout.reconfigure", lambda **_: None, raising=False)
    Path(spec.local_ticket).write_text("[]")
    assert main(["--join", spec.local_ticket], fake_world.FakeWorld) == 3
    out = capsys.readouterr().out
    assert "error[file_invalid]: not a ticket of this version of drctl (version None)\n" in out
    assert f"  where: {spec.local_ticket}\n" in out


@pytest.mark.slow
def test_kill_9_of_a_worker_loses_nothing_and_its_successor_joins(open_link, start_process):
    link = open_link()
    collector = Collector(link)
    collector.set_up(fake_world.FakeSpec(step_s=0.02), 5)
    victim, other = start_process("worker-0"), start_process("worker-1")
    killed, views = [], []

    def on_tick(progress):
        views.append({view.name: view.state for view in collector.workers()})
        driving = [view for view in collector.workers() if view.name == "worker-0" and view.episodes_running]
        if progress.steps > 60 and driving and not killed:
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.process.wait())
        if views[-1].get("worker-0") == "lost" and len(killed) == 1:
            killed.append(start_process("worker-0"))

    starts = starts_of(30)
    fake_world.assert_played(fake_world.play(collector, starts, fake_world.HashPolicy(), on_tick=on_tick), starts)

    assert killed[0] == -signal.SIGKILL
    assert any(view.get("worker-0") == "lost" for view in views)
    while {view.state for view in collector.workers()} != {"idle"}:  # the successor may still be on its way
        collector.poll()
    collector.close("done")
    assert other.process.wait(PATIENCE_S) == 0
    assert killed[1].process.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_a_worker_leaves_when_told_and_when_its_parent_dies(spec, start_process, tmp_path):
    leaver = start_process("worker-0")
    wait_until(lambda: "Waiting for the ticket" in leaver.log.read_text())
    leaver.process.terminate()
    assert leaver.process.wait(PATIENCE_S) == 143

    # A parent in between that is killed, as a supervisor may be.
    script = textwrap.dedent(f"""
        import os, subprocess, sys, time
        child = subprocess.Popen([sys.executable, {str(FAKE_WORLD)!r}, "--join", {spec.local_ticket!r},
                                  "--name", "worker-1", "--parent-pid", str(os.getpid())])
        print(child.pid, flush=True)
        time.sleep(60)
    """)
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as parent:
        child = int(parent.stdout.readline())
        while "Waiting for the ticket" not in parent.stdout.readline():
            pass
        os.kill(parent.pid, signal.SIGKILL)
        killed = time.monotonic()
        parent.wait()
        wait_until(lambda: not _is_running(child))
        assert time.monotonic() - killed < 5


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_driving_is_no_failure_of_the_reward_function(open_link, start_process, number, status):
    collector = Collector(open_link())
    collector.set_up(fake_world.FakeSpec(step_s=0.02), 4)
    leaver, others = start_process("worker-0"), []

    def on_tick(progress):
        if progress.steps > 20 and not others:
            os.kill(leaver.pid, number)
            others.append(start_process("worker-1"))

    starts = starts_of(4)
    fake_world.assert_played(fake_world.play(collector, starts, fake_world.HashPolicy(), on_tick=on_tick), starts)
    assert leaver.process.wait(PATIENCE_S) == status
    views = {view.name: (view.state, view.reason) for view in collector.workers()}
    assert views == {"worker-0": ("left", "asked to leave"), "worker-1": ("idle", "")}
    collector.close("done")


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
