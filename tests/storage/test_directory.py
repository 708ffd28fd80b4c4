"""What only a folder store does: files on a disk, crashes, a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from drctl.errors import ConflictError, UnavailableError, UsageError
from drctl.storage import directory
from drctl.storage.directory import RESERVED, STALE_S, DirectoryStore


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "bucket"


@pytest.fixture
def store(root):
    return DirectoryStore(root)


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_object_is_a_file(store, root):
    store.put("model/model_0.pb", b"graph")
    assert (root / "model" / "model_0.pb").read_bytes() == b"graph"
    assert store.name == "data/bucket"


def test_a_file_made_by_hand_is_an_object(store, root):
    (root / "custom_files").mkdir(parents=True)
    (root / "custom_files" / "reward_function.py").write_bytes(b"pass")
    assert [(info.key, info.size_bytes) for info in store.list()] == [("custom_files/reward_function.py", 4)]
    assert store.get("custom_files/reward_function.py") == b"pass"


def test_reading_creates_nothing(store, tmp_path):
    assert store.stat("a") is None
    assert list(store.list()) == []
    assert store.list_folders() == []
    store.delete("a")
    with pytest.raises(UnavailableError):
        store.get("a")
    assert list(tmp_path.iterdir()) == []


def test_the_version_changes_with_every_put(store):
    versions = [store.put("a", b"same") for _ in range(50)]
    assert len(set(versions)) == 50


def test_delete_removes_emptied_folders(store, root):
    store.put("a/b/c", b"")
    store.put("a/d", b"")
    store.delete("a/b/c")
    assert not (root / "a" / "b").exists()
    assert (root / "a").is_dir()
    store.delete("a/d")
    assert [path.name for path in root.iterdir()] == [f"{RESERVED}lock"]


def test_an_object_cannot_be_a_folder_too(store):
    store.put("a/b", b"1")
    with pytest.raises(ConflictError) as caught:
        store.put("a", b"2")
    assert str(caught.value) == "'a' cannot be an object: it is a folder with objects"
    for key in ("a/b/c", "a/b/c/d"):
        with pytest.raises(ConflictError) as caught:
            store.put(key, b"2")
        assert str(caught.value) == f"'{key}' cannot be put: 'a/b' is an object, not a folder"
        assert caught.value.problems[0].where == f"data/bucket/{key}"
    with pytest.raises(ConflictError):
        store.put("a", b"2", if_absent=True)
    assert [info.key for info in store.list()] == ["a/b"]


def test_keys_cannot_use_the_store_s_own_names(store):
    with pytest.raises(UsageError, match="are the store's own"):
        store.put(f"a/{RESERVED}lock", b"")
    with pytest.raises(UsageError, match="at most 255 bytes"):
        store.put("é" * 128, b"")


def test_temporary_files_of_the_killed_are_hidden_and_go_when_old(root):
    store = DirectoryStore(root)
    store.put("a/b", b"")
    fresh = root / "a" / f"{RESERVED}1-fresh"
    fresh.write_bytes(b"half an obj")
    assert [info.key for info in store.list()] == ["a/b"]
    store.delete("a/b")
    assert store.list_folders() == []

    DirectoryStore(root).put("a/c", b"")
    assert fresh.exists()  # its writer may be at work
    real_time = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory.time, "time", lambda: real_time() + STALE_S + 1)
        DirectoryStore(root).put("a/d", b"")
    assert not fresh.exists()


WRITER = """
import sys
from pathlib import Path
from drctl.storage.directory import DirectoryStore
store = DirectoryStore(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    for letter in b"ab":
        store.put("model/weights", bytes([letter]) * 1_000_000)
"""


def test_a_killed_writer_leaves_a_whole_object(root):
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.05)
        process.kill()
        process.wait()
        process.stdout.close()
        store = DirectoryStore(root)
        if store.stat("model/weights") is not None:
            assert store.get("model/weights") in (b"a" * 1_000_000, b"b" * 1_000_000)
        assert [info.key for info in store.list()] in ([], ["model/weights"])
        store.put("model/weights", b"a lock of the dead does not block")


COUNTER = """
import sys
from pathlib import Path
from drctl.errors import PreconditionFailedError
from drctl.storage.directory import DirectoryStore
store = DirectoryStore(Path(sys.argv[1]))
done = 0
while done < 40:
    data, version = store.get_versioned("counter")
    try:
        store.put("counter", str(int(data) + 1).encode(), if_version=version)
        done += 1
    except PreconditionFailedError:
        pass
"""


def test_processes_that_count_with_conditional_puts_lose_no_step(store, root):
    store.put("counter", b"0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNTER, str(root)]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert store.get("counter") == b"120"


def test_a_put_survives_a_delete_that_removes_its_folder(store, root, monkeypatch):
    store.put("a/b", b"")
    make_folders = DirectoryStore._make_folders
    turns = []

    def vanish_once(self, folder):
        make_folders(self, folder)
        if not turns:
            turns.append(folder)
            shutil.rmtree(folder)

    monkeypatch.setattr(DirectoryStore, "_make_folders", vanish_once)
    store.put("a/c", b"1")
    assert store.get("a/c") == b"1"


def test_a_full_disk_is_told_and_leaves_nothing(store, root, monkeypatch):
    store.put("model/weights", b"old")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(directory.os, "fsync", fail)
    monkeypatch.setattr(directory.shutil, "disk_usage", lambda _path: SimpleNamespace(free=2_500_000))
    with pytest.raises(UnavailableError) as caught:
        store.put("model/weights", b"new")
    problem = caught.value.problems[0]
    assert problem.what == "the disk is full: 2 MB free"
    assert problem.where == str(root / "model" / "weights")
    assert problem.fix == f"df -h {root / 'model' / 'weights'}"
    monkeypatch.undo()
    assert store.get("model/weights") == b"old"
    assert files_under(root) == [f"{RESERVED}lock", "model/weights"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_kernel_s_own_full_disk_is_the_same_error(store, monkeypatch):
    real_open = os.open

    def open_full(path, flags, mode=0o777):
        return real_open("/dev/full", os.O_WRONLY) if flags & os.O_EXCL else real_open(path, flags, mode)

    monkeypatch.setattr(directory.os, "open", open_full)
    with pytest.raises(UnavailableError, match="the disk is full"):
        store.put("a", b"1")


def test_a_folder_without_access_is_told(store, root, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    root.mkdir(parents=True)
    monkeypatch.setattr(directory.os, "scandir", refuse)
    with pytest.raises(UnavailableError) as caught:
        list(store.list())
    problem = caught.value.problems[0]
    assert problem.what == "the store's folder cannot be used: Permission denied"
    assert problem.fix == f"ls -ld {root}"


def test_copies_for_a_move_take_no_space(store, root):
    store.put("a", b"x" * 1000)
    store.copy("a", "moved", for_move=True)
    store.copy("a", "copied")
    assert (root / "moved").stat().st_ino == (root / "a").stat().st_ino
    assert (root / "copied").stat().st_ino != (root / "a").stat().st_ino


def test_copies_for_a_move_where_links_are_not_possible(store, root, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(directory.os, "link", refuse)
    store.put("a", b"1")
    store.copy("a", "b/c", for_move=True)
    assert store.get("b/c") == b"1"
    assert files_under(root) == [f"{RESERVED}lock", "a", "b/c"]
