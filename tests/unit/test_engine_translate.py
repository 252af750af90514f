"""Values on their way to the other side: references, options, empties, lengths, decimals, create-only columns."""

from __future__ import annotations

from typing import Any

import pytest

from engine_samples import REFERENCES, field, lookup, merge, option, table
from koppel.engine.fields import Field
from koppel.engine.translate import References
from koppel.engine.values import UNKNOWN
from koppel.odata.records import Scalar


class TestLookups:
    users = table(lookup(), field("name"))

    def test_a_reference_is_translated_both_ways(self) -> None:
        base = (("JR", "n"), ("user-jr", "n"))
        assert merge(self.users, ("PS", "n"), ("user-jr", "n"), base).to_dataverse == {"cr_owner": "user-ps"}
        assert merge(self.users, ("JR", "n"), ("user-ps", "n"), base).to_business_central == {"owner": "PS"}

    def test_references_are_compared_by_what_they_stand_for(self) -> None:
        assert merge(self.users, ("jr", "n"), ("USER-JR", "n")).kind == "couple"

    def test_blank_stands_for_null(self) -> None:
        base = (("JR", "n"), ("user-jr", "n"))
        assert merge(self.users, ("", "n"), ("user-jr", "n"), base).to_dataverse == {"cr_owner": None}
        assert merge(self.users, ("JR", "n"), (None, "n"), base).to_business_central == {"owner": ""}
        assert merge(self.users, ("", "n"), (None, "n")).kind == "couple"

    @pytest.mark.rule("GEN-09")
    def test_an_uncoupled_reference_waits_and_the_rest_is_written(self) -> None:
        action = merge(self.users, ("XX", "new"), ("user-jr", "n"), (("JR", "n"), ("user-jr", "n")))
        assert (action.kind, action.to_dataverse) == ("update", {"cr_name": "new"})
        (waiting,) = action.waiting
        assert (waiting.field, waiting.via, waiting.side, waiting.reference) == (
            "owner",
            "SALESPEOPLE",
            "business_central",
            "XX",
        )
        assert action.base == ((UNKNOWN, "new"), ("user-jr", "new"))

    def test_it_completes_as_soon_as_the_reference_is_coupled(self) -> None:
        base = ((UNKNOWN, "n"), ("user-jr", "n"))
        later = {("SALESPEOPLE", "key"): References({"XX": "user-xx"}, {"user-xx": "XX"})}
        action = merge(self.users, ("XX", "n"), ("user-jr", "n"), base, references=later)
        assert (action.to_dataverse, action.waiting) == ({"cr_owner": "user-xx"}, ())
        assert action.base == (("XX", "n"), ("user-xx", "n"))

    def test_it_waits_on_until_then_without_a_write(self) -> None:
        base = ((UNKNOWN, "n"), ("user-jr", "n"))
        action = merge(self.users, ("XX", "n"), ("user-jr", "n"), base)
        assert (action.kind, action.written, action.base) == ("nothing", {}, base)
        assert len(action.waiting) == 1

    def test_a_reference_from_dataverse_waits_as_well(self) -> None:
        action = merge(self.users, ("JR", "n"), ("user-xx", "n"), (("JR", "n"), ("user-jr", "n")))
        assert action.base == (("JR", "n"), (UNKNOWN, "n"))
        later = {("SALESPEOPLE", "key"): References({"XX": "user-xx"}, {"user-xx": "XX"})}
        action = merge(self.users, ("JR", "n"), ("user-xx", "n"), action.base, references=later)
        assert action.to_business_central == {"owner": "XX"}

    def test_somebody_elses_edit_of_a_waiting_field_is_not_overrun(self) -> None:
        base = ((UNKNOWN, "n"), ("user-jr", "n"))
        action = merge(self.users, ("XX", "n"), ("user-ps", "n"), base)
        assert [conflict.group for conflict in action.conflicts] == ["owner"]
        assert action.conflicts[0].base_business_central == {}

    @pytest.mark.rule("GEN-03")
    def test_a_required_reference_holds_the_record(self) -> None:
        found = table(lookup(required=True), field("name"))
        action = merge(found, ("XX", "new"), ("user-jr", "n"), (("JR", "n"), ("user-jr", "n")))
        assert (action.kind, action.written, action.base) == ("hold", {}, None)
        assert action.refusal is not None
        assert (action.refusal.kind, action.refusal.code, action.refusal.field) == (
            "dependency",
            "not-coupled",
            "owner",
        )
        assert action.refusal.message == "owner XX is not coupled in SALESPEOPLE"

    @pytest.mark.parametrize(("required", "held"), [("to_dataverse", True), ("from_dataverse", False)])
    def test_a_reference_may_be_required_in_one_direction(self, required: str, held: bool) -> None:
        found = table(lookup(required=required), field("name"))
        action = merge(found, ("XX", "new"), ("user-jr", "n"), (("JR", "n"), ("user-jr", "n")))
        assert (action.kind == "hold") is held

    def test_a_required_reference_that_nobody_touched_holds_nothing(self) -> None:
        found = table(lookup(required=True), field("name"))
        action = merge(found, ("XX", "new"), ("user-jr", "n"), (("XX", "n"), ("user-jr", "n")))
        assert action.to_dataverse == {"cr_name": "new"}


