"""Actions as values: which side is written, what holding one leaves of it, and the base after a write that failed."""

from __future__ import annotations

import msgspec
import pytest

from engine_samples import field, lookup, merge, record, table
from koppel.engine.action import Action, FollowUp, Refusal, base_after, held
from koppel.engine.values import UNKNOWN
from koppel.odata.records import Side

HERE, THERE = record("here"), record("there", id="d-1")
ACTION = Action(
    kind="update",
    mapping="CUSTOMER",
    business_central_id="b-1",
    dataverse_id="d-1",
    to_business_central={"name": "there"},
    to_dataverse={"cr_name": "here"},
    records=(HERE, THERE),
)


@pytest.mark.parametrize(
    ("side", "id", "writes", "read"),
    [("business_central", "b-1", {"name": "there"}, HERE), ("dataverse", "d-1", {"cr_name": "here"}, THERE)],
)
def test_an_action_is_asked_by_side(side: Side, id: str, writes: object, read: object) -> None:
    assert (ACTION.id(side), ACTION.writes(side), ACTION.record(side)) == (id, writes, read)


def test_what_is_held_writes_nothing_and_agrees_on_nothing() -> None:
    mapped = table(field("name"), field("city"), lookup())
    merged = merge(mapped, ("new", "ours", "XX"), ("n", "theirs", None), (("n", "c", "JR"), ("n", "c", None)))
    assert merged.changes
    assert merged.conflicts
    assert merged.waiting
    refusal = Refusal(message="not now")
    action = held(merged, refusal)
    assert (action.kind, action.reason, action.refusal) == ("hold", "not now", refusal)
    assert (action.to_business_central, action.to_dataverse, action.written) == ({}, {}, {})
    assert (action.changes, action.conflicts, action.waiting, action.base) == ((), (), (), None)


def test_what_is_held_writes_nothing_beside_or_below_either() -> None:
    beside = (FollowUp(side="dataverse", table="notes", id="1", values={"text": "x"}, record="b-1"),)
    whole = msgspec.structs.replace(
        ACTION, before=beside, after=beside, later={"city": "x"}, nested={"lines": [{"number": "1"}]}
    )
    action = held(whole, Refusal(message="not now"))
    assert (action.before, action.after, action.later, action.nested) == ((), (), {}, {})


def test_a_failed_write_leaves_each_side_its_own_base() -> None:
    merged = merge(table(field("name")), ("new",), ("theirs",), (("ours",), ("theirs",)))
    assert base_after(merged, ["dataverse"]) == (("ours",), ("theirs",))


def test_what_is_held_is_still_about_the_same_records() -> None:
    action = held(ACTION, Refusal(message="not now"))
    assert (action.mapping, action.business_central_id, action.dataverse_id) == ("CUSTOMER", "b-1", "d-1")
    assert action.records == (HERE, THERE)


def test_a_failed_creation_leaves_unknown_what_it_would_have_carried() -> None:
    creation = Action(
        kind="create", mapping="CUSTOMER", side="dataverse", written={"dataverse": (1,)}, base=(("a", "b"), ("a", "b"))
    )
    assert base_after(creation, ()) == (("a", "b"), ("a", "b"))
    assert base_after(creation, ["business_central"]) == (("a", "b"), ("a", "b"))
    assert base_after(creation, ["dataverse"]) == (("a", UNKNOWN), ("a", UNKNOWN))
