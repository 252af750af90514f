"""What rules wrote beside a mapping's records, taken back: values come back, rows that were made stay.

Rows of other tables are nobody's partner, and others may refer to them by now (a price list, a currency): as an option
that was added, they stay and are told of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from koppel.engine.action import Action, FollowUp
from koppel.odata.records import Scalar, Side
from koppel.store.history import Entry
from koppel.sync.reverse import Past, Reversal
from koppel.sync.scope import Scope
from koppel.sync.session import Session


async def plan_beside(session: Session, scope: Scope, past: Past) -> Reversal:
    """Bring back the values that rules overwrote in other tables, where they are still what the job left there."""
    found = Reversal(actions=[], left=[])
    beside: dict[tuple[Side, str], dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in past.entries:
        if entry.table_name:
            beside[entry.side, entry.table_name][entry.record_id].append(entry)
    for (side, table), entries in beside.items():
        columns = tuple({e.field: None for mine in entries.values() for e in mine if e.action == "update"})
        rows = await session.systems[side].by_ids(table, columns, list(entries))
        for id, row in rows.items():
            now = dict(zip(columns, row.values, strict=True))
            if values := _back(past, entries[id], now, found):
                found.actions.append(_action(scope, past, side, entries[id][0], values))
    return found


def _back(past: Past, entries: Sequence[Entry], now: Mapping[str, Scalar], found: Reversal) -> dict[str, Scalar]:
    """The columns of a row to write back; of several writes (the last one first) what was there before all of them."""
    made = next((entry for entry in entries if entry.action == "create"), None)
    if made:
        found.leave(made, "other records may refer to it")
        return {}
    last = {entry.field: entry for entry in reversed(entries)}
    first = {entry.field: entry for entry in entries}
    later = past.since.get((entries[0].side, entries[0].record_id), {})
    values: dict[str, Scalar] = {}
    for column, entry in last.items():
        old = first[column].old
        assert not isinstance(old, Mapping)
        if now[column] == old:
            continue
        if column in later:
            found.leave(entry, f"job {later[column]} wrote it since")
        elif now[column] != entry.new:
            found.leave(entry, "somebody changed it since")
        else:
            values[column] = old
    return values


def _action(scope: Scope, past: Past, side: Side, entry: Entry, values: Mapping[str, Scalar]) -> Action:
    why = f"job {past.job} taken back"
    write = FollowUp(
        side=side,
        table=entry.table_name,
        id=entry.record_id,
        values=values,
        record=entry.record_id,
        name=entry.record_name,
        reason=why,
    )
    return Action(kind="update", mapping=scope.ready.mapping.name, name=entry.record_name, reason=why, before=(write,))
