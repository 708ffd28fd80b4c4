"""The viewer of runs in containers as far as it can be told without Docker: plans, conflicts, links."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from drctl.engines.docker import ContainerFacts
from drctl.errors import ConflictError, UnavailableError
from drctl.operations import container_viewer, viewer
from drctl.operations.viewer import preview_viewer, start_viewer, view_stream
from drctl.stack.render import render_viewer
from drctl.stack.viewer_plan import write_viewer_plan

NAME = "deepracer-7-viewer"


@pytest.fixture
def project(make_project, monkeypatch):
    """A project for Docker Compose, on a machine with Docker and all images where nothing runs."""
    monkeypatch.setattr(container_viewer.docker, "check_docker", lambda: None)
    monkeypatch.setattr(container_viewer.docker, "missing_images", lambda _names: [])
    monkeypatch.setattr(container_viewer, "refuse_foreign", lambda *_: None)
    monkeypatch.setattr(container_viewer, "find_viewer_container", lambda _plan: None)
    return make_project(run_id=7, docker_style="compose", minio_image="")


@pytest.fixture
def running(project, monkeypatch):
    """The same with a viewer that runs."""
    plan = container_viewer.plan_container_viewer(project, None)
    write_viewer_plan(plan.viewer, plan.folder)
    (plan.folder / "compose.yml").write_text(render_viewer(plan))
    found = ContainerFacts("a" * 12, NAME, "viewer", str(project.root), "running", "healthy", 0, 1.0, 0.0, 0)
    monkeypatch.setattr(container_viewer, "find_viewer_container", lambda _plan: found)
    return project


def one_problem(raised):
    (problem,) = raised.value.problems
    return problem


def test_a_preview_writes_nothing(project):
    found = preview_viewer(project).data
    assert [path.rpartition("/tmp/")[2] for path in found["files"]] == ["s3/compose.yml", "viewer-7/compose.yml"]
    assert found["commands"][-1][-3:] == ["up", "--detach", "--no-build"]
    assert not (project.root / "tmp").exists()


def test_a_viewer_that_runs_is_left_alone(running, make_project):
    result = start_viewer(running)
    assert (result.data["container"], result.data["pid"], result.data["was_running"]) == (NAME, None, True)
    assert [message.text for message in result.messages[:1]] == [f"The viewer runs already (container {NAME})"]
    token = (running.secrets_path / "viewer-token").read_text()
    assert result.data["urls"][0] == f"http://127.0.0.1:8100/?token={token}"

    changed = make_project(run_id=7, docker_style="compose", minio_image="", camera_sub_enable=True)
    assert "drctl update-viewer starts it anew" in start_viewer(changed).messages[1].text
    with pytest.raises(ConflictError) as raised:
        start_viewer(running, port=8101)
    problem = one_problem(raised)
    assert (problem.what, problem.where) == ("the viewer runs already, on port 8100", NAME)
    assert problem.fix == "drctl update-viewer -p 8101"


def test_a_missing_image_is_named_with_the_command_that_makes_it(project, monkeypatch):
    monkeypatch.setattr(container_viewer.docker, "missing_images", lambda names: names)
    with pytest.raises(UnavailableError) as raised:
        start_viewer(project)
    problem = one_problem(raised)
    assert problem.what.startswith("this machine lacks the image drctl/viewer:")
    assert problem.fix == "drctl build-images"


def see(monkeypatch, **status):
    workers = [{"name": "worker-0", "address": "abc:8080"}]
    found = SimpleNamespace(is_running=True, trainer={"workers": workers}, **{"stack": "drctl", **status})
    monkeypatch.setattr(viewer, "reachable_store", lambda _project: None)
    monkeypatch.setattr(viewer, "read_run", lambda *_: found)


def test_a_worker_in_a_container_is_seen_through_the_viewer(project, monkeypatch):
    see(monkeypatch)
    result = view_stream(project, worker=0, camera="top", width=320, quality=60)
    assert (result.data["urls"], result.next_steps) == ([], ("drctl start-viewer",))
    assert result.messages[0].text == "A worker in a container is seen through the viewer alone"


def test_its_address_carries_the_token(running, monkeypatch):
    see(monkeypatch)
    start_viewer(running)
    (url,) = view_stream(running, worker=0, camera="top", width=320, quality=60).data["urls"]
    token = (running.secrets_path / "viewer-token").read_text()
    path = "runs/7/workers/worker-0/stream?topic=/sub_camera/zed/rgb/image_rect_color&width=320&quality=60"
    assert url == f"http://127.0.0.1:8100/{path}&token={token}"


def test_a_worker_of_the_images_has_an_address_of_its_own(project, monkeypatch):
    see(monkeypatch, stack="community")
    monkeypatch.setattr(viewer, "find_stream_port", lambda _folder, name: {"worker-0": "127.0.0.1:8083"}.get(name))
    (url,) = view_stream(project, worker=0, camera="overlay", width=480, quality=70).data["urls"]
    assert url.startswith("http://127.0.0.1:8083/stream?topic=/racecar/deepracer/kvs_stream&")
    with pytest.raises(UnavailableError):
        view_stream(project, worker=1, camera="overlay", width=480, quality=70)


def test_the_start_file_in_the_container_names_no_secret(running):
    told = json.loads((running.root / "tmp" / "viewer-7" / "viewer.json").read_text())
    assert told["token_file"] == "/run/secrets/viewer_token"
    assert told["store"]["keys_file"] == "/run/secrets/store_keys"
    assert told["run_id"] == 7
