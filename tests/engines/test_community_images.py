"""Trainings and evaluations of the community images on a real Docker engine, with a stand-in for the image.

The image itself could not be had. The stand-in (`stand_in/`) checks what it is given and leaves the files, flags,
streams and log lines that the contract names; it says nothing about whether Gazebo starts or a car learns.
"""

from __future__ import annotations

import io
import json
import shutil
import struct
import urllib.request
from pathlib import Path

import pytest
import yaml
from engines.engine_case import RUN_ID, EngineCase, ask_docker, containers, kill_container, wait_for
from PIL import Image

import drctl as drctl_package
from drctl.engines.docker import find_containers
from drctl.storage.location import open_store, project_store_location

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]

IMAGE = "drctl-test/deepracer-simapp"
PREFIX = "rl-deepracer-sagemaker"
COMMUNITY = EngineCase(
    "compose",
    lambda _root, part: kill_container(containers()[part].name),
    lambda _root: list(containers()),
    {"DR_SIMAPP_SOURCE": IMAGE, "DR_SIMAPP_VERSION": "stand-in"},
)


@pytest.fixture(scope="session")
def stand_in(images, tmp_path_factory):
    """Build the stand-in upon the workers' image, which has boto3."""
    context = tmp_path_factory.mktemp("stand-in")
    shutil.copytree(Path(__file__).parent / "stand_in", context, dirs_exist_ok=True)
    base = f"BASE=drctl/worker:{drctl_package.__version__}"
    ask_docker("buildx", "build", "--load", "--quiet", "--build-arg", base, "--tag", f"{IMAGE}:stand-in", str(context))


@pytest.fixture
def project(stand_in, engine_project):
    return engine_project(COMMUNITY)


def write_hyperparameters(project, **changes):
    file = project.root / "custom_files" / "hyperparameters.json"
    few = {"num_episodes_between_training": 4, "term_cond_max_episodes": 4}
    file.write_text(json.dumps({**json.loads(file.read_text()), **few, **changes}))


def store_of(project):
    return open_store(project_store_location(project.load()))


def keys_of(project, prefix=PREFIX):
    return {info.key.removeprefix(f"{prefix}/") for info in store_of(project).list(prefix)}


def test_a_training_runs_to_its_end_and_is_raced_and_cloned(project, capsys):
    write_hyperparameters(project)
    assert project.drctl("start-training", "-w") == 0
    out = capsys.readouterr().out
    assert f"The community image {IMAGE}:stand-in trains; drctl start-training --stack drctl --engine process" in out
    assert "The training of rl-deepracer-sagemaker has begun with 2 workers" in out
    assert "The training of rl-deepracer-sagemaker has ended: the workers have driven all their episodes" in out
    assert containers() == {}

    # Two workers with two episodes each of an iteration, and term_cond_max_episodes counted by each: 4 / 2 iterations.
    found = keys_of(project)
    assert {"model/model_2.pb", "ip/hyperparameters.json", "model/model_metadata.json"} <= found
    assert {"0/training-simtrace/1-iteration.csv", "1/training-simtrace/1-iteration.csv"} <= found
    assert {"metrics/TrainingMetrics.json", "metrics/TrainingMetrics_1.json"} <= found
    assert {"custom_files/reward_function.py", "reward_function.py", "training_params.yaml"} <= found
    assert project.drctl("status") == 0
    assert "the workers have driven all their episodes" in capsys.readouterr().out
    assert project.drctl("logs-sagemaker") == 0
    assert "Training> Name=main_level/agent, Worker=0, Episode=8," in capsys.readouterr().out
    assert project.drctl("logs-robomaker", "-n", "1") == 0
    assert "Exited main loop. Done." in capsys.readouterr().out

    race_it(project, capsys)

    assert project.drctl("start-training", "-q") == 5
    assert "drctl start-training -w moves it to the trash" in capsys.readouterr().err
    assert project.drctl("start-training", "--resume", "-q") == 3
    assert "drctl increment-training && drctl start-training" in capsys.readouterr().err
    assert project.drctl("increment-training", "-f") == 0
    assert project.drctl("start-training", DR_WORKERS="1") == 0
    capsys.readouterr()
    # The index names checkpoint 0: it lags behind the newest one, 2 (contract 1.4).
    assert {"model/model_1.pb", "model/model_2.pb"} <= keys_of(project, f"{PREFIX}-1")
    assert "model/model_0.pb" not in keys_of(project, f"{PREFIX}-1")


