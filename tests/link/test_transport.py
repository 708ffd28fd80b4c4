from __future__ import annotations

import json
import socket
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import msgpack
import pytest
import zmq

from drctl.errors import FormatError, UnavailableError
from drctl.link.codec import MAGIC
from drctl.link.keys import load_or_create_keys, new_keys
from drctl.link.listening import Binding, ipc_endpoint
from drctl.link.messages import Bye, Ended, Hello, Refused
from drctl.link.ticket import JoinTicket, make_ticket, read_ticket, write_ticket
from drctl.link.transport import TrainerLink, WorkerLink

HELLO = Hello("worker-0", "here", 1, "")
PATIENCE_S = 10.0


def listen_spec(folder, **changes):
    values = {
        "ipc_folder": None,
        "tcp_host": "127.0.0.1",
        "tcp_port": 0,
        "advertised_host": "127.0.0.1",
        "local_ticket": str(folder / "secrets" / "join.json"),
        "remote_ticket": None,
    }
    return SimpleNamespace(**{**values, **changes})


@pytest.fixture
def opened():
    """Closes what a test opens, workers first."""
    links = []
    yield lambda link: links.append(link) or link
    for link in reversed(links):
        link.close()


def connect(worker):
    deadline = time.monotonic() + PATIENCE_S
    while not worker.take_new_connection():
        assert time.monotonic() < deadline, "no connection"
        worker.receive(0.1)
    while not worker.send(HELLO):
        assert time.monotonic() < deadline, "cannot send"
        time.sleep(0.01)


def hear(worker):
    deadline = time.monotonic() + PATIENCE_S
    while (message := worker.receive(0.1)) is None:
        assert time.monotonic() < deadline, "no message"
    return message


@pytest.mark.parametrize("kind", ["ipc", "tcp with keys"])
def test_a_worker_with_a_ticket_gets_in(tmp_path, opened, kind):
    local = kind == "ipc"
    spec = listen_spec(tmp_path, ipc_folder=str(tmp_path / "ipc"), tcp_host=None) if local else listen_spec(tmp_path)
    trainer = opened(TrainerLink.open(spec, 3))
    ticket = read_ticket(Path(spec.local_ticket))
    assert ticket.run == 3
    assert (ticket.server_public_key is None) is local
    worker = opened(WorkerLink(ticket, b"session-1"))
    connect(worker)

    received = trainer.receive(PATIENCE_S)
    assert received.session == b"session-1"
    assert received.message.name == "worker-0"
    assert trainer.send(b"session-1", Ended("over"))
    assert hear(worker).reason == "over"
    assert trainer.dropped == trainer.refused == 0


def test_one_trainer_listens_on_both_and_only_tcp_needs_keys(tmp_path, opened):
    spec = listen_spec(tmp_path, ipc_folder=str(tmp_path / "ipc"), remote_ticket=str(tmp_path / "invite.json"))
    trainer = opened(TrainerLink.open(spec, 0))
    assert [endpoint[:6] for endpoint in trainer.endpoints] == ["ipc://", "tcp://"]
    near, far = read_ticket(Path(spec.local_ticket)), read_ticket(Path(spec.remote_ticket))
    assert (near.endpoint, far.endpoint) == trainer.endpoints
    for number, ticket in enumerate((near, far)):
        worker = opened(WorkerLink(ticket, b"session-%d" % number))
        connect(worker)
        assert trainer.receive(PATIENCE_S).session == b"session-%d" % number


@pytest.mark.parametrize("intruder", ["another run's client key", "another run's server key", "no keys"])
def test_tcp_without_the_right_keys_stays_outside(tmp_path, opened, intruder):
    keys, others = new_keys(), new_keys()
    trainer = opened(TrainerLink([Binding("tcp://127.0.0.1:*", has_keys=True)], keys))
    endpoint = trainer.endpoints[0]
    ticket = {
        "another run's client key": JoinTicket(
            0, endpoint, keys.server_public, others.client_public, others.client_secret
        ),
        "another run's server key": make_ticket(0, endpoint, others),
        "no keys": JoinTicket(0, endpoint),
    }[intruder]
    worker = opened(WorkerLink(ticket, b"intruder"))

    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        worker.receive(0.05)
        assert not worker.is_connected
        assert not worker.send(HELLO)
        assert trainer.receive(0) is None
    if intruder == "another run's client key":
        assert trainer.refused > 0
        assert worker.is_refused

    friend = opened(WorkerLink(make_ticket(0, endpoint, keys), b"friend"))
    connect(friend)
    assert trainer.receive(PATIENCE_S).session == b"friend"


