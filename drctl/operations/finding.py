"""What a check found odd: no error, and worth knowing before hours go into a training."""

from __future__ import annotations

from dataclasses import dataclass

from drctl.result import Message


@dataclass(frozen=True)
class Finding:
    """One thing that a training may suffer from.

    Attributes:
        what: What is odd, one line, with the numbers.
        where: File or setting.
        fix: One edit or command that mends it; None where there is a choice to make.
    """

    what: str
    where: str
    fix: str | None = None

    def as_message(self) -> Message:
        """Return it as one line for people."""
        return Message(f"{self.what}; {self.fix}" if self.fix else self.what, "warning")
