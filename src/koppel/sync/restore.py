"""Bringing back what a job took away: records that it deleted, and couplings that it took apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from koppel.engine.action import Action
from koppel.engine.plan import other
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store import couplings, history
from koppel.store.history import Entry
from koppel.sync.prepare import SIDES
from koppel.sync.reverse import Past, Reversal, bases_of
from koppel.sync.scope import Scope, read_side
from koppel.sync.session import Session


class _Parted(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a pair that was taken apart: the records that exist, and those that are coupled otherwise."""

    entry: Entry
    ids: Mapping[Side, str]
    records: Mapping[Side, Record | None]
    taken: Collection[Side]
    together: bool


async def plan_returns(session: Session, scope: Scope, past: Past) -> Reversal:
    """Create what was deleted, with its values, and couple what was uncoupled, with what had been agreed on."""
    found = Reversal(actions=[], left=[])
    deleted = {(entry.side, entry.record_id): entry for entry in past.by("delete")}
    parted = await _parted(session, scope, past)
    for one in parted:
        gone = [side for side in SIDES if one.records[side] is None]
        mine = next((side for side in gone if (side, one.ids[side]) in deleted), None)
        if one.together:
            continue
        if one.taken:
            found.leave(one.entry, f"its record in {SPOKEN[next(iter(one.taken))]} has another partner by now")
        elif mine:
            await _plan_creation(session, scope, past, one, mine, deleted[mine, one.ids[mine]], found)
        elif gone:
            found.leave(one.entry, f"its record in {SPOKEN[gone[0]]} is deleted, so the pair stays apart")
        else:
            found.actions.append(_coupling(scope, past, one))
    return found


async def _parted(session: Session, scope: Scope, past: Past) -> list[_Parted]:
    entries = past.by("uncouple")
    if not entries:
        return []
    ids: dict[Side, list[str]] = {
        "business_central": [str(entry.old) for entry in entries],
        "dataverse": [entry.record_id for entry in entries],
    }
    mapping, connection = scope.ready.mapping.name, session.connection
    read = {side: await read_side(session, scope, side, ids[side]) for side in SIDES}
    coupled = {side: await couplings.by_ids(connection, mapping, side, ids[side]) for side in SIDES}
    return [
        _Parted(
            entry=entry,
            ids={side: ids[side][place] for side in SIDES},
            records={side: read[side].get(ids[side][place]) for side in SIDES},
            taken=[side for side in SIDES if ids[side][place] in coupled[side]],
            together=(pair := coupled["dataverse"].get(entry.record_id)) is not None
            and pair.business_central_id == entry.old,
        )
        for place, entry in enumerate(entries)
    ]


def _coupling(scope: Scope, past: Past, one: _Parted) -> Action:
    ours, theirs = one.records["business_central"], one.records["dataverse"]
    base = bases_of(scope, one.entry)
    return Action(
        kind="couple",
        mapping=scope.ready.mapping.name,
        name=scope.ready.business_central.name_of(ours) if ours else one.entry.record_name,
        reason=f"job {past.job} uncoupled it",
        business_central_id=one.ids["business_central"],
        dataverse_id=one.ids["dataverse"],
        base=base,
        base_before=base,
        records=(ours, theirs),
        couples=True,
    )


async def _plan_creation(
    session: Session, scope: Scope, past: Past, one: _Parted, side: Side, deleted: Entry, found: Reversal
) -> None:
    """Create a deleted record under its own id: with the columns that it was created with once, as it was at last."""
    end = scope.ready.end(side)
    if not end.schema.takes_ids:
        found.leave(deleted, f"{SPOKEN[side]} chooses ids itself; create it by hand if it is wanted")
        return
    partner = one.records[other(side)]
    before = await history.created_with(session.connection, deleted.mapping, side, [deleted.record_id])
    held = deleted.old if isinstance(deleted.old, Mapping) else {}
    writable = {f.end(side).column for f in scope.ready.table.fields if f.end(side).creatable}
    defaults = before.get(deleted.record_id) or scope.ready.mapping.endpoint(side).create
    values: dict[str, Scalar] = {
        **defaults,
        **{c: v for c, v in held.items() if c in writable and isinstance(v, str | int | float)},
    }
    base = bases_of(scope, one.entry) if partner else None
    action = Action(
        kind="create",
        mapping=scope.ready.mapping.name,
        name=deleted.record_name,
        reason=f"job {past.job} deleted it",
        side=side,
        business_central_id=one.ids["business_central"],
        dataverse_id=one.ids["dataverse"],
        base=base,
        records=(one.records["business_central"], one.records["dataverse"]),
    )
    found.actions.append(msgspec.structs.replace(action, **{f"to_{side}": values}))