def test_a_stranger_who_speaks_something_else_does_no_harm(tmp_path, opened):
    spec = listen_spec(tmp_path)
    trainer = opened(TrainerLink.open(spec, 0))
    port = int(trainer.endpoints[0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        worker = opened(WorkerLink(read_ticket(Path(spec.local_ticket)), b"s"))
        connect(worker)
        assert trainer.receive(PATIENCE_S).message.name == "worker-0"


def test_foreign_messages_are_dropped_and_counted_and_other_versions_told(tmp_path, opened):
    spec = listen_spec(tmp_path, ipc_folder=str(tmp_path / "ipc"), tcp_host=None)
    trainer = opened(TrainerLink.open(spec, 0))
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.connect(trainer.endpoints[0])
        stranger.send_multipart([b"\xc1", b"x" * 100])
        stranger.send_multipart([msgpack.packb([MAGIC, 99, "hello"])])
        assert trainer.receive(0.5) is None
        assert trainer.dropped == 2
        assert stranger.poll(5000)
        assert b"speaks link protocol 99, this one 1" in stranger.recv()


def test_sending_tells_when_the_worker_is_gone(tmp_path, opened):
    spec = listen_spec(tmp_path, ipc_folder=str(tmp_path / "ipc"), tcp_host=None)
    trainer = opened(TrainerLink.open(spec, 0))
    assert not trainer.send(b"nobody", Refused("x"))
    worker = WorkerLink(read_ticket(Path(spec.local_ticket)), b"s")
    connect(worker)
    trainer.receive(PATIENCE_S)
    assert trainer.send(b"s", Refused("x"))
    worker.close()
    deadline = time.monotonic() + PATIENCE_S
    while trainer.send(b"s", Refused("x")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_finds_a_trainer_that_is_started_again(tmp_path, opened):
    port = 0
    for number in range(2):
        spec = listen_spec(tmp_path, tcp_port=port)
        trainer = TrainerLink.open(spec, 0)
        port = int(trainer.endpoints[0].rpartition(":")[2])
        if number == 0:
            worker = opened(WorkerLink(read_ticket(Path(spec.local_ticket)), b"s"))
        connect(worker)
        assert isinstance(trainer.receive(PATIENCE_S).message, Hello)
        trainer.close()
        deadline = time.monotonic() + PATIENCE_S
        while worker.is_connected:
            worker.receive(0.1)
            assert time.monotonic() < deadline
    assert not worker.send(Bye("nobody hears it"))


def test_a_taken_port_is_an_error_that_leaves_nothing_behind(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        spec = listen_spec(tmp_path, tcp_port=port)
        with pytest.raises(UnavailableError) as caught:
            TrainerLink.open(spec, 0)
    problem = caught.value.problems[0]
    assert problem.what == f"the trainer cannot listen on 127.0.0.1:{port}: address already in use"
    assert problem.where == "DR_LINK_LISTEN, DR_RUN_ID (port 7300 + run id)"
    assert problem.fix.startswith(f"ss -ltnp 'sport = :{port}'")
    assert not Path(spec.local_ticket).exists()


def test_an_address_of_another_machine_is_an_error(tmp_path):
    with pytest.raises(UnavailableError, match=r"cannot listen on 192\.0\.2\.1:"):
        TrainerLink.open(listen_spec(tmp_path, tcp_host="192.0.2.1", tcp_port=7399), 0)


def test_files_and_folders_are_for_their_owner_alone(tmp_path, opened):
    spec = listen_spec(tmp_path, ipc_folder=str(tmp_path / "ipc"), remote_ticket=str(tmp_path / "invite.json"))
    opened(TrainerLink.open(spec, 5))
    folder = Path(spec.local_ticket).parent
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (folder, tmp_path / "ipc", tmp_path / "invite.json", *folder.iterdir())
    }
    assert modes == {
        "secrets": 0o700,
        "ipc": 0o700,
        "invite.json": 0o600,
        "join.json": 0o600,
        "run-5-link-keys.json": 0o600,
    }
    keys = load_or_create_keys(folder / "run-5-link-keys.json")
    assert keys.server_secret.reveal() not in Path(spec.remote_ticket).read_text()
    assert keys.client_secret.reveal() not in repr(read_ticket(Path(spec.remote_ticket)))


def test_a_socket_path_that_is_too_long_gets_a_short_one_that_stays_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deep = tmp_path / ("d" * 100)
    endpoint = ipc_endpoint(deep)
    assert endpoint == ipc_endpoint(deep)
    assert endpoint != ipc_endpoint(tmp_path / ("e" * 100))
    path = Path(endpoint.removeprefix("ipc://"))
    assert len(str(path)) < 107
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_ticket_is_read_as_it_was_written(tmp_path):
    ticket = make_ticket(4, "tcp://10.0.0.1:7304", new_keys())
    write_ticket(tmp_path / "t.json", ticket)
    assert read_ticket(tmp_path / "t.json") == ticket


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "not a ticket of this version of drctl (version 2)"),
        ({"endpoint": "http://x"}, "the ticket is damaged"),
        ({"client_secret_key": "short"}, "the ticket is damaged"),
        ({"run": "one"}, "the ticket is damaged"),
    ],
)
def test_a_damaged_ticket_is_named(tmp_path, change, message):
    path = tmp_path / "t.json"
    content = {**make_ticket(4, "tcp://10.0.0.1:7304", new_keys()).to_json(), **change}
    path.write_text(json.dumps(content))
    with pytest.raises(FormatError) as caught:
        read_ticket(path)
    assert str(caught.value) == message
    assert caught.value.problems[0].where == str(path)


def test_a_ticket_that_is_no_json_and_keys_that_are_none_are_named(tmp_path):
    path = tmp_path / "t.json"
    path.write_text("{")
    with pytest.raises(FormatError, match="the ticket is not JSON"):
        read_ticket(path)
    with pytest.raises(FormatError, match="the keys of the link cannot be read"):
        load_or_create_keys(path)


def test_keys_are_made_once(tmp_path):
    first = load_or_create_keys(tmp_path / "keys.json")
    assert load_or_create_keys(tmp_path / "keys.json") == first
    assert new_keys() != first
