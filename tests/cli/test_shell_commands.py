"""``activate`` and ``completion``: every command of DeepRacer-for-Cloud gives one of three answers."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from drctl.cli.app import app, main
from drctl.cli.drfc_verbs import VERBS, render_table
from drctl.cli.shell_functions import render_functions
from drctl.operations.project import init_project

DOCS = Path(__file__).parents[2] / "docs" / "drfc-commands.md"
HERE = [verb for verb in VERBS if verb.answer != "replaced"]
ROOT = typer.main.get_command(app)

# Commands that DeepRacer-for-Cloud's reference and its users name.
KNOWN = {
    "dr-start-training",
    "dr-stop-training",
    "dr-increment-training",
    "dr-start-evaluation",
    "dr-stop-evaluation",
    "dr-stop-all",
    "dr-upload-custom-files",
    "dr-download-custom-files",
    "dr-upload-model",
    "dr-download-model",
    "dr-upload-car-zip",
    "dr-create-car-zip",
    "dr-increment-upload-model",
    "dr-set-upload-model",
    "dr-list-aws-models",
    "dr-logs-sagemaker",
    "dr-logs-robomaker",
    "dr-start-viewer",
    "dr-stop-viewer",
    "dr-update-viewer",
    "dr-view-stream",
    "dr-start-metrics",
    "dr-stop-metrics",
    "dr-start-loganalysis",
    "dr-stop-loganalysis",
    "dr-url-loganalysis",
    "dr-logs-loganalysis",
    "dr-update-env",
    "dr-update",
    "dr-reload",
    "dr-summary",
    "dr-local-aws",
    "dr-find-sagemaker",
    "dr-find-robomaker",
    "dr-get-robomaker-stats",
    "dr-start-tournament",
    "droa-list-models",
    "droa-get-model",
    "droa-download-logs",
    "droa-delete-model",
    "droa-import-model",
}


@pytest.fixture
def stand_in(tmp_path):
    """A program that prints the words it is given, each in brackets; its name needs quotes."""
    program = tmp_path / "it's drctl"
    program.write_text('#!/bin/sh\nprintf "[%s]" "$@"; echo\nexit 7\n')
    program.chmod(0o755)
    return program


def need(shell):
    found = shutil.which(shell)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{shell} is missing; apt-get install {shell}")
        pytest.skip(f"{shell} is not installed")
    return found


def run_in(shell, script):
    options = ["--no-config"] if shell == "fish" else ["--norc"] if shell == "bash" else ["-f"]
    return subprocess.run([need(shell), *options], input=script, capture_output=True, text=True, check=False)


def test_no_command_is_forgotten():
    assert {verb.name for verb in VERBS} == KNOWN
    assert len(VERBS) == len(KNOWN)
    assert all(bool(verb.command) == (verb.answer != "replaced") for verb in VERBS)
    assert all(verb.name == f"dr-{verb.command[0]}" for verb in VERBS if verb.answer == "works")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_becomes_one_of_drctl_with_the_same_flags(shell, stand_in):
    script = render_functions(shell, [str(stand_in), "-e", "sprint 1"], has_summary=False)
    calls = "".join(f"{verb.name} {' '.join(verb.flags)} 'a b' '*'\n" for verb in VERBS)
    done = run_in(shell, f"{script}\n{calls}")
    assert done.stderr == ""
    for verb, line in zip(VERBS, done.stdout.splitlines(), strict=True):
        flags = [*verb.flags, "a b", "*"] if verb.command else []
        words = ["-e", "sprint 1", *(verb.command or ("activate", "--explain", verb.name)), *flags]
        assert line == "".join(f"[{word}]" for word in words)


def test_a_function_returns_what_drctl_returned_and_goes_before_an_alias(stand_in):
    script = render_functions("bash", [str(stand_in)], has_summary=False)
    alias = "shopt -s expand_aliases\nalias dr-local-aws='aws --profile minio'\n"
    done = run_in("bash", f"set -eu\n{alias}{script}\ndr-local-aws s3 ls || echo $?\n")
    assert (done.stdout, done.stderr) == ("[activate][--explain][dr-local-aws]\n7\n", "")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.answer == "replaced"], ids=lambda verb: verb.name)
def test_what_is_replaced_says_by_what_and_fails(verb, capsys):
    assert main(["activate", "--explain", verb.name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error[usage]: {verb.name} has no counterpart here\n  expected: {verb.note}\n  fix:      drctl --help\n"
    )


def test_real_functions_in_a_real_shell(tmp_path):
    """From the program itself: a command that works, one that is renamed, one that is replaced, and the summary."""
    init_project(tmp_path)
    program = Path(sys.executable).with_name("drctl")
    script = f"""
    eval "$({shlex.quote(str(program))} activate)"
    dr-summary; echo "exit $?"
    dr-logs-robomaker -n 0; echo "exit $?"
    dr-start-metrics -q; echo "exit $?"
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DR_")}
    done = subprocess.run(
        ["bash", "--norc"], input=script, capture_output=True, text=True, check=True, cwd=tmp_path, env=plain
    )
    assert re.findall(r"exit \d", done.stdout) == ["exit 0", "exit 2", "exit 2"]
    assert "nothing was started in this project yet" in done.stdout
    assert "there is no worker 0 where workers count from 1" in done.stderr
    assert "dr-start-metrics has no counterpart here" in done.stderr


