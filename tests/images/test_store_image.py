"""The store image as an S3 server: only the right key opens it, only its S3 port is open, and it keeps what it took."""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

CONTAINER_USER = 10001
READY_LIMIT_S = 30.0


class StoreContainer:
    """A store in a container of its own, with its data in a volume and its key in a file."""

    def __init__(self, docker, image, folder, hardened):
        self._docker = docker
        self.name = f"drctl-test-store-{secrets.token_hex(4)}"
        self.keys_file = folder / "store-keys.json"
        self.secret = secrets.token_urlsafe(24)
        self.write_keys(self.secret)
        docker("network", "create", self.name)
        docker("volume", "create", self.name)
        docker(
            *("run", "--detach", *hardened, "--memory=1g", f"--name={self.name}", f"--network={self.name}"),
            *(f"--volume={self.name}:/data", f"--volume={self.keys_file}:/run/secrets/store_keys:ro"),
            *("--publish=127.0.0.1::9000", image),
        )

    def write_keys(self, secret):
        """Write the key in place: a mounted file stays the same file."""
        self.keys_file.write_text(json.dumps({"access_key_id": "test-key", "secret_access_key": secret}))
        self.keys_file.chmod(0o600)
        if os.getuid() == 0:
            os.chown(self.keys_file, CONTAINER_USER, 0)

    def client(self, key_id="test-key", secret=None):
        """Return an S3 client; the port may change when the container starts again."""
        import boto3
        from botocore.config import Config

        address = self._docker("port", self.name, "9000/tcp").stdout.split()[0]
        return boto3.client(
            "s3",
            endpoint_url=f"http://{address}",
            aws_access_key_id=key_id,
            aws_secret_access_key=self.secret if secret is None else secret,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=30),
        )

    def wait_until_ready(self):
        """Wait until the S3 port answers the right key."""
        from botocore.exceptions import BotoCoreError, ClientError

        deadline = time.monotonic() + READY_LIMIT_S
        while True:
            try:
                return self.client().list_buckets()
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline:
                    pytest.fail(f"the store is not ready:\n{self.log()}")
                time.sleep(0.1)

    def log(self):
        done = self._docker("logs", self.name)
        return done.stdout + done.stderr

    def health(self):
        return self._docker("inspect", "--format={{.State.Health.Status}}", self.name).stdout.strip()

    def remove(self):
        for kind in (("rm", "--force", "--volumes"), ("network", "rm"), ("volume", "rm")):
            self._docker(*kind, self.name)


@pytest.fixture(scope="module")
def make_store(docker, build, hardened, tmp_path_factory):
    made = []

    def make():
        made.append(StoreContainer(docker, build("store"), tmp_path_factory.mktemp("store"), hardened))
        made[-1].wait_until_ready()
        return made[-1]

    yield make
    for each in made:
        with suppress(Exception):
            each.remove()


@pytest.fixture(scope="module")
def store(make_store):
    """A store that tests share; those that restart it make their own."""
    store = make_store()
    store.client().create_bucket(Bucket="bucket")
    return store


def code_of(action):
    """Return the error code with which the server refuses."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        action()
    return caught.value.response["Error"]["Code"]


def test_object_comes_back_as_it_went(store):
    data = os.urandom(12_000_000)  # several of the server's pieces
    store.client().put_object(Bucket="bucket", Key="cars/model.pb", Body=data)
    assert store.client().get_object(Bucket="bucket", Key="cars/model.pb")["Body"].read() == data


def test_conditional_put_is_honoured(store):
    store.client().put_object(Bucket="bucket", Key="lease", Body=b"1")
    assert (
        code_of(lambda: store.client().put_object(Bucket="bucket", Key="lease", Body=b"2", IfNoneMatch="*"))
        == "PreconditionFailed"
    )


def test_wrong_keys_are_refused(store):
    assert code_of(lambda: store.client(secret="wrong").list_objects_v2(Bucket="bucket")) == "SignatureDoesNotMatch"
    assert code_of(lambda: store.client("somebody").list_objects_v2(Bucket="bucket")) == "InvalidAccessKeyId"


def test_nobody_without_a_key_is_let_in(store):
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    endpoint = store.client().meta.endpoint_url
    anonymous = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    assert code_of(lambda: anonymous.list_objects_v2(Bucket="bucket")) == "AccessDenied"
    assert code_of(lambda: anonymous.put_object(Bucket="bucket", Key="x", Body=b"")) == "AccessDenied"


def test_bucket_is_not_made_by_a_put_and_not_deleted_with_its_objects(store):
    store.client().put_object(Bucket="bucket", Key="kept", Body=b"")
    assert code_of(lambda: store.client().put_object(Bucket="bukcet", Key="x", Body=b"")) == "NoSuchBucket"
    assert code_of(lambda: store.client().delete_bucket(Bucket="bucket")) == "BucketNotEmpty"


def test_only_the_s3_port_is_open_to_the_network(store, build, docker, hardened):
    """The server's other services ask for no key. The list comes from the server itself, so a new one is noticed."""
    listening = docker("exec", store.name, "cat", "/proc/net/tcp").stdout.splitlines()[1:]
    ports = sorted({int(line.split()[1].partition(":")[2], 16) for line in listening if line.split()[3] == "0A"})
    assert {9000, 8333, 8888, 9333} <= set(ports)  # the S3 port, the server's own, its file browser and its master
    script = (
        "import socket, sys\n"
        "for port in sys.argv[2:]:\n"
        "    if socket.socket().connect_ex((sys.argv[1], int(port))) == 0: print(port)\n"
    )
    image = build("store")
    arguments = (store.name, *map(str, ports))
    opened = docker(
        "run", "--rm", *hardened, f"--network={store.name}", "--entrypoint=python3", image, "-c", script, *arguments
    )
    assert opened.stdout.split() == ["9000"]