def race_it(project, capsys):
    """Race the model in the foreground, as a copy, and in the background; it is the same afterwards."""
    store = store_of(project)
    newest = store.get(f"{PREFIX}/model/.coach_checkpoint")
    assert project.drctl("eval", "--trials", "2", "--mp4", "--checkpoint", "best") == 0
    out = capsys.readouterr().out
    assert "Checkpoint 0_Step-0.ckpt on reinvent_base, times in seconds" in out
    assert [line.split() for line in out.splitlines() if line.split()[1:] == ["20.002", "0", "0", "0"]]
    found = keys_of(project)
    (trace,) = [key for key in found if key.endswith("/evaluation-simtrace/0-iteration.csv")]
    folder = trace.partition("/")[0]
    assert {f"metrics/evaluation/{folder}.json", f"{folder}/mp4/camera-pip/0-video.mp4"} <= found
    assert "mp4/camera-pip/0-video.mp4" in found
    assert store.get(f"{PREFIX}/model/.coach_checkpoint") == newest
    assert find_containers(f"deepracer-eval-{RUN_ID}") == []
    assert not list((project.root / "tmp" / "secrets").glob("eval-*"))

    assert project.drctl("--output", "json", "eval", "-c") == 0
    (race,) = json.loads(capsys.readouterr().out)["data"]["races"]
    assert (race["laps_complete"], race["best_s"], race["laps"][0]["resets"]) == (3, 20.001, 1)
    assert any(key.startswith("metrics/evaluation/") for key in keys_of(project, f"{PREFIX}-E"))
    assert project.drctl("eval", "--track", "Oval_track", "--track", "reinvent_base") == 2
    capsys.readouterr()

    assert project.drctl("start-viewer") == 0
    assert project.drctl("eval", "-q", "--trials", "500") == 0
    wait_for(lambda: project.is_seen("evaluation"))
    wait_for(lambda: find_containers(f"deepracer-eval-{RUN_ID}"))
    assert project.drctl("eval", "-q") == 5
    assert project.drctl("stop-evaluation") == 0
    wait_for(lambda: "evaluation" not in project.shown_parts())
    assert project.drctl("stop-viewer") == 0
    capsys.readouterr()
    assert find_containers(f"deepracer-eval-{RUN_ID}") == []


def test_a_training_is_watched_and_stopped(project, capsys):
    write_hyperparameters(project, term_cond_max_episodes=4000)
    for number, world in ((2, "reInvent2019_track"), (3, "Oval_track")):
        (project.root / f"worker-{number}.env").write_text(f"DR_WORLD_NAME={world}\n")
    chosen = {"DR_WORKERS": "3", "DR_ROBOMAKER_MOUNT_LOGS": "True", "DR_TRAIN_MULTI_CONFIG": "True"}
    assert project.drctl("start-training", "-w", "-q", **chosen) == 0
    assert project.drctl("logs-robomaker", "-n", "2") == 0
    assert "Starting as worker 2, using world Oval_track and training_params_3.yaml." in capsys.readouterr().out
    capsys.readouterr()
    status = wait_for(lambda: (found := project.status()).trainer.get("iteration", 0) >= 2 and found)
    assert status.phase in ("collecting_episodes", "updating_policy", "publishing_checkpoint")
    assert [part.condition for part in status.parts] == ["alive"] * 4
    wait_for(lambda: (project.status().trainer.get("checkpoint") or {}).get("last", 0) >= 1)
    assert project.drctl("status") == 0
    out = capsys.readouterr().out
    assert "worker-2   alive      container" in out
    assert "last one: off track at 40 %" in out
    check_containers(project)
    check_viewer(project, capsys)

    assert project.drctl("eval") == 5
    assert "is being trained, and the community images change the model that they race" in capsys.readouterr().err

    # A worker that dies stays dead: another one would write over its traces. Status says who waits for whom.
    project.case.kill(project.root, "worker-1")
    status = wait_for(lambda: (found := project.status()).parts[2].condition == "gone" and found)
    wait_for(lambda: project.shown_parts().get("worker-1", {}).get("condition") == "gone")
    (wait,) = [wait for wait in status.waits if wait.for_whom == "worker-1"]
    assert wait.is_trouble
    assert wait.why.startswith("worker-1 was killed by SIGKILL")
    assert wait.why.endswith("and is not started again")

    assert project.drctl("stop-training") == 0
    assert "stopped by its user" in capsys.readouterr().out
    assert containers() == {}
    assert not list((project.root / "tmp" / "secrets").glob("*.env"))
    assert "model/.lock" not in keys_of(project)
    assert (project.root / "data" / "logs" / "robomaker" / PREFIX).is_dir()


