from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from drctl.config.settings import Settings
from drctl.errors import FormatError
from drctl.stack.drctl_stack import RunFolders, is_open_to_network, trainer_spec, training_plan
from drctl.stack.plan import PARENT_PID, RunPlan, read_plan, write_plan
from drctl.storage.location import StoreLocation

FOLDERS = RunFolders(Path("/p"), Path("/p/tmp/run-3"), Path("/p/tmp/secrets"))


def make_plan(gpus=(), **settings):
    spec = trainer_spec(
        Settings(**{"run_id": 3, "workers": 2, **settings}),
        FOLDERS,
        StoreLocation("directory", "bucket", folder="/p/data/bucket"),
        run_token="token",
        metrics_prefix="rl-deepracer-sagemaker/metrics",
        advertised_host="10.0.0.1",
    )
    return training_plan(spec, FOLDERS, gpus=gpus)


def test_whole_argument_lists():
    plan = make_plan()
    assert [part.argv for part in plan.parts] == [
        (sys.executable, "-m", "drctl.trainer.main", "/p/tmp/run-3", "--parent-pid", PARENT_PID),
        *(
            (
                *(sys.executable, "-m", "drctl.simulation.worker", "--join", "/p/tmp/secrets/run-3-join.json"),
                *("--name", f"worker-{number}", "--streams", "127.0.0.1", "--parent-pid", PARENT_PID),
            )
            for number in (0, 1)
        ),
    ]
    assert plan.workers == ("worker-0", "worker-1")
    assert (plan.link_port, plan.trainer["link"]["tcp_host"]) == (7303, "127.0.0.1")


@pytest.mark.parametrize(("gpus", "visible"), [((), None), (("all",), None), (("1",), "1"), (("0", "2"), "0,2")])
def test_the_trainer_sees_the_gpus_that_were_chosen(gpus, visible):
    parts = make_plan(gpus=gpus).parts
    assert parts[0].environment.get("CUDA_VISIBLE_DEVICES") == visible
    assert "CUDA_VISIBLE_DEVICES" not in parts[1].environment


def test_environment_of_the_parts():
    trainer, worker, _ = make_plan().parts
    assert "MALLOC_MMAP_THRESHOLD_" in trainer.environment
    assert worker.environment["NUMBA_NUM_THREADS"] == worker.environment["OMP_NUM_THREADS"] == "1"
    assert worker.dropped_environment == ("AWS_",)
    assert trainer.dropped_environment == ()


@pytest.mark.parametrize(
    ("listen", "host", "ticket"),
    [
        ("", "127.0.0.1", None),
        ("127.0.0.1", "127.0.0.1", None),
        ("0.0.0.0", "0.0.0.0", "/p/tmp/secrets/run-3-invite.json"),
        ("10.0.0.1", "10.0.0.1", "/p/tmp/secrets/run-3-invite.json"),
    ],
)
def test_a_ticket_for_other_machines_is_written_where_they_can_reach_the_link(listen, host, ticket):
    link = make_plan(link_listen=listen).trainer["link"]
    assert (link["tcp_host"], link["remote_ticket"]) == (host, ticket)
    assert is_open_to_network(listen) == (ticket is not None)


def test_a_plan_survives_its_file(tmp_path):
    plan = RunPlan(**{**vars(make_plan()), "run_folder": str(tmp_path)})
    write_plan(plan)
    assert read_plan(tmp_path) == plan
    assert read_plan(tmp_path / "missing") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}'])
def test_a_plan_of_another_version_is_refused(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(FormatError, match="does not fit this version"):
        read_plan(tmp_path)


def test_a_plan_holds_data_alone():
    assert json.loads(json.dumps(make_plan().to_json()))["parts"][0]["kind"] == "trainer"
