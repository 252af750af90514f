"""Writes that follow from others, as rules plan them (UOM-06)."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.engine.rule import FollowUp
from koppel.odata.records import Side
from koppel.store import history
from koppel.sync.chunk import Scope
from koppel.sync.needs import run_rule
from koppel.sync.session import Session
from koppel.sync.write import Done
from koppel.systems.system import Update


async def follow_up(session: Session, scope: Scope, done: Sequence[Done]) -> bool:
    """Run the mapping's ``follow`` rules over what was just synchronised; whether they wrote anything."""
    wrote = False
    for rule in scope.ready.rules(scope.ready.mapping.rules.follow):
        settled = [one.action for one in done if one.action.kind in ("create", "update", "couple") and not one.error]
        records = [record for action in settled if (record := action.record(rule.side)) is not None]
        if records:
            ups: list[FollowUp] = await run_rule(session, scope.ready, rule, records)
            wrote = await _carry_out(session, scope, ups) or wrote
    return wrote


async def _carry_out(session: Session, scope: Scope, ups: Sequence[FollowUp]) -> bool:
    for side, table in dict.fromkeys((up.side, up.table) for up in ups):
        await _of_table(session, scope, side, table, [up for up in ups if (up.side, up.table) == (side, table)])
    return bool(ups)


async def _of_table(session: Session, scope: Scope, side: Side, table: str, ups: Sequence[FollowUp]) -> None:
    system = session.systems[side]
    columns = tuple(dict.fromkeys(column for up in ups for column in up.values))
    found = await system.by_ids(table, columns, [up.id for up in ups])
    present = [up for up in ups if up.id in found]
    written = await system.update(table, [Update(up.id, found[up.id].version, up.values) for up in present], columns)
    entries = [
        history.Entry(
            session.job,
            scope.ready.mapping.name,
            side,
            up.id,
            "update",
            column,
            found[up.id].values[columns.index(column)],
            value,
            up.reason,
            up.name,
        )
        for up, answer in zip(present, written, strict=True)
        if not answer.error
        for column, value in up.values.items()
    ]
    await history.add(session.connection, entries)
    await session.connection.commit()