def test_the_functions_keep_what_was_said_before_the_verb(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/drctl", "activate"])
    assert main(["--project", str(tmp_path), "--set", "DR_WORKERS=2", "activate"]) == 0
    start = f"/opt/drctl --project {tmp_path} --set DR_WORKERS=2 start-training"
    assert f'function dr-start-training {{ {start} "$@"; }}' in capsys.readouterr().out


@pytest.mark.parametrize(("settings", "is_shown"), [((), True), (("DR_QUIET_ACTIVATE=True",), False)])
def test_an_interactive_shell_in_a_project_shows_what_runs_unless_told_not_to(tmp_path, capsys, settings, is_shown):
    init_project(tmp_path)
    sets = [word for one in settings for word in ("--set", one)]
    for shell, line in (
        ("bash", "case $- in *i*) dr-summary ;; esac"),
        ("fish", "status is-interactive; and dr-summary"),
    ):
        assert main(["--project", str(tmp_path), *sets, "activate", shell]) == 0
        assert (capsys.readouterr().out.splitlines()[-1] == line) is is_shown


@pytest.mark.parametrize("verb", HERE, ids=lambda verb: verb.name)
def test_the_table_names_commands_and_flags_that_there_are(verb):
    command = ROOT.commands[verb.command[0]]
    options = {name for parameter in command.params for name in parameter.opts}
    assert set(verb.flags) | set(verb.command[1:]) <= options


def test_the_docs_show_the_table():
    assert render_table() in DOCS.read_text(), "put render_table() into docs/drfc-commands.md"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_completions(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_DRCTL_COMPLETE=complete_{shell}" in script
    assert "drctl" in script


def test_tab_completes_commands_and_options_in_bash():
    program = Path(sys.executable).with_name("drctl")
    script = f"""
    PATH={shlex.quote(str(program.parent))}:$PATH
    eval "$(drctl completion bash)"
    ask() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _drctl_completion drctl; echo "${{COMPREPLY[@]}}"; }}
    ask drctl start-t
    ask drctl tracks sh
    ask drctl export-car --che
    """
    done = run_in("bash", script)
    assert (done.stdout, done.stderr) == ("start-training\nshow\n--checkpoint\n", "")


def test_an_unknown_shell_is_refused(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert capsys.readouterr().err.startswith(
        "error[usage]: invalid value for 'SHELL': 'tcsh' is not one of 'bash', 'zsh', 'fish'\n"
    )
