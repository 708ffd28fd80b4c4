"""Commands that are shown instead of what was typed do the same: no word is lost, and a shell reads them as one."""

from __future__ import annotations

import json

import pytest

from drctl.cli.app import main


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("upload-car-zip", "-L", "-b"), "drctl upload-car-zip -L -b -f"),
        (("upload-car-zip", "--checkpoint", "x", "-p", "a b"), "drctl upload-car-zip -p 'a b' --checkpoint last"),
        (("export-car", "my car.gz", "-o", "b.gz", "-b"), "drctl export-car 'my car.gz' -b"),
        (("export-car", "-b", "--checkpoint", "3", "-f"), "drctl export-car -f --checkpoint 3"),
        (("upload-model", "-b", "-c", "3", "-L"), "drctl upload-model -L -b"),
        (("upload-model", "-c", "3x", "--all"), "drctl upload-model -b"),
        (("import-model", "old/my car", "-c", "1" * 10, "-d"), "drctl import-model 'old/my car' -d --checkpoint last"),
        (
            ("eval", "--checkpoint", "x", "--track", "a", "--track", "b", "--no-mp4", "--trials", "3"),
            "drctl eval --track a --track b --trials 3 --no-mp4 --checkpoint last",
        ),
        (("-e", "fast", "eval", "--checkpoint", "x", "--set", "DR_SEED=1"), "drctl -e fast eval --set DR_SEED=1"),
    ],
)
def test_no_word_is_lost(make_project, monkeypatch, capsys, words, fix):
    monkeypatch.chdir(make_project().root)
    assert main([*words]) == 2
    assert f"  fix:      {fix}" in capsys.readouterr().err


def test_choices_are_told_on_one_line(capsys):
    assert main(["completion"]) == 2
    assert capsys.readouterr().err == (
        "error[usage]: missing argument 'SHELL'. Choose from: bash, zsh, fish\n  fix:      drctl completion --help\n"
    )


def test_ctrl_c_is_said(make_project, monkeypatch, capsys):
    def interrupt(_project, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("drctl.operations.models.list_models", interrupt)
    words = ["--project", str(make_project().root), "list-models"]
    assert main(words) == 130
    assert capsys.readouterr() == ("", "error[interrupted]: interrupted\n")
    assert main([*words, "--output", "json"]) == 130
    assert json.loads(capsys.readouterr().out)["errors"][0]["code"] == "interrupted"
