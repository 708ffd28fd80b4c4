"""What only an S3 store does: keys, buckets, servers that are away, requests that are made again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drctl.errors import ObjectNotFoundError, PreconditionFailedError, UnavailableError
from drctl.secrets import Secret
from drctl.storage.s3 import ATTEMPTS, S3Store, StoreKeys

KEYS = StoreKeys("some-key", Secret("some-secret"))


def no_pause(seconds):
    pass


def problem_of(action, *arguments):
    with pytest.raises(UnavailableError) as caught:
        action(*arguments)
    return caught.value.problems[0]


@pytest.fixture(autouse=True)
def no_aws_settings(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_makes_a_bucket_once(make_s3_store):
    store = make_s3_store("made-once")
    assert store.create_bucket_if_missing() is True
    assert store.create_bucket_if_missing() is False
    store.put("a", b"")
    assert store.name == "s3://made-once"


def test_lists_more_objects_than_a_page_holds(make_s3_store):
    store = make_s3_store("pages")
    store.create_bucket_if_missing()
    expected = [f"v1/{number:04}" for number in range(1010)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), expected))
    assert [info.key for info in store.list("v1")] == expected


def test_a_missing_bucket_is_told_by_every_method(make_s3_store):
    store = make_s3_store("missing-bucket")
    endpoint = store._endpoint_url
    actions = (
        lambda: store.get("a"),
        lambda: store.stat("a"),
        lambda: store.put("a", b""),
        lambda: list(store.list()),
        store.list_folders,
        lambda: store.delete("a"),
        lambda: store.copy("a", "b"),
    )
    for action in actions:
        problem = problem_of(action)
        assert problem.what == f"there is no bucket 'missing-bucket' at {endpoint}"
        assert problem.expected == "the bucket that DR_LOCAL_S3_BUCKET names"
        assert problem.fix == "drctl upload-custom-files --create-bucket"


def test_a_wrong_secret_is_told(make_s3_store, s3_server):
    make_s3_store("locked").create_bucket_if_missing()
    keys = StoreKeys(s3_server.access_key_id, Secret("wrong-secret"))
    store = make_s3_store("locked", keys=keys, keys_hint="tmp/secrets/store-keys.json")
    problem = problem_of(store.get, "a")
    endpoint = s3_server.endpoint_url
    assert problem.what == f"the store at {endpoint} refuses the access key (SignatureDoesNotMatch)"
    assert problem.where == "s3://locked/a"
    assert problem.expected == "the access key of the server in tmp/secrets/store-keys.json"
    assert problem.fix == "${EDITOR:-nano} tmp/secrets/store-keys.json"
    assert problem_of(store.stat, "a").what == f"the store at {endpoint} refuses the access key (403)"
    assert "wrong-secret" not in repr(problem)


def test_a_wrong_key_of_a_profile_is_told(make_s3_store, s3_server, tmp_path):
    make_s3_store("locked-2").create_bucket_if_missing()
    (tmp_path / "credentials").write_text("[minio]\naws_access_key_id = nobody\naws_secret_access_key = wrong\n")
    store = make_s3_store("locked-2", keys=None, profile="minio")
    problem = problem_of(store.get, "a")
    assert problem.what == f"the store at {s3_server.endpoint_url} refuses the access key (InvalidAccessKeyId)"
    assert problem.fix == "aws configure --profile minio"


def test_a_profile_gives_the_keys(make_s3_store, s3_server, tmp_path):
    (tmp_path / "credentials").write_text(
        f"[minio]\naws_access_key_id = {s3_server.access_key_id}\n"
        f"aws_secret_access_key = {s3_server.secret_access_key}\n"
    )
    store = make_s3_store("by-profile", keys=None, profile="minio")
    store.create_bucket_if_missing()
    store.put("a", b"1")
    assert store.get("a") == b"1"


def test_a_missing_profile_is_told():
    problem = problem_of(lambda: S3Store("bucket", endpoint_url="http://127.0.0.1:1", profile="minoi"))
    assert problem.what == "there is no AWS profile 'minoi'"
    assert problem.fix == "aws configure --profile minoi"


def test_no_key_at_all_is_told():
    store = S3Store("bucket", endpoint_url="http://127.0.0.1:1", profile="default", pause=no_pause)
    problem = problem_of(store.get, "a")
    assert problem.what == "AWS profile 'default' has no usable access key"
    assert problem.fix == "aws configure --profile default"
    assert problem_of(S3Store("bucket").get, "a").what == "no access key for the store was found"


def test_a_wrong_address_is_told():
    problem = problem_of(lambda: S3Store("bucket", endpoint_url="minio:9000", keys=KEYS))
    assert problem.what == "the store cannot be used: Invalid endpoint: minio:9000"


def test_a_store_that_is_down_is_told_after_a_few_tries(unused_port):
    pauses = []
    endpoint = f"http://127.0.0.1:{unused_port}"
    store = S3Store("bucket", endpoint_url=endpoint, keys=KEYS, pause=pauses.append)
    problem = problem_of(store.put, "model/a", b"1")
    assert problem.what == f"the store at {endpoint} does not answer"
    assert problem.where == "s3://bucket/model/a"
    assert problem.expected == "a running S3 server that this machine can reach"
    assert problem.fix == f"curl -sS {endpoint}"
    assert len(pauses) == ATTEMPTS - 1
    assert all(0.75 * 0.2 * 2**turn <= pause <= 1.25 * 0.2 * 2**turn for turn, pause in enumerate(pauses))


@pytest.fixture
def unused_port():
    from socket import socket

    with socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Script:
    """A server that gives written answers, one per request, and keeps what it was asked."""

    def __init__(self, answers):
        self.requests = []
        answers = iter(answers)
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                script.requests.append((self.command, dict(self.headers)))
                answer = next(answers)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer(script) if callable(answer) else answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = answer  # noqa: N815 - names of the base class

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def store(self):
        endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        return S3Store("bucket", endpoint_url=endpoint, keys=KEYS, pause=no_pause)


@pytest.fixture
def script():
    made = []

    def make(*answers):
        made.append(Script(answers))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def error(status, code):
    body = f"<Error><Code>{code}</Code><Message>message</Message></Error>".encode()
    return status, {"Content-Type": "application/xml"}, body


def test_passing_troubles_are_tried_again(script):
    server = script(
        error(503, "SlowDown"), None, error(500, "InternalError"), (200, {"ETag": '"1"', "Content-Length": "2"}, b"ok")
    )
    assert server.store().get("a") == b"ok"
    assert len(server.requests) == 4


def test_an_answer_that_breaks_off_is_asked_for_again(script):
    broken = (200, {"ETag": '"1"', "Content-Length": "10", "Connection": "close"}, b"half")
    server = script(broken, (200, {"ETag": '"1"'}, b"the whole!"))
    assert server.store().get("a") == b"the whole!"
    assert len(server.requests) == 2


def test_a_lasting_trouble_ends(script):
    server = script(*[error(503, "SlowDown")] * (ATTEMPTS + 1))
    assert "SlowDown" in problem_of(server.store().get, "a").what
    assert len(server.requests) == ATTEMPTS


def test_a_user_s_mistake_is_not_tried_again(script):
    server = script(error(403, "AccessDenied"), error(400, "AuthorizationHeaderMalformed"))
    store = server.store()
    assert problem_of(store.get, "a").what.endswith("does not allow this (AccessDenied)")
    assert problem_of(store.get, "a").fix == "aws s3api get-bucket-location --bucket bucket"
    assert len(server.requests) == 2


def test_a_conditional_put_whose_answer_was_lost_has_won(script):
    def head(script):
        token = script.requests[0][1]["x-amz-meta-drctl-put"]
        return 200, {"ETag": '"mine"', "x-amz-meta-drctl-put": token}, b""

    server = script(None, error(412, "PreconditionFailed"), head)
    assert server.store().put("lease", b"1", if_absent=True) == '"mine"'
    assert [method for method, _ in server.requests] == ["PUT", "PUT", "HEAD"]
    assert server.requests[0][1]["If-None-Match"] == "*"


def test_a_conditional_put_that_another_won_has_lost(script):
    server = script(
        None, error(412, "PreconditionFailed"), (200, {"ETag": '"x"', "x-amz-meta-drctl-put": "other"}, b"")
    )
    with pytest.raises(PreconditionFailedError):
        server.store().put("lease", b"1", if_version='"old"')
    assert server.requests[0][1]["If-Match"] == '"old"'


def test_conditional_puts_that_meet_are_tried_again(script):
    server = script(error(409, "ConditionalRequestConflict"), (200, {"ETag": '"1"'}, b""))
    assert server.store().put("lease", b"1", if_absent=True) == '"1"'


def test_a_server_that_is_not_s3_is_told(script):
    server = script(*[(404, {}, b"<html>not here</html>")] * 3)
    assert problem_of(server.store().stat, "a").what.startswith("there is no bucket 'bucket' at http://")


def test_a_missing_object_in_a_known_bucket_takes_one_request(script):
    server = script((200, {"ETag": '"1"'}, b""), (404, {}, b""))
    store = server.store()
    store.get("a")
    assert store.stat("b") is None
    with pytest.raises(ObjectNotFoundError):
        script(error(404, "NoSuchKey")).store().get("a")
    assert len(server.requests) == 2
