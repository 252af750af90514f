"""Creations, partners that are gone, and runs in one direction."""

from __future__ import annotations

from typing import Any

import pytest

from engine_samples import REFERENCES, field, lookup, merge, option, record, table
from koppel.engine.action import Action, Bases, Refusal
from koppel.engine.pair import Table
from koppel.engine.plan import hold, nothing, other, plan_creation, plan_partner_gone, towards
from koppel.engine.values import UNKNOWN
from koppel.mapping.model import DeletionPolicy, Direction
from koppel.odata.records import Scalar, Side

CUSTOMER = table(field("name"), lookup(), option(), create_there={"customertypecode": 3})


def create(table: Table, *values: Scalar, source: Side = "business_central", **more: Any) -> Action:
    return plan_creation(
        table, source, record(*values), REFERENCES, **{"id": "b-1", "name": "C1", "missing": {}} | more
    )


class TestCreation:
    def test_it_carries_translated_values_and_the_partners_id(self) -> None:
        action = create(CUSTOMER, "Contoso", "JR", "30D")
        assert (action.kind, action.side, action.reason) == ("create", "dataverse", "new in Business Central")
        assert (action.business_central_id, action.dataverse_id) == ("b-1", "b-1")
        assert action.to_dataverse == {
            "cr_name": "Contoso",
            "cr_owner": "user-jr",
            "cr_terms": 1,
            "customertypecode": 3,
        }
        assert action.base == (("Contoso", "JR", "30D"), ("Contoso", "user-jr", 1))
        assert action.record("business_central") is not None
        assert action.record("dataverse") is None

    def test_it_goes_the_other_way_too(self) -> None:
        action = create(CUSTOMER, "Contoso", "user-jr", 1, source="dataverse", id="")
        assert (action.side, action.business_central_id, action.dataverse_id) == ("business_central", "", "b-1")
        assert action.to_business_central == {"name": "Contoso", "owner": "JR", "terms": "30D"}
        assert action.base == (("Contoso", "JR", "30D"), ("Contoso", "user-jr", 1))

    def test_empty_values_are_left_to_the_system(self) -> None:
        action = create(CUSTOMER, "Contoso", "", "")
        assert action.to_dataverse == {"cr_name": "Contoso", "customertypecode": 3}
        assert action.base == (("Contoso", "", ""), ("Contoso", None, None))

    @pytest.mark.parametrize(("kind", "value"), [("number", 0), ("boolean", False)])
    def test_zero_and_no_are_values(self, kind: Any, value: Scalar) -> None:
        assert create(table(field("f", kind)), value).to_dataverse == {"cr_f": value}

    def test_constants_of_fields_are_written(self) -> None:
        person = table(field("name"), field("type", constant="Person", direction="from_dataverse"))
        assert create(person, "Jo", None, source="dataverse").to_business_central == {"name": "Jo", "type": "Person"}
        assert create(person, "Jo", None).to_dataverse == {"cr_name": "Jo"}

    def test_mapped_values_go_before_what_rules_and_the_mapping_supply(self) -> None:
        found = table(field("name"), field("city"), create_there={"cr_name": "?", "cr_city": "?", "x": "mapping"})
        action = create(found, "Contoso", "", missing={"cr_name": "rule", "x": "rule"})
        assert action.to_dataverse == {"cr_name": "Contoso", "cr_city": "?", "x": "rule"}

    def test_fields_of_the_other_direction_are_left_out_and_no_edit_later(self) -> None:
        found = table(field("name"), field("limit", "number", direction="to_dataverse"))
        action = create(found, "Contoso", 5000, source="dataverse")
        assert action.to_business_central == {"name": "Contoso"}
        later = merge(found, ("Contoso", 0), ("Contoso", 5000), action.base)
        assert (later.kind, later.written) == ("nothing", {})

    def test_columns_that_a_create_cannot_carry_are_written_later(self) -> None:
        found = table(field("name"), field("state", dataverse={"creatable": False}, direction="to_dataverse"))
        action = create(found, "Contoso", "closed")
        assert action.to_dataverse == {"cr_name": "Contoso"}
        later = merge(found, ("Contoso", "closed"), ("Contoso", "open"), action.base)
        assert later.to_dataverse == {"cr_state": "closed"}

    def test_create_only_columns_are_written_now(self) -> None:
        found = table(field("code", "code", dataverse={"updatable": False}))
        assert create(found, "EUR").to_dataverse == {"cr_code": "EUR"}

    def test_an_uncoupled_reference_waits(self) -> None:
        action = create(CUSTOMER, "Contoso", "XX", "")
        assert action.kind == "create"
        assert "cr_owner" not in action.to_dataverse
        assert [waiting.reference for waiting in action.waiting] == ["XX"]
        assert action.base == (("Contoso", UNKNOWN, ""), ("Contoso", None, None))

    @pytest.mark.rule("OPT-02")
    def test_a_code_without_an_option_stays_empty_and_warns(self) -> None:
        action = create(CUSTOMER, "Contoso", "", "14D")
        assert "cr_terms" not in action.to_dataverse
        assert action.warnings == ("terms: '14D' has no counterpart in TERMS; left empty",)

    @pytest.mark.rule("GEN-03")
    @pytest.mark.parametrize(
        ("found", "values", "code"),
        [
            (table(lookup(required=True), field("name")), ("XX", "n"), "not-coupled"),
            (table(option(on_missing="fail"), field("name")), ("14D", "n"), "not-coupled"),
            (table(field("short", lengths=(10, 5)), field("name")), ("Contoso", "n"), "too-long"),
        ],
    )
    def test_what_refuses_the_record_creates_nothing(self, found: Table, values: tuple[Scalar, ...], code: str) -> None:
        action = create(found, *values)
        assert (action.kind, action.to_dataverse, action.base) == ("hold", {}, None)
        assert action.refusal is not None
        assert action.refusal.code == code

    def test_a_reason_may_be_given(self) -> None:
        assert create(CUSTOMER, "Contoso", "", "", reason="restored").reason == "restored"