class TestOptions:
    choice = table(option(), field("name"))

    def test_a_code_becomes_the_number_of_its_option_and_back(self) -> None:
        base = (("30D", "n"), (1, "n"))
        assert merge(self.choice, ("60D", "n"), (1, "n"), base).to_dataverse == {"cr_terms": 2}
        assert merge(self.choice, ("30D", "n"), (2, "n"), base).to_business_central == {"terms": "60D"}

    @pytest.mark.rule("OPT-02")
    def test_a_code_without_an_option_leaves_it_empty_and_warns(self) -> None:
        action = merge(self.choice, ("14D", "n"), (1, "n"), (("30D", "n"), (1, "n")))
        assert action.to_dataverse == {"cr_terms": None}
        assert action.warnings == ("terms: '14D' has no counterpart in TERMS; left empty",)
        assert [(change.old, change.new) for change in action.changes] == [(1, None)]
        assert action.base == ((UNKNOWN, "n"), (None, "n"))

    @pytest.mark.rule("OPT-02")
    def test_it_is_not_emptied_twice_and_completes_later(self) -> None:
        base = ((UNKNOWN, "n"), (None, "n"))
        assert merge(self.choice, ("14D", "n"), (None, "n"), base).kind == "nothing"
        later = {("TERMS", "option"): References({"14D": 7}, {7: "14D"})}
        action = merge(self.choice, ("14D", "n"), (None, "n"), base, references=later)
        assert (action.to_dataverse, action.base) == ({"cr_terms": 7}, (("14D", "n"), (7, "n")))

    @pytest.mark.rule("OPT-04")
    def test_an_option_without_a_code_empties_business_central(self) -> None:
        action = merge(self.choice, ("30D", "n"), (9, "n"), (("30D", "n"), (1, "n")))
        assert (action.to_business_central, action.base) == ({"terms": ""}, (("", "n"), (UNKNOWN, "n")))

    @pytest.mark.rule("OPT-02")
    def test_fail_holds_the_record(self) -> None:
        strict = table(option(on_missing="fail"), field("name"))
        action = merge(strict, ("14D", "new"), (1, "n"), (("30D", "n"), (1, "n")))
        assert (action.kind, action.written) == ("hold", {})
        assert action.refusal is not None
        assert action.refusal.value == "14D"

    @pytest.mark.rule("OPT-04")
    def test_no_option_is_a_blank_code(self) -> None:
        assert merge(self.choice, ("", "n"), (None, "n")).kind == "couple"
        action = merge(self.choice, ("30D", "n"), (None, "n"), (("30D", "n"), (1, "n")))
        assert action.to_business_central == {"terms": ""}


class TestLength:
    short = table(field("name", lengths=(10, 5)), field("city"))

    @pytest.mark.rule("GEN-17")
    def test_a_difference_beyond_the_cut_is_none(self) -> None:
        assert merge(self.short, ("Contoso", "c"), ("Conto", "c")).kind == "couple"
        base = (("Contoso", "c"), ("Conto", "c"))
        action = merge(self.short, ("Contoxy", "c"), ("Conto", "c"), base)
        assert (action.kind, action.base) == ("nothing", (("Contoxy", "c"), ("Conto", "c")))

    def test_a_changed_text_that_is_too_long_refuses_the_record(self) -> None:
        action = merge(self.short, ("Fabrikam", "new"), ("Conto", "c"), (("Contoso", "c"), ("Conto", "c")))
        assert (action.kind, action.written, action.base) == ("hold", {}, None)
        assert action.refusal is not None
        assert (action.refusal.code, action.refusal.field, action.refusal.value) == ("too-long", "name", "Fabrikam")
        assert action.refusal.message == "name has 8 characters, Dataverse takes 5"
        assert action.refusal.remedy == "shorten it to 5 characters on the side where it was typed: 'Fabrikam'"
        assert action.refusal.side == "business_central"

    def test_one_that_is_there_as_far_as_there_is_room_is_left_while_its_group_moves(self) -> None:
        found = table(field("name", lengths=(10, 5), group="g"), field("city", group="g"))
        action = merge(found, ("Contoso", "new"), ("Conto", "c"), (("Contoso", "c"), ("Conto", "c")))
        assert (action.kind, action.to_dataverse) == ("update", {"cr_city": "new"})
        assert action.base == (("Contoso", "new"), ("Conto", "new"))

    def test_a_text_that_just_fits_goes(self) -> None:
        action = merge(self.short, ("Fabri", "c"), ("Conto", "c"), (("Conto", "c"), ("Conto", "c")))
        assert action.to_dataverse == {"cr_name": "Fabri"}

    def test_each_side_has_its_own_room(self) -> None:
        long = table(field("name", lengths=(5, 10)))
        action = merge(long, ("Conto",), ("Fabrikam",), (("Conto",), ("Conto",)))
        assert action.refusal is not None
        assert action.refusal.message == "name has 8 characters, Business Central takes 5"
        assert action.refusal.side == "dataverse"

    def test_one_that_nobody_touched_refuses_nothing(self) -> None:
        action = merge(self.short, ("Contoso", "new"), ("Conto", "c"), (("Contoso", "c"), ("Conto", "c")))
        assert action.to_dataverse == {"cr_city": "new"}

    def test_blanks_at_the_end_take_no_room(self) -> None:
        action = merge(self.short, ("New      ", "c"), ("Conto", "c"), (("Contoso", "c"), ("Conto", "c")))
        assert action.to_dataverse == {"cr_name": "New  "}


