"""Entry point of the store image: SeaweedFS as an S3 server, reachable through its S3 port alone.

The access key comes from a JSON file, ``{"access_key_id": ..., "secret_access_key": ...}``, named by STORE_KEYS_FILE
(default ``/run/secrets/store_keys``), and goes to the server as environment of that process only: neither the
container's settings nor a command line show it.

The server's other services (master, volumes, file browser) know no access key and would give everything to whoever
reaches them, a worker with a user's reward function included; the server binds all of them or none to an address. So it
binds the container's loopback, and this process passes the S3 port's connections on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

DATA_FOLDER = "/data"
KEYS_FILE = "/run/secrets/store_keys"
WEED = "/opt/drctl/bin/weed"

PORT = 9000
INNER_PORT = 8333
LOOPBACK = "127.0.0.1"

START_LIMIT_S = 60.0
# After kill -9 the server's files are readable again at once, and its orderly stop can take half a minute, longer than
# Docker waits (10 s) before it kills.
STOP_LIMIT_S = 7.0
CHUNK_BYTES = 1 << 18
EXIT_TERMINATED = 143

OPTIONS = (
    f"-dir={DATA_FOLDER}",
    f"-ip={LOOPBACK}",
    f"-ip.bind={LOOPBACK}",
    f"-s3.port={INNER_PORT}",
    "-s3.iam=false",
    "-s3.autoCreateBucket=false",  # as other S3 servers: a wrong bucket name is an error
    "-s3.allowDeleteBucketNotEmpty=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-admin.ui=false",
    "-webdav=false",
    "-master.telemetry=false",
)


def read_keys(path: Path) -> tuple[str, str]:
    """Return access key id and secret; end the process with the reason when they are not there.

    Without a key the server would let everybody in, so an empty one is refused too.
    """
    try:
        data = json.loads(path.read_text())
        keys = data["access_key_id"], data["secret_access_key"]
    except OSError as error:
        sys.exit(f"error: the store's access key cannot be read: {error.strerror}: {path} (user {os.getuid()})")
    except (ValueError, KeyError, TypeError):
        keys = None
    if keys is None or not all(isinstance(key, str) and key for key in keys):
        sys.exit(f'error: {path} is not an access key; expected {{"access_key_id": ..., "secret_access_key": ...}}')
    return keys


def server_environment(access_key_id: str, secret_access_key: str) -> dict[str, str]:
    """Return the server's environment; SeaweedFS reads its administrator's key from these two names."""
    return {**os.environ, "AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key}


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the sender ends, then tell the receiver so."""
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect one client with the server until both have said everything or one of them is gone."""
    with contextlib.suppress(OSError), contextlib.closing(writer):
        inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, INNER_PORT, limit=CHUNK_BYTES)
        with contextlib.closing(inner_writer):
            await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))


async def is_answering() -> bool:
    """Tell whether the server's S3 port is well."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, INNER_PORT)
        with contextlib.closing(writer):
            writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b" 200 " in await reader.readline()
    except OSError:
        return False


async def open_when_ready() -> None:
    """Let clients in as soon as the server answers: they meet a closed port before, never a half-started server."""
    async with asyncio.timeout(START_LIMIT_S):
        while not await is_answering():
            await asyncio.sleep(0.05)
    server = await asyncio.start_server(relay, "0.0.0.0", PORT, limit=CHUNK_BYTES)  # noqa: S104 - the container's own
    sys.stdout.write(f"S3 server ready on port {PORT}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def serve(environment: dict[str, str]) -> int:
    """Run the server until it ends or this process is asked to; return the exit status."""
    process = await asyncio.create_subprocess_exec(WEED, "mini", *OPTIONS, env=environment, cwd=DATA_FOLDER)
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    watched = {
        "server": asyncio.create_task(process.wait()),
        "door": asyncio.create_task(open_when_ready()),
        "request": asyncio.create_task(asked.wait()),
    }
    await asyncio.wait(watched.values(), return_when=asyncio.FIRST_COMPLETED)
    watched["door"].cancel()
    if process.returncode is not None:
        sys.stderr.write(f"error: the S3 server ended with status {process.returncode}\n")
        return 1
    await stop(process)
    if asked.is_set():
        return EXIT_TERMINATED
    sys.stderr.write(f"error: the S3 server cannot be reached: {watched['door'].exception()!r}\n")
    return 1


async def stop(process: asyncio.subprocess.Process) -> None:
    """End the server, in order if that is quick."""
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_LIMIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    keys = read_keys(Path(os.environ.get("STORE_KEYS_FILE", KEYS_FILE)))
    sys.exit(asyncio.run(serve(server_environment(*keys))))
