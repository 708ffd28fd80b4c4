"""What the Swarm engine concludes from what a swarm tells; no swarm is needed."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from stack.test_swarm_stack import swarm_plan

from drctl.engines import swarm, swarm_network, swarm_nodes
from drctl.engines.container_run import request_stop
from drctl.engines.state import EngineState, PartState, write_state
from drctl.engines.swarm import SwarmEngine, refuse_foreign_stack
from drctl.engines.swarm_nodes import Node, check_swarm
from drctl.engines.swarm_tasks import Task
from drctl.errors import ConflictError, UnavailableError
from drctl.stack.plan import write_plan

HERE = Node("node0id", "box", {"Sagemaker": "true", "Robomaker": "true"}, is_ready=True, is_active=True, is_here=True)
OTHER = Node("node1id", "shed", {"Robomaker": "True"}, is_ready=True, is_active=True, is_here=False)


def task(service, slot=1, state="running", node=HERE, **changes):
    made = Task(
        id=f"{service}-{slot}-{state}",
        service=service,
        slot=slot,
        owner="/home/ann/car",
        node=node.id,
        state=state,
        error="",
        container="0123456789ab",
        exit_code=0,
        created=100.0,
        since=110.0,
    )
    return replace(made, **changes)


@pytest.fixture
def see(tmp_path, monkeypatch):
    """Give a run folder and tell the engine what the swarm says."""
    plan = replace(swarm_plan(), run_folder=str(tmp_path))
    (tmp_path / "trainer").mkdir()
    write_plan(plan)
    parts = tuple(PartState(part.name, part.kind) for part in plan.parts)
    write_state(tmp_path, EngineState(plan.run_token, "box", None, "starting", time.time(), parts))

    def look(*tasks, nodes=(HERE, OTHER), services=("algo", "robomaker")):
        monkeypatch.setattr(swarm, "find_nodes", lambda: nodes)
        monkeypatch.setattr(swarm, "find_services", lambda _stack: dict.fromkeys(services, "/home/ann/car"))
        monkeypatch.setattr(swarm, "find_tasks", lambda _stack: list(tasks))
        state = SwarmEngine().state(tmp_path)
        return state, {part.name: part for part in state.parts}

    look.folder = tmp_path
    return look


def test_a_run_that_is_well(see):
    state, parts = see(task("algo"), task("robomaker"), task("robomaker", 2, node=OTHER))
    assert state.phase == "running"
    assert [part.is_running for part in state.parts] == [True, True, True]
    assert [part.node for part in state.parts] == ["box", "box", "shed"]
    assert parts["worker-1"].trouble == ""


def test_a_worker_whose_machine_is_down_is_named_with_it(see):
    down = replace(OTHER, is_ready=False)
    _, parts = see(task("algo"), task("robomaker"), task("robomaker", 2, node=OTHER), nodes=(HERE, down))
    assert not parts["worker-1"].is_running
    assert parts["worker-1"].trouble == "is on shed, which is down"


def test_what_was_killed_and_started_again(see):
    killed = task("robomaker", state="failed", exit_code=137, container="aaaaaaaaaaaa", since=105.0)
    _, parts = see(task("algo"), killed, task("robomaker", created=106.0))
    assert (parts["worker-0"].restarts, parts["worker-0"].last_exit, parts["worker-0"].is_running) == (1, -9, True)


def test_a_worker_that_finds_no_machine_waits_for_one(see):
    error = "no suitable node (max replicas per node limit exceed; 1 node not available for new tasks)"
    pending = task("robomaker", 2, state="pending", node=replace(OTHER, id=""), error=error, container="")
    _, parts = see(task("algo"), task("robomaker"), pending)
    assert parts["worker-1"].trouble == (
        "waits for a machine with the label Robomaker: those that are there have their share of workers; "
        "docker node ls lists them"
    )


def test_an_image_that_a_machine_lacks_is_a_problem_with_its_fix(see):
    rejected = task("robomaker", 2, "rejected", OTHER, error="No such image: sha256:bbb", container="")
    state, _ = see(task("algo"), task("robomaker"), rejected)
    (problem,) = state.problems
    assert problem.what == "the machine shed lacks the image drctl/worker:1.2.3"
    assert problem.fix.startswith("docker save drctl/worker:1.2.3 | ssh shed docker load; or docker node update")


def test_the_end_of_the_trainer_is_the_end_of_the_run(see):
    (see.folder / "trainer" / "outcome.json").write_text(
        '{"reason": "finished", "message": "enough", "exit_status": 0, "problems": []}'
    )
    state, _ = see(task("algo", state="complete"), task("robomaker"))
    assert (state.phase, state.reason, state.message) == ("ended", "finished", "enough")


def test_a_trainer_that_died_is_started_again_and_ends_nothing(see):
    state, parts = see(task("algo", state="failed", exit_code=137), task("robomaker"))
    assert state.phase == "running"
    assert parts["trainer"].trouble == ("was killed by SIGKILL (by somebody, or the system ran out of memory) on box")
    request_stop(see.folder)
    assert see(task("algo"))[0].phase == "stopping"


def test_a_stack_that_somebody_removed(see):
    state, _ = see(services=())
    assert (state.phase, state.reason) == ("ended", "interrupted")
    assert state.message == "its containers were removed by somebody else; drctl start-training --resume goes on"


def test_a_machine_that_left_its_swarm(see):
    assert see(nodes=(), services=())[0].phase == "ended"


@pytest.mark.parametrize(
    ("owner", "fix"),
    [
        ("/home/bob/car", "drctl --project /home/bob/car stop-training, or choose another DR_RUN_ID"),
        (None, "docker stack rm deepracer-3, or choose another DR_RUN_ID"),
    ],
)
def test_somebody_elses_stack_is_left_alone(monkeypatch, owner, fix):
    monkeypatch.setattr(swarm, "find_services", lambda _stack: {"algo": owner})
    with pytest.raises(ConflictError) as caught:
        refuse_foreign_stack("deepracer-3", "/home/ann/car")
    assert caught.value.problems[0].what == "there are services of deepracer-3 already: deepracer-3_algo"
    assert caught.value.problems[0].fix == fix


def refusal(monkeypatch, *nodes, address="10.0.0.5"):
    monkeypatch.setattr(swarm_nodes, "find_nodes", lambda: nodes)
    with pytest.raises(UnavailableError) as caught:
        check_swarm(address)
    return caught.value.problems


def test_no_swarm_is_said_with_the_command_that_makes_one(monkeypatch):
    (problem,) = refusal(monkeypatch)
    assert problem.what == "this machine is in no Docker swarm"
    assert problem.fix.startswith("docker swarm init --advertise-addr 10.0.0.5; ")
    (problem,) = refusal(monkeypatch, address="")
    assert problem.fix.startswith("docker swarm init; ")


def test_missing_labels_are_said_with_the_commands_that_set_them(monkeypatch):
    problems = refusal(monkeypatch, replace(HERE, labels={}))
    assert [(problem.what, problem.fix) for problem in problems] == [
        (
            "the trainer may not run on this machine: it lacks the label Sagemaker",
            "docker node update --label-add Sagemaker=true node0id",
        ),
        (
            "no machine may run workers: none has the label Robomaker",
            "docker node update --label-add Robomaker=true node0id",
        ),
    ]


def test_machines_that_take_nothing_are_said(monkeypatch):
    (problem,) = refusal(monkeypatch, replace(HERE, is_active=False))
    assert problem.what == "the trainer cannot run: the machine with the label takes no containers now"
    assert problem.fix == "docker node update --availability active node0id"
    here = replace(HERE, labels={"Sagemaker": "true"})
    (problem,) = refusal(monkeypatch, here, replace(OTHER, is_ready=False))
    assert problem.what == "workers cannot run: the machine with the label is down"
    assert problem.where == "node shed"


@pytest.mark.parametrize(
    ("facts", "commands"),
    [
        (None, ["create"]),
        ({"Scope": "swarm", "Attachable": True}, []),
        ({"Scope": "local", "Containers": {}}, ["rm", "create"]),
    ],
)
def test_the_network_is_made_once_and_replaces_that_of_compose(monkeypatch, facts, commands):
    done = []
    monkeypatch.setattr(swarm_network, "_inspect", lambda _name: facts)
    monkeypatch.setattr(swarm_network, "clashes", lambda _facts: False)
    monkeypatch.setattr(swarm_network, "free_subnet", lambda candidates: candidates[0])
    monkeypatch.setattr(swarm_network, "change", lambda argv, _echo: done.append(argv[1]))
    swarm_network.provide_overlay("net", lambda _line: None, release=lambda: pytest.fail("nothing is on it"))
    assert done == commands


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"Scope": "swarm", "Attachable": False}, "the network net of the swarm takes no containers but services"),
        (
            {"Scope": "local", "Containers": {"c": {"Name": "else"}}},
            "the network net is one of this machine alone, and containers use it: else",
        ),
    ],
)
def test_a_network_that_does_not_serve_is_said(monkeypatch, facts, what):
    released = []
    monkeypatch.setattr(swarm_network, "_inspect", lambda _name: facts)
    with pytest.raises(ConflictError) as caught:
        swarm_network.provide_overlay("net", lambda _line: None, release=lambda: released.append(1))
    assert caught.value.problems[0].what == what
