"""Who may connect: the handler that libzmq asks about every CURVE client (ZeroMQ RFC 27, ZAP)."""

from __future__ import annotations

import threading
from typing import Final

import zmq
from zmq.utils import z85

ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
ZAP_VERSION: Final = b"1.0"
CURVE_DOMAIN: Final = b"drctl"


class Doorkeeper:
    """Lets in the clients that hold one key, from a thread of its own; it ends with the context.

    Args:
        context: Context of the server socket; the handler must be there before the socket is bound.
        client_public_key: The key, 40 letters of Z85.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], client_public_key: str) -> None:
        self._allowed = z85.decode(client_public_key)
        self._refused = 0
        socket = context.socket(zmq.REP)
        socket.linger = 0
        socket.bind(ZAP_ENDPOINT)
        threading.Thread(target=self._answer_forever, args=(socket,), name="link-door", daemon=True).start()

    @property
    def refused(self) -> int:
        """How many clients were turned away."""
        return self._refused

    def _answer_forever(self, socket: zmq.Socket[bytes]) -> None:
        with socket:
            while True:
                try:
                    request = socket.recv_multipart()
                    socket.send_multipart(self._answer(request))
                except zmq.ContextTerminated:
                    return

    def _answer(self, request: list[bytes]) -> list[bytes]:
        # RFC 27: version, request id, domain, address, identity, mechanism, credentials
        request_id = request[1] if len(request) > 1 else b""
        if len(request) == 7 and request[5] == b"CURVE" and request[6] == self._allowed:
            return [ZAP_VERSION, request_id, b"200", b"OK", b"worker", b""]
        self._refused += 1
        return [ZAP_VERSION, request_id, b"400", b"the ticket is not of this run", b"", b""]
