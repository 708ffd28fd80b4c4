"""The sockets under the link: a ROUTER that the trainer binds and a DEALER with which each worker dials out.

A worker process is one session: a random name that is also its socket's routing id, so every message says whose it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from drctl.link import messages as _messages  # noqa: F401  registers the kinds
from drctl.link.authentication import CURVE_DOMAIN, Doorkeeper
from drctl.link.codec import Message, MessageError, ProtocolVersionError, decode, encode
from drctl.link.keys import LinkKeys, keys_file, load_or_create_keys
from drctl.link.listening import Binding, ListenSpec, bind_error, ipc_endpoint, tcp_endpoint
from drctl.link.messages import Refused
from drctl.link.ticket import JoinTicket, make_ticket, write_ticket

LARGEST_MESSAGE_BYTES: Final = 256_000_000
SOCKET_BUFFER_BYTES: Final = 4_000_000
"""So that the frames of a tick go out in one piece; the kernel may allow less."""

PING_INTERVAL_MS: Final = 5_000
PING_PATIENCE_MS: Final = 20_000
"""libzmq's own pings, answered by its threads: they find out that a machine is gone, not that a program is busy."""

RECONNECT_MS: Final = 100
SLOWEST_RECONNECT_MS: Final = 500
TRAINER_LINGER_MS: Final = 500
WORKER_LINGER_MS: Final = 500

Context = zmq.Context[zmq.Socket[bytes]]


@dataclass(frozen=True)
class Received:
    """A message and whose it is.

    Attributes:
        session: Session of the worker.
        message: What it says.
    """

    session: bytes
    message: Message


class TrainerLink:
    """The trainer's end.

    Args:
        bindings: Addresses to listen on.
        keys: Keys of the run; needed where a binding has them.

    Raises:
        UnavailableError: An address cannot be bound.
    """

    def __init__(self, bindings: Sequence[Binding], keys: LinkKeys | None = None) -> None:
        self._context: Context = zmq.Context()
        self._dropped = 0
        self._door = Doorkeeper(self._context, keys.client_public) if keys is not None else None
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = TRAINER_LINGER_MS
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # so that sending tells whether the worker is there
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a session that dials again replaces its old connection
        _tune(self._socket)
        try:
            # Options hold for the addresses bound after them: those without keys come first.
            self._endpoints = tuple(
                self._bind(binding, keys) for binding in sorted(bindings, key=lambda each: each.has_keys)
            )
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, spec: ListenSpec, run_id: int) -> Self:
        """Listen as a run's specification says and write the tickets.

        The keys are kept beside the local ticket, so that a trainer that is started again lets the same workers in.

        Raises:
            UnavailableError: An address cannot be bound.
            FormatError: The kept keys cannot be read.
        """
        bindings, keys = [], None
        if spec.ipc_folder is not None:
            bindings.append(Binding(ipc_endpoint(Path(spec.ipc_folder)), has_keys=False))
        if spec.tcp_host is not None:
            local = Path(spec.local_ticket)
            local.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            keys = load_or_create_keys(keys_file(local, run_id))
            bindings.append(Binding(tcp_endpoint(spec.tcp_host, spec.tcp_port), has_keys=True))
        link = cls(bindings, keys)
        try:
            link._write_tickets(spec, run_id, keys)
        except BaseException:
            link.close()
            raise
        return link

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Addresses it listens on, with the ports it got; those without keys first."""
        return self._endpoints

    @property
    def dropped(self) -> int:
        """Messages that were none of ours."""
        return self._dropped

    @property
    def refused(self) -> int:
        """Connections that were turned away for their key."""
        return self._door.refused if self._door is not None else 0

    def receive(self, timeout_s: float = 0.0) -> Received | None:
        """Wait for the next message.

        What is no message of ours is dropped and counted; a worker of another version is told so.

        Args:
            timeout_s: How long to wait; 0 only takes what is there.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            parts = _take(self._socket)
            if parts is None:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._socket.poll(max(1, int(remaining * 1000))):
                    return None
                continue
            session = parts[0].bytes
            try:
                return Received(session, decode([part.buffer for part in parts[1:]]))
            except ProtocolVersionError as error:
                self._dropped += 1
                self.send(session, Refused(str(error)))
            except MessageError:
                self._dropped += 1

    def drop(self) -> None:
        """Count a message that could be read but makes no sense."""
        self._dropped += 1

    def send(self, session: bytes, message: Message) -> bool:
        """Send a message to a worker.

        Returns:
            False when it is not connected (any more); the message is dropped then.
        """
        try:
            self._socket.send_multipart([session, *encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def close(self) -> None:
        """Send what is under way and stop listening; a second call does nothing."""
        if not self._context.closed:
            self._socket.close()
            self._context.term()

    def _write_tickets(self, spec: ListenSpec, run_id: int, keys: LinkKeys | None) -> None:
        port = int(self.endpoints[-1].rpartition(":")[2]) if keys is not None else 0
        far = None if keys is None else make_ticket(run_id, tcp_endpoint(spec.advertised_host, port), keys)
        near = JoinTicket(run_id, self.endpoints[0]) if spec.ipc_folder is not None else far
        if near is not None:
            write_ticket(Path(spec.local_ticket), near)
        if spec.remote_ticket is not None and far is not None:
            write_ticket(Path(spec.remote_ticket), far)

    def _bind(self, binding: Binding, keys: LinkKeys | None) -> str:
        if binding.has_keys:
            if keys is None:
                raise ValueError(f"{binding.endpoint} needs keys")
            self._socket.setsockopt(zmq.ZAP_DOMAIN, CURVE_DOMAIN)
            self._socket.setsockopt(zmq.CURVE_SERVER, 1)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, keys.server_secret.reveal().encode())
        self._socket.setsockopt(zmq.IPV6, _is_ipv6(binding.endpoint))
        try:
            self._socket.bind(binding.endpoint)
        except zmq.ZMQError as error:
            raise bind_error(binding.endpoint, zmq.strerror(error.errno or 0).lower()) from error
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)


