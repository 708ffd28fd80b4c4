"""Strict JSON: where the mistake is, what is refused that Python would take."""

from __future__ import annotations

import pytest

from drctl.errors import FormatError
from drctl.formats.json_text import read_json, read_json_object


def problem_of(call, *arguments):
    with pytest.raises(FormatError) as caught:
        call(*arguments)
    (problem,) = caught.value.problems
    return problem


def test_a_byte_order_mark_does_not_count():
    assert read_json(b'\xef\xbb\xbf{"a": 1}', "f.json") == {"a": 1}
    assert read_json('\ufeff{"a": 1}', "f.json") == {"a": 1}


def test_a_syntax_error_names_line_and_column():
    problem = problem_of(read_json, b'{\n  "lr": 0.1\n  "batch_size": 64\n}', "hyperparameters.json")
    assert problem.where == "hyperparameters.json:3:3"
    assert problem.what == "hyperparameters.json is not JSON: Expecting ',' delimiter"
    assert problem.fix == "edit line 3 of hyperparameters.json"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "f.json is empty"),
        (b"  \n", "f.json is empty"),
        (b'{"a": 1, "a": 2}', 'the key "a" is there twice'),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": "\xff"}', "f.json is not text in UTF-8 (byte 7)"),
        (b"[" * 100_000, "f.json is nested too deeply"),
    ],
)
def test_what_is_refused(data, what):
    assert problem_of(read_json, data, "f.json").what == what


def test_an_object_is_needed():
    problem = problem_of(read_json_object, b"[1, 2]", "f.json")
    assert problem.what == "f.json holds [1, 2]"
    assert problem.expected == "a JSON object: { ... }"
