"""Rules register under the name that mappings use, with what they declare."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from koppel.engine import rule
from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import (
    RULES,
    Batch,
    Need,
    Rule,
    RuleKind,
    complete,
    compute,
    follow,
    gone,
    precede,
    references,
    refuse,
    rule_named,
    undeclared,
)
from koppel.engine.translate import References
from koppel.errors import MappingError
from koppel.odata.records import Record

RATES = Need(name="rates", table="currencyExchangeRates")


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules of a test are gone after it."""
    monkeypatch.setattr(rule, "RULES", dict(RULES))


def a_rule(batch: Batch) -> Any:
    """What every decorator takes here."""
    return [None for _ in batch.records]


NAME = "test_engine_rule.a_rule"


@pytest.mark.parametrize(
    "register", [compute(reads=()), references(needs=()), refuse(reads=()), complete(), precede(), follow(), gone()]
)
def test_a_rule_stays_the_function_that_it_was(register: Callable[[Any], Any]) -> None:
    assert register(a_rule) is a_rule
    assert rule_named(NAME).function is a_rule
    assert rule_named(NAME).name == NAME


@pytest.mark.parametrize(
    ("register", "kind"),
    [
        (compute, "compute"),
        (refuse, "refuse"),
        (complete, "complete"),
        (precede, "precede"),
        (follow, "follow"),
        (gone, "gone"),
    ],
)
def test_it_keeps_what_it_declares(register: Callable[..., Any], kind: str) -> None:
    register(reads=("number", "blocked"), side="dataverse", needs=(RATES,))(a_rule)
    found = rule_named(NAME)
    assert (found.kind, found.side, found.reads) == (kind, "dataverse", ("number", "blocked"))
    assert (found.needs, found.daily) == ((RATES,), False)


@pytest.mark.parametrize("register", [compute, refuse, complete, precede, follow, gone])
def test_it_looks_at_business_central_unless_it_says_otherwise(register: Callable[..., Any]) -> None:
    register(reads=("x",))(a_rule)
    assert (rule_named(NAME).side, rule_named(NAME).needs) == ("business_central", ())


@pytest.mark.parametrize("register", [complete, precede, follow, gone])
def test_what_is_done_for_every_record_needs_no_column(register: Callable[..., Any]) -> None:
    register()(a_rule)
    assert rule_named(NAME).reads == ()


def test_a_computed_value_may_depend_on_more_than_the_record() -> None:
    compute(reads=(), daily=True)(a_rule)
    assert rule_named(NAME).daily


def test_a_refusal_may_be_of_new_records_only() -> None:
    refuse(reads=())(a_rule)
    assert rule_named(NAME).of == "all"
    refuse(reads=(), of="new")(a_rule)
    assert rule_named(NAME).of == "new"


@pytest.mark.parametrize("register", [complete, follow])
def test_it_says_what_it_writes_to_business_central(register: Callable[..., Any]) -> None:
    register()(a_rule)
    assert rule_named(NAME).writes == {}
    register(writes={"items": ("number",)})(a_rule)
    assert rule_named(NAME).writes == {"items": ("number",)}


def test_a_preview_runs_what_can_be_told_beforehand() -> None:
    follow()(a_rule)
    assert not rule_named(NAME).foreseen
    follow(foreseen=True)(a_rule)
    assert rule_named(NAME).foreseen


def test_references_are_of_a_kind_of_their_own() -> None:
    def users(batch: Batch) -> References:
        return References(dict.fromkeys(batch.keys, "user"))

    references(needs=(RATES,))(users)
    found = rule_named("test_engine_rule.users")
    assert (found.kind, found.needs, found.reads) == ("references", (RATES,), ())


def test_a_mapping_names_the_module_without_its_packages() -> None:
    def group_name(batch: Batch) -> Any:
        return a_rule(batch)

    group_name.__module__ = "koppel.rules.unit"
    assert refuse(reads=("code",))(group_name) is group_name
    assert rule_named("unit.group_name").function is group_name


def test_a_name_that_no_rule_has_is_refused_with_those_there_are() -> None:
    for name in set(rule.RULES):
        del rule.RULES[name]
    complete()(a_rule)
    rule.RULES["another.one"] = rule.RULES[NAME]
    with pytest.raises(MappingError) as caught:
        rule_named("unit.nme")
    assert caught.value.message == "there is no rule 'unit.nme'"
    assert caught.value.remedy == f"known rules: another.one, {NAME}"


def test_a_batch_gives_columns_and_tables_by_name() -> None:
    records = [Record("b-1", "1", ("10000", "Adatum")), Record("b-2", "1", ("20000", "Fabrikam"))]
    rates = [{"code": "EUR"}]
    batch = Batch(columns={"number": 0, "name": 1}, records=records, tables={"rates": rates}, today=date(2024, 5, 1))
    assert batch.column("name") == ["Adatum", "Fabrikam"]
    assert batch.table("rates") == rates


def completing(**declared: Any) -> Rule:
    return Rule(name="x", kind="complete", function=a_rule, side="dataverse", **declared)


def following(kind: RuleKind = "follow", **declared: Any) -> Rule:
    return Rule(name="x", kind=kind, function=a_rule, **declared)


NEW_ORDER = {"customerId": "1", "salesOrderLines": [{"sequence": 1}, {"quantity": 2}]}
DISCOUNT = FollowUp(side="business_central", table="salesOrders", id="1", values={"discountAmount": 1}, record="2")
HANDED_BACK = FollowUp(side="dataverse", table="salesorder", id="2", values={"statecode": 1}, record="2")


@pytest.mark.parametrize(
    ("rule", "results", "left"),
    [
        (
            completing(),
            [NEW_ORDER],
            {("", "customerId"), *(("salesOrderLines", each) for each in ("sequence", "quantity"))},
        ),
        (completing(writes={"": ("customerId",), "salesOrderLines": ("sequence", "quantity")}), [NEW_ORDER], set()),
        (completing(), [Refusal(code="SO-04", message="no")], set()),
        (Rule(name="x", kind="complete", function=a_rule), [NEW_ORDER], set()),
        (following(), [DISCOUNT, HANDED_BACK], {("salesOrders", "discountAmount")}),
        (following("precede"), [DISCOUNT], {("salesOrders", "discountAmount")}),
        (following("gone"), [DISCOUNT], {("salesOrders", "discountAmount")}),
        (following(writes={"salesOrders": ("discountAmount",)}), [DISCOUNT], set()),
        (following(writes={"": ("discountAmount",)}), [DISCOUNT], {("salesOrders", "discountAmount")}),
        (Rule(name="x", kind="compute", function=a_rule), [1, None], set()),
    ],
)
def test_what_is_written_to_business_central_has_to_be_declared(
    rule: Rule, results: list[Any], left: set[tuple[str, str]]
) -> None:
    assert undeclared(rule, results) == left
