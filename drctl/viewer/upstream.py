"""Pictures from workers: one connection per view, whatever number of browsers look at it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

Locate = Callable[[], str | None]
"""Where a worker streams now, as ``host:port``; None while it does not."""

CONNECT_S: Final = 5.0
SILENCE_S: Final = 30.0
RETRY_S: Final = 1.0
LARGEST_BYTES: Final = 8_000_000
LINGER_S: Final = 2.0
"""How long a connection outlives its last browser, so that turning a phone does not cost a new one."""


class UpstreamError(Exception):
    """A worker does not answer, or not as it should."""


async def open_response(
    address: str, target: str
) -> tuple[int, dict[str, str], asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask a worker for something.

    Args:
        address: ``host:port``.
        target: Path and query.

    Returns:
        Status, headers by their names in small letters, and the connection with the body still to come.

    Raises:
        UpstreamError: It does not answer.
    """
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError, ValueError) as error:
        raise UpstreamError(f"no connection with {address}: {error}") from error
    try:
        writer.write(f"GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode("ascii"))
        async with asyncio.timeout(SILENCE_S):
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
    except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        writer.close()
        raise UpstreamError(f"{address} does not answer as a worker does") from None
    headers = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return status, headers, reader, writer


async def fetch(address: str, target: str) -> tuple[int, str, bytes]:
    """Return status, content type and body of a short answer.

    Raises:
        UpstreamError: It does not answer, or at too great length.
    """
    status, headers, reader, writer = await open_response(address, target)
    try:
        async with asyncio.timeout(SILENCE_S):
            body = bytearray()
            while part := await reader.read(65_536):
                body += part
                if len(body) > LARGEST_BYTES:
                    raise UpstreamError(f"{address} answers at too great length")
    except (OSError, TimeoutError) as error:
        raise UpstreamError(f"{address} broke off: {error}") from error
    finally:
        writer.close()
    return status, headers.get("content-type", "application/octet-stream"), bytes(body)


async def read_pictures(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Give the JPEGs of a multipart stream, with or without ``Content-Length``.

    Raises:
        UpstreamError: It breaks off or is none.
    """
    try:
        while True:
            async with asyncio.timeout(SILENCE_S):
                length = 0
                while True:  # the boundary, then the headers of the part, then an empty line
                    line = (await reader.readline()).strip()
                    name, _, value = line.partition(b":")
                    if name.strip().lower() == b"content-length":
                        length = int(value)
                    if not line and length:
                        break
                    if not line and reader.at_eof():
                        raise UpstreamError("the stream has ended")
                if length > LARGEST_BYTES:
                    raise UpstreamError("a picture is too large")
                picture = await reader.readexactly(length)
            yield picture
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
        raise UpstreamError(f"the stream broke off: {error}") from error


class Upstream:
    """One view of one worker.

    Attributes:
        number: Of the newest picture, rising; 0 before the first.
        picture: The newest JPEG.
        is_live: Whether pictures come.
    """

    def __init__(self, locate: Locate, target: str) -> None:
        self._locate = locate
        self._target = target
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self.number = 0
        self.picture = b""
        self.is_live = False

    @property
    def is_over(self) -> bool:
        """Whether nobody looks any more and its connection is closed."""
        return self._task is not None and self._task.done() and not self._listeners

    def listen(self, event: asyncio.Event) -> None:
        """Set an event with each new picture from now on."""
        self._listeners.add(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def forget(self, event: asyncio.Event) -> None:
        """Do not set it any more."""
        self._listeners.discard(event)

    async def close(self) -> None:
        """End the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._listeners or await self._has_listeners_soon():
            address = self._locate()
            if address is not None:
                with contextlib.suppress(UpstreamError):
                    await self._relay(address)
            self._tell(is_live=False)
            await asyncio.sleep(RETRY_S)

    async def _has_listeners_soon(self) -> bool:
        await asyncio.sleep(LINGER_S)
        return bool(self._listeners)

    async def _relay(self, address: str) -> None:
        status, _, reader, writer = await open_response(address, self._target)
        try:
            if status != 200:
                raise UpstreamError(f"{address} answers {status}")
            async for picture in read_pictures(reader):
                self.picture, self.number = picture, self.number + 1
                self._tell(is_live=True)
                if not self._listeners and not await self._has_listeners_soon():
                    return
                if self._locate() != address:  # the worker was started again elsewhere
                    return
        finally:
            writer.close()

    def _tell(self, *, is_live: bool) -> None:
        self.is_live = is_live
        for event in self._listeners:
            event.set()


class StreamHub:
    """All views that browsers look at now."""

    def __init__(self) -> None:
        self._upstreams: dict[tuple[str, str], Upstream] = {}

    def find(self, worker: str, target: str, locate: Locate) -> Upstream:
        """Return the one upstream of a view.

        Args:
            worker: Its name, with that of its run.
            target: Path and query of the stream.
            locate: Where the worker streams now.
        """
        self._upstreams = {key: one for key, one in self._upstreams.items() if not one.is_over}
        key = (worker, target)
        upstream = self._upstreams.get(key)
        if upstream is None:
            upstream = self._upstreams[key] = Upstream(locate, target)
        return upstream

    async def close(self) -> None:
        """End every connection."""
        for upstream in self._upstreams.values():
            await upstream.close()