BASE = ("n",), ("n",)


class TestPartnerGone:
    def gone(self, deletions: DeletionPolicy, *, survivor: Side = "business_central", both: bool = False) -> Action:
        found = table(field("name"), deletions=deletions)
        return plan_partner_gone(found, survivor, None if both else record("n"), ("b-1", "d-1"), BASE, name="C1")

    def test_without_a_policy_it_is_held_for_a_person(self) -> None:
        action = self.gone("none")
        assert (action.kind, action.reason) == ("hold", "the coupled record was deleted in Dataverse")
        assert action.refusal is not None
        assert (action.refusal.kind, action.refusal.code) == ("conflict", "deleted")
        assert "koppel uncouple 'CUSTOMER' b-1" in action.refusal.remedy

    def test_it_is_deleted_too_where_the_mapping_says_so(self) -> None:
        action = self.gone("delete")
        assert (action.kind, action.side, action.reason) == ("delete", "business_central", "deleted in Dataverse")

    @pytest.mark.parametrize("base", [(("other",), ("other",)), None])
    def test_unless_it_is_not_what_was_agreed(self, base: Bases | None) -> None:
        found = table(field("name"), deletions="delete")
        action = plan_partner_gone(found, "business_central", record("n"), ("b-1", "d-1"), base, name="C1")
        assert action.kind == "hold"
        assert "meanwhile, so it is not deleted there" in action.reason

    @pytest.mark.rule("GEN-19")
    @pytest.mark.parametrize(
        ("survivor", "reason"),
        [("business_central", "deleted in Dataverse"), ("dataverse", "deleted in Business Central")],
    )
    def test_it_is_uncoupled_where_the_mapping_says_so(self, survivor: Side, reason: str) -> None:
        action = self.gone("uncouple", survivor=survivor)
        assert (action.kind, action.reason) == ("uncouple", reason)
        assert (action.business_central_id, action.dataverse_id) == ("b-1", "d-1")
        assert action.record(survivor) is not None
        assert action.record(other(survivor)) is None

    @pytest.mark.parametrize("deletions", ["none", "restore", "uncouple"])
    def test_a_pair_that_is_gone_altogether_is_uncoupled(self, deletions: DeletionPolicy) -> None:
        action = self.gone(deletions, both=True)
        assert (action.kind, action.reason) == ("uncouple", "deleted on both sides")

    def test_nothing_is_ever_deleted(self) -> None:
        kinds = {self.gone(policy, both=both).kind for policy in ("none", "uncouple") for both in (True, False)}
        assert kinds == {"hold", "uncouple"}


