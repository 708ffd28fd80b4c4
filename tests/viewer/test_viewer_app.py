"""The viewer over HTTP: a small worker that streams, a run's files, and what must not be given away."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import uvicorn

from drctl.secrets import Secret
from drctl.stack.viewer_plan import ViewerPlan, read_viewer_plan, write_viewer_plan
from drctl.viewer.app import make_app, parse_range
from drctl.viewer.source import Snapshot, Source

PICTURES = [b"\xff\xd8 first", b"\xff\xd8 the second, longer"]
KEY = "model/evaluation-20260101000000/mp4/camera-pip/0-video.mp4"


class _Worker(BaseHTTPRequestHandler):
    """Streams two pictures again and again, as web_video_server does."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        if not self.path.startswith("/stream"):
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"path": self.path}).encode())
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=boundarydonotcross")
        self.end_headers()
        try:
            while True:
                for picture in PICTURES:
                    head = f"--boundarydonotcross\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                    time.sleep(0.02)
        except OSError:
            return

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def worker():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Worker)
    server.daemon_threads = True
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class _Store:
    name = "data/bucket"

    def get(self, key):
        assert key == KEY
        return bytes(range(100))


@pytest.fixture(scope="module")
def viewer(worker, tmp_path_factory):
    """A viewer with one run, whose worker-0 is the small server, in a thread."""
    plan = ViewerPlan(
        str(tmp_path_factory.mktemp("root")), "process", None, "127.0.0.1", 8100, "x", True, ("overlay",), True, "Red"
    )
    patch = pytest.MonkeyPatch()
    run = {"id": 0, "token": "t", "is_running": True}
    snapshot = Snapshot({"version": 1, "runs": [run]}, {0: {0: {"iteration": 0}}}, {0: {"keys": [KEY], "x": 1}})
    address = f"127.0.0.1:{worker.server_address[1]}"
    patch.setattr(Source, "read", lambda _: snapshot)
    patch.setattr(Source, "address", lambda _, run, name: address if (run, name) == (0, "worker-0") else None)
    patch.setattr(Source, "laps", lambda _, run, stamp: {"race": stamp} if run == 0 else None)
    patch.setattr(Source, "object", lambda _, run, key: (_Store(), key) if (run, key) == (0, KEY) else None)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(
        uvicorn.Config(make_app(plan, Secret("word")), log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    patch.undo()
    listener.close()


def ask(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    return connection, connection.getresponse()


def get(port, path, **headers):
    connection, response = ask(port, path, **headers)
    body = response.read()
    connection.close()
    return SimpleNamespace(status=response.status, headers=response.headers, body=body)


def test_the_page_and_its_parts_are_there(viewer):
    page = get(viewer, "/")
    assert (page.status, b"page/main.js" in page.body) == (200, True)
    for name, kind in (("main.js", "javascript"), ("style.css", "css"), ("icon.svg", "svg")):
        part = get(viewer, f"/page/{name}")
        assert part.status == 200
        assert kind in part.headers["Content-Type"]
    assert b"http://" not in page.body + get(viewer, "/page/main.js").body  # nothing comes from elsewhere


def test_pictures_of_several_views_come_over_one_connection(viewer, worker):
    connection, response = ask(viewer, "/frames?view=0/worker-0/overlay/0&view=0/worker-0/onboard/3&width=320")
    seen = set()
    while len(seen) < 4:
        index, length = struct.unpack(">HI", response.read(6))
        seen.add((index, response.read(length)))
    connection.close()
    assert seen == {(index, picture) for index in (0, 1) for picture in PICTURES}
    asked = [path for path in worker.asked if path.startswith("/stream")]
    assert "/stream?topic=%2Fracecar%2Fdeepracer%2Fkvs_stream&car=0&width=320&height=240&details=1&color=Red" in asked
    assert any("image_rect_color&car=3&width=160&height=120" in path for path in asked)


def test_two_browsers_share_a_connection_to_the_worker(viewer, worker):
    before = len(worker.asked)
    pairs = [ask(viewer, "/frames?view=0/worker-0/chase/7") for _ in range(3)]
    for _, response in pairs:
        assert response.read(6)
    for connection, _ in pairs:
        connection.close()
    assert len(worker.asked) == before + 1


@pytest.mark.parametrize(
    "view", ["", "view=", "view=0/worker-0", "view=0/worker-0/rosout/0", "view=0/worker-0/overlay/x", "width=3"]
)
def test_a_view_that_is_none_is_refused(viewer, view):
    assert get(viewer, f"/frames?{view}").status == 400


def test_a_workers_port_is_passed_on_for_known_requests_alone(viewer):
    found = get(viewer, "/runs/0/workers/worker-0/episodes?seen=%7B%7D&evil=1")
    assert json.loads(found.body) == {"path": "/episodes?seen=%7B%7D"}
    connection, response = ask(viewer, "/runs/0/workers/worker-0/stream?topic=/racecar/deepracer/kvs_stream")
    assert response.readline() == b"--boundarydonotcross\r\n"
    connection.close()
    assert get(viewer, "/runs/0/workers/worker-0/passwd").status == 404
    assert get(viewer, "/runs/0/workers/worker-9/snapshot").status == 404
    assert get(viewer, "/runs/5/workers/worker-0/snapshot").status == 404
    # The page asks for driven lines again and again: that a worker is gone is no error then.
    assert get(viewer, "/runs/0/workers/worker-9/episodes").status == 204


def test_driven_lines_come_out_of_the_store(viewer):
    assert json.loads(get(viewer, "/runs/0/laps").body) == {"race": None}
    assert json.loads(get(viewer, "/runs/0/laps?race=20260101000000").body) == {"race": "20260101000000"}
    assert get(viewer, "/runs/9/laps").status == 204
    assert get(viewer, "/runs/0/laps?race=../../x").status == 400


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/runs/0/files/model/secret.json",
            "/runs/0/files/../../etc/passwd",
            "/runs/0/files/%2e%2e/%2e%2e/etc/passwd",
        ),
        *("/page/../app.py", "/page/%2e%2e/app.py", "/runs/1/files/" + KEY, "/runs/x/files/" + KEY),
    ],
)
def test_no_other_file_is_given_away(viewer, path):
    assert get(viewer, path).status == 404


