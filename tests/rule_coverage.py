"""Which rule stands on which page of the rule book, and which tests show it.

``python tests/rule_coverage.py`` prints ``docs/coverage.md``.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "docs" / "rules"
PAGE = ROOT / "docs" / "coverage.md"

Kind = Literal["required", "implied", "extra"]
State = Literal["works", "later", "not done", "missing"]

RULE = re.compile(r"\*\*([A-Z]+-\d\d)\*\*")
"""A rule as ``docs/rules`` introduces it."""
_RANGE = re.compile(r"\*\*([A-Z]+)-(\d\d)\*\* to \*\*\1-(\d\d)\*\*")
_LATER = re.compile(r"\*\*([A-Z]+-\d\d)\*\* \*Later:\*|\*later\* \(\*\*([A-Z]+-\d\d)\*\*\)")


class Entry(NamedTuple):
    """What the rule book says of a rule. ``page``: the name of its file, empty for none."""

    state: State
    page: str


class Shown(NamedTuple):
    """A test that shows a rule: its file below ``tests``, and its name."""

    file: str
    test: str


def kinds() -> dict[str, Kind]:
    """Every rule there is, in order: ``required`` was asked for, ``implied`` goes with it, ``extra`` beyond."""
    areas = yaml.safe_load((ROOT / "tests" / "rules.yaml").read_text("utf-8"))
    found = {(area, number): kind for area, of in areas.items() for kind, numbers in of.items() for number in numbers}
    order = list(areas)
    return {
        f"{area}-{number:02}": found[area, number]
        for area, number in sorted(found, key=lambda place: (order.index(place[0]), place[1]))
    }


def book() -> dict[str, Entry]:
    """The rules that the pages introduce."""
    return {
        rule: Entry(state, path.name)
        for path in sorted(BOOK.glob("*.md"))
        for paragraph in path.read_text("utf-8").split("\n\n")
        for rule, state in states(paragraph).items()
    }


def states(paragraph: str) -> dict[str, State]:
    """The rules of a paragraph, and whether they work."""
    common: State = "works"
    if paragraph.startswith("*Later:*"):
        common = "later"
    elif paragraph.startswith("Not needed:") or "*Not done:*" in paragraph:
        common = "not done"
    between = [
        f"{area}-{number:02}"
        for area, first, last in _RANGE.findall(paragraph)
        for number in range(int(first), int(last) + 1)
    ]
    later = {one or other for one, other in _LATER.findall(paragraph)}
    return {rule: "later" if rule in later else common for rule in [*RULE.findall(paragraph), *between]}


def marked(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Rule and test of each ``@pytest.mark.rule(id)``, on the test itself, in its parameters, or on its class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from ((rule, test.name) for rule in _rules_of(node) for test in _tests_in(node))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((rule, node.name) for rule in _rules_of(node))


def _tests_in(node: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    functions = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return (each for each in functions if each.name.startswith("test_"))


def _rules_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        yield from rules_in(decorator)


def rules_in(tree: ast.AST) -> Iterator[str]:
    """The id of each ``pytest.mark.rule(id)``, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.rule":
            yield from (str(ast.literal_eval(argument)) for argument in node.args)


def shown() -> dict[str, list[Shown]]:
    """By rule, the tests that show it."""
    found: dict[str, list[Shown]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        file = path.relative_to(ROOT / "tests").as_posix()
        for rule, test in sorted(set(marked(ast.parse(path.read_text("utf-8"), str(path))))):
            found.setdefault(rule, []).append(Shown(file, test))
    return found


def coverage_page() -> str:
    """The page, as it stands in ``docs/coverage.md``."""
    known, told, tests = kinds(), book(), shown()
    rows = [_row(rule, kind, told.get(rule), tests.get(rule, [])) for rule, kind in known.items()]
    return "\n".join([*_head(known, told, tests), *_table(("rule", "", "state", "page", "tests"), rows), ""])


def _head(known: Mapping[str, Kind], told: Mapping[str, Entry], tests: Mapping[str, object]) -> list[str]:
    counts = Counter((kind, told[rule].state if rule in told else "missing") for rule, kind in known.items())
    tested = Counter(kind for rule, kind in known.items() if rule in tests)
    columns: tuple[State, ...] = ("works", "later", "not done", "missing")
    kinds: tuple[Kind, ...] = ("required", "implied", "extra")
    rows = [[kind, *(str(counts[kind, state]) for state in columns), str(tested[kind])] for kind in kinds]
    return [
        "# Rules and their tests",
        "",
        "Written by `python tests/rule_coverage.py`. A rule is *required* where it was asked for, *implied* where a",
        "required one cannot work without it, *extra* otherwise. What it says stands on its page of the",
        "[rule book](rules/README.md); *missing* is one without a page, *not done* one that is left out on purpose.",
        "In the files of tests, `@pytest.mark.rule` says which of them show it.",
        "",
        *_table(("", *columns, "with tests"), rows),
        "",
    ]


def _row(rule: str, kind: Kind, entry: Entry | None, tests: Iterable[Shown]) -> list[str]:
    """Tests by their files: whose names would change the page every day."""
    files = dict.fromkeys(one.file for one in tests)
    told = ", ".join(f"[{Path(file).stem.removeprefix('test_')}](../tests/{file})" for file in files)
    page = f"[{Path(entry.page).stem}](rules/{entry.page})" if entry else ""
    return [rule, kind, entry.state if entry else "**missing**", page, told]


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    columns = list(heads)
    return [_line(columns), _line(["---"] * len(columns)), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(coverage_page(), end="")
