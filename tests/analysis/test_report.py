"""The report's page: whole, self-contained, and never the way into a browser for a reward function's text."""

from __future__ import annotations

import json
import re
from datetime import datetime
from html.parser import HTMLParser

import pytest
from analysis.written_model import STEP_S

from drctl.analysis.drawing.chart import Series, draw_chart, thin, ticks
from drctl.analysis.reading import read_model
from drctl.analysis.report import Tracks, drives_by_track, render_report


class Page(HTMLParser):
    """Headings, addresses and the number of open tags of a page."""

    VOID = {"meta", "input", "br"}

    def __init__(self, text):
        super().__init__()
        self.headings, self.addresses, self.open, self.rows = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, _tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings[-1] += data
        if self.rows and self.open and self.open[-1] in ("td", "th", "b"):
            self.rows[-1].append(data)


def render(*models):
    records = [read_model(model.store, model.keys) for model in models]
    return render_report(records, Tracks(None), datetime(2026, 1, 2, 3, 4))


def test_the_page_of_one_model(write_model):
    text = render(write_model())
    page = Page(text)
    assert page.open == []
    assert page.headings == [
        *("model", "Best lap", "Training", "Reward per episode", "Completion", "Lap times", "Entropy", "Value loss"),
        *("Policy loss", "Steps per episode", "Where the time went", "Driving", "Speed on the road"),
        *("Where cars leave the road", "Actions while it learned", "Speed", "Steering", "Actions lately"),
        *("Evaluations", "Settings", "Reward function"),
    ]
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?://", text)
    assert "The first complete lap of an evaluation came in iteration 0, after 5 episodes and 10 s." in text
    assert "80 % of the newest 5 training episodes end beside the road or in a crash." in text
    assert "0.70 of at most 1.61 nats, where all 5 actions are equally likely" in text
    race = next(row for row in page.rows if "2026-01-02 03:04:05" in row)
    times = f"{60 * STEP_S:.2f} · {55 * STEP_S:.2f}"
    assert race == ["2026-01-02 03:04:05", "reinvent_base", "2/2", "3.67", "3.83", "0", "0", "0", times]


def test_a_reward_function_cannot_write_into_the_page(write_model):
    text = render(write_model())
    assert "&lt;/pre&gt;&lt;script&gt;x&lt;/script&gt;" in text
    assert "<script>x</script>" not in text


def test_several_models_side_by_side(write_model):
    first, second = write_model("first"), write_model("second", is_ours=False, lap_steps=50)
    text = render(first, second)
    page = Page(text)
    assert page.headings[:2] == ["Models compared", "Best laps against each other"]
    assert [one for one in page.headings if one in ("first", "second")] == ["first", "second"]
    best = next(row for row in page.rows if row and row[0] == "best lap")
    assert best == ["best lap", f"{55 * STEP_S:.2f} s", f"{45 * STEP_S:.2f} s"]
    laps = json.loads(re.search(r'<script type="application/json">(.*?)</script>', text)[1])
    assert [lap["time"] for lap in laps] == [round(55 * STEP_S, 3), round(45 * STEP_S, 3)]
    assert laps[0]["t"][-1] == laps[0]["time"]
    assert "Its reward function is not known" in text


def test_a_lap_that_left_no_trace_is_told(write_model):
    text = render(write_model(has_race=False))
    fastest, drawn = 57 * STEP_S, 67 * STEP_S
    assert f"The fastest lap of model, {fastest:.2f} s, was driven in an evaluation within the training" in text
    assert f"<b>{drawn:.2f} s</b><small>training, iteration 3</small>" in text


def test_several_tracks_have_maps_of_their_own(write_model):
    model = write_model()
    record = read_model(model.store, model.keys)
    record.drive.rows["track_len"][record.drive.slot == 1] = 5.0
    drives = drives_by_track(record.drive)
    assert [round(float(drive.rows["track_len"][0]), 1) for drive in drives] == [17.7, 5.0]
    headings = Page(render_report([record], Tracks(None))).headings
    assert "Speed on the road, reinvent_base" in headings
    assert "Where cars leave the road, a track of 5.00 m" in headings


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 50, 100]),
        (0.93, 1.21, [1.0, 1.1, 1.2]),
        (-3, 12, [0, 5, 10]),
        (3.2, 3.4, [3.2, 3.25, 3.3, 3.35, 3.4]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert ticks(low, high, 4) == pytest.approx(expected)


@pytest.mark.parametrize(("low", "high"), [(0.031, 0.083), (-22.0, -4.0), (0.0, 1.0), (1e-4, 9e-4), (12.0, 31000.0)])
def test_every_axis_has_numbers_that_differ(low, high):
    figure = draw_chart("Any", [Series("one", "red", [(0.0, low), (1.0, high)])])
    numbers = re.findall(r'text-anchor="end">([^<]*)<', figure.svg)
    assert len(set(numbers)) == len(numbers) >= 2


def test_lines_are_thinned_to_means():
    points = thin([(float(number), number % 2 * 10.0) for number in range(1200)])
    assert len(points) == 300
    assert points[:2] == [(1.5, 5.0), (5.5, 5.0)]
    assert thin([(1.0, 9.0), (2.0, 8.0), (3.0, 7.0), (4.0, 9.0)], 2, takes_least=True) == [(2.0, 8.0), (3.0, 7.0)]


def test_nothing_to_draw():
    assert draw_chart("Empty", [Series("nothing", "red", [])]) is None
