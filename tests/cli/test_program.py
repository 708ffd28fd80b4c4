"""The program's first moments, before the command line is read."""

import sys

from drctl.__main__ import main


class Interrupt:
    """An importer in whose time the user presses Ctrl-C."""

    def find_spec(self, name, *_):
        if name == "drctl.cli.app":
            raise KeyboardInterrupt


def test_ctrl_c_while_the_program_loads_ends_it_without_a_traceback(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "drctl.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupt(), *sys.meta_path])
    assert main() == 130
    assert capsys.readouterr().err == "interrupted\n"
