"""Trace files: byte for byte, real rows, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from drctl.errors import FormatError
from drctl.formats.episode_status import EpisodeStatus
from drctl.formats.simtrace import CONTINUOUS_ACTION, TRACE_DTYPE, parse_rows, render_rows

HEADER = (
    "episode,steps,X,Y,yaw,steer,throttle,action,reward,done,all_wheels_on_track,progress,closest_waypoint,"
    "track_len,tstamp,episode_status,pause_duration,obstacle_crash_counter,wall_clock"
)
# Three rows of a real DeepRacer-for-Cloud trace, from the test data of aws-deepracer-community/deepracer-utils (MIT-0).
REAL = """\
episode,steps,X,Y,yaw,steer,throttle,action,reward,done,all_wheels_on_track,progress,closest_waypoint,track_len,\
tstamp,episode_status,pause_duration
0,1.0,3.1998960246037553,0.6830985079094312,0.17751789389068745,-20.0,1.0,2,0.0,False,True,0.791472999154484,1,\
17.709159380834848,6.978,prepare,0.0
0,2.0,3.1997327938476117,0.6831032114197831,0.18326595495146542,-20.0,1.0,2,1.0,False,True,0.7905513581379272,1,\
17.709159380834848,7.062,in_progress,0.0
0,3.0,3.2100245437573345,0.6829727568413092,0.10903812976556841,-20.0,1.0,2,1.0,False,True,0.8486656448670529,1,\
17.709159380834848,7.115,in_progress,0.0
"""


def make_row(**values):
    row = np.zeros(1, TRACE_DTYPE)
    row["steps"] = 2.0
    row["status"] = EpisodeStatus.IN_PROGRESS.index
    for name, value in values.items():
        row[name] = value
    return row


def test_byte_for_byte():
    row = make_row(episode=3, x=0.1, y=-1e-05, yaw=179.5, steer=-30.0, throttle=0.6, action=4, reward=1 / 3, done=True)
    for name, value in {"progress": 100.0, "closest_waypoint": 17, "track_len": 17.67, "tstamp": 6.341}.items():
        row[name] = value
    row["status"] = EpisodeStatus.LAP_COMPLETE.index
    row["wall_clock"] = 1700000000.25
    assert render_rows(row).decode() == (
        f"{HEADER}\n"
        "3,2.0,0.1,-1e-05,179.5,-30.0,0.6,4,0.3333333333333333,True,False,100.0,17,17.67,6.341,lap_complete,0.0,0,"
        "1700000000.25\n"
    )


def test_a_continuous_action_has_no_comma():
    row = make_row(action=CONTINUOUS_ACTION, action_steer=-12.5, action_speed=1.25)
    line = render_rows(row).decode().splitlines()[1]
    assert line.split(",")[7] == "[-12.5 1.25]"
    assert len(line.split(",")) == 19


def test_no_rows():
    assert render_rows(np.zeros(0, TRACE_DTYPE)).decode() == HEADER + "\n"
    assert len(parse_rows(HEADER + "\n", "f")) == 0


def test_real_rows_survive_reading_and_writing():
    lines = render_rows(parse_rows(REAL, "0-iteration.csv")).decode().splitlines()
    assert lines[0] == HEADER
    assert lines[1:] == [line + ",0,0.0" for line in REAL.splitlines()[1:]]


def test_units_of_a_real_row():
    row = parse_rows(REAL, "f")[1]
    assert row["tstamp"] == 7.062
    assert row["steer"] == -20.0
    assert row["progress"] == 0.7905513581379272
    assert EpisodeStatus.from_index(row["status"]) is EpisodeStatus.IN_PROGRESS


def test_round_trip_of_every_column():
    rows = np.concatenate(
        [
            make_row(action=CONTINUOUS_ACTION, action_steer=-30.0, action_speed=4.0, all_wheels_on_track=True),
            make_row(action=7, pause_duration=1.5, obstacle_crash_counter=2, wall_clock=1.7e9, status=9),
        ]
    )
    assert np.array_equal(parse_rows(render_rows(rows), "f"), rows)


def test_all_problems_at_once():
    lines = REAL.splitlines()
    lines[1] = lines[1].replace("False", "no").replace("prepare", "ready")
    lines[2] += ",1"
    lines[3] = lines[3].replace(",2,1.0,", ",two,1.0,")
    with pytest.raises(FormatError) as caught:
        parse_rows("\n".join(lines), "0-iteration.csv")
    assert [(problem.where, problem.what) for problem in caught.value.problems] == [
        ("0-iteration.csv:2", "done is 'no'"),
        ("0-iteration.csv:2", "episode_status is 'ready'"),
        ("0-iteration.csv:3", "18 values in a row"),
        ("0-iteration.csv:4", "action is 'two'"),
    ]


@pytest.mark.parametrize("text", ["", "a,b\n", "episode,steps\n1,2\n", HEADER + ",more\n"])
def test_another_file_is_refused(text):
    with pytest.raises(FormatError) as caught:
        parse_rows(text, "f.csv")
    assert caught.value.problems[0].what == "f.csv does not begin with a trace's header"


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(FormatError):
        parse_rows(REAL.replace("0,1.0,", "99999999999,1.0,"), "f.csv")
