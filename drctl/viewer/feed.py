"""Tells browsers what changes, as server-sent events; looks at the runs only while somebody listens."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from drctl.viewer.source import Snapshot, Source

LOOK_S: Final = 1.0
QUIET_S: Final = 15.0
"""After so long without news a comment is sent, so that proxies keep the connection."""


class Feed:
    """Looks at the runs once for all browsers.

    Args:
        source: Reads them.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._snapshot: Snapshot | None = None
        self._number = 0

    async def snapshot(self) -> Snapshot:
        """Look at the runs now."""
        return await asyncio.to_thread(self._source.read)

    async def events(self) -> AsyncIterator[bytes]:
        """Give the events for one browser: everything first, then what changes."""
        self._listeners += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        teller, seen = _Teller(), 0
        try:
            while True:
                try:
                    async with asyncio.timeout(QUIET_S), self._news:
                        await self._news.wait_for(lambda: self._number > seen)  # noqa: B023 - it is waited for at once
                        seen, snapshot = self._number, self._snapshot
                except TimeoutError:
                    yield b": nothing new\n\n"
                    continue
                for event in teller.tell(snapshot) if snapshot else ():
                    yield event
        finally:
            self._listeners -= 1

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _look(self) -> None:
        while self._listeners:
            snapshot = await self.snapshot()
            async with self._news:
                self._snapshot, self._number = snapshot, self._number + 1
                self._news.notify_all()
            await asyncio.sleep(LOOK_S)


class _Teller:
    """Remembers what one browser knows."""

    def __init__(self) -> None:
        self._state = ""
        self._iterations: dict[int, tuple[str, dict[int, str]]] = {}
        self._files: dict[int, str] = {}

    def tell(self, snapshot: Snapshot) -> list[bytes]:
        """Return the events that bring it up to date."""
        events = []
        state = _text(snapshot.state)
        if state != self._state:
            self._state = state
            events.append(_event("state", state))
        tokens = {run["id"]: run.get("token", "") for run in snapshot.state["runs"]}
        for run_id, iterations in snapshot.iterations.items():
            token, known = self._iterations.get(run_id, ("", {}))
            is_other = token != tokens.get(run_id)
            if is_other:
                known = {}
            texts = {number: _text(summary) for number, summary in iterations.items()}
            news = [iterations[number] for number, text in sorted(texts.items()) if known.get(number) != text]
            if news or is_other:
                event = {"run": run_id, "token": tokens.get(run_id), "iterations": news}
                events.append(_event("iterations", _text(event)))
            self._iterations[run_id] = (tokens.get(run_id, ""), texts)
        for run_id, files in snapshot.files.items():
            shown = {name: value for name, value in files.items() if name != "keys"}
            text = _text({"run": run_id, **shown})
            if text != self._files.get(run_id):
                self._files[run_id] = text
                events.append(_event("files", text))
        return events


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def _event(name: str, text: str) -> bytes:
    return f"event: {name}\ndata: {text}\n\n".encode()