def check_containers(project):
    """Ports are those of DeepRacer-for-Cloud, on this machine alone; no key stands in what is rendered."""
    ports = {}
    for part, one in containers().items():
        bindings = json.loads(ask_docker("inspect", "--format={{json .HostConfig.PortBindings}}", one.name))
        assert all(binding["HostIp"] == "127.0.0.1" for found in bindings.values() for binding in found)
        shown = ask_docker("port", one.name, "8080/tcp").strip() if part != "trainer" else None
        ports[part] = shown
    streams = [int(shown.rpartition(":")[2]) for shown in ports.values() if shown]
    assert len(set(streams)) == 3
    assert all(8080 <= port <= 8089 for port in streams)
    for port in streams:
        topic = "/racecar/deepracer/kvs_stream"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/snapshot?topic={topic}", timeout=10) as answer:
            assert answer.read().startswith(b"\xff\xd8")
    keys = json.loads((project.root / "tmp" / "secrets" / "store-keys.json").read_text())
    folder = project.root / "tmp" / f"run-{RUN_ID}"
    written = "".join(path.read_text() for pattern in ("*.json", "*.yml") for path in folder.glob(pattern))
    assert keys["secret_access_key"] not in written
    file = project.root / "tmp" / "secrets" / f"run-{RUN_ID}-store.env"
    assert file.stat().st_mode & 0o077 == 0


def check_viewer(project, capsys):
    """The workers' own streams are on the page, and their driven lines on its map."""
    assert project.drctl("start-viewer") == 0
    wait_for(lambda: [one["condition"] for one in project.shown_parts().values()] == ["alive"] * 4)
    with project.page(f"/frames?view={RUN_ID}/worker-2/overlay/0&view={RUN_ID}/worker-0/onboard/0&width=320") as answer:
        sizes = {}
        while len(sizes) < 2:
            index, length = struct.unpack(">HI", answer.read(6))
            sizes[index] = Image.open(io.BytesIO(answer.read(length))).size
    assert sizes == {0: (320, 240), 1: (160, 120)}
    with project.page(f"/runs/{RUN_ID}/laps") as answer:
        assert json.load(answer)["clips"]
    capsys.readouterr()
    assert project.drctl("view-stream", "-n", "2") == 0
    own, page = capsys.readouterr().out.splitlines()[:2]
    assert own.startswith("http://127.0.0.1:80")
    assert page.startswith(f"http://127.0.0.1:8197/runs/{RUN_ID}/workers/worker-2/stream?topic=/racecar/deepracer/kvs")
    with urllib.request.urlopen(page.replace("/stream?", "/snapshot?"), timeout=10) as answer:
        assert answer.read().startswith(b"\xff\xd8")


def test_a_reward_function_that_raises_ends_the_run(project, capsys):
    (project.root / "custom_files" / "reward_function.py").write_text(
        "def reward_function(params):\n    return params['waypoints'][0][0] if params['steps'] == 10.0 else 1.0\n"
    )  # fine here; the stand-in has no waypoints
    write_hyperparameters(project)
    assert project.drctl("start-training", "-w", DR_WORKERS="1") == 3
    err = capsys.readouterr().err
    assert "reward function: KeyError: 'waypoints'" in err
    assert "drctl logs-robomaker -n 0 shows what came before it" in err
    assert containers() == {}


def test_an_image_that_cannot_be_pulled_is_said_and_nothing_is_left(project, capsys):
    never = {"DR_SIMAPP_VERSION": "no-such-tag", "DR_LOCAL_S3_MODEL_PREFIX": "never"}
    assert project.drctl("start-training", "-q", **never) == 4
    err = capsys.readouterr().err
    assert f"error[unavailable]: this machine lacks the image {IMAGE}:no-such-tag, and it cannot be pulled" in err
    assert f"fix:      docker pull {IMAGE}:no-such-tag" in err
    assert containers() == {}
    assert find_containers("s3") == []


def test_the_parameters_are_those_of_the_plan(project):
    write_hyperparameters(project, term_cond_max_episodes=4000)
    assert project.drctl("start-training", "-w", "-q") == 0
    found = yaml.safe_load(store_of(project).get(f"{PREFIX}/training_params.yaml"))
    assert (found["NUM_WORKERS"], found["S3_ENDPOINT_URL"]) == ("2", "http://minio:9000")
