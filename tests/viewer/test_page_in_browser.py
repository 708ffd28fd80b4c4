"""The page in a real browser, over a short real training: what people see, and what they see when a worker dies."""

from __future__ import annotations

import json
import os
import signal

import pytest

from drctl.cli.app import main
from drctl.config.project import load_project
from drctl.engines.state import read_state
from drctl.operations.project import init_project

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

PATIENCE_MS = 120_000
PORT = 8123
SETTINGS = {
    "DR_RUN_ID": "5",
    "DR_WORKERS": "2",
    "DR_TRAIN_STOP_WHEN": "max_episodes",
    "DR_TRAIN_MIN_EVAL_TRIALS": "2",
    "DR_EVAL_NUMBER_OF_TRIALS": "1",
    "DR_EVAL_MAX_RESETS": "0",
    "DR_WEBVIEWER_PORT": str(PORT),
    "DR_CAMERA_SUB_ENABLE": "True",
}
# Loads the video and plays a second of it: a whole race may last a minute.
PLAY = """video => new Promise((done, failed) => {
    video.ontimeupdate = () => { if (video.currentTime > 0.5) done([video.videoWidth, video.videoHeight]) }
    video.onerror = () => failed(new Error(video.error.message))
    video.play().catch(failed)
})"""


@pytest.fixture(scope="module")
def drctl(tmp_path_factory):
    """Type commands in a project with a training that lasts as long as the tests."""
    root = tmp_path_factory.mktemp("viewer") / "project"
    init_project(root)
    file = root / "custom_files" / "hyperparameters.json"
    few = {"num_episodes_between_training": 4, "num_epochs": 1, "term_cond_max_episodes": 100_000}
    file.write_text(json.dumps({**json.loads(file.read_text()), **few}))

    def type_in(*words):
        return main(["--project", str(root), *(f"--set={name}={value}" for name, value in SETTINGS.items()), *words])

    assert type_in("start-training", "-q", "-v") == 0
    type_in.project = load_project(root, SETTINGS)
    yield type_in
    type_in("stop-viewer")
    type_in("stop-all", "-f")


@pytest.fixture
def page(drctl, browser):
    """The viewer's page; at the end nothing may have gone wrong in it."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    troubles = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"http://127.0.0.1:{PORT}/")
    yield page
    context.close()
    assert troubles == []


def picture_of(page, selector):
    return page.eval_on_selector(selector, "canvas => canvas.toDataURL()")


def test_cameras_move_and_cars_are_on_the_map(page):
    for worker in ("worker-0", "worker-1"):
        canvas = f'[data-worker="{worker}"][data-camera="overlay"] canvas'
        page.wait_for_selector(f'{canvas}:not([data-frames="0"])', timeout=PATIENCE_MS)
        before = picture_of(page, canvas)
        page.wait_for_function(
            "([selector, before]) => document.querySelector(selector).toDataURL() !== before",
            arg=[canvas, before],
            timeout=PATIENCE_MS,
        )
    page.wait_for_selector('#map[data-cars]:not([data-cars="0"])', timeout=PATIENCE_MS)
    page.get_by_role("button", name="All", exact=True).click()
    page.wait_for_selector('[data-camera="top"] canvas:not([data-frames="0"])', timeout=PATIENCE_MS)
    assert page.locator("#tiles figure").count() == 8


def test_charts_fill(page):
    for title in ("Progress", "Reward", "Entropy", "Policy loss", "Value loss"):
        canvas = f'[data-chart="{title}"] canvas'
        page.wait_for_function(
            "selector => Number(document.querySelector(selector)?.dataset.points) >= 2", arg=canvas, timeout=PATIENCE_MS
        )
        assert picture_of(page, canvas) != picture_of(page, '[data-chart="Lap times"] canvas')
    page.wait_for_selector('#models a:has-text("model_1.pb")', timeout=PATIENCE_MS)


def test_a_killed_worker_is_shown_as_gone_and_comes_back(page, drctl):
    page.wait_for_selector('[data-part="worker-1"][data-condition="alive"]', timeout=PATIENCE_MS)
    part = next(one for one in read_state(drctl.project.run_folder).parts if one.name == "worker-1")
    os.kill(part.process.pid, signal.SIGKILL)
    page.wait_for_selector('[data-part="worker-1"]:not([data-condition="alive"])', timeout=PATIENCE_MS)
    page.wait_for_selector('[data-part="worker-1"][data-condition="alive"]', timeout=PATIENCE_MS)
    canvas = '[data-worker="worker-1"] canvas'
    frames = page.get_attribute(canvas, "data-frames")
    page.wait_for_function(
        "([selector, frames]) => document.querySelector(selector).dataset.frames !== frames",
        arg=[canvas, frames],
        timeout=PATIENCE_MS,
    )
    assert "restarted 1" in page.inner_text('[data-part="worker-1"]')


def test_races_appear_with_videos_that_play(page, drctl):
    assert drctl("eval", "--mp4") == 0
    page.wait_for_selector('#races button[data-video="camera-pip"]', timeout=PATIENCE_MS)
    page.click('#races button[data-video="camera-pip"]')
    assert page.locator("#player video").evaluate(PLAY) == [640, 480]


def test_a_phone_shows_everything_in_one_column(drctl, browser):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", device_scale_factor=2)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{PORT}/")
    page.wait_for_selector("#main:not([hidden])", timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.get_attribute("html", "data-theme") == "dark"
    context.close()


def test_a_wrong_token_gets_403_and_the_right_one_leaves_the_address(drctl, browser):
    token = (drctl.project.secrets_folder / "viewer-token").read_text()
    context = browser.new_context()
    page = context.new_page()
    assert page.goto(f"http://127.0.0.1:{PORT}/?token=wrong").status == 403
    assert "drctl start-viewer" in page.inner_text("body")
    assert page.goto(f"http://127.0.0.1:{PORT}/?token={token}").status == 200
    assert page.url == f"http://127.0.0.1:{PORT}/"
    context.close()


def test_a_run_that_has_ended_shows_its_last_laps_and_its_races_on_the_map(page, drctl):
    assert drctl("stop-training") == 0
    page.reload()
    page.wait_for_selector("#main.solo", timeout=PATIENCE_MS)  # nothing is left to be seen by cameras
    page.wait_for_selector('#map[data-cars]:not([data-cars="0"])', timeout=PATIENCE_MS)
    assert page.inner_text("#map-label") == "reinvent_base"
    assert " of iteration " in page.inner_text("#map-count")
    page.click("#races button[data-map]")
    page.wait_for_selector('#map[data-race^="20"][data-cars="1"]', timeout=PATIENCE_MS)
    assert page.inner_text("#map-count").startswith("1 lap of the race of 20")
    page.click("#map-back")
    page.wait_for_selector('#map[data-race=""]', timeout=PATIENCE_MS)
    assert page.locator("#map-back").is_hidden()
