"""Creations, partners that are gone, and runs in one direction."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from engine_samples import REFERENCES, field, lookup, merge, option, record, table
from koppel.engine.action import Action, Bases, FollowUp, Refusal
from koppel.engine.leaving import SIDES
from koppel.engine.pair import Table
from koppel.engine.plan import hold, may_restore, nothing, other, plan_creation, plan_partner_gone, towards
from koppel.engine.values import UNKNOWN
from koppel.mapping.model import DeletionPolicy, Direction, Template
from koppel.odata.records import SPOKEN, Scalar, Side

CUSTOMER = table(field("name"), lookup(), option(), create_there={"customertypecode": 3})


def create(table: Table, *values: Scalar, source: Side = "business_central", **more: Any) -> Action:
    return plan_creation(
        table, source, record(*values), REFERENCES, **{"id": "b-1", "name": "C1", "missing": {}} | more
    )


DIRECTIONS: list[tuple[Direction, Side]] = [
    ("to_dataverse", "dataverse"),
    ("from_dataverse", "business_central"),
]
BESIDE = tuple(FollowUp(side=side, table="notes", id="1", values={"text": "x"}, record="b-1") for side in SIDES)


class TestCreation:
    def test_rows_below_are_made_with_it(self) -> None:
        lines = {"lines": [{"number": "1"}]}
        assert create(CUSTOMER, "Contoso", "JR", "30D", nested=lines).nested == lines
        assert create(CUSTOMER, "Contoso", "JR", "30D").nested == {}

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
        assert (action.mapping, action.name) == ("CUSTOMER", "C1")
        assert action.written == {"dataverse": (0, 1, 2)}

    @pytest.mark.parametrize(("source", "ids"), [("business_central", ("b-1", "p-1")), ("dataverse", ("p-1", "b-1"))])
    def test_the_partner_gets_the_id_that_is_asked_for(self, source: Side, ids: tuple[str, str]) -> None:
        action = create(table(field("name")), "Contoso", source=source, id="p-1")
        assert (action.business_central_id, action.dataverse_id) == ids
        assert action.record(source) is not None
        assert action.record(other(source)) is None

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

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("Conto", {"cr_f": "Conto"}),
            ("Con", {"cr_f": "Con"}),
            ("Con   ", {"cr_f": "Con  "}),
            (5, {"cr_f": 5}),
            ("", {}),
            ("  ", {}),
            ("        ", {}),
            (None, {}),
        ],
    )
    def test_text_that_fits_is_taken_as_it_is(self, value: Scalar, written: dict[str, Scalar]) -> None:
        action = create(table(field("f", lengths=(10, 5))), value)
        assert (action.kind, action.to_dataverse) == ("create", written)

    def test_constants_of_fields_are_written(self) -> None:
        person = table(field("name"), field("type", constant="Person", direction="from_dataverse"))
        assert create(person, "Jo", None, source="dataverse").to_business_central == {"name": "Jo", "type": "Person"}
        assert create(person, "Jo", None).to_dataverse == {"cr_name": "Jo"}

    def test_mapped_values_go_before_what_rules_and_the_mapping_supply(self) -> None:
        found = table(field("name"), field("city"), create_there={"cr_name": "?", "cr_city": "?", "x": "mapping"})
        action = create(found, "Contoso", "", missing={"cr_name": "rule", "x": "rule"})
        assert action.to_dataverse == {"cr_name": "Contoso", "cr_city": "?", "x": "rule"}

    template = Template(values={"cr_name": "template", "cr_city": "Delft", "x": "template"})

    def test_a_template_goes_before_the_mapping_and_after_everything_else(self) -> None:
        found = table(field("name"), field("city"), create_there={"x": "mapping", "y": "mapping"})
        action = create(found, "Contoso", "", missing={"x": "rule"}, template=self.template)
        assert action.to_dataverse == {"cr_name": "Contoso", "cr_city": "Delft", "x": "rule", "y": "mapping"}

    def test_a_template_that_overwrites_goes_before_all(self) -> None:
        found = table(field("name"), field("city"), create_there={"x": "mapping", "y": "mapping"})
        template = msgspec.structs.replace(self.template, overwrite=True)
        action = create(found, "Contoso", "Gouda", missing={"x": "rule"}, template=template)
        assert action.to_dataverse == {**self.template.values, "y": "mapping"}

    def test_a_default_in_a_mapped_column_is_no_edit(self) -> None:
        """Where it stands, both sides are at rest with it; where a value or a rule went before, it tells nothing."""
        found = table(field("name"), field("city"), field("fax"))
        action = create(found, "Contoso", "", "", template=self.template, missing={"cr_fax": "rule"})
        assert action.to_dataverse == {"cr_name": "Contoso", "cr_city": "Delft", "cr_fax": "rule", "x": "template"}
        assert action.base == (("Contoso", "", ""), ("Contoso", "Delft", None))
        later = merge(found, ("Contoso", "", ""), ("Contoso", "Delft", None), action.base)
        assert (later.kind, later.written) == ("nothing", {})

    def test_fields_of_the_other_direction_are_left_out_and_no_edit_later(self) -> None:
        found = table(field("name"), field("limit", "number", direction="to_dataverse"))
        action = create(found, "Contoso", 5000, source="dataverse")
        assert action.to_business_central == {"name": "Contoso"}
        later = merge(found, ("Contoso", 0), ("Contoso", 5000), action.base)
        assert (later.kind, later.written) == ("nothing", {})

    def test_columns_that_a_create_cannot_carry_are_written_later(self) -> None:
        found = table(field("name"), field("state", dataverse={"creatable": False}, direction="to_dataverse"))
        action = create(found, "Contoso", "closed")
        assert (action.to_dataverse, action.written) == ({"cr_name": "Contoso"}, {"dataverse": (0,)})
        assert action.base == (("Contoso", UNKNOWN), ("Contoso", None))
        assert action.later == {"cr_state": "closed"}
        later = merge(found, ("Contoso", "closed"), ("Contoso", "open"), action.base)
        assert later.to_dataverse == {"cr_state": "closed"}

    def test_what_the_system_puts_there_meanwhile_is_no_edit(self) -> None:
        found = table(field("name"), field("state", dataverse={"creatable": False}))
        action = create(found, "Contoso", "closed")
        assert action.base == (("Contoso", UNKNOWN), ("Contoso", UNKNOWN))
        later = merge(found, ("Contoso", "closed"), ("Contoso", "draft"), action.base)
        assert (later.to_dataverse, later.conflicts) == ({"cr_state": "closed"}, ())

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
GONE = [("business_central", "Dataverse"), ("dataverse", "Business Central")]


class TestPartnerGone:
    def gone(
        self,
        deletions: DeletionPolicy,
        *,
        survivor: Side = "business_central",
        both: bool = False,
        direction: Direction = "both",
        base: Bases | None = BASE,
        outside: bool = False,
    ) -> Action:
        found = table(field("name"), deletions=deletions, direction=direction)
        left = None if both else record("n", id="b-1" if survivor == "business_central" else "d-1")
        return plan_partner_gone(found, survivor, left, ("b-1", "d-1"), base, name="C1", outside=outside)

    def refused(self, action: Action) -> Refusal:
        assert (action.kind, action.writes("business_central"), action.writes("dataverse")) == ("hold", {}, {})
        assert action.refusal is not None
        assert (action.refusal.kind, action.refusal.code) == ("conflict", "deleted")
        assert action.reason == action.refusal.message
        return action.refusal

    @pytest.mark.parametrize("deletions", ["none", "uncouple", "leave", "delete"])
    @pytest.mark.parametrize("survivor", ["business_central", "dataverse"])
    def test_the_action_names_the_pair_and_what_is_left_of_it(self, deletions: DeletionPolicy, survivor: Side) -> None:
        action = self.gone(deletions, survivor=survivor)
        assert (action.mapping, action.name) == ("CUSTOMER", "C1")
        assert (action.business_central_id, action.dataverse_id) == ("b-1", "d-1")
        assert action.record(survivor) is not None
        assert action.record(other(survivor)) is None

    @pytest.mark.parametrize(("survivor", "where"), GONE)
    def test_without_a_policy_it_is_held_for_a_person(self, survivor: Side, where: str) -> None:
        refusal = self.refused(self.gone("none", survivor=survivor))
        id = "b-1" if survivor == "business_central" else "d-1"
        assert refusal.message == f"the coupled record was deleted in {where}"
        assert refusal.remedy == f"koppel uncouple 'CUSTOMER' {id}, or set `deletions` in the mapping"
        assert not refusal.skip

    @pytest.mark.parametrize(("survivor", "where"), GONE)
    def test_it_is_deleted_too_where_the_mapping_says_so(self, survivor: Side, where: str) -> None:
        action = self.gone("delete", survivor=survivor)
        assert (action.kind, action.side, action.reason) == ("delete", survivor, f"deleted in {where}")

    @pytest.mark.parametrize(
        ("survivor", "base", "meanwhile"),
        [
            ("business_central", (("other",), ("n",)), "name changed in Business Central meanwhile"),
            ("dataverse", (("n",), ("other",)), "name changed in Dataverse meanwhile"),
            ("dataverse", (("n",), (UNKNOWN,)), "name changed in Dataverse meanwhile"),
            ("dataverse", None, "it never was synchronised and may have changed in Dataverse meanwhile"),
        ],
    )
    def test_unless_it_is_not_what_was_agreed(self, survivor: Side, base: Bases | None, meanwhile: str) -> None:
        refusal = self.refused(self.gone("delete", survivor=survivor, base=base))
        assert refusal.message.endswith(f"; {meanwhile}, so it is not deleted there")
        assert refusal.remedy.startswith(
            f"delete it in {meanwhile.split(' in ')[1].removesuffix(' meanwhile')} by hand"
        )
        assert "or keep it: koppel uncouple 'CUSTOMER'" in refusal.remedy

    @pytest.mark.parametrize("base", [(("other",), ("other",)), None])
    @pytest.mark.parametrize("survivor", ["business_central", "dataverse"])
    def test_where_the_mapping_says_so_edits_go_too(self, survivor: Side, base: Bases | None) -> None:
        assert self.gone("delete_edited", survivor=survivor, base=base).kind == "delete"
        assert self.refused(self.gone("delete_edited", survivor=survivor, base=base, outside=True)).skip

    @pytest.mark.parametrize(
        ("survivor", "base"), [("business_central", (("n",), ("other",))), ("dataverse", (("other",), ("n",)))]
    )
    def test_what_was_agreed_is_asked_of_the_side_that_is_left(self, survivor: Side, base: Bases) -> None:
        assert self.gone("delete", survivor=survivor, base=base).kind == "delete"

    def test_everything_that_changed_is_named(self) -> None:
        found = table(field("name"), field("city"), field("fax"), deletions="delete")
        base = ("a", "b", "c"), ("a", "b", "c")
        action = plan_partner_gone(found, "dataverse", record("x", "b ", "y"), ("b-1", "d-1"), base, name="C1")
        assert "; name, fax changed in Dataverse" in self.refused(action).message

    def test_another_spelling_is_no_edit_on_either_side(self) -> None:
        found = table(option(), deletions="delete")
        base = ("30D",), ("1",)
        for survivor, value in (("business_central", " 30d "), ("dataverse", 1.0)):
            action = plan_partner_gone(
                found, cast(Side, survivor), record(cast(Scalar, value)), ("b-1", "d-1"), base, name="C1"
            )
            assert action.kind == "delete"

    @pytest.mark.parametrize(
        ("deletions", "survivor", "direction", "allowed"),
        [
            ("delete", "dataverse", "from_dataverse", "delete anything in Dataverse"),
            ("delete", "business_central", "to_dataverse", "delete anything in Business Central"),
            ("restore", "dataverse", "to_dataverse", "restore anything in Business Central"),
            ("restore", "business_central", "from_dataverse", "restore anything in Dataverse"),
        ],
    )
    def test_nothing_is_done_against_the_direction(
        self, deletions: DeletionPolicy, survivor: Side, direction: Direction, allowed: str
    ) -> None:
        refusal = self.refused(self.gone(deletions, survivor=survivor, direction=direction))
        assert refusal.message.endswith(f"; the mapping's direction does not allow to {allowed}")
        assert refusal.remedy.endswith(", or put it right by hand")

    @pytest.mark.parametrize(("survivor", "where"), GONE)
    @pytest.mark.parametrize("deletions", ["delete", "restore"])
    def test_outside_the_filter_it_is_left_alone_as_intended(
        self, deletions: DeletionPolicy, survivor: Side, where: str
    ) -> None:
        refusal = self.refused(self.gone(deletions, survivor=survivor, outside=True))
        assert refusal.skip
        assert refusal.message == (
            f"the coupled record was deleted in {where}; "
            f"it is outside the filter of {SPOKEN[survivor]}, and so left alone"
        )
        assert refusal.remedy.startswith("koppel uncouple 'CUSTOMER' ")

    @pytest.mark.rule("GEN-19")
    @pytest.mark.parametrize(("survivor", "where"), GONE)
    @pytest.mark.parametrize("outside", [True, False])
    def test_it_is_uncoupled_where_the_mapping_says_so(self, survivor: Side, where: str, outside: bool) -> None:
        for deletions in ("uncouple", "leave"):
            action = self.gone(deletions, survivor=survivor, outside=outside)
            assert (action.kind, action.reason) == ("uncouple", f"deleted in {where}")

    @pytest.mark.parametrize("deletions", ["none", "restore", "uncouple", "leave", "delete"])
    def test_a_pair_that_is_gone_altogether_is_uncoupled(self, deletions: DeletionPolicy) -> None:
        action = self.gone(deletions, both=True)
        assert (action.kind, action.reason) == ("uncouple", "deleted on both sides")

    def test_nothing_is_ever_deleted_unless_the_mapping_says_so(self) -> None:
        policies: tuple[DeletionPolicy, ...] = ("none", "uncouple", "restore")
        kinds = {self.gone(policy, both=both).kind for policy in policies for both in (True, False)}
        assert kinds == {"hold", "uncouple"}

    @pytest.mark.parametrize(
        ("deletions", "direction", "gone", "restored"),
        [
            ("restore", "both", "dataverse", True),
            ("restore", "both", "business_central", True),
            ("restore", "to_dataverse", "dataverse", True),
            ("restore", "to_dataverse", "business_central", False),
            ("restore", "from_dataverse", "dataverse", False),
            ("delete", "both", "dataverse", False),
            ("none", "both", "dataverse", False),
        ],
    )
    def test_what_is_gone_is_restored_where_policy_and_direction_say_so(
        self, deletions: DeletionPolicy, direction: Direction, gone: Side, restored: bool
    ) -> None:
        found = table(field("name"), deletions=deletions, direction=direction).mapping
        assert may_restore(found, gone) is restored


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

    def test_a_creation_without_a_value_waits_too(self) -> None:
        creation = create(table(field("name")), "")
        assert creation.to_dataverse == {}
        assert towards(creation, "from_dataverse").kind == "hold"
        assert towards(creation, "to_dataverse") is creation

    @pytest.mark.parametrize(
        ("side", "direction"), [("dataverse", "from_dataverse"), ("business_central", "to_dataverse")]
    )
    def test_so_do_deletions(self, side: Side, direction: Direction) -> None:
        found = table(field("name"), deletions="delete")
        deletion = plan_partner_gone(found, side, record("n"), ("b-1", "d-1"), BASE, name="C1")
        action = towards(deletion, direction)
        assert action.refusal is not None
        assert (action.kind, action.refusal.code, action.refusal.skip) == ("hold", "direction", True)
        assert action.reason == f"this run does not write to {SPOKEN[side]}"
        allowed: Direction = "to_dataverse" if direction == "from_dataverse" else "from_dataverse"
        assert towards(deletion, allowed) is deletion

    @pytest.mark.parametrize(("direction", "side"), DIRECTIONS)
    def test_what_rules_write_beside_goes_with_its_side(self, direction: Direction, side: Side) -> None:
        action = msgspec.structs.replace(self.crossing(), before=BESIDE, after=BESIDE[::-1])
        left = towards(action, direction)
        assert [write.side for write in left.before] == [write.side for write in left.after] == [side]

    @pytest.mark.parametrize(("direction", "side"), DIRECTIONS)
    def test_a_pair_is_not_taken_apart_when_that_has_to_be_written_there(
        self, direction: Direction, side: Side
    ) -> None:
        apart = Action(kind="uncouple", mapping="CUSTOMER")
        there, here = ([write for write in BESIDE if (write.side == side) is which] for which in (False, True))
        assert towards(msgspec.structs.replace(apart, before=tuple(there)), direction).kind == "hold"
        assert towards(msgspec.structs.replace(apart, before=tuple(here)), direction).kind == "uncouple"
        assert towards(apart, direction) is apart
        update = msgspec.structs.replace(self.crossing(), before=tuple(there))
        assert towards(update, direction).kind == "update"

    def test_what_is_held_stays_held_for_its_own_reason(self) -> None:
        action = hold(CUSTOMER.mapping, "dataverse", record("n"), Refusal(message="not now"), name="C1")
        assert towards(action, "to_dataverse") is towards(action, "from_dataverse") is action

    def test_the_side_whose_edit_was_left_is_looked_at_again(self) -> None:
        action = msgspec.structs.replace(self.crossing(), left_alone={"business_central": "v1"})
        assert towards(action, "to_dataverse").left_alone == {"business_central": "v1", "dataverse": ""}
        assert towards(action, "from_dataverse").left_alone == {"business_central": ""}

    def test_what_writes_nothing_there_is_left_as_it_is(self) -> None:
        action = merge(self.two, ("new", "old"), ("old", "old"), self.base)
        assert towards(action, "to_dataverse") is action


@pytest.mark.parametrize(("source", "ids"), [("business_central", ("b-1", "p")), ("dataverse", ("p", "b-1"))])
def test_a_record_is_held_with_its_reason(source: Side, ids: tuple[str, str]) -> None:
    refusal = Refusal(message="not now", code="X-1")
    action = hold(CUSTOMER.mapping, source, record("n"), refusal, name="C1", partner_id="p")
    assert (action.kind, action.reason, action.refusal, action.base) == ("hold", "not now", refusal, None)
    assert (action.business_central_id, action.dataverse_id) == ids
    assert (action.mapping, action.name) == ("CUSTOMER", "C1")
    assert action.record(source) is not None
    assert action.record(other(source)) is None


def test_a_record_without_a_partner_is_held_alone() -> None:
    action = hold(CUSTOMER.mapping, "dataverse", record("n"), Refusal(message="not now"), name="C1")
    assert (action.business_central_id, action.dataverse_id) == ("", "b-1")


@pytest.mark.parametrize(("source", "ids"), [("business_central", ("b-1", "")), ("dataverse", ("", "b-1"))])
def test_what_is_none_of_a_mappings_business_says_why(source: Side, ids: tuple[str, str]) -> None:
    action = nothing(CUSTOMER.mapping, source, record("n"), "outside the filter", name="C1")
    assert (action.kind, action.reason, action.base) == ("nothing", "outside the filter", None)
    assert (action.mapping, action.name) == ("CUSTOMER", "C1")
    assert (action.business_central_id, action.dataverse_id) == ids