class WorkerLink:
    """A worker's end: dials out, and dials again by itself when the connection is lost.

    Args:
        ticket: Where to and with which keys.
        session: Random name of this process.
    """

    def __init__(self, ticket: JoinTicket, session: bytes) -> None:
        self._context: Context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = WORKER_LINGER_MS
        self._socket.setsockopt(zmq.ROUTING_ID, session)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is kept for a trainer that is not there
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, SLOWEST_RECONNECT_MS)
        _tune(self._socket)
        if ticket.server_public_key and ticket.client_public_key and ticket.client_secret_key:
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, ticket.server_public_key.encode())
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, ticket.client_public_key.encode())
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, ticket.client_secret_key.reveal().encode())
        self._is_connected = False
        self._is_new = False
        self._is_refused = False
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_DISCONNECTED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        )
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._socket.setsockopt(zmq.IPV6, _is_ipv6(ticket.endpoint))
        self._socket.connect(ticket.endpoint)

    @property
    def is_connected(self) -> bool:
        """Whether the trainer is at the other end, as far as `receive` has noticed."""
        return self._is_connected

    @property
    def is_refused(self) -> bool:
        """Whether the last attempt to connect failed for its keys."""
        return self._is_refused

    def take_new_connection(self) -> bool:
        """Tell, once for each connection, that it was made."""
        is_new, self._is_new = self._is_new, False
        return is_new

    def receive(self, timeout_s: float) -> Message | None:
        """Wait for the next message, or until the connection is made or lost.

        Args:
            timeout_s: How long to wait at most.

        Raises:
            ProtocolVersionError: The trainer is of another version.
            MessageError: The trainer says something that is no message.
        """
        ready = dict(self._poller.poll(int(timeout_s * 1000)))
        if self._monitor in ready:
            self._follow_connection()
        if self._socket not in ready:
            return None
        parts = _take(self._socket)
        return None if parts is None else decode([part.buffer for part in parts])

    def send(self, message: Message) -> bool:
        """Send a message.

        Returns:
            False when there is no connection; the message is dropped then.
        """
        try:
            self._socket.send_multipart(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """Send what is under way and hang up; a second call does nothing."""
        if not self._context.closed:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._socket.close()
            self._context.term()

    def _follow_connection(self) -> None:
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            self._is_connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            if self._is_connected:
                self._is_new, self._is_refused = True, False
            elif event != zmq.EVENT_DISCONNECTED:
                self._is_refused = True


def _tune(socket: zmq.Socket[bytes]) -> None:
    socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE_BYTES)
    socket.setsockopt(zmq.SNDBUF, SOCKET_BUFFER_BYTES)
    socket.setsockopt(zmq.RCVBUF, SOCKET_BUFFER_BYTES)
    socket.setsockopt(zmq.HEARTBEAT_IVL, PING_INTERVAL_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, PING_PATIENCE_MS)


def _is_ipv6(endpoint: str) -> bool:
    # Switched on for all, "localhost" would be looked for under its other address first.
    return endpoint.startswith("tcp://[")


def _take(socket: zmq.Socket[bytes]) -> list[zmq.Frame] | None:
    try:
        return socket.recv_multipart(zmq.NOBLOCK, copy=False)
    except zmq.Again:
        return None
