"""Imports point down one list only, and a few libraries have one door each (ARCHITECTURE, "The house")."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "drctl"

# From the top down; modules on one line may import each other.
ORDER = [
    ["cli", "__main__"],
    ["viewer"],
    ["operations"],
    ["analysis"],
    ["status"],
    ["engines"],
    ["stack"],
    ["evaluation"],
    ["trainer"],
    ["simulation"],
    ["link"],
    ["storage"],
    ["formats"],
    ["config"],
    ["resources", "errors", "result", "secrets", ""],
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}

# Library -> the only modules that may import it; a trailing dot means everything below.
DOORS = {
    "boto3": ["storage.s3"],
    "botocore": ["storage.s3", "storage.s3_errors"],
    "typer": ["cli."],
    "rich": ["cli."],
    "subprocess": ["engines.", "simulation.stream.host"],  # a server is there while somebody watches
    "torch": ["trainer."],
    "zmq": ["link."],
    "numba": ["simulation."],
}

# What `drctl --help` reaches when it imports the command modules must stay light.
HEAVY = {"numpy", "numba", "torch", "zmq", "boto3", "botocore", "openvino", "docker", "rich", "gymnasium", "yaml", "av"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    """Return a module's name below the package, such as ``storage.s3``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Give (line, full module name) of every import in a module, those inside functions and TYPE_CHECKING included."""
    tree = ast.parse(path.read_text(), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the full name instead of a relative import"
            yield node.lineno, node.module
            if node.module == "drctl":  # `from drctl import errors`
                yield from ((node.lineno, f"drctl.{alias.name}") for alias in node.names)


def top(name):
    """Return the package's part that a module below it belongs to."""
    return name.split(".")[0]


def points_up(importer, imported):
    """Tell whether one part may not import another."""
    return LEVEL[top(imported)] < LEVEL[top(importer)]


def is_allowed(name, doors):
    return any(name.startswith(door) if door.endswith(".") else name == door for door in doors)


def test_the_list_names_every_part():
    parts = {path.stem for path in PACKAGE.glob("*.py")} | {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert parts - {"__init__", "__pycache__"} <= set(LEVEL)


def test_the_rule_can_fail():
    assert points_up("storage.s3", "trainer.main")
    assert not points_up("trainer.main", "storage.s3")
    assert not is_allowed("trainer.main", DOORS["boto3"])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    importer = name_of(path)
    wrong = [
        f"line {line}: {module}"
        for line, module in imports_of(path)
        if module.split(".")[0] == "drctl" and points_up(importer, module.removeprefix("drctl").lstrip("."))
    ]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_come_in_by_their_door(path):
    name = name_of(path)
    wrong = [
        f"line {line}: {module}"
        for line, module in imports_of(path)
        if module.split(".")[0] in DOORS and not is_allowed(name, DOORS[module.split(".")[0]])
    ]
    assert wrong == []


def test_help_loads_nothing_heavy():
    """Follow what is imported when the command line is, functions and TYPE_CHECKING left out."""
    reached, waiting = set(), ["cli.app"]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for module in top_level_imports(name):
            assert module.split(".")[0] not in HEAVY, f"{name} imports {module}, and drctl --help imports {name}"
            if module.split(".")[0] == "drctl":
                below = module.removeprefix("drctl").lstrip(".")
                waiting += [found for found in (below, top(below)) if file_of(found)]
    assert "cli.output" in reached


def file_of(name):
    """Return a module's file, or None where there is none of this name."""
    base = PACKAGE.joinpath(*name.split(".")) if name else PACKAGE
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def top_level_imports(name):
    """Give what a module imports when it is imported itself; ``from package import module`` gives the module too."""
    for node in ast.parse(file_of(name).read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module.startswith("drctl"))
