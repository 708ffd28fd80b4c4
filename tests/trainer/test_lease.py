"""Only one trainer writes under a prefix."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from drctl.errors import ConflictError
from drctl.storage.directory import DirectoryStore
from drctl.trainer import lease as lease_module
from drctl.trainer.lease import Holder, Lease, LeaseLostError, acquire, is_gone, process_start, read_holder

KEY = "model/.drctl/lease.json"


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "bucket")


def take(store, token, **options) -> Lease:
    return acquire(store, KEY, token, on_lost=options.pop("on_lost", lambda _: None), on_wait=lambda _: None, **options)


def plant(store, **changes):
    holder = {
        "token": "theirs",
        "host": "elsewhere",
        "pid": 1,
        "started": 0,
        "epoch": 4,
        "renewed": time.time(),
        "is_released": False,
    }
    store.put(KEY, json.dumps({**holder, **changes}).encode())


def test_the_first_holder_has_epoch_one_and_each_takeover_raises_it(store):
    first = take(store, "a")
    assert first.epoch == 1
    first.release()
    second = take(store, "b")
    assert second.epoch == 2
    second.release()


def test_the_same_start_takes_its_own_lease_over_at_once(store):
    plant(store, token="mine")
    lease = take(store, "mine")
    assert lease.epoch == 5
    lease.release()


def test_a_holder_on_this_host_whose_process_is_gone_is_replaced_at_once(store):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    plant(store, host=socket.gethostname(), pid=process.pid, started=12345)
    lease = take(store, "mine")
    assert lease.epoch == 5
    lease.release()


def test_a_reused_pid_does_not_pass_for_the_holder():
    mine = Holder("t", socket.gethostname(), os.getpid(), process_start(os.getpid()), 1, 0.0)
    assert not is_gone(mine)
    assert is_gone(Holder("t", socket.gethostname(), os.getpid(), mine.started + 1, 1, 0.0))


def test_a_live_holder_is_waited_for_and_named(store):
    plant(store)
    with pytest.raises(ConflictError, match=r"held by the trainer on elsewhere \(pid 1\)"):
        take(store, "mine", should_stop=lambda: True)
    assert read_holder(store, KEY).token == "theirs"


def test_a_silent_holder_elsewhere_expires(store, monkeypatch):
    monkeypatch.setattr(lease_module, "EXPIRE_S", 0.0)
    plant(store)
    lease = take(store, "mine")
    assert lease.epoch == 5
    lease.release()


def test_check_and_renewal_notice_a_takeover(store, monkeypatch):
    monkeypatch.setattr(lease_module, "RENEW_S", 0.05)
    lost = threading.Event()
    lease = take(store, "mine", on_lost=lambda _: lost.set())
    lease.check()
    plant(store, epoch=2)
    with pytest.raises(LeaseLostError, match="another trainer has taken this model over"):
        lease.check()
    assert lost.wait(5.0)
    lease.release()
    assert read_holder(store, KEY).token == "theirs"


def test_renewal_keeps_the_lease_alive(store, monkeypatch):
    monkeypatch.setattr(lease_module, "RENEW_S", 0.02)
    lease = take(store, "mine")
    before = read_holder(store, KEY).renewed
    deadline = time.monotonic() + 5.0
    while read_holder(store, KEY).renewed == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read_holder(store, KEY).renewed > before
    lease.release()
    assert read_holder(store, KEY).is_released
