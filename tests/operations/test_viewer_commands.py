"""The viewer's commands where they cannot do what is asked, and what its links carry."""

from __future__ import annotations

import socket
import stat

import pytest
from conftest import free_ports

from drctl.errors import UnavailableError, UsageError
from drctl.operations.viewer import start_viewer, stop_viewer, view_stream
from drctl.operations.viewer_page import viewer_urls
from drctl.secrets import Secret
from drctl.stack.viewer_plan import ViewerPlan


def one_problem(raised):
    (problem,) = raised.value.problems
    return problem


def test_a_port_that_is_taken_is_named_before_anything_starts(make_project):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        project = make_project(webviewer_port=port)
        with pytest.raises(UnavailableError) as raised:
            start_viewer(project)
    problem = one_problem(raised)
    assert problem.what == f"port {port} cannot be used: Address already in use"
    assert problem.fix == f"drctl start-viewer -p {port + 1}"
    assert not (project.root / "tmp" / "viewer" / "viewer.json").exists()


def test_the_token_is_kept_for_its_owner_alone(make_project, monkeypatch):
    monkeypatch.setattr("drctl.operations.viewer.start_viewer_process", lambda *_: 1 / 0)
    project = make_project(webviewer_port=free_ports(1)[0])
    with pytest.raises(ZeroDivisionError):
        start_viewer(project)
    file = project.secrets_folder / "viewer-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text()) >= 32


def test_stopping_what_does_not_run_is_no_error(project):
    result = stop_viewer(project)
    assert (result.data, result.exit_status) == ({"was_running": False}, 0)


def test_a_stream_that_is_not_there(project):
    with pytest.raises(UnavailableError) as raised:
        view_stream(project, worker=3, camera="top", width=480, quality=70)
    assert one_problem(raised).what == "worker-3 of run 7 streams nothing now"
    with pytest.raises(UsageError) as raised:
        view_stream(project, worker=0, camera="side", width=480, quality=70)
    assert one_problem(raised).expected == "overlay, chase, top, onboard"


def test_links_carry_the_token_where_it_is_needed():
    def plan(*, is_loopback_free):
        return ViewerPlan("/p", "process", None, "0.0.0.0", 8101, "t", is_loopback_free, ("overlay",), False, "Red")

    here, there = viewer_urls(plan(is_loopback_free=True), Secret("a+b"))
    assert here == "http://127.0.0.1:8101/"
    assert there.endswith(":8101/?token=a%2Bb")
    assert viewer_urls(plan(is_loopback_free=False), Secret("a+b"))[0] == "http://127.0.0.1:8101/?token=a%2Bb"
    assert "token" not in viewer_urls(plan(is_loopback_free=True), None)[1]
