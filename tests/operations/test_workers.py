from __future__ import annotations

import stat
from pathlib import Path

import pytest

from drctl.errors import ConfigError, DrctlError, UnavailableError
from drctl.link.ticket import JoinTicket, write_ticket
from drctl.operations.training import start_training
from drctl.operations.workers import invite_worker, run_worker
from drctl.secrets import Secret


def test_an_invitation_needs_a_run(project):
    with pytest.raises(UnavailableError, match="run 7 is not running") as caught:
        invite_worker(project)
    assert caught.value.problems[0].fix == "drctl start-training"


def test_a_run_on_loopback_invites_nobody_and_says_what_to_change(project, planner):
    start_training(project, plan=planner())
    with pytest.raises(ConfigError) as caught:
        invite_worker(project)
    problem = caught.value.problems[0]
    assert problem.what == "run 7 lets no workers of other machines in: it listens on 127.0.0.1 only"
    assert problem.fix.startswith("drctl config set DR_LINK_LISTEN=0.0.0.0")


def test_an_open_run_gives_its_ticket_and_no_key_in_sight(make_project, planner):
    project = make_project(run_id=7, link_listen="0.0.0.0")
    start_training(project, plan=planner())
    with pytest.raises(UnavailableError, match="has not written the ticket yet"):
        invite_worker(project)
    ticket = JoinTicket(7, "tcp://10.0.0.1:7307", "s" * 40, "c" * 40, Secret("k" * 40))
    write_ticket(project.secrets_folder / "run-7-invite.json", ticket)
    result = invite_worker(project)
    path = Path(result.data["ticket"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert result.data["command"] == "drctl start-worker --join run-7-invite.json"
    assert "k" * 40 not in repr(result)
    assert str(project.secrets_folder) not in (project.run_folder / "state.json").read_text()


def test_a_worker_needs_a_ticket(tmp_path):
    with pytest.raises(UnavailableError, match="the ticket cannot be read: no such file or directory"):
        run_worker(tmp_path / "missing.json", None)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DrctlError) as caught:
        run_worker(tmp_path / "other.json", None)
    assert caught.value.problems[0].fix == "drctl worker-invite"
