"""Who gets in: with the token of the link, with its cookie, or from this machine."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from drctl.secrets import Secret
from drctl.viewer.access import Access

TOKEN = "right+word"
LINK = "token=right%2Bword"


def ask(path="/", query="", client="192.168.1.9", host="box:8100", token=TOKEN, is_loopback_free=True, **headers):
    """Send one request and return status, headers and body."""
    app = Access(
        PlainTextResponse("the page"), Secret(token) if token else None, is_loopback_free=is_loopback_free, port=8100
    )
    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "client": (client, 1234),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, None, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"].decode()


def test_another_machine_needs_the_link_and_is_told_which_command_prints_it():
    status, headers, body = ask()
    assert status == 403
    assert "drctl start-viewer" in body
    assert "the page" not in body
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("query", ["token=wrong", "token=", f"{LINK}&token=wrong"])
def test_a_wrong_token_gets_403_even_on_this_machine(query):
    assert ask(query=query)[0] == 403
    assert ask(query=query, client="127.0.0.1", host="localhost:8100")[0] == 403


def test_the_token_moves_from_the_address_into_a_cookie():
    status, headers, _ = ask("/", f"run=3&{LINK}")
    assert (status, headers["location"]) == (303, "/?run=3")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "right" not in cookie
    pair = cookie.partition(";")[0]
    assert pair.startswith("drctl_viewer_8100=")
    assert ask(cookie=pair)[::2] == (200, "the page")
    assert ask(cookie=pair, token="another")[0] == 403
    assert ask(cookie=pair[:-1] + "x")[0] == 403


def test_a_player_without_cookies_gets_a_stream_by_its_address():
    assert ask("/runs/0/workers/worker-0/stream", f"topic=/x&{LINK}")[::2] == (200, "the page")
    assert ask("/runs/0/workers/worker-0/stream", "topic=/x&token=wrong")[0] == 403


def test_programs_may_send_the_token_in_a_header():
    assert ask(authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(authorization="Bearer wrong")[0] == 403


@pytest.mark.parametrize("host", ["localhost:8100", "127.0.0.1:8100", "[::1]:8100", "LOCALHOST"])
def test_this_machine_needs_no_token(host):
    assert ask(client="127.0.0.1", host=host)[0] == 200
    assert ask(client="127.0.0.1", host=host, is_loopback_free=False)[0] == 403


@pytest.mark.parametrize(
    "other",
    [
        {"host": "rebound.example:8100"},
        {"host": "localhost.evil.example"},
        {"client": "10.0.0.7", "host": "localhost:8100"},
        {"host": "localhost", "x_forwarded_for": "10.0.0.7"},
        {"host": "localhost", "forwarded": "for=10.0.0.7"},
    ],
)
def test_who_only_looks_like_this_machine_needs_it(other):
    assert ask(**{"client": "127.0.0.1", **other})[0] == 403


def test_off_lets_everybody_in_and_every_answer_has_its_headers():
    status, headers, _ = ask(token=None)
    assert status == 200
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"].startswith("default-src 'self'")
