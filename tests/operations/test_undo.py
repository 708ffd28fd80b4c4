"""What was wiped comes back."""

from __future__ import annotations

import json
import os
import socket
import time

import pytest

from drctl.config.project import load_project
from drctl.errors import ConflictError, ObjectNotFoundError
from drctl.operations.trash import show_trash, undo
from drctl.storage.trash import move_to_trash


@pytest.fixture
def project(tmp_path):
    (tmp_path / "run.env").touch()
    return load_project(tmp_path, environment={})


def test_shows_and_restores_the_newest(project, store):
    for turn in (b"1", b"22"):
        store.put("v1/a", turn)
        move_to_trash(store, "v1", f"turn {len(turn)}")
    shown = show_trash(project)
    assert [(one["prefix"], one["reason"], one["size_bytes"]) for one in shown.data["entries"]] == [
        ("v1", "turn 2", 2),
        ("v1", "turn 1", 1),
    ]
    newest = shown.data["entries"][0]["id"]
    assert shown.messages[0].text.startswith(newest)
    assert shown.next_steps == (f"drctl undo {newest}",)

    result = undo(project)
    assert result.messages[0].text == "v1 is back: 1 object, 2 B"
    assert (result.data["restored"]["id"], result.data["moved"]) == (newest, None)
    assert store.get("v1/a") == b"22"


def test_an_empty_trash_is_told(project):
    assert [message.text for message in show_trash(project).messages] == ["the trash is empty"]
    with pytest.raises(ObjectNotFoundError, match="the trash is empty"):
        undo(project)
    with pytest.raises(ObjectNotFoundError, match="the trash is empty"):
        undo(project, "20200101000000-1", wipe=True)
    assert not project.data_folder.exists()


def test_wipe_makes_room_and_can_be_undone_too(project, store):
    store.put("v1/a", b"old")
    entry = move_to_trash(store, "v1", "")
    store.put("v1/a", b"new")
    with pytest.raises(ConflictError) as caught:
        undo(project)
    assert caught.value.problems[0].fix == f"drctl undo {entry.id} -w"
    result = undo(project, entry.id, wipe=True)
    assert store.get("v1/a") == b"old"
    undo(project, result.data["moved"]["id"], wipe=True)
    assert store.get("v1/a") == b"new"


def test_wipe_refuses_under_a_live_trainer(project, store):
    store.put("v1/a", b"old")
    move_to_trash(store, "v1", "")
    lease = {"token": "t", "host": socket.gethostname(), "pid": os.getpid(), "started": 0, "epoch": 1}
    store.put("v1/.drctl/lease.json", json.dumps({**lease, "renewed": time.time(), "is_released": False}).encode())
    with pytest.raises(ConflictError) as caught:
        undo(project, wipe=True)
    assert str(caught.value) == f"a trainer on {socket.gethostname()} (pid {os.getpid()}) is writing under 'v1'"
    assert len(show_trash(project).data["entries"]) == 1
