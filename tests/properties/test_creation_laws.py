"""The laws of creations: nothing is left out, nothing invented, and the new pair is at rest."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine_samples import REFERENCES, record
from koppel.engine.action import Action
from koppel.engine.fields import Field
from koppel.engine.plan import plan_creation
from koppel.engine.values import empty_in_business_central
from koppel.odata.records import Scalar, Side
from merge_cases import SIDES, WAITS, Case, arriving, cases, other


def create(case: Case, source: Side) -> Action:
    values = case.business_central if source == "business_central" else case.dataverse
    return plan_creation(case.table, source, record(*values), REFERENCES, id="b-1", name="", missing={})


def may_go(field: Field, side: Side) -> bool:
    blocked = "from_dataverse" if side == "dataverse" else "to_dataverse"
    return field.mapping.direction != blocked and bool(field.end(side).column)


def empty(field: Field, side: Side) -> Scalar:
    """What a system gives a column that a create leaves out."""
    return empty_in_business_central(field.business_central.kind) if side == "business_central" else None


@given(case=cases(), source=st.sampled_from(SIDES))
def test_everything_that_may_go_goes_or_waits(case: Case, source: Side) -> None:
    action, side = create(case, source), other(source)
    if action.refusal is not None:
        assert (action.kind, action.writes(side), action.base) == ("hold", {}, None)
        return
    waiting = {found.field for found in action.waiting}
    for field in case.table.fields:
        end, wanted = field.end(side), arriving(case, source, field)
        if not may_go(field, side):
            assert end.column not in action.writes(side)
        elif wanted is WAITS:
            assert field.name in waiting
            assert end.column not in action.writes(side)
        else:
            assert field.name not in waiting
            assert end.canonical(action.writes(side).get(end.column, empty(field, side))) == wanted
    assert not action.writes(source)


@given(case=cases(), source=st.sampled_from(SIDES))
def test_a_created_pair_is_at_rest(case: Case, source: Side) -> None:
    action, side = create(case, source), other(source)
    if action.refusal is not None:
        return
    made = tuple(
        action.writes(side).get(column, empty(field, side)) if (column := field.end(side).column) else None
        for field in case.table.fields
    )
    again = msgspec.structs.replace(
        case,
        **{source: case.business_central if source == "business_central" else case.dataverse, side: made},
        base=action.base,
        own=frozenset(),
        decisions={},
    ).action
    assert again.refusal is None
    assert (again.writes(side), again.conflicts) == ({}, ())
    put_back = {f.end(source).column for f in case.table.fields if f.mapping.constant is not None}
    if case.table.mapping.drift == "overwrite":
        put_back |= {f.end(source).column for f in case.table.fields if not may_go(f, side)}
    assert again.writes(source).keys() <= put_back
