"""The record of a copied model."""

import json

import pytest

from drctl.errors import FormatError
from drctl.formats.copy_record import CopyRecord, parse_copy_record, render_copy_record
from drctl.formats.manifest import FileRecord

RECORD = CopyRecord(
    source="data/bucket",
    source_prefix="sprint",
    checkpoint=7,
    time="2026-11-28T04:50:04+00:00",
    host="box",
    pid=12,
    started=345,
    names=("model/model_7.pb", "reward_function.py"),
    files={"model/model_7.pb": FileRecord(3, "ab")},
    is_complete=False,
)


def test_round_trip():
    assert parse_copy_record(render_copy_record(RECORD), "copy.json") == RECORD
    assert json.loads(render_copy_record(RECORD))["version"] == 1


@pytest.mark.parametrize("data", [b"", b"[]", b'{"version": 2}', b'{"version": 1}', render_copy_record(RECORD)[:-20]])
def test_what_is_none(data):
    with pytest.raises(FormatError, match="this is not the record of a copy") as caught:
        parse_copy_record(data, "sprint/.drctl/copy.json")
    assert caught.value.problems[0].where == "sprint/.drctl/copy.json"
