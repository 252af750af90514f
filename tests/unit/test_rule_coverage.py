"""The page about rules and their tests is up to date, and every rule that the rule book promises has a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from rule_coverage import PAGE, ROOT, State, book, coverage_page, kinds, marked, rules_in, shown, states

NOT_BUILT: set[str] = set()
"""Rules that were asked for, or that such rules need, and that are still to be built. To be emptied, never to grow."""
UNTESTED: set[str] = set()
"""Rules that the book promises and no test shows. To be emptied, never to grow."""


def test_the_stored_page_is_the_generated_one() -> None:
    stored = PAGE.read_text("utf-8")
    assert stored == coverage_page(), "python tests/rule_coverage.py > docs/coverage.md writes the new one"


def test_the_rule_book_knows_no_other_rules() -> None:
    assert book().keys() - kinds().keys() == set()


def test_what_was_asked_for_works() -> None:
    asked = {rule for rule, kind in kinds().items() if kind != "extra"}
    told = book()
    assert {rule for rule in asked if rule not in told or told[rule].state != "works"} == NOT_BUILT


def test_what_works_is_shown_by_a_test() -> None:
    tests = shown()
    assert {rule for rule, entry in book().items() if entry.state == "works" and rule not in tests} == UNTESTED


def test_what_tests_show_works() -> None:
    told = book()
    assert {rule for rule in shown() if rule not in told or told[rule].state != "works"} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.name)
def test_every_mark_is_on_a_test(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), str(path))
    found = list(marked(tree))
    assert {rule for rule, _ in found} == set(rules_in(tree))
    assert [test for _, test in found if not test.startswith("test_")] == []


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("**CUST-01** Customers.", {"CUST-01": "works"}),
        ("**CUST-01** and **CUST-02** together, later than others.", {"CUST-01": "works", "CUST-02": "works"}),
        ("**GEN-02** *Later:* teams.", {"GEN-02": "later"}),
        ("*Later:* stamps (**GEN-06**, **GEN-07**).", {"GEN-06": "later", "GEN-07": "later"}),
        ("Prices of the other kind\nare *later* (**PL-08**).", {"PL-08": "later"}),
        ("*Later:* (**SO-40** to **SO-42**).", {"SO-40": "later", "SO-41": "later", "SO-42": "later"}),
        ("Not needed: **GEN-14** (touches).", {"GEN-14": "not done"}),
        ("**SO-15** *Not done:* assembly.", {"SO-15": "not done"}),
        ("No rule here.", {}),
    ],
)
def test_what_a_paragraph_says(paragraph: str, expected: dict[str, State]) -> None:
    assert states(paragraph) == expected


def test_marks_count_on_tests_classes_and_parameters() -> None:
    source = """
@pytest.mark.rule("A-01")
class TestIt:
    @pytest.mark.rule("A-02")
    async def test_one(self): ...

    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.rule("A-03"))])
    def test_two(self, x): ...
"""
    assert sorted(marked(ast.parse(source))) == [
        ("A-01", "test_one"),
        ("A-01", "test_two"),
        ("A-02", "test_one"),
        ("A-03", "test_two"),
    ]


def test_every_rule_has_one_kind_and_stands_in_order() -> None:
    known = kinds()
    assert list(known)[:3] == ["GEN-01", "GEN-02", "GEN-03"]
    assert (known["GEN-01"], known["GEN-02"], known["GEN-09"]) == ("required", "extra", "implied")
    assert len(known) == 219
