"""Writes the shell functions that let DeepRacer-for-Cloud's commands go on working."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final, Literal

from drctl.cli.drfc_verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drctl.cli.drfc_verbs import Verb

Shell = Literal["bash", "zsh", "fish"]

SUMMARY: Final = "dr-summary"

# An alias of DeepRacer-for-Cloud's, which would go before a function of its name.
_ALIAS: Final = "dr-local-aws"


def render_functions(shell: Shell, program: Sequence[str], *, has_summary: bool) -> str:
    """Return the script that a shell evaluates; it sets no variable, so that the env files count.

    Args:
        shell: For which. Those for bash and zsh are the same.
        program: Command line of drctl up to the command, such as ``/home/me/.venv/bin/drctl -e NAME``.
        has_summary: An interactive shell shows at once what runs.
    """
    render = _fish_function if shell == "fish" else _posix_function
    start = "drctl activate fish | source" if shell == "fish" else 'eval "$(drctl activate)"'
    lines = [f"# DeepRacer-for-Cloud's commands, answered by drctl. Use: {start}"]
    if shell != "fish":
        lines.append(f"unalias {_ALIAS} 2>/dev/null || :")
    lines += [render(verb, program) for verb in VERBS]
    if has_summary:
        is_interactive = "status is-interactive; and" if shell == "fish" else "case $- in *i*)"
        lines.append(f"{is_interactive} {SUMMARY}" + ("" if shell == "fish" else " ;; esac"))
    return "\n".join(lines)


def _posix_function(verb: Verb, program: Sequence[str]) -> str:
    # With the keyword, because a name before () would be looked up among the aliases.
    flags = ' "$@"' if verb.command else ""
    return f"function {verb.name} {{ {shlex.join(_words(verb, program))}{flags}; }}"


def _fish_function(verb: Verb, program: Sequence[str]) -> str:
    words = " ".join(_quote_for_fish(word) for word in _words(verb, program))
    flags = " $argv" if verb.command else ""
    return f"function {verb.name}; {words}{flags}; end"


def _words(verb: Verb, program: Sequence[str]) -> list[str]:
    """Return what a command becomes; one that is replaced explains itself, whatever flags it is given."""
    return [*program, *(verb.command or ("activate", "--explain", verb.name))]


def _quote_for_fish(word: str) -> str:
    if word == shlex.quote(word):
        return word
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
