"""The plan of the house holds: who may import whom, how long a file may be, which rules tests speak of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from koppel.store import migrate

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "koppel"
LONGEST = 500

BELOW = {
    "__init__": {"api"},
    "errors": set(),
    "document": set(),
    "config": {"document"},
    "odata": set(),
    "mapping": {"odata", "document"},
    "engine": {"mapping", "odata"},
    "rules": {"engine", "mapping", "odata"},
    "tracing": set(),
    "systems": {"odata", "tracing"},
    "store": {"mapping", "odata"},
    "sync": {"engine", "rules", "systems", "store", "mapping", "odata", "config", "tracing"},
    "jobs": {"sync", "engine", "systems", "store", "mapping", "odata", "config"},
    "catalogue": set(),
    "companion": {"catalogue", "engine", "mapping", "odata"},
    "sandbox": {"odata", "catalogue"},
}
"""What each room may use besides itself and ``errors``; the faces may use every room."""
FACES = {"cli", "web", "api"}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of each import of Koppel's own; ``from koppel import x`` names ``koppel.x``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "koppel":
            yield from ((node.lineno, f"koppel.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def trespasses(source: str, home: str, file: str = "<source>") -> Iterator[str]:
    """Imports of a module of room ``home`` that the plan does not allow."""
    for line, module in imported(ast.parse(source, file)):
        name, _, rest = module.partition(".")
        target = rest.partition(".")[0]
        if name == "" or (name == "koppel" and target not in {home, "errors", *BELOW.get(home, ())}):
            yield f"{line}: {home} may not import {module}"


def test_imports_run_downwards() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{trespass}"
        for path in sorted(SOURCE.rglob("*.py"))
        if room(path) not in FACES
        for trespass in trespasses(path.read_text("utf-8"), room(path), str(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("home", "source", "allowed"),
    [
        ("engine", "from koppel.mapping.model import Lookup", True),
        ("engine", "from koppel.engine.merge import merge", True),
        ("odata", "from koppel import errors", True),
        ("engine", "import koppel.rules", False),
        ("sandbox", "from koppel import systems", False),
        ("sandbox", "from koppel.catalogue.pages import Page", True),
        ("companion", "from koppel.sandbox import server", False),
        ("mapping", "def f():\n    from koppel.engine import plan", False),
        ("sync", "from koppel.sandbox.server import build_sandbox", False),
        ("engine", "from .merge import merge", False),
        ("engine", "from aiohttp import web", True),
    ],
)
def test_the_guard_tells_which_imports_are_allowed(home: str, source: str, allowed: bool) -> None:
    assert (list(trespasses(source, home)) == []) is allowed


def test_every_room_is_in_the_plan() -> None:
    rooms = {room(path) for path in SOURCE.rglob("*.py")}
    assert rooms <= BELOW.keys() | FACES


def test_no_file_is_too_long() -> None:
    files = [path for folder in ("src", "tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_migration_has_a_number_of_its_own() -> None:
    numbers = sorted(int(path.name[:4]) for path in migrate.FOLDER.glob("*.sql"))
    assert numbers == list(range(1, len(numbers) + 1))
