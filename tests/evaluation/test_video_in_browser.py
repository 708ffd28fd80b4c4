"""Each race video is played in a real browser."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from drctl.evaluation.video import record_videos
from drctl.simulation.track.library import load_track

_spec = importlib.util.spec_from_file_location("driven_lap", Path(__file__).parent / "driven_lap.py")
driven_lap = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(driven_lap)

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
PLAY = """video => new Promise((done, failed) => {
    video.onended = () => done({
        duration: video.duration, at: video.currentTime, width: video.videoWidth, height: video.videoHeight,
        shown: video.getVideoPlaybackQuality().totalVideoFrames,
    })
    video.onerror = () => failed(new Error(video.error.message))
    video.play().catch(failed)
})"""


@pytest.fixture(scope="module")
def page():
    """A page of a headless browser; skips without one, but fails where `CI` is set."""
    try:
        from playwright.sync_api import sync_playwright

        is_missing = not CHROMIUM.exists()
    except ImportError:
        is_missing = True
    if is_missing:
        reason = f"needs playwright and {CHROMIUM}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    lap = driven_lap.straight_lap(np.arange(16) / 15)
    return record_videos(load_track("Straight_track"), [lap], tmp_path_factory.mktemp("mp4"))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_browser_plays_it_to_the_end(page, videos, index):
    player = videos[index].with_suffix(".html")
    player.write_text(f'<video src="{videos[index].name}" muted preload="auto"></video>')
    page.goto(player.as_uri())
    played = page.locator("video").evaluate(PLAY)
    assert played["duration"] == pytest.approx((16 + 30) / 15, abs=0.01)
    assert played["at"] == pytest.approx(played["duration"])
    assert (played["width"], played["height"]) == (640, 480)
    assert played["shown"] > 10
