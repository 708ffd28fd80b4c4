"""Shards: what is computed does not depend on who computes it."""

import threading

import pytest
import torch

from drctl.trainer.shards import MOST_SHARDS, Shards, default_shards, usable_cores


@pytest.mark.parametrize(
    ("count", "length", "sizes"),
    [(1, 5, [5]), (2, 64, [32, 32]), (3, 8, [2, 3, 3]), (4, 2, [0, 1, 0, 1]), (2, 0, [0, 0])],
)
def test_slices_follow_each_other_and_differ_by_at_most_one(count, length, sizes):
    slices = Shards(count).split(length)
    assert [part.stop - part.start for part in slices] == sizes
    assert [row for part in slices for row in range(length)[part]] == list(range(length))


def test_answers_come_in_the_order_of_the_shards():
    is_second_done = threading.Event()

    def work(number):
        if number == 0:
            assert is_second_done.wait(10.0)
        if number == 1:
            is_second_done.set()
        return number * 10

    assert Shards(3, threads=3).run(work) == [0, 10, 20]


def test_several_works_are_done_at_the_same_time_or_one_by_one_where_there_is_one_shard():
    barrier = threading.Barrier(2, timeout=10.0)
    assert sorted(Shards(2, threads=2).call([barrier.wait, barrier.wait])) == [0, 1]
    names = [threading.current_thread, threading.current_thread]
    assert Shards(1).call(names) == [threading.main_thread()] * 2


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_operation_has_one_thread(threads):
    torch.set_num_threads(2)
    shards = Shards(4, threads=threads)
    names = set()

    def work(_):
        names.add(threading.current_thread().name)
        return torch.get_num_threads()

    assert shards.run(work) == [1] * 4
    assert 1 <= len(names) <= threads
    assert torch.get_num_threads() == 1


def test_a_failure_waits_for_the_other_shards_and_the_first_shard_is_named():
    ended = []

    def work(number):
        if number:
            ended.append(number)
        raise ValueError(f"shard {number}")

    with pytest.raises(ValueError, match="shard 0"):
        Shards(4, threads=1).run(work)
    assert ended == [1, 2, 3]


def test_a_single_shard_is_computed_by_its_caller():
    assert Shards(1).run(lambda _: threading.current_thread()) == [threading.current_thread()]


def test_there_is_a_shard_for_every_core_up_to_eight_and_one_on_a_gpu(monkeypatch):
    assert default_shards(torch.device("cpu")) == min(usable_cores(), MOST_SHARDS)
    for cores, shards in ((1, 1), (6, 6), (64, 8)):
        monkeypatch.setattr("drctl.trainer.shards.usable_cores", lambda cores=cores: cores)
        assert default_shards(torch.device("cpu")) == shards
    assert default_shards(torch.device("cuda")) == 1


def test_there_must_be_a_shard():
    with pytest.raises(ValueError, match="at least one shard, got 0"):
        Shards(0)
