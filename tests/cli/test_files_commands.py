"""upload-custom-files, download-custom-files and undo, as users type them."""

from __future__ import annotations

import json

import pytest

from drctl.cli.app import main
from drctl.storage.directory import DirectoryStore
from drctl.storage.trash import move_to_trash


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "run.env").touch()
    (tmp_path / "custom_files").mkdir()
    (tmp_path / "custom_files" / "reward_function.py").write_text("pass\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_upload_and_download_say_what_they_copy(folder, capsys):
    assert main(["upload-custom-files"]) == 0
    assert capsys.readouterr().out == "new        reward_function.py\n1 of 1 file copied to data/bucket/custom_files\n"
    assert (folder / "data/bucket/custom_files/reward_function.py").read_text() == "pass\n"

    (folder / "custom_files" / "reward_function.py").write_text("mine\n")
    assert main(["download-custom-files"]) == 5
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err == (
        "error[conflict]: custom_files/reward_function.py differs from the bucket's\n"
        "  where:    data/bucket/custom_files/reward_function.py\n"
        "  expected: the same content, or no local file\n"
        "  fix:      drctl download-custom-files -f\n"
    )
    assert main(["download-custom-files", "-f"]) == 0
    assert "changed    reward_function.py\n" in capsys.readouterr().out
    assert (folder / "custom_files" / "reward_function.py").read_text() == "pass\n"


def test_undo_brings_back_and_lists(folder, capsys):
    store = DirectoryStore(folder / "data" / "bucket")
    store.put("v1/a", b"1")
    entry = move_to_trash(store, "v1", "start-training -w")
    assert main(["undo", "--list", "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["ok"]) == (1, True)
    assert set(document["data"]) == {"store", "entries"}
    assert set(document["data"]["entries"][0]) == {
        "id",
        "prefix",
        "reason",
        "time",
        "object_count",
        "size_bytes",
        "is_complete",
    }
    assert main(["undo", entry.id]) == 0
    assert capsys.readouterr().out.startswith("v1 is back: 1 object, ")
    assert store.get("v1/a") == b"1"
    assert main(["undo"]) == 4
    assert "the trash is empty" in capsys.readouterr().err
    assert main(["undo", "--list", "-w"]) == 2