class TestTowards:
    two = table(field("name"), field("city"))
    base = (("old", "old"), ("old", "old"))

    def crossing(self) -> Action:
        return merge(self.two, ("new", "old"), ("old", "new"), self.base)

    def test_both_is_everything(self) -> None:
        action = self.crossing()
        assert towards(action, "both") is action

    @pytest.mark.parametrize(
        ("direction", "written", "field_name", "base"),
        [
            ("to_dataverse", "dataverse", "name", ("new", "old")),
            ("from_dataverse", "business_central", "city", ("old", "new")),
        ],
    )
    def test_the_other_part_stays_for_another_run(
        self, direction: Direction, written: Side, field_name: str, base: tuple[str, str]
    ) -> None:
        action = towards(self.crossing(), direction)
        assert action.kind == "update"
        assert set(action.written) == {written}
        assert [change.field for change in action.changes] == [field_name]
        assert not action.writes(other(written))
        assert action.base == (base, base)

    def test_what_is_left_out_entirely_is_nothing_now_and_an_update_later(self) -> None:
        action = towards(merge(self.two, ("new", "x"), ("old", "x"), (("old", "x"), ("old", "x"))), "from_dataverse")
        assert (action.kind, action.changes, action.written) == ("nothing", (), {})
        later = merge(self.two, ("new", "x"), ("old", "x"), action.base)
        assert later.to_dataverse == {"cr_name": "new"}

    def test_a_new_coupling_is_still_made(self) -> None:
        action = towards(merge(self.two, ("ours", "x"), ("theirs", "x")), "from_dataverse")
        assert (action.kind, action.base) == ("couple", ((UNKNOWN, "x"), (UNKNOWN, "x")))

    def test_a_conflict_is_still_held(self) -> None:
        action = towards(merge(self.two, ("ours", "new"), ("theirs", "old"), self.base), "from_dataverse")
        assert (action.kind, len(action.conflicts)) == ("hold", 1)

    def test_creations_on_the_other_side_wait(self) -> None:
        action = towards(create(CUSTOMER, "Contoso", "", ""), "from_dataverse")
        assert (action.kind, action.to_dataverse) == ("hold", {})
        assert action.refusal is not None
        assert action.refusal.skip
        assert towards(create(CUSTOMER, "Contoso", "", ""), "to_dataverse").kind == "create"

    def test_what_writes_nothing_there_is_left_as_it_is(self) -> None:
        action = merge(self.two, ("new", "old"), ("old", "old"), self.base)
        assert towards(action, "to_dataverse") is action


@pytest.mark.parametrize(("source", "ids"), [("business_central", ("b-1", "p")), ("dataverse", ("p", "b-1"))])
def test_a_record_is_held_with_its_reason(source: Side, ids: tuple[str, str]) -> None:
    refusal = Refusal(message="not now", code="X-1")
    action = hold(CUSTOMER.mapping, source, record("n"), refusal, name="C1", partner_id="p")
    assert (action.kind, action.reason, action.refusal, action.base) == ("hold", "not now", refusal, None)
    assert (action.business_central_id, action.dataverse_id) == ids
    assert action.record(source) is not None


@pytest.mark.parametrize(("source", "ids"), [("business_central", ("b-1", "")), ("dataverse", ("", "b-1"))])
def test_what_is_none_of_a_mappings_business_says_why(source: Side, ids: tuple[str, str]) -> None:
    action = nothing(CUSTOMER.mapping, source, record("n"), "outside the filter", name="C1")
    assert (action.kind, action.reason, action.base) == ("nothing", "outside the filter", None)
    assert (action.business_central_id, action.dataverse_id) == ids
