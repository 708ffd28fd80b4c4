"""deepracer_checkpoints.json as workers, clones and uploads know it."""

from __future__ import annotations

import pytest

from drctl.errors import FormatError
from drctl.formats.checkpoint_index import (
    CheckpointIndex,
    CheckpointRecord,
    checkpoint_name,
    checkpoint_number,
    parse_checkpoint_index,
    render_checkpoint_index,
)

INDEX = CheckpointIndex(
    best=CheckpointRecord("7_Step-3120.ckpt", 81.5, 1023.4), last=CheckpointRecord("9_Step-4000.ckpt", None, 1234.0)
)
TEXT = (
    b'{"best_checkpoint": {"name": "7_Step-3120.ckpt", "avg_eval_metric": 81.5, "time_stamp": 1023.4}, '
    b'"last_checkpoint": {"name": "9_Step-4000.ckpt", "avg_eval_metric": null, "time_stamp": 1234.0}}'
)


def test_byte_for_byte():
    assert render_checkpoint_index(INDEX) == TEXT


def test_round_trip():
    assert parse_checkpoint_index(TEXT, "f") == INDEX


def test_before_the_first_checkpoint():
    empty = CheckpointRecord(None, None, 0.0)
    assert parse_checkpoint_index(render_checkpoint_index(CheckpointIndex(empty, empty)), "f").best == empty


def test_the_file_that_an_upload_writes():
    # contract 1.4: avg_comp_pct and an epoch time stamp
    entry = '{"name": "3_Step-1500.ckpt", "avg_comp_pct": 50.0, "time_stamp": 1700000000}'
    index = parse_checkpoint_index(f'{{"best_checkpoint": {entry}, "last_checkpoint": {entry}}}', "f")
    assert index.last == CheckpointRecord("3_Step-1500.ckpt", 50.0, 1700000000)


def test_names_and_numbers():
    assert checkpoint_name(12, 4567) == "12_Step-4567.ckpt"
    assert checkpoint_number("12_Step-4567.ckpt") == 12
    assert checkpoint_number("0_Step-0.ckpt") == 0


@pytest.mark.parametrize("name", ["", "12", "12_Step-4567", "a_Step-1.ckpt", "1_Step-1.ckpt.index", "../1_Step-1.ckpt"])
def test_what_is_no_name(name):
    with pytest.raises(FormatError) as caught:
        checkpoint_number(name)
    assert caught.value.problems[0].what == f"{name!r} is not the name of a checkpoint"


def test_all_problems_at_once():
    text = '{"best_checkpoint": {"name": "x", "avg_eval_metric": "y", "mean": 1}, "last": {}}'
    with pytest.raises(FormatError) as caught:
        parse_checkpoint_index(text, "deepracer_checkpoints.json")
    assert [(problem.where, problem.what) for problem in caught.value.problems] == [
        ("deepracer_checkpoints.json: last", 'unknown key "last"'),
        ("deepracer_checkpoints.json: best_checkpoint.mean", 'unknown key "mean"'),
        ("deepracer_checkpoints.json: best_checkpoint.name", 'name is "x"'),
        ("deepracer_checkpoints.json: best_checkpoint.avg_eval_metric", 'avg_eval_metric is "y"'),
        ("deepracer_checkpoints.json: last_checkpoint", "last_checkpoint is missing"),
    ]
