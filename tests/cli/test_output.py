from __future__ import annotations

import json

import pytest

from drctl.cli.output import Output, envelope, error_envelope, error_lines, show, show_error
from drctl.errors import ConfigError, ConflictError, Problem, combine_errors
from drctl.result import Message, Result

KEYS = ["version", "command", "ok", "data", "messages", "next_steps", "errors"]
SAMPLE = """\
error[config_invalid]: DR_WORKERS is 'four'
  where:    system.env:12
  expected: an integer from 1 to 64
  fix:      drctl config set DR_WORKERS=4
"""
ERROR = ConfigError(
    "DR_WORKERS is 'four'",
    where="system.env:12",
    expected="an integer from 1 to 64",
    fix="drctl config set DR_WORKERS=4",
)


def test_an_error_looks_like_this(capsys):
    show_error(ERROR, "config check", Output())
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", SAMPLE)


def test_only_what_is_known_gets_a_line_and_long_texts_are_indented():
    assert error_lines("failed", Problem("it broke")) == ["error[failed]: it broke"]
    lines = error_lines("failed", Problem("it broke", where="log\nlast words"))
    assert lines == ["error[failed]: it broke", "  where:    log", "            last words"]


def test_all_problems_are_shown_each_with_its_code(capsys):
    show_error(combine_errors([ERROR, ConflictError("run 0 is taken")]), "start-training", Output())
    heads = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert heads == ["error[config_invalid]: DR_WORKERS is 'four'", "error[conflict]: run 0 is taken"]


def test_the_envelope_of_a_result():
    result = Result({"run_id": 0}, (Message("done", "success"),), ("drctl status",))
    document = envelope("stop-training", result)
    assert list(document) == KEYS
    assert document == {
        "version": 1,
        "command": "stop-training",
        "ok": True,
        "data": {"run_id": 0},
        "messages": [{"level": "success", "text": "done"}],
        "next_steps": ["drctl status"],
        "errors": [],
    }
    assert envelope("x", Result(exit_status=143))["ok"] is False


def test_the_envelope_of_an_error():
    document = error_envelope("config check", ERROR)
    assert list(document) == KEYS
    assert document["ok"] is False
    assert document["errors"] == [
        {
            "code": "config_invalid",
            "what": "DR_WORKERS is 'four'",
            "where": "system.env:12",
            "expected": "an integer from 1 to 64",
            "fix": "drctl config set DR_WORKERS=4",
        }
    ]


def test_json_is_one_document_on_standard_output(capsys):
    result = Result({"a": 1}, (Message("be careful", "warning"),))
    show(result, "status", Output(format="json"))
    captured = capsys.readouterr()
    assert json.loads(captured.out)["data"] == {"a": 1}
    assert captured.err == ""
    show_error(ERROR, "status", Output(format="json"))
    captured = capsys.readouterr()
    assert json.loads(captured.out)["errors"][0]["code"] == "config_invalid"
    assert captured.err == ""


def test_warnings_go_to_standard_error(capsys):
    show(Result({}, (Message("fine"), Message("careful", "warning")), ("drctl status",)), "x", Output())
    captured = capsys.readouterr()
    assert captured.out == "fine\nNext:\n  drctl status\n"
    assert captured.err == "warning: careful\n"


@pytest.mark.parametrize(("has_color", "expected"), [(False, "fine\n"), (True, "\x1b[32mfine\x1b[0m\n")])
def test_color_is_for_terminals(capsys, has_color, expected):
    show(Result({}, (Message("fine", "success"),)), "x", Output(has_color=has_color))
    assert capsys.readouterr().out == expected


def test_commands_that_are_shown_act_on_the_same_experiment(capsys):
    output = Output(experiment="fast", verbs=frozenset({"start-training", "config", "undo"}))
    text = "this drctl cannot; drctl config set A=1, drctl start-training-not, drctl -e x start-training"
    result = Result(messages=(Message(text),), next_steps=("drctl start-training",))
    show(result, "check", output)
    assert capsys.readouterr().out.splitlines() == [
        "this drctl cannot; drctl -e fast config set A=1, drctl start-training-not, drctl -e x start-training",
        "Next:",
        "  drctl -e fast start-training",
    ]
