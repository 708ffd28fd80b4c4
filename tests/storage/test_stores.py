"""What every kind of store promises."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime, timedelta

import pytest

from drctl.errors import ObjectNotFoundError, PreconditionFailedError, UsageError


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix)]


def test_gives_back_what_was_put(store):
    store.put("model/weights.pt", b"\x00\xff" * 10)
    assert store.get("model/weights.pt") == b"\x00\xff" * 10


def test_put_replaces_the_whole_object(store):
    store.put("a", b"a long text")
    store.put("a", b"short")
    assert store.get("a") == b"short"
    assert [(info.key, info.size_bytes) for info in store.list()] == [("a", 5)]


def test_keeps_an_empty_object(store):
    store.put("ip/done", b"")
    assert store.get("ip/done") == b""
    assert keys(store) == ["ip/done"]


def test_a_missing_object_is_an_error_to_get_and_none_to_stat(store):
    store.put("model/a", b"")
    for key in ("model/b", "model", "other/b"):
        with pytest.raises(ObjectNotFoundError, match=f"there is no object '{key}'"):
            store.get(key)
        assert store.stat(key) is None


def test_stat_and_list_tell_the_same(store):
    written = store.put("model/a", b"12345")
    info = store.stat("model/a")
    assert info.key == "model/a"
    assert info.size_bytes == 5
    assert info.version == written
    assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert [(one.key, one.size_bytes, one.version) for one in store.list()] == [("model/a", 5, written)]


def test_lists_whole_segments_sorted_by_key(store):
    for key in ("v10/x", "v1/b", "v1-b/x", "v1/a/deep/er", "v1/a-b", "v1.json", "v1/.drctl/status.json"):
        store.put(key, b"")
    assert keys(store, "v1") == ["v1/.drctl/status.json", "v1/a-b", "v1/a/deep/er", "v1/b"]
    assert keys(store, "v1/") == keys(store, "v1")
    assert keys(store, "v1/a") == ["v1/a/deep/er"]
    assert keys(store, "v") == []
    assert keys(store, "v1/b") == []
    assert keys(store) == [
        "v1-b/x",
        "v1.json",
        "v1/.drctl/status.json",
        "v1/a-b",
        "v1/a/deep/er",
        "v1/b",
        "v10/x",
    ]


def test_lists_folders_that_hold_objects(store):
    for key in ("one/a", "two/b/c", "three", "two/d"):
        store.put(key, b"")
    assert store.list_folders() == ["one", "two"]
    assert store.list_folders("two") == ["b"]
    assert store.list_folders("two/b") == []
    assert store.list_folders("nothing") == []
    store.delete("two/b/c")
    assert store.list_folders("two") == []


def test_keeps_unusual_letters_in_keys(store):
    odd = ["modèle/ü ö+&?%#=~.txt", "模型/重み.pt", "a b/c'd\"e", "🏎/x"]
    for number, key in enumerate(odd):
        store.put(key, str(number).encode())
    assert keys(store) == sorted(odd)
    assert [store.get(key) for key in odd] == [b"0", b"1", b"2", b"3"]
    store.copy(odd[0], odd[1])
    assert store.get(odd[1]) == b"0"
    assert keys(store, "模型") == ["模型/重み.pt"]


def test_refuses_what_is_not_a_key(store):
    actions = (store.get, store.stat, store.delete, lambda key: store.put(key, b""), lambda key: store.copy("a", key))
    store.put("a", b"")
    for key in ("", "/a", "a//b", "a/", "../a", "a/../b", "a/./b", "a\nb", "a\x00b", "x" * 1025):
        for action in actions:
            with pytest.raises(UsageError, match="is not an object key"):
                action(key)
    assert keys(store) == ["a"]


def test_delete_can_be_done_again(store):
    store.put("a/b/c", b"")
    store.put("a/d", b"")
    store.delete("a/b/c")
    store.delete("a/b/c")
    store.delete("never/there")
    assert keys(store) == ["a/d"]


@pytest.mark.parametrize("for_move", [False, True])
def test_copies_within_the_bucket(store, for_move):
    store.put("a", b"new")
    store.put("sub/b", b"old")
    store.copy("a", "sub/b", for_move=for_move)
    store.copy("a", "c", for_move=for_move)
    store.put("a", b"newer")
    assert (store.get("a"), store.get("sub/b"), store.get("c")) == (b"newer", b"new", b"new")
    with pytest.raises(ObjectNotFoundError):
        store.copy("missing", "d", for_move=for_move)
    assert keys(store) == ["a", "c", "sub/b"]


def test_copies_again_onto_a_copy(store):
    store.put("a", b"1")
    store.copy("a", "b", for_move=True)
    store.copy("a", "b", for_move=True)
    store.delete("a")
    assert keys(store) == ["b"]
    assert store.get("b") == b"1"


def test_puts_only_when_absent(store):
    store.put("lease.json", b"first", if_absent=True)
    with pytest.raises(PreconditionFailedError):
        store.put("lease.json", b"second", if_absent=True)
    assert store.get("lease.json") == b"first"


def test_puts_only_on_the_version_that_was_read(store):
    store.put("lease.json", b"1")
    data, version = store.get_versioned("lease.json")
    assert (data, version) == (b"1", store.stat("lease.json").version)
    newer = store.put("lease.json", b"2", if_version=version)
    assert newer != version
    with pytest.raises(PreconditionFailedError):
        store.put("lease.json", b"3", if_version=version)
    assert store.get_versioned("lease.json") == (b"2", newer)
    store.delete("lease.json")
    with pytest.raises(PreconditionFailedError):
        store.put("lease.json", b"3", if_version=newer)
    assert keys(store) == []


def test_conditions_exclude_each_other(store):
    with pytest.raises(ValueError, match="exclude"):
        store.put("a", b"", if_absent=True, if_version="1")


@pytest.mark.parametrize("condition", ["if_absent", "if_version"])
def test_of_racing_conditional_puts_exactly_one_wins(make_store, kind, condition):
    stores = [make_store() for _ in range(4)]
    for turn in range(20 if kind == "directory" else 2):
        key = f"race/{turn}"
        options = {"if_absent": True}
        if condition == "if_version":
            options = {"if_version": stores[0].put(key, b"start")}
        start, winners = threading.Barrier(len(stores)), []

        def compete(number, store, key=key, options=options, start=start, winners=winners):
            start.wait()
            with contextlib.suppress(PreconditionFailedError):
                winners.append((number, store.put(key, f"{number}".encode(), **options)))

        threads = [threading.Thread(target=compete, args=pair) for pair in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(winners) == 1
        number, version = winners[0]
        assert stores[0].get_versioned(key) == (f"{number}".encode(), version)


def test_keeps_a_big_object(store):
    data = bytes(range(256)) * (20 * 4096)  # 20 MiB, more than a server's chunk
    store.put("big", data)
    assert store.get("big") == data
    store.copy("big", "copy")
    assert store.stat("copy").size_bytes == len(data)
    assert store.get("copy") == data


def test_a_reader_never_sees_half_an_object(make_store):
    writer, reader = make_store(), make_store()
    contents = [bytes([number]) * 300_000 for number in range(2)]
    writer.put("a", contents[0])
    is_done = threading.Event()

    def write():
        for turn in range(20):
            writer.put("a", contents[turn % 2])
        is_done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = [reader.get("a")]
    while not is_done.is_set():
        seen.append(reader.get("a"))
    thread.join()
    assert all(data in contents for data in seen)
