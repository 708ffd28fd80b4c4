"""What holds with Docker Swarm alone: labels, its network, and a second machine that helps, dies and returns."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from engines.engine_case import RUN_ID, SWARM, ask_docker, swarm_of_this_machine, tasks, wait_for
from engines.second_machine import HERE, NAME, SecondMachine

import drctl as drctl_package
from drctl.stack.container_stack import NETWORK

SIMULATES = "SIM_TRACE_LOG:"
"""In a line about each step that a worker simulates."""

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]


def test_labels_that_are_missing_are_said_and_nothing_is_started(engine_project, capsys):
    project = engine_project(SWARM)
    node = ask_docker("node", "ls", "--quiet").strip()
    ask_docker("node", "update", "--label-rm=Sagemaker", "--label-rm=Robomaker", node)
    assert project.drctl("start-training", "-q") == 4
    err = capsys.readouterr().err
    for label in ("Sagemaker", "Robomaker"):
        assert f"fix:      docker node update --label-add {label}=true {node}\n" in err
    assert tasks() == {}
    assert NETWORK not in ask_docker("network", "ls", "--filter=driver=overlay", "--format={{.Name}}").split()


@pytest.fixture
def second_machine(request):
    """A swarm of this machine and another engine; its network is not encrypted, for which some kernels lack ESP."""
    request.getfixturevalue("images")
    # A socket's path may have 107 characters, so not in pytest's folder.
    machine = SecondMachine(Path(tempfile.mkdtemp(prefix="drctl-")))
    try:
        machine.connect()
        machine.start()
        with swarm_of_this_machine(HERE):
            ask_docker("network", "create", "--driver=overlay", "--attachable", NETWORK)
            machine.join(f"drctl/worker:{drctl_package.__version__}")
            yield machine
            machine.leave()
    finally:
        machine.remove()


def test_a_machine_helps_and_dies_and_helps_again(second_machine, engine_project, capsys):
    project = engine_project(SWARM)
    project.write_hyperparameters(term_cond_max_episodes=2000)
    assert project.drctl("start-training", "-w", "-q", DR_SIM_TRACE_LOG="True") == 0
    (lost,) = [part for part in project.status().parts if part.node == NAME]
    far = lost.name
    assert far in ("worker-0", "worker-1")  # its share is one of them
    wait_for(lambda: SIMULATES in last_words(project, far, capsys))

    def condition(wanted):
        return [part for part in project.status().parts if part.name == far and part.condition == wanted]

    checkpoint = project.last_checkpoint()
    second_machine.lose_power()
    wait_for(lambda: project.last_checkpoint() > checkpoint + 1)
    wait_for(lambda: condition("restarting") + condition("late"))
    assert project.drctl("status") == 0
    assert f"{far} lost: its connection is gone" in capsys.readouterr().out

    second_machine.start()
    back = wait_for(lambda: [part for part in condition("alive") if part.container != lost.container])
    assert back[0].node == NAME
    wait_for(lambda: SIMULATES in last_words(project, far, capsys))
    assert project.drctl("stop-training") == 0
    assert f"run {RUN_ID} has ended: stopped by its user\n" in capsys.readouterr().out
    assert tasks() == {}


def last_words(project, worker, capsys):
    """Return what a worker has printed since it was started last, on whichever machine that was."""
    capsys.readouterr()
    assert project.drctl("logs-robomaker", "-n", worker.removeprefix("worker-")) == 0
    return capsys.readouterr().out.rpartition("Looking for the trainer at")[2]
