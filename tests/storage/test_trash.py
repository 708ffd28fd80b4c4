"""Nothing is lost between its old place and the trash, whatever is killed when."""

from __future__ import annotations

import contextlib
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from drctl.errors import ConflictError, ObjectNotFoundError, UsageError
from drctl.storage import directory
from drctl.storage.directory import DirectoryStore
from drctl.storage.trash import discard, list_trash, move_to_trash, restore

MODEL = {"v1/model/model_0.pb": b"graph", "v1/ip/done": b"", "v1/reward.py": b"pass"}
OTHERS = {"v10/model/model_0.pb": b"another", "v1.txt": b"not below v1"}


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


class MortalStore:
    """Passes calls on until its life is over; the fatal call is done before the end, or not."""

    def __init__(self, store, life=10**9, *, does_last=False):
        self.store, self.life, self.does_last, self.name = store, life, does_last, store.name

    def __getattr__(self, name):
        action = getattr(self.store, name)

        def counted(*arguments, **options):
            self.life -= 1
            if self.life < 0:
                if self.does_last:
                    action(*arguments, **options)
                raise Killed
            return action(*arguments, **options)

        return counted


def put_all(store, objects):
    for key, data in objects.items():
        store.put(key, data)


def content(store, prefix=""):
    return {info.key: store.get(info.key) for info in store.list(prefix)}


def outside_trash(store):
    return {key: data for key, data in content(store).items() if not key.startswith(".trash/")}


def test_moves_a_prefix_and_brings_it_back(store):
    put_all(store, {**MODEL, **OTHERS})
    entry = move_to_trash(store, "v1/", "start-training -w")
    assert outside_trash(store) == OTHERS
    assert (entry.prefix, entry.reason, entry.is_complete) == ("v1", "start-training -w", True)
    assert (entry.object_count, entry.size_bytes) == (3, len(b"graph" + b"pass"))
    assert abs(entry.time - datetime.now(UTC)) < timedelta(minutes=1)
    assert list_trash(store) == [entry]

    assert restore(store) == entry
    assert content(store) == {**MODEL, **OTHERS}
    assert list_trash(store) == []


def test_the_newest_entry_comes_back_first(store):
    entries = []
    for turn in range(3):
        store.put("v1/a", str(turn).encode())
        entries.append(move_to_trash(store, "v1", f"turn {turn}"))
    assert [entry.reason for entry in list_trash(store)] == ["turn 2", "turn 1", "turn 0"]
    assert len({entry.id for entry in entries}) == 3
    assert restore(store, entries[0].id).reason == "turn 0"
    assert store.get("v1/a") == b"0"
    store.delete("v1/a")
    assert restore(store).reason == "turn 2"
    assert store.get("v1/a") == b"2"


def test_refuses_to_restore_onto_something(store):
    put_all(store, MODEL)
    entry = move_to_trash(store, "v1", "")
    store.put("v1/new", b"")
    with pytest.raises(ConflictError) as caught:
        restore(store)
    problem = caught.value.problems[0]
    assert problem.what == "'v1' is in use: v1/new"
    assert problem.fix == f"drctl undo {entry.id} -w"
    assert outside_trash(store) == {"v1/new": b""}
    store.delete("v1/new")
    restore(store)
    assert content(store) == MODEL


def test_an_empty_trash_and_unknown_entries_are_told(store):
    with pytest.raises(ObjectNotFoundError, match="the trash is empty"):
        restore(store)
    with pytest.raises(ObjectNotFoundError, match="there is nothing under 'v1'"):
        move_to_trash(store, "v1", "")
    assert content(store) == {}
    put_all(store, MODEL)
    entry = move_to_trash(store, "v1", "")
    with pytest.raises(ObjectNotFoundError) as caught:
        restore(store, "20200101000000-1")
    assert str(caught.value) == "the trash has no entry '20200101000000-1'"
    assert caught.value.problems[0].expected == entry.id


@pytest.mark.parametrize("prefix", ["", "/", ".trash", ".trash/20200101000000-1", "../v1"])
def test_refuses_prefixes_that_are_no_model(tmp_path, prefix):
    with pytest.raises(UsageError):
        move_to_trash(DirectoryStore(tmp_path), prefix, "")


def test_an_object_changed_during_the_move_stays(store):
    put_all(store, MODEL)
    copy = store.copy

    class Meddler(MortalStore):
        def copy(self, source, target, **options):
            copy(source, target, **options)
            if source == "v1/reward.py":
                store.put("v1/reward.py", b"changed")

    move_to_trash(Meddler(store), "v1", "")
    assert outside_trash(store) == {"v1/reward.py": b"changed"}
    store.delete("v1/reward.py")
    restore(store)
    assert content(store) == MODEL


@pytest.fixture
def no_flush(monkeypatch):
    """Skip what only matters when the power fails; these tests put thousands of objects."""
    monkeypatch.setattr(directory.os, "fsync", lambda _descriptor: None)


def killed_at_every_call(tmp_path, prepare, action):
    """Yield a store for each store call of an action, left as a kill before or after that call leaves it."""
    for does_last in (False, True):
        for life in itertools.count():
            store = DirectoryStore(tmp_path / f"{does_last}-{life}")
            prepare(store)
            try:
                action(MortalStore(store, life, does_last=does_last))
            except Killed:
                yield DirectoryStore(tmp_path / f"{does_last}-{life}")
            else:
                assert life > 12
                break


