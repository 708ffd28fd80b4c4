"""A worker's streams from end to end: a driven car, the real server process, pictures over HTTP."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import time
import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from drctl.formats.race_params import RaceParams
from drctl.formats.stream_topics import TOPICS
from drctl.simulation.environment import BatchEnvironment, EnvironmentSpec, WorldSpec
from drctl.simulation.episode import EpisodeStart
from drctl.simulation.stream.clip import CLIP_DTYPE, Clip
from drctl.simulation.stream.host import StreamHost
from drctl.simulation.stream.painter import Painter, describe_details
from drctl.simulation.stream.player import Moment, Player
from drctl.simulation.stream.shelf import ClipShelf
from drctl.simulation.stream.topic import View, parse_view
from drctl.simulation.views.camera import top_camera

METADATA = json.dumps(
    {
        "action_space": [{"steering_angle": angle, "speed": 1.0} for angle in (-20, 0, 20)],
        "sensor": ["FRONT_FACING_CAMERA"],
        "neural_network": "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
        "version": "5",
    }
)
SPEC = EnvironmentSpec((WorldSpec("reinvent_base"),), METADATA, "ros2", "def reward_function(params): return 1.0")
OVERLAY = "/racecar/deepracer/kvs_stream"
PATIENCE_S = 120.0


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ({"topic": OVERLAY}, View(0, "overlay", 480, 70)),
        ({"topic": "/sub_camera/zed/rgb/image_rect_color", "car": "4"}, View(4, "top", 480, 70)),
        ({"topic": "/racecar_12/deepracer/kvs_stream", "width": "200"}, View(12, "overlay", 200, 70)),
        ({"topic": OVERLAY, "width": "9000", "quality": "0"}, View(0, "overlay", 640, 1)),
        ({"topic": OVERLAY, "details": "1", "color": "Red"}, View(0, "overlay", 480, 70, True, "Red")),
    ],
)
def test_topics_are_those_of_web_video_server(query, view):
    assert parse_view(query) == view


def test_an_unknown_topic_or_a_number_that_is_none_is_refused():
    with pytest.raises(LookupError):
        parse_view({"topic": "/rosout"})
    with pytest.raises(ValueError, match="wide"):
        parse_view({"topic": OVERLAY, "width": "wide"})


@pytest.fixture(scope="module")
def driven():
    """An environment whose car 0 has driven one episode, with the frame it saw last."""
    environment = BatchEnvironment(SPEC, 1)
    start = EpisodeStart("training", 3, 5)
    environment.begin(0, start)
    cars = np.array([0])
    for _ in range(400):
        result = environment.step(cars, np.array([1]))
        if result.terminated[0]:
            break
    return environment, start, environment.record(0)


def test_the_onboard_view_is_what_the_network_sees(driven):
    environment, start, _ = driven
    pose = tuple(environment.poses(np.array([0]))[0])
    painter = Painter(SPEC.to_json())
    clip = Clip(1, 0, start, "off_track", False, np.zeros(1, CLIP_DTYPE))
    moment = Moment(clip, 0.0, pose, 1.0, 0.0, 0.0, True)
    jpeg = painter.draw(View(0, "onboard", 160, 100), moment, Player(), 0.1)
    seen = np.asarray(Image.open(io.BytesIO(jpeg)), np.float64)
    assert seen.shape == (120, 160)
    assert np.abs(seen - environment.frames[0]).mean() < 1.0


def test_bot_cars_are_shown_where_the_episode_has_them():
    race = RaceParams("HEAD_TO_BOT", bots=4, randomizes_bots=True, bot_speed_m_s=1.0, changes_lanes=True)
    spec = replace(SPEC, worlds=(WorldSpec("reinvent_base", race=race),), seed=3)
    environment, start, cars = (
        BatchEnvironment(spec, 1),
        EpisodeStart("training", 3, 5, is_reversed=True),
        np.array([0]),
    )
    environment.begin(0, start)
    for _ in range(20):
        environment.step(cars, np.array([1]))
    pose = tuple(environment.poses(cars)[0])
    moment = Moment(
        Clip(1, 0, start, "in_progress", True, np.zeros(1, CLIP_DTYPE)),
        environment.time_s(0),
        pose,
        1.0,
        0.0,
        0.0,
        True,
    )
    painter = Painter(spec.to_json())
    jpeg = painter.draw(View(0, "onboard", 160, 100), moment, Player(), 0.1)
    assert np.abs(np.asarray(Image.open(io.BytesIO(jpeg)), np.float64) - environment.frames[0]).mean() < 1.0
    shown, alone = painter.draw(View(0, "top", 640, 100), moment, Player(), 0.1), Painter(SPEC.to_json())
    empty = alone.draw(View(0, "top", 640, 100), moment, Player(), 0.1)
    changed = np.abs(_pixels(shown) - _pixels(empty)).max(axis=2) > 30
    places = top_camera(environment.track(0)).pixel_at(np.column_stack([environment.traffic.of(0)[:, :2], [0.1] * 4]))
    for row, column in places:
        assert changed[int(row) - 3 : int(row) + 4, int(column) - 3 : int(column) + 4].any()


def _pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)), np.float64)


def test_the_extra_lines_tell_laps_and_commands():
    player = Player()
    player.best_lap_s = 62.345
    moment = Moment(None, 0.0, (0.0, 0.0, 0.0), 1.25, -15.0, 33.33, False)
    assert describe_details(moment, player) == (
        "best lap 01:02.345",
        "last lap --",
        "progress 33.3 %",
        "steering -15.0°",
        "throttle 1.25 m/s",
    )


def open_host(interface, ports, say=lambda _: None):
    return contextlib.closing(StreamHost(interface, ClipShelf(), say, ports))


def test_workers_of_one_machine_take_the_ports_after_another():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lines = []
        with open_host("127.0.0.1", (port,), lines.append) as host:
            assert host.address == ""
        assert lines == ["No port is free for streams; the cars cannot be watched"]
        with open_host("127.0.0.1", (port, 0)) as host:
            assert host.address.startswith("127.0.0.1:")


def test_a_container_tells_the_name_that_its_network_knows():
    with open_host("0.0.0.0", (0,)) as host:
        assert host.address.rpartition(":")[0] == socket.gethostname()


@pytest.fixture(scope="module")
def base(driven):
    """Address of a worker whose car 0 has an episode; car 1 has none."""
    _, start, record = driven
    shelf = ClipShelf()
    shelf.clear(SPEC.to_json(), 2)
    shelf.keep(0, start, record)
    host = StreamHost("127.0.0.1", shelf, lambda _: None, (0,))
    host.start()
    return f"http://{host.address}"


def fetch(url):
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
        return response.headers["Content-Type"], response.read()


@pytest.mark.slow
def test_each_topic_gives_another_picture(base):
    pictures = {}
    for name, topic in TOPICS.items():
        kind, body = fetch(f"{base}/snapshot?topic={topic}&width=320")
        assert kind == "image/jpeg"
        image = Image.open(io.BytesIO(body))
        assert image.size == (320, 240)
        pictures[name] = np.asarray(image.convert("RGB"), np.float64)
    names = sorted(pictures)
    differences = [np.abs(pictures[a] - pictures[b]).mean() for a in names for b in names if a < b]
    assert min(differences) > 3.0
    assert sum(topic in fetch(f"{base}/")[1].decode() for topic in TOPICS.values()) == len(TOPICS)


@pytest.mark.slow
def test_the_stream_moves(base):
    with urllib.request.urlopen(f"{base}/stream?topic={OVERLAY}&width=160", timeout=PATIENCE_S) as response:
        assert response.headers["Content-Type"] == "multipart/x-mixed-replace;boundary=boundarydonotcross"
        pictures = set()
        while len(pictures) < 5:
            assert response.readline() == b"--boundarydonotcross\r\n"
            assert response.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(response.readline().removeprefix(b"Content-Length: "))
            assert response.readline() == b"\r\n"
            pictures.add(response.read(length))
            assert response.read(2) == b"\r\n"


@pytest.mark.slow
def test_driven_lines_are_given_once(base, driven):
    _, start, record = driven
    found = json.loads(fetch(f"{base}/episodes")[1])
    assert (found["cars"], found["worlds"]) == (2, ["reinvent_base"])
    (clip,) = found["clips"]
    assert (clip["car"], clip["iteration"], clip["episode"]) == (0, start.iteration, start.episode)
    assert clip["status"] == record.status.value
    assert clip["points"][-1][0] == pytest.approx(record.duration_s, abs=0.01)
    assert clip["points"][-1][1] == pytest.approx(record.rows["x"][-1], abs=0.15)
    seen = json.dumps({"0": clip["serial"]}).replace('"', "%22").replace(" ", "")
    assert json.loads(fetch(f"{base}/episodes?setup={found['setup']}&seen={seen}")[1])["clips"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status"), [("/stream?topic=/rosout", 404), ("/etc/passwd", 404), ("/episodes?seen=[1]", 400)]
)
def test_nonsense_is_refused(base, path, status):
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(base + path)
    with refused.value:
        assert refused.value.code == status


@pytest.mark.slow
def test_the_server_is_there_while_somebody_watches_and_the_port_stays(driven, monkeypatch):
    _, start, record = driven
    monkeypatch.setattr("drctl.simulation.stream.host._SERVER", ("drctl.simulation.stream.server", "--idle", "0.2"))
    shelf = ClipShelf()
    shelf.clear(SPEC.to_json(), 1)
    shelf.keep(0, start, record)
    host = StreamHost("127.0.0.1", shelf, lambda _: None, (0,))
    host.start()
    assert not host.is_serving
    for _ in range(2):
        assert fetch(f"http://{host.address}/snapshot?topic={OVERLAY}")[0] == "image/jpeg"
        deadline = time.monotonic() + PATIENCE_S
        while host.is_serving:
            assert time.monotonic() < deadline
            time.sleep(0.05)
