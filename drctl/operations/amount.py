"""How much there is, for people."""

from __future__ import annotations


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun in the right number: 1 object, 2 objects."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def size_text(size_bytes: int) -> str:
    """Return a size in B, kB, MB or GB."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.2f} GB"
    if size_bytes >= 1e5:
        return f"{size_bytes / 1e6:.1f} MB"
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes >= 1e3 else f"{size_bytes} B"


def objects_text(count: int, size_bytes: int) -> str:
    """Return how many objects there are, and their size together."""
    return f"{count_text(count, 'object')}, {size_text(size_bytes)}"
