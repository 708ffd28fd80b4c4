"""The report in a real browser, offline: light and dark, wide and narrow, and what moves in it."""

from __future__ import annotations

import pytest

from drctl.analysis.reading import read_model
from drctl.analysis.report import Tracks, render_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def open_report(browser, write_model, tmp_path):
    """Show a report of two models; nothing may go wrong in it, and nothing may be fetched."""
    contexts, troubles = [], []
    models = [write_model("first"), write_model("second", lap_steps=50)]
    file = tmp_path / "report.html"
    file.write_text(render_report([read_model(one.store, one.keys) for one in models], Tracks(None)))

    def show(**options):
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
        return page

    yield show
    for context in contexts:
        context.close()
    assert troubles == []


def test_it_fits_a_phone_and_follows_the_system_into_the_dark(open_report):
    page = open_report(viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    page.click("#theme")
    assert page.evaluate(theme) == "light"


def test_laps_are_driven_again(open_report):
    page = open_report(reduced_motion="reduce")
    place = "document.querySelector('.car[data-lap=\"1\"]').getAttribute('transform')"
    before = page.evaluate(place)
    assert page.inner_text(".clock b") == "0.00"
    page.click(".play")
    page.wait_for_function(f"{place} !== {before!r}")
    page.wait_for_function("document.querySelector('.clock b').textContent > '0.20'")
    page.evaluate(
        "const s = document.querySelector('.control input'); s.value = 1; s.dispatchEvent(new Event('input'))"
    )
    assert page.inner_text(".standing li:nth-child(2) .now") == "finished"


def test_values_are_read_off_under_the_pointer(open_report):
    page = open_report(viewport={"width": 1200, "height": 900})
    chart = page.locator("svg.chart[aria-label='Completion']")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.97, box["y"] + 40)
    key = page.locator("section:has(> svg[aria-label='Completion']) .key").first
    assert key.inner_text() == "first 100 %"
    page.mouse.move(0, 0)
    assert key.inner_text() == "first"
