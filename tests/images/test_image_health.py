"""The health checks of the images, on connections of this machine."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
from pathlib import Path

import pytest

HEALTH = Path(__file__).resolve().parents[2] / "compose" / "images" / "health.py"

# As /proc/net/tcp shows it: one listener on 0.0.0.0:7300, one connection from 172.18.0.3:40712 to 172.18.0.2:7300.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1C84 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 22719 1 0 100 0 0 10 0
   1: 030012AC:9F08 020012AC:1C84 01 00000000:00000000 00:00000000 00000000 10001        0 22725 1 0 20 4 30 10 -1
"""


@pytest.fixture(scope="module")
def health():
    spec = importlib.util.spec_from_file_location("image_health", HEALTH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def write(path, **content):
    path.write_text(json.dumps(content))
    return str(path)


def test_kernel_table_is_read_as_ports_and_states(health, tmp_path):
    path = tmp_path / "tcp"
    path.write_text(TABLE)
    assert list(health.connections(path)) == [(7300, 0, "0A"), (40712, 7300, "01")]


def test_trainer_is_well_while_it_listens(health, listener, tmp_path, capsys):
    port = listener.getsockname()[1]
    start_file = write(tmp_path / "trainer.json", link={"tcp_port": port})
    assert health.main("trainer", start_file) == 0
    listener.close()
    assert health.main("trainer", start_file) == 1
    assert capsys.readouterr().out == f"well\nnobody listens on port {port}\n"


def test_worker_is_well_while_it_is_connected(health, listener, tmp_path, capsys):
    endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    ticket = write(tmp_path / "join", endpoint=endpoint)
    assert health.main("worker", ticket) == 1
    with socket.create_connection(listener.getsockname()):
        assert health.main("worker", ticket) == 0
    assert capsys.readouterr().out == f"no connection with the trainer at {endpoint}\nwell\n"


@pytest.mark.parametrize(
    ("answer", "status"), [(b"HTTP/1.0 200 OK\r\n\r\n", 0), (b"HTTP/1.0 503 No\r\n\r\n", 1), (b"", 1)]
)
def test_store_is_well_when_its_server_says_so(answer, status, health, listener, monkeypatch):
    monkeypatch.setattr(health, "STORE_ADDRESS", listener.getsockname())

    def serve():
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(100))
            connection.sendall(answer)

    asked = []
    thread = threading.Thread(target=serve)
    thread.start()
    assert health.main("store") == status
    thread.join()
    assert asked[0].startswith(b"GET /healthz HTTP/1.0\r\n")


@pytest.mark.parametrize(
    ("answer", "status"), [(b"HTTP/1.1 200 OK\r\n", 0), (b"HTTP/1.1 403 Forbidden\r\n", 0), (b"HTTP/1.1 500 No\r\n", 1)]
)
def test_viewer_is_well_when_it_answers(answer, status, health, listener, tmp_path):
    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    assert health.main("viewer", write(tmp_path / "viewer.json", port=listener.getsockname()[1])) == status
    thread.join()


def test_missing_and_damaged_files_are_told_and_not_raised(health, tmp_path, capsys):
    assert health.main("worker", str(tmp_path / "join")) == 1
    assert health.main("trainer", write(tmp_path / "trainer.json", other=1)) == 1
    assert capsys.readouterr().out == (
        f"FileNotFoundError: [Errno 2] No such file or directory: '{tmp_path / 'join'}'\nKeyError: 'link'\n"
    )
