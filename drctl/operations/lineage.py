"""Which model began with which: the tree that models grow into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drctl.operations.stored_models import Parent, StoredModel


@dataclass(frozen=True)
class Branch:
    """A model and those that began with it.

    Attributes:
        name: Prefix; for a parent in another store with that in front.
        model: None for a parent that is not in this bucket.
        origin: How it came from what it hangs on; None at the root, and where that is not known.
        children: By name.
    """

    name: str
    model: StoredModel | None
    origin: Parent | None
    children: tuple[Branch, ...]


def grow_tree(models: Sequence[StoredModel], store: str) -> list[Branch]:
    """Hang every model on the one that it began with.

    Parents that are gone or lie elsewhere are there by name. A model that was wiped and begun anew with one of its
    own descendants stands at the root.

    Args:
        models: Of one store.
        store: Its name.
    """
    by_name = {model.prefix: model for model in models}
    parents: dict[str, str] = {}
    for model in models:
        name = None if model.parent is None else model.parent.name_from(store)
        if name is not None and model.prefix not in _ancestors(name, parents):
            parents[model.prefix] = name
    children: dict[str, list[str]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)

    def grow(name: str) -> Branch:
        model = by_name.get(name)
        origin = model.parent if model is not None and name in parents else None
        return Branch(name, model, origin, tuple(grow(child) for child in sorted(children.get(name, ()))))

    roots = {name for name in [*by_name, *parents.values()] if name not in parents}
    return [grow(name) for name in sorted(roots)]


def _ancestors(name: str, parents: dict[str, str]) -> set[str]:
    """Return a name and all that it came from."""
    found = {name}
    while name in parents:
        name = parents[name]
        found.add(name)
    return found
