"""The worker's side: an open port, and the process that serves it while somebody watches."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

import msgpack

if TYPE_CHECKING:
    from drctl.simulation.stream.shelf import ClipShelf

PORTS: Final = (*range(8080, 8100), *range(8101, 8180))
"""contract 9: a worker streams on 8080; several of one machine take the free ports after it, but not the viewer's."""

_SERVER: Final = ("drctl.simulation.stream.server",)
_PAUSE_S: Final = 2.0
"""Before a server that ended at once is started again."""


class StreamHost:
    """Holds the port of a worker's streams and answers what its server asks.

    Nobody watching costs nothing: one thread sleeps until the port is called.

    Args:
        interface: Address to listen on, of this machine or of the container.
        shelf: Episodes to show.
        say: Prints one line.
        ports: Ports to try, in this order.
    """

    def __init__(
        self,
        interface: str,
        shelf: ClipShelf,
        say: Callable[[str], None],
        ports: Sequence[int] = PORTS,
    ) -> None:
        self._shelf = shelf
        self._say = say
        self._socket = _listen(interface, ports)
        self._thread = threading.Thread(target=self._serve, name="streams", daemon=True)
        self._is_serving = False
        if self._socket is None:
            say("No port is free for streams; the cars cannot be watched")

    @property
    def address(self) -> str:
        """Where the streams are, as the viewer reaches them; empty when no port was free."""
        if self._socket is None:
            return ""
        host, port = self._socket.getsockname()
        # In a container the port is open for the network that it shares with the viewer.
        return f"{socket.gethostname() if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - compared, not bound

    @property
    def is_serving(self) -> bool:
        """Whether the server's process is there."""
        return self._is_serving

    def start(self) -> None:
        """Wait for visitors from now on."""
        if self._socket is not None:
            self._say(f"Streams are at http://{self.address}/")
            self._thread.start()

    def close(self) -> None:
        """Give up the port; for a host that was not started."""
        if self._socket is not None:
            self._socket.close()

    def _serve(self) -> None:
        listener = self._socket
        while listener is not None:
            select.select([listener], [], [])
            started = time.monotonic()
            with contextlib.suppress(OSError):
                self._run_server(listener)
            if time.monotonic() - started < _PAUSE_S:
                time.sleep(_PAUSE_S)

    def _run_server(self, listener: socket.socket) -> None:
        """Start the server and answer it until it has no visitors any more."""
        mine, theirs = socket.socketpair()
        words = ("--listener-fd", str(listener.fileno()), "--clips-fd", str(theirs.fileno()))
        process = subprocess.Popen(
            [sys.executable, "-m", *_SERVER, *words],
            stdin=subprocess.DEVNULL,
            pass_fds=(listener.fileno(), theirs.fileno()),
        )
        theirs.close()
        connection = Connection(mine.detach())
        self._is_serving = True
        try:
            while True:
                connection.send_bytes(msgpack.packb(self.answer(msgpack.unpackb(connection.recv_bytes(), **_KEYS))))
        except (EOFError, OSError):
            return
        finally:
            connection.close()
            process.wait()
            self._is_serving = False

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answer the server.

        Args:
            question: ``setup``: number of the one it knows; ``seen``: serials by the cars it asks for, None for all
                cars; ``wanted``: cars whose episode under way it would like to have next time.

        Returns:
            ``setup``, ``cars``, ``clips``, and ``environment`` where the server does not know it.
        """
        number, environment, cars = self._shelf.setup
        answer: dict[str, Any] = {"setup": number, "cars": cars, "clips": []}
        if question["setup"] != number:
            answer["environment"] = environment
            seen = {}
        else:
            seen = question["seen"]
        asked = {car: seen.get(car, 0) for car in question["asked"] or range(cars)}
        self._shelf.wanted.update(car for car in question["wanted"] if 0 <= car < cars)
        answer["clips"] = [clip.to_message() for clip in self._shelf.newer_than(asked)]
        return answer


_KEYS: Final = {"strict_map_key": False}


def _listen(interface: str, ports: Sequence[int]) -> socket.socket | None:
    for port in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((interface, port))
            listener.listen(16)
        except OSError:
            listener.close()
            continue
        return listener
    return None
