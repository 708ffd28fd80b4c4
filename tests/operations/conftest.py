"""A project in an empty folder, its stores and its command line, and runs whose parts are small programs."""

from __future__ import annotations

import os
import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drctl.cli.app import main
from drctl.config.project import load_project
from drctl.engines.process import ProcessEngine
from drctl.errors import UnavailableError
from drctl.operations.project import init_project
from drctl.secrets import Secret
from drctl.stack.plan import PARENT_PID, Part, RestartPolicy
from drctl.storage.directory import DirectoryStore
from drctl.storage.s3 import S3Store, StoreKeys

# A trainer as `status` and `start-training` see one: it writes status.json, hears of workers, obeys SIGTERM.
TRAINER = """
import json, os, signal, socket, sys, threading, time
from pathlib import Path
folder, parent, body = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
plan = json.loads((folder / "plan.json").read_text())
store = Path(plan["trainer"]["store"]["folder"]) / plan["prefix"]
workers = [part["name"] for part in plan["parts"] if part["kind"] == "worker"]
def watch():
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(9)
threading.Thread(target=watch, daemon=True).start()
def pid_of(name):
    state = json.loads((folder / "state.json").read_text())
    return next(part["process"]["pid"] for part in state["parts"] if part["name"] == name)
def report(phase, outcome=None, joined=workers, **facts):
    now = time.time()
    views = [{"name": name, "host": socket.gethostname(), "pid": pid_of(name), "state": "driving", "cars": 20,
              "episodes_running": 20, "last_heard": now, "address": "", "reason": ""} for name in joined]
    content = {"version": 1, "run": {"id": 0, "token": plan["run_token"]}, "phase": phase, "phase_since": now,
               "heartbeat": now, "iteration": 0, "workers": views, "outcome": outcome, **facts}
    target = store / ".drctl" / "status.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name("new")
    temporary.write_text(json.dumps(content))
    temporary.replace(target)
def finish(reason="finished", message="enough episodes", status=0, problems=()):
    outcome = {"reason": reason, "message": message, "exit_status": status, "problems": list(problems)}
    (folder / "outcome.json").write_text(json.dumps(outcome))
    sys.exit(0)
def on_term(*_):
    if (folder / "stop").exists():
        finish("stopped", "stopped by its user")
    sys.exit(143)
signal.signal(signal.SIGTERM, on_term)
print("hello from the trainer", flush=True)
time.sleep(0.2)
exec(body)
"""
WORKER = """
import os, sys, time
parent, outcome = int(sys.argv[1]), sys.argv[2] + "/outcome.json"
print("hello from a worker", flush=True)
while os.getppid() == parent and not os.path.exists(outcome):  # the trainer says goodbye
    time.sleep(0.05)
"""
TRAIN = "report('collecting', checkpoint={'last': 3, 'best': 2})\ntime.sleep(120)"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("DR_", "AWS_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def make_project(tmp_path):
    """Make a project with the shipped files; its runs are stopped afterwards."""
    roots = set()

    def make(**settings):
        root = tmp_path / "project"
        if not root.exists():
            init_project(root)
        roots.add(root)
        return load_project(root, {f"DR_{name.upper()}": str(value) for name, value in settings.items()})

    yield make
    for root in roots:
        for folder in (root / "tmp").glob("run-*"):
            ProcessEngine().down(folder, at_once=True)


@pytest.fixture
def project(make_project):
    return make_project(run_id=7)


@pytest.fixture
def store(project):
    """The project's store."""
    return DirectoryStore(project.data_folder / "bucket")


@pytest.fixture
def bucket(s3_server, monkeypatch, tmp_path):
    """Return an empty bucket of the test server, which the default AWS profile opens."""
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[default]\naws_access_key_id = {s3_server.access_key_id}\n"
        f"aws_secret_access_key = {s3_server.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys = StoreKeys(s3_server.access_key_id, Secret(s3_server.secret_access_key))
    store = S3Store(f"upload-{secrets.token_hex(4)}", endpoint_url=s3_server.endpoint_url, keys=keys)
    store.create_bucket_if_missing()
    return store


@pytest.fixture
def drctl(project, capsys, request):
    """Type a command; with the fixture `bucket` that is the upload bucket."""
    settings = []
    if "bucket" in request.fixturenames:
        endpoint = request.getfixturevalue("s3_server").endpoint_url
        name = request.getfixturevalue("bucket").name.removeprefix("s3://")
        settings = ["--set", f"DR_UPLOAD_S3_ENDPOINT_URL={endpoint}", "--set", f"DR_UPLOAD_S3_BUCKET={name}"]

    def type_in(*words):
        status = main(["--project", str(project.root), *settings, *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return type_in


@pytest.fixture
def without_docker(monkeypatch):
    """A machine without Docker, also where the tests run on one that has it."""

    def refuse():
        raise UnavailableError("Docker does not answer")

    monkeypatch.setattr("drctl.engines.docker.is_installed", lambda: False)
    monkeypatch.setattr("drctl.engines.docker.open_client", refuse)


@pytest.fixture
def planner():
    """Give a planner that puts small programs in the place of trainer and workers."""
    from drctl.operations.training import plan_training

    def make(body=TRAIN, limit=0):
        def plan(found, token):
            real = plan_training(found, token)
            folder = real.run_folder
            parts = [Part("trainer", "trainer", (sys.executable, "-c", TRAINER, folder, PARENT_PID, body))]
            parts += [
                Part(part.name, "worker", (sys.executable, "-c", WORKER, PARENT_PID, folder))
                for part in real.parts
                if part.kind == "worker"
            ]
            return replace(real, parts=tuple(parts), restart=RestartPolicy(limit, first_delay_s=0.05), stop_grace_s=5.0)

        return plan

    return make


@pytest.fixture
def leftovers():
    """Tell what a project has left: processes of its runs, files of run state, objects in its store."""

    def find(project):
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_text().split("\0")
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if state not in "ZX" and any(str(project.run_folder) in word for word in words):
                    found.append(f"process {' '.join(words)[:200]}")
        folder = project.run_folder
        if folder.exists():
            found += [path.name for path in folder.iterdir() if path.name not in ("lock", "logs")]
        files = [path for path in project.data_folder.rglob("*") if path.is_file()]
        found += [str(path) for path in files if path.name != ".drctl-store-lock"]  # no object: nobody holds it
        return found

    return find


@pytest.fixture
def wait_for():
    def wait(condition, limit_s=10.0):
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("it did not happen in time")

    return wait
