"""Tables of plain text, as results show them."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def lay_out(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, to_the_right: Collection[str] | None = None
) -> list[str]:
    """Return the lines of a table.

    Args:
        head: Titles of the columns.
        rows: Texts, as many per row as there are titles.
        to_the_right: Titles of the columns whose texts stand at their right side, as numbers do; None for all but the
            first.
    """
    numbers = head[1:] if to_the_right is None else to_the_right
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if title in numbers else text.ljust(width)
            for title, text, width in zip(head, row, widths, strict=True)
        ).rstrip()
        for row in (head, *rows)
    ]
