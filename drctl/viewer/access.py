"""Who may look: the token of the printed link, or being on this machine."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response

from drctl.secrets import Secret

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN: Final = "token"  # noqa: S105 - the name of the parameter
_YEAR_S: Final = 365 * 24 * 3600
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""With every answer."""

_REFUSAL: Final = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>drctl viewer</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark}
code{font-size:1.05em;padding:.15em .4em;border:1px solid #8886;border-radius:4px}</style>
<h1>This page needs its link</h1>
<p>WHY</p>
<p>On the machine that trains, this command prints the link with its token:</p>
<p><code>drctl start-viewer</code></p>
</html>
"""


class Access:
    """Lets those in who may look; everybody else gets 403 and is told which command prints the link.

    A token in the address is checked once and then kept in a cookie, so that it stays neither in the address bar nor
    in the browser's history nor on a screen that is shared.

    Args:
        app: What is guarded.
        token: Of the link; None lets everybody in.
        is_loopback_free: Browsers of this machine need no token.
        port: Part of the cookie's name, since a browser does not tell the ports of a machine apart.
    """

    def __init__(self, app: ASGIApp, token: Secret | None, *, is_loopback_free: bool, port: int) -> None:
        self._app = app
        self._token = token
        self._is_loopback_free = is_loopback_free
        self._cookie = f"drctl_viewer_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._judge(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _judge(self, scope: Scope) -> Response | None:
        """Return the answer for a visitor who is not let through yet, or None."""
        if self._token is None:
            return None
        headers = Headers(scope=scope)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == TOKEN]
        if given:
            if not self._is_token(given[-1]):
                return _refuse("The token in this address is not the right one.")
            if scope["path"] != "/":  # a stream or file, maybe for a player that keeps no cookies
                return None
            return self._welcome([(name, value) for name, value in query if name != TOKEN])
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return None if self._is_token(bearer) else _refuse("The token of this request is not the right one.")
        if self._has_cookie(headers) or (self._is_loopback_free and is_local(scope, headers)):
            return None
        return _refuse("This viewer can be reached from other machines, so its link carries a token.")

    def _is_token(self, text: str) -> bool:
        return self._token is not None and hmac.compare_digest(text.encode(), self._token.reveal().encode())

    def _cookie_value(self) -> str:
        assert self._token is not None  # noqa: S101 - asked for guarded pages alone
        return hmac.new(self._token.reveal().encode(), b"drctl viewer", hashlib.sha256).hexdigest()

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self._cookie_value().encode())

    def _welcome(self, query: list[tuple[str, str]]) -> Response:
        """Send the browser to the page's address without the token, with a cookie in its place."""
        response = RedirectResponse(f"/?{urlencode(query)}" if query else "/", 303)
        response.set_cookie(self._cookie, self._cookie_value(), max_age=_YEAR_S, httponly=True, samesite="lax")
        response.headers["Cache-Control"] = "no-store"
        return response


def is_local(scope: Scope, headers: Headers) -> bool:
    """Tell whether a browser of this machine asks, under a name that only this machine can have.

    A page of another site could have its own name point here, and a proxy of this machine speaks for others.
    """
    client = scope.get("client")
    host = headers.get("host", "").strip()
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    if client is None or any(one in headers for one in _FORWARDED):
        return False
    return _is_loopback(client[0]) and (name.lower() == "localhost" or _is_loopback(name.strip("[]")))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _refuse(why: str) -> Response:
    return HTMLResponse(_REFUSAL.replace("WHY", why), 403, headers={"Cache-Control": "no-store"})
