"""Serves a worker's pictures while somebody watches: ``python -m drctl.simulation.stream.server``.

The worker starts it when its port is called, with the open port and a connection for episodes. It has a low priority
and leaves when nobody has watched for a while; the port stays with the worker.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgpack

from drctl.formats.stream_topics import TOPICS
from drctl.simulation.stream.description import describe_clip, describe_track
from drctl.simulation.stream.studio import Studio
from drctl.simulation.stream.topic import View, parse_view

NICENESS: Final = 15
"""On a busy core the pictures get a thirtieth of the time (sched(7)); what cannot be drawn in time is left out."""

IDLE_S: Final = 20.0
BOUNDARY: Final = "boundarydonotcross"
"""The separator of web_video_server, which some viewers have written down."""

_PICTURE_LIMIT_S: Final = 20.0


class StreamServer(ThreadingHTTPServer):
    """An HTTP server on a port that is open already.

    Args:
        listener: That port.
        studio: Draws.
        idle_s: How long it waits for another visitor.
    """

    daemon_threads = True

    def __init__(self, listener: socket.socket, studio: Studio, idle_s: float = IDLE_S) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.timeout = 1.0
        self.studio = studio
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._visitors = 0
        self._left = time.monotonic()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let a thread answer; from here on the visitor counts, so that the server does not leave before."""
        self._count(+1)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """See off a visitor who was answered."""
        super().shutdown_request(request)
        self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            self._visitors += step
            self._left = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether nobody has watched for a while."""
        with self._lock:
            return self._visitors == 0 and time.monotonic() - self._left > self._idle_s


class _Handler(BaseHTTPRequestHandler):
    server: StreamServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._answer(url.path, query)

    def _answer(self, path: str, query: dict[str, str]) -> None:
        if path in ("/stream", "/snapshot"):
            try:
                view = parse_view(query)
            except (LookupError, ValueError):
                topics = "\n  ".join(TOPICS.values())
                self._send("text/plain", f"There is no such picture. Topics:\n  {topics}\n".encode(), 404)
                return
            (self._stream if path == "/stream" else self._send_snapshot)(view)
        elif path == "/episodes":
            self._send_episodes(query)
        elif path == "/track":
            self._send_track(query)
        elif path == "/":
            self._send("text/html", _index().encode())
        else:
            self._send("text/plain", b"There is /, /stream, /snapshot, /episodes and /track.\n", 404)

    def _stream(self, view: View) -> None:
        studio = self.server.studio
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace;boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-cache, no-store, must-revalidate")
        self.end_headers()
        self.connection.settimeout(_PICTURE_LIMIT_S)
        subscription, number = studio.open(view), 0
        try:
            while True:
                number, picture = studio.wait_for_picture(subscription, number, _PICTURE_LIMIT_S)
                if picture:
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
        finally:
            studio.close(subscription)

    def _send_snapshot(self, view: View) -> None:
        studio = self.server.studio
        subscription = studio.open(view)
        try:
            _, picture = studio.wait_for_picture(subscription, subscription.number, _PICTURE_LIMIT_S)
        finally:
            studio.close(subscription)
        self._send("image/jpeg", picture, 200 if picture else 503)

    def _send_episodes(self, query: dict[str, str]) -> None:
        try:
            seen = {int(car): int(serial) for car, serial in json.loads(query.get("seen", "{}")).items()}
            setup = int(query.get("setup", "0"))
        except (ValueError, AttributeError, TypeError):
            self._send("text/plain", b"seen is a JSON object of serials by car, setup a number\n", 400)
            return
        found = self.server.studio.newest(seen, setup)
        content = {**found, "clips": [describe_clip(clip) for clip in found["clips"]]}
        self._send("application/json", json.dumps(content, separators=(",", ":")).encode())

    def _send_track(self, query: dict[str, str]) -> None:
        tracks = self.server.studio.tracks()
        number = query.get("world", "0")
        if not number.isdigit() or int(number) >= len(tracks):
            self._send("text/plain", b"world counts the tracks of this worker from 0\n", 404)
            return
        self._send("application/json", json.dumps(describe_track(tracks[int(number)]), separators=(",", ":")).encode())

    def _send(self, kind: str, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the worker's log is about driving."""


def _index() -> str:
    lines = "".join(
        f'<li>{escape(topic)} (<a href="/stream?topic={topic}">stream</a>, <a href="/snapshot?topic={topic}">snapshot'
        "</a>)</li>"
        for topic in TOPICS.values()
    )
    return (
        "<!DOCTYPE html><title>drctl worker</title><h1>Pictures of this worker's cars</h1>"
        f"<ul>{lines}</ul><p>Parameters: car, width, quality, details=1. Driven lines: <a href='/episodes'>/episodes"
        "</a></p>"
    )


def main(arguments: list[str] | None = None) -> int:
    """Serve until nobody watches or the worker is gone."""
    parser = argparse.ArgumentParser(prog="python -m drctl.simulation.stream.server", description="Stream pictures.")
    parser.add_argument("--listener-fd", type=int, required=True, help="open port")
    parser.add_argument("--clips-fd", type=int, required=True, help="connection to the worker")
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds without visitors before it leaves")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # it goes with the worker, or when nobody watches
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    worker = Connection(options.clips_fd)

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        worker.send_bytes(msgpack.packb(question))
        answer: dict[str, Any] = msgpack.unpackb(worker.recv_bytes())
        return answer

    studio = Studio(ask)
    server = StreamServer(socket.socket(fileno=options.listener_fd), studio, options.idle)
    artist = threading.Thread(target=studio.run, name="studio", daemon=True)
    artist.start()
    while artist.is_alive():
        server.handle_request()
        if server.is_idle:
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