def test_key_shows_nowhere(store, docker):
    seen = docker("inspect", store.name).stdout + docker("top", store.name, "-eo", "pid,args").stdout + store.log()
    assert "weed mini" in seen
    assert store.secret not in seen


def test_store_becomes_healthy(store):
    deadline = time.monotonic() + READY_LIMIT_S
    while store.health() != "healthy":
        assert time.monotonic() < deadline, store.log()
        time.sleep(0.2)


def test_store_keeps_its_objects_over_a_stop_and_a_kill(make_store, docker):
    store = make_store()
    store.client().create_bucket(Bucket="bucket")
    store.client().put_object(Bucket="bucket", Key="first", Body=b"1")
    docker("stop", "--time=10", store.name)
    assert docker("inspect", "--format={{.State.ExitCode}}", store.name).stdout == "143\n"  # ended in order, in time
    docker("start", store.name)
    store.wait_until_ready()
    store.client().put_object(Bucket="bucket", Key="second", Body=b"2")
    docker("kill", store.name)
    docker("start", store.name)
    store.wait_until_ready()
    found = {key: store.client().get_object(Bucket="bucket", Key=key)["Body"].read() for key in ("first", "second")}
    assert found == {"first": b"1", "second": b"2"}


def test_new_key_takes_the_place_of_the_old_one(make_store, docker):
    store = make_store()
    old, store.secret = store.secret, secrets.token_urlsafe(24)
    store.write_keys(store.secret)
    docker("restart", store.name)
    store.wait_until_ready()
    assert code_of(lambda: store.client(secret=old).list_buckets()) == "SignatureDoesNotMatch"


def test_container_ends_with_its_server(make_store, docker):
    """So that the engine starts it again; a relay without a server behind it would look alive."""
    store = make_store()
    docker("exec", store.name, "sh", "-c", "kill -9 $(grep -l '^Name:.weed$' /proc/[0-9]*/status | cut -d / -f 3)")
    assert docker("wait", store.name, timeout=30).stdout == "1\n"
    assert "the S3 server ended with status -9" in store.log()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            "the store's access key cannot be read: No such file or directory: /run/secrets/store_keys (user 10001)",
        ),
        ("", "/run/secrets/store_keys is not an access key"),
        ("{}", "/run/secrets/store_keys is not an access key"),
        ('{"access_key_id": "", "secret_access_key": ""}', "/run/secrets/store_keys is not an access key"),
    ],
)
def test_store_does_not_start_without_a_key(content, message, build, docker, hardened, tmp_path):
    """SeaweedFS without a key lets everybody in."""
    options = []
    if content is not None:
        path = tmp_path / "keys.json"
        path.write_text(content)
        path.chmod(0o644)
        options = [f"--volume={path}:/run/secrets/store_keys:ro"]
    done = docker("run", "--rm", *hardened, *options, build("store"), check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_store_says_whose_file_it_cannot_read(build, docker, hardened, tmp_path):
    path = tmp_path / "keys.json"
    path.write_text("{}")
    path.chmod(0o600)
    options = (f"--volume={path}:/run/secrets/store_keys:ro", "--user=4712:0")
    done = docker("run", "--rm", *hardened, *options, build("store"), check=False)
    assert done.returncode == 1
    assert "cannot be read: Permission denied: /run/secrets/store_keys (user 4712)" in done.stderr
