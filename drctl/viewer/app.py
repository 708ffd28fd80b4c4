"""The web application: one page, its events, pictures from workers, files of models."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from drctl.errors import DrctlError, ObjectNotFoundError
from drctl.formats.stream_topics import TOPICS
from drctl.viewer.access import Access
from drctl.viewer.feed import Feed
from drctl.viewer.source import Source
from drctl.viewer.upstream import StreamHub, Upstream, UpstreamError, fetch, open_response

if TYPE_CHECKING:
    from starlette.requests import Request

    from drctl.secrets import Secret
    from drctl.stack.viewer_plan import ViewerPlan

PAGE_FOLDER: Final = Path(__file__).parent / "page"
MOST_VIEWS: Final = 64
_PASSED_ON: Final = ("topic", "car", "width", "quality", "details", "color", "height")
_STREAM_END_S: Final = 5.0
_FRAME_HEAD: Final = struct.Struct(">HI")
"""Index of the view in the request, length of the JPEG that follows."""


def make_app(plan: ViewerPlan, token: Secret | None) -> Access:
    """Build the application.

    Args:
        plan: What to show and to whom.
        token: Of the link; None lets everybody in.
    """
    viewer = _Viewer(plan)
    routes = [
        Route("/", viewer.send_page),
        Route("/events", viewer.send_events),
        Route("/frames", viewer.send_frames),
        Route("/api/state", viewer.send_state),
        Route("/runs/{run:int}/workers/{worker}/{what}", viewer.send_from_worker),
        Route("/runs/{run:int}/laps", viewer.send_laps),
        Route("/runs/{run:int}/files/{key:path}", viewer.send_file),
        Mount("/page", StaticFiles(directory=PAGE_FOLDER)),
    ]
    app = Starlette(routes=routes, lifespan=viewer.live)
    return Access(app, token, is_loopback_free=plan.is_loopback_free, port=plan.port)


class _Viewer:
    def __init__(self, plan: ViewerPlan) -> None:
        self._plan = plan
        self._source = Source(plan)
        self._feed = Feed(self._source)
        self._hub = StreamHub()

    @contextlib.asynccontextmanager
    async def live(self, _app: Starlette) -> AsyncIterator[None]:
        """Clean up at the end."""
        try:
            yield
        finally:
            await self._feed.close()
            await self._hub.close()

    async def send_page(self, _request: Request) -> Response:
        return FileResponse(PAGE_FOLDER / "index.html", headers={"Cache-Control": "no-cache"})

    async def send_state(self, _request: Request) -> Response:
        snapshot = await self._feed.snapshot()
        files = {
            run: {name: value for name, value in one.items() if name != "keys"} for run, one in snapshot.files.items()
        }
        content = {
            **snapshot.state,
            "files": files,
            "iterations": {run: list(one.values()) for run, one in snapshot.iterations.items()},
        }
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    async def send_events(self, _request: Request) -> Response:
        return StreamingResponse(
            self._feed.events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def send_frames(self, request: Request) -> Response:
        """Send the pictures of many views over one connection; a browser opens only six to a server.

        Each ``view`` of the query is ``RUN/WORKER/CAMERA/CAR``.
        """
        views = request.query_params.getlist("view")
        if not 0 < len(views) <= MOST_VIEWS:
            raise HTTPException(400, f"1 to {MOST_VIEWS} views")
        size = {name: request.query_params[name] for name in ("width", "quality") if name in request.query_params}
        upstreams = [self._find_upstream(view, size) for view in views]
        return StreamingResponse(
            _send_pictures(upstreams, request),
            media_type="application/octet-stream",
            headers={"Cache-Control": "no-store"},
        )

    def _find_upstream(self, view: str, size: dict[str, str]) -> Upstream:
        try:
            run, worker, camera, car = view.split("/")
            topic, locate = TOPICS[camera], partial(self._source.address, int(run), worker)
            query: dict[str, Any] = {"topic": topic, "car": int(car), **{name: int(size[name]) for name in size}}
        except (ValueError, KeyError):
            raise HTTPException(400, "a view is RUN/WORKER/CAMERA/CAR") from None
        if camera == "onboard":
            query["width"] = 160  # what the network sees has no more pixels
        if "width" in query:
            query["height"] = query["width"] * 3 // 4  # web_video_server leaves it as it is otherwise
        if self._plan.has_details:
            query["details"] = 1
        query["color"] = self._plan.car_color
        return self._hub.find(f"{run}/{worker}", f"/stream?{urlencode(query)}", locate)

    async def send_from_worker(self, request: Request) -> Response:
        """Pass on what a worker serves (contract 9), so that its own port need not be reachable."""
        run, worker, what = (request.path_params[name] for name in ("run", "worker", "what"))
        if what not in ("stream", "snapshot", "episodes", "track"):
            raise HTTPException(404)
        address = self._source.address(run, worker)
        if address is None:  # nobody has looked at the runs yet, or the worker is new
            await self._feed.snapshot()
            address = self._source.address(run, worker)
        is_data = what in ("episodes", "track")
        if address is None and is_data:
            return Response(status_code=204)  # a worker that is being started again has nothing to tell: no error
        if address is None:
            raise HTTPException(404, "no such worker streams now")
        names = ("seen", "setup", "world") if is_data else _PASSED_ON
        query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name in names])
        target = f"/{what}?{query}"
        try:
            if what == "stream":
                return await _pass_stream_on(address, target)
            status, kind, body = await fetch(address, target)
        except UpstreamError as error:
            if is_data:
                return Response(status_code=204)
            raise HTTPException(502, str(error)) from error
        return Response(body, status, media_type=kind, headers={"Cache-Control": "no-store"})

    async def send_laps(self, request: Request) -> Response:
        """Send driven lines out of the store: of the newest training episodes, or of the race that ``race`` names."""
        stamp = request.query_params.get("race")
        if stamp is not None and not (stamp.isdecimal() and stamp.isascii() and len(stamp) == 14):
            raise HTTPException(400, "race is 14 digits")
        try:
            found = await asyncio.to_thread(self._source.laps, request.path_params["run"], stamp)
        except (DrctlError, ImportError):  # numpy belongs to the simulator, which a viewer can do without
            found = None
        if found is None:
            return Response(status_code=204)
        return JSONResponse(found, headers={"Cache-Control": "no-store"})

    async def send_file(self, request: Request) -> Response:
        """Send a checkpoint or a video; browsers ask for parts of a video (RFC 9110, section 14)."""
        key = request.path_params["key"]
        found = self._source.object(request.path_params["run"], key)
        if found is None:
            await self._feed.snapshot()
            found = self._source.object(request.path_params["run"], key)
        if found is None:
            raise HTTPException(404)
        store, key = found
        try:
            data = await asyncio.to_thread(store.get, key)
        except ObjectNotFoundError:
            raise HTTPException(404) from None
        except DrctlError as error:
            raise HTTPException(502, str(error)) from error
        is_video = key.endswith(".mp4")
        name = key.rsplit("/", 1)[-1]
        headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
        if not is_video:
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        kind = "video/mp4" if is_video else "application/octet-stream"
        part = parse_range(request.headers.get("range"), len(data))
        if part is None:
            return Response(data, media_type=kind, headers=headers)
        first, last = part
        if first > last:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return Response(data[first : last + 1], 206, media_type=kind, headers=headers)


def parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Return first and last byte of a ``Range`` header, or None for the whole; first > last when there is nothing.

    Several ranges are answered with the whole, which the standard allows.
    """
    unit, _, span = (text or "").partition("=")
    first, dash, last = span.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in span or not (first or last):
        return None
    try:
        if not first:
            return max(0, size - int(last)), size - 1 if int(last) else -1
        return int(first), min(int(last), size - 1) if last else size - 1
    except ValueError:
        return None


async def _send_pictures(upstreams: list[Upstream], request: Request) -> AsyncIterator[bytes]:
    """Give the newest picture of each view whenever it changes; a slow browser skips pictures."""
    event = asyncio.Event()
    sent = [0] * len(upstreams)
    for upstream in upstreams:
        upstream.listen(event)
    try:
        while True:
            for index, upstream in enumerate(upstreams):
                if upstream.number > sent[index]:
                    sent[index] = upstream.number
                    yield _FRAME_HEAD.pack(index, len(upstream.picture)) + upstream.picture
            event_is_set = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STREAM_END_S):
                    event_is_set = await event.wait()
            event.clear()
            if not event_is_set and await request.is_disconnected():
                return
    finally:
        for upstream in upstreams:
            upstream.forget(event)


async def _pass_stream_on(address: str, target: str) -> Response:
    status, headers, reader, writer = await open_response(address, target)

    async def read() -> AsyncIterator[bytes]:
        try:
            while part := await reader.read(65_536):
                yield part
        finally:
            writer.close()

    return StreamingResponse(
        read(), status, media_type=headers.get("content-type"), headers={"Cache-Control": "no-store"}
    )