def test_a_whole_number_has_no_decimals_to_round() -> None:
    found = table(field("count", "number", scale=2), field("name"))
    written = merge(found, (2, "n"), (1, "n"), ((1, "n"), (1, "n"))).to_dataverse
    assert written == {"cr_count": 2}
    assert isinstance(written["cr_count"], int)


@pytest.mark.parametrize(
    ("required", "held"),
    [(True, True), ("both", True), ("to_dataverse", False), ("from_dataverse", True), (False, False)],
)
def test_a_reference_from_dataverse_is_required_where_the_mapping_says_so(required: Any, held: bool) -> None:
    found = table(lookup(required=required), field("name"))
    action = merge(found, ("JR", "n"), ("user-xx", "new"), (("JR", "n"), ("user-jr", "n")))
    assert (action.kind == "hold") is held


@pytest.mark.rule("GEN-16")
class TestDecimals:
    amount = table(field("limit", "number", scale=2))

    def test_decimals_beyond_the_coarser_precision_are_no_change(self) -> None:
        action = merge(self.amount, (1000.0051,), (1000.01,), ((1000.005,), (1000.01,)))
        assert (action.kind, action.base) == ("nothing", ((1000.0051,), (1000.01,)))

    def test_a_change_is_rounded_before_it_is_written(self) -> None:
        action = merge(self.amount, (2.675,), (1.0,), ((1.0,), (1.0,)))
        assert (action.to_dataverse, action.base) == ({"cr_limit": 2.68}, ((2.675,), (2.68,)))


class TestCreateOnly:
    code = table(field("code", "code", dataverse={"updatable": False}), field("name"))

    def test_what_cannot_change_any_more_is_left_and_told_once(self) -> None:
        action = merge(self.code, ("NEW", "new"), ("OLD", "n"), (("OLD", "n"), ("OLD", "n")))
        assert action.to_dataverse == {"cr_name": "new"}
        assert action.warnings == ("code: cannot be changed any more in Dataverse; left as it is",)
        assert action.base == (("NEW", "new"), ("OLD", "new"))

    def test_equal_values_need_no_warning(self) -> None:
        assert merge(self.code, ("NEW", "n"), ("new", "n"), (("OLD", "n"), ("OLD", "n"))).warnings == ()


EMPTIES: list[tuple[Field, Scalar, Scalar]] = [
    (field("f"), "x", ""),
    (field("f", "code"), "X", ""),
    (field("f", "number"), 5, 0),
    (field("f", "boolean"), True, False),
    (field("f", "date"), "2024-05-01", "0001-01-01"),
    (field("f", "datetime"), "2024-05-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    (field("f", "enum"), "Item", "_x0020_"),
]


@pytest.mark.parametrize(("found", "value", "empty"), EMPTIES, ids=[f.business_central.kind for f, _, _ in EMPTIES])
def test_an_emptied_field_takes_each_sides_own_empty_value(found: Field, value: Scalar, empty: Scalar) -> None:
    one = table(found)
    action = merge(one, (value,), (None,), ((value,), (value,)))
    written: Any = action.to_business_central["f"]
    assert (written, type(written)) == (empty, type(empty))
    if found.business_central.kind not in ("number", "boolean"):
        assert merge(one, (empty,), (value,), ((value,), (value,))).to_dataverse == {"cr_f": None}


def test_references_of_the_samples_are_one_to_one() -> None:
    for known in REFERENCES.values():
        assert {v: k for k, v in known.to_dataverse.items()} == dict(known.to_business_central)