def assert_nothing_lost(store):
    found = content(store)
    in_trash = {key.split("/objects/")[1]: data for key, data in found.items() if "/objects/" in key}
    for key, data in MODEL.items():
        assert found.get(key) == data or in_trash.get(key.removeprefix("v1/")) == data
    for key, data in OTHERS.items():
        assert found[key] == data


def prepare_model(store):
    put_all(store, {**MODEL, **OTHERS})


def prepare_trash(store):
    prepare_model(store)
    move_to_trash(store, "v1", "before")


def restore_if_any(store):
    with contextlib.suppress(ObjectNotFoundError):  # the trash is empty
        restore(store)


def test_a_move_killed_anywhere_can_be_taken_back(tmp_path, no_flush):
    for store in killed_at_every_call(tmp_path, prepare_model, lambda store: move_to_trash(store, "v1", "")):
        assert_nothing_lost(store)
        restore_if_any(store)
        assert content(store) == {**MODEL, **OTHERS}


def test_a_move_killed_anywhere_can_be_completed(tmp_path, no_flush):
    for store in killed_at_every_call(tmp_path, prepare_model, lambda store: move_to_trash(store, "v1", "")):
        try:
            move_to_trash(store, "v1", "again")
        except ObjectNotFoundError:
            assert list_trash(store)[0].is_complete  # killed after the last step
        assert outside_trash(store) == OTHERS
        assert len(list_trash(store)) == 1
        restore(store)
        assert content(store) == {**MODEL, **OTHERS}


def test_a_restore_killed_anywhere_can_be_completed(tmp_path, no_flush):
    for store in killed_at_every_call(tmp_path, prepare_trash, restore):
        assert_nothing_lost(store)
        restore_if_any(store)
        assert content(store) == {**MODEL, **OTHERS}
        assert list_trash(store) == []


def test_a_restore_killed_anywhere_survives_another_move(tmp_path, no_flush):
    for store in killed_at_every_call(tmp_path, prepare_trash, restore):
        if not content(store, "v1"):
            continue
        move_to_trash(store, "v1", "again")
        assert outside_trash(store) == OTHERS
        assert_nothing_lost(store)


def test_an_interrupted_move_keeps_what_a_new_run_wrote(tmp_path, no_flush):
    for store in killed_at_every_call(tmp_path, prepare_model, lambda store: move_to_trash(store, "v1", "first")):
        store.put("v1/reward.py", b"of the new run")
        store.put("v1/new", b"new")
        move_to_trash(store, "v1", "second")
        assert outside_trash(store) == OTHERS
        everything = list(content(store, ".trash").values())
        assert b"of the new run" in everything
        assert b"new" in everything
        for key in set(MODEL) - {"v1/reward.py"}:
            assert MODEL[key] in everything


def test_an_interrupted_move_is_not_taken_back_into_a_new_run(tmp_path, no_flush):
    refused = 0
    for store in killed_at_every_call(tmp_path, prepare_model, lambda store: move_to_trash(store, "v1", "first")):
        if set(content(store, "v1")) == set(MODEL):
            continue
        store.put("v1/new", b"of a new run")
        before = content(store)
        with pytest.raises(ConflictError, match="'v1' is in use: v1/new"):
            restore(store)
        assert content(store) == before
        refused += 1
    assert refused > 5


def test_an_interrupted_move_is_shown_as_such(tmp_path):
    store = DirectoryStore(tmp_path / "bucket")
    prepare_model(store)
    with pytest.raises(Killed):
        move_to_trash(MortalStore(store, 6), "v1", "cut short")
    assert [(entry.reason, entry.is_complete) for entry in list_trash(store)] == [("cut short", False)]


def test_an_entry_that_lacks_objects_is_refused(tmp_path):
    store = DirectoryStore(tmp_path / "bucket")
    prepare_trash(store)
    entry = list_trash(store)[0]
    store.delete(f".trash/{entry.id}/objects/reward.py")
    with pytest.raises(ObjectNotFoundError, match=f"the trash lacks 1 of the 3 objects of {entry.id}"):
        restore(store)
    assert outside_trash(store) == OTHERS


def test_a_discarded_entry_is_whole_or_gone_whenever_it_is_killed(store):
    for life in itertools.count():
        put_all(store, MODEL)
        entry = move_to_trash(store, "v1", "test")
        with contextlib.suppress(Killed):
            discard(MortalStore(store, life), entry.id)
        if list_trash(store):
            restore(store, entry.id)
            assert content(store) == MODEL
            continue
        is_over = not content(store)
        store.put("v2/a", b"1")
        move_to_trash(store, "v2", "whoever comes by removes the rest")
        assert sorted(content(store).values()).count(b"1") == len(content(store)) - 1  # the other one is its record
        assert discard(store, list_trash(store)[0].id)
        assert content(store) == {}
        if is_over:
            break
    assert life > 3
    assert discard(store, "20200101000000-1") is False


def test_an_interrupted_move_is_not_discarded(store):
    put_all(store, MODEL)
    with contextlib.suppress(Killed):
        move_to_trash(MortalStore(store, 6), "v1", "test")
    (entry,) = list_trash(store)
    assert not entry.is_complete
    assert discard(store, entry.id) is False
    restore(store, entry.id)
    assert outside_trash(store) == MODEL
