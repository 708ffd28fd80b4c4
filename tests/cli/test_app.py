from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import typer

from drctl.cli import app as program
from drctl.cli.context import describe_environment, invocation_of
from drctl.errors import (
    ConfigError,
    ConflictError,
    DrctlError,
    FailedError,
    InterruptedByUserError,
    UnavailableError,
    UsageError,
)
from drctl.result import Message, Result


@pytest.fixture
def command(monkeypatch):
    """Put one command of the test's own into the program."""

    def put(function, name="try-it"):
        app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
        app.callback()(program._configure)
        app.command(name)(function)
        app.command("other")(lambda: None)
        monkeypatch.setattr(program, "app", app)

    return put


def test_a_result_is_printed_and_its_exit_status_returned(command, capsys):
    command(lambda: Result({}, (Message("done"),), exit_status=143))
    assert program.main(["try-it"]) == 143
    assert capsys.readouterr().out == "done\n"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (FailedError, 1),
        (UsageError, 2),
        (ConfigError, 3),
        (UnavailableError, 4),
        (ConflictError, 5),
        (InterruptedByUserError, 130),
    ],
)
def test_each_kind_of_error_has_its_exit_status(command, capsys, kind, status):
    def fail():
        raise kind("it broke", fix="drctl status")

    command(fail)
    assert program.main(["try-it"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error[{kind.code}]: it broke\n  fix:      drctl status\n"


def test_a_bug_keeps_its_traceback(command):
    def fail():
        raise ZeroDivisionError

    command(fail)
    with pytest.raises(ZeroDivisionError):
        program.main(["try-it"])


def test_ctrl_c_gives_130(command, capsys):
    def wait():
        raise KeyboardInterrupt

    command(wait)
    assert program.main(["try-it"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--output", "json", "try-it"],
        ["try-it", "--output", "json"],
        ["try-it", "--output=json"],
        ["--output=json", "try-it"],
    ],
)
def test_output_may_stand_before_and_after_the_verb(command, capsys, words):
    command(lambda: Result({"a": 1}))
    assert program.main(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["command"], document["data"]) == ("try-it", {"a": 1})


def test_set_and_project_reach_the_command(command, tmp_path):
    seen = []

    def look(ctx: typer.Context):
        seen.append(invocation_of(ctx))

    command(look)
    assert program.main(["try-it", "--set", "DR_WORKERS=2", "--project", str(tmp_path), "--set=DR_SEED=a=b"]) == 0
    assert seen[0].overrides == {"DR_WORKERS": "2", "DR_SEED": "a=b"}
    assert seen[0].folder == tmp_path


def test_what_follows_two_dashes_is_left_alone(command):
    seen = []

    def take(words: list[str]):
        seen.extend(words)

    command(take)
    assert program.main(["try-it", "--", "--output", "json"]) == 0
    assert seen == ["--output", "json"]


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (["strat-training"], "no such command 'strat-training'", "drctl --help"),
        (["try-it", "--wat"], "no such option: --wat", "drctl try-it --help"),
        (["--output", "xml", "try-it"], "invalid value for '--output'", "drctl --help"),
        (["try-it", "--set", "DR_WORKERS"], "--set DR_WORKERS sets nothing", "drctl --set DR_WORKERS=2 COMMAND"),
        (["try-it", "--output"], "--output needs a value", "drctl --help"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(command, capsys, words, what, fix):
    command(lambda: None)
    assert program.main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error[usage]: ")
    assert what.lower() in captured.err.lower()
    assert f"fix:      {fix}" in captured.err


def test_a_wrong_command_line_in_json(command, capsys):
    command(lambda: None)
    assert program.main(["--output", "json", "wat"]) == 2
    assert json.loads(capsys.readouterr().out)["errors"][0]["code"] == "usage"


def test_help_and_version(capsys):
    for words in (["-h"], ["--help"], []):
        assert program.main(words) == 0
        text = capsys.readouterr().out
        assert "start-training" in text
        assert "Sagemaker" in text
        assert "Robomaker" in text
    assert program.main(["start-training", "-h"]) == 0
    assert "--resume" in capsys.readouterr().out
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("drctl ")


def test_every_command_says_what_it_does(capsys):
    root = typer.main.get_command(program.app)
    assert {"init", "config", "start-training", "stop-training", "status", "stop-all", "tracks", "undo"} <= set(
        root.commands
    )
    for command in root.commands.values():
        assert command.get_short_help_str(200)


def test_a_reader_that_has_seen_enough_is_no_error():
    script = "import sys; from drctl.cli.app import main; sys.exit(main(['--help']))"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        error = process.stderr.read()
    assert b"Traceback" not in error


def test_help_loads_no_heavy_library():
    """The whole start, installed libraries included, which a reading of our own files cannot see."""
    script = (
        "import sys; from drctl.cli.app import main; main(['--help']); "
        "heavy = {'numpy', 'numba', 'torch', 'zmq', 'boto3', 'rich', 'yaml', 'pydantic'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert found.stderr.strip() == "[]"


def test_differences_of_the_shell_are_named():
    (message,) = describe_environment({"DR_WORKERS": ("4", "1")})
    assert (message.text, message.level) == ("DR_WORKERS=4 from this shell's environment, not 1", "warning")


def test_errors_survive_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(ConfigError("a", where="b")))
    assert isinstance(error, DrctlError)
    assert error.problems[0].where == "b"
