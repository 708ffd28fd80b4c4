"""The program's first moments, before the command line is read."""

import sys

import typer.main

from drctl.__main__ import main


class Interrupt:
    """An importer in whose time the user presses Ctrl-C."""

    def find_spec(self, name, *_):
        if name == "drctl.cli.app":
            raise KeyboardInterrupt


def test_ctrl_c_before_the_command_is_known_ends_it_without_a_traceback(monkeypatch, capsys):
    def interrupt(_app):
        raise KeyboardInterrupt

    monkeypatch.setattr(typer.main, "get_command", interrupt)
    monkeypatch.setattr(sys, "argv", ["drctl", "--version"])
    assert main() == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_ctrl_c_while_the_program_loads_ends_it_without_a_traceback(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "drctl.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupt(), *sys.meta_path])
    assert main() == 130
    assert capsys.readouterr().err == "interrupted\n"