def test_a_video_comes_in_parts(viewer):
    whole = get(viewer, f"/runs/0/files/{KEY}")
    assert (whole.status, len(whole.body), whole.headers["Content-Type"]) == (200, 100, "video/mp4")
    part = get(viewer, f"/runs/0/files/{KEY}", Range="bytes=10-19")
    assert (part.status, part.body) == (206, bytes(range(10, 20)))
    assert part.headers["Content-Range"] == "bytes 10-19/100"
    assert get(viewer, f"/runs/0/files/{KEY}", Range="bytes=100-").status == 416


@pytest.mark.parametrize(
    ("text", "part"),
    [
        *((None, None), ("bytes=0-0", (0, 0)), ("bytes=5-", (5, 9)), ("bytes=-3", (7, 9)), ("bytes=2-99", (2, 9))),
        *(
            ("bytes=-20", (0, 9)),
            ("bytes=-0", (10, -1)),
            ("bytes=0-1,3-4", None),
            ("bytes=x-", None),
            ("bytes=-", None),
        ),
    ],
)
def test_ranges(text, part):
    assert parse_range(text, 10) == part


def test_events_tell_everything_first_and_never_which_keys_there_are(viewer):
    connection, response = ask(viewer, "/events")
    events = {}
    while len(events) < 3:
        name = response.readline().decode().strip()
        if name.startswith("event: "):
            events[name[7:]] = json.loads(response.readline().decode().removeprefix("data: "))
    connection.close()
    assert events["state"]["runs"][0]["id"] == 0
    assert events["iterations"] == {"run": 0, "token": "t", "iterations": [{"iteration": 0}]}
    assert events["files"] == {"run": 0, "x": 1}
    assert "keys" not in get(viewer, "/api/state").body.decode()


def test_a_wrong_token_gets_403(viewer):
    assert get(viewer, "/?token=wrong").status == 403
    assert get(viewer, "/events", Host="elsewhere").status == 403


def test_the_start_file_survives(tmp_path):
    plan = ViewerPlan("/p", "process", 3, "0.0.0.0", 8100, None, True, ("overlay", "top"), False, "Blue")
    assert read_viewer_plan(write_viewer_plan(plan, tmp_path / "viewer")) == plan
