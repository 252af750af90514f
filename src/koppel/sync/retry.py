"""Records that a person wants to be looked at now: failed and skipped ones, and conflicts that were decided."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal

from koppel.engine.pair import newer
from koppel.errors import UsageError
from koppel.odata.records import ZERO_GUID, Side
from koppel.store import conflicts, failures
from koppel.sync.full import Finished, run_in_order
from koppel.sync.pairs import clocks_apart
from koppel.sync.prepare import SIDES
from koppel.sync.request import Request
from koppel.sync.session import Session

CHUNK = 5000
Winner = Side | Literal["newest"]


async def retry(session: Session, mapping: str | None, names: Sequence[str] | None = None) -> AsyncIterator[Finished]:
    """Try failed and skipped records again: those of these ids or names, of a mapping, or all. An empty list
    of names selects none.

    ``UsageError`` for a name that did not fail.
    """
    found = await failures.find(session.connection, mapping=mapping)
    wanted = {name.casefold() for name in names or ()}
    chosen = [f for f in found if names is None or wanted & {f.record_id.casefold(), f.record_name.casefold()}]
    if unknown := wanted - {name.casefold() for f in chosen for name in (f.record_id, f.record_name)}:
        raise UsageError(
            f"{', '.join(sorted(unknown))} did not fail", remedy="`koppel errors` and `koppel skipped` list what did."
        )
    ids: dict[str, list[str]] = {}
    for failure in chosen:
        ids.setdefault(failure.mapping, []).append(failure.record_id)
    for name, records in ids.items():
        await failures.retry(session.connection, mapping=name, record_ids=records)
    await session.connection.commit()
    # What failed to be created was meant to be, whatever the mapping says of records nobody coupled.
    async for finished in _run(session, ids, create=True):
        yield finished


async def contested(
    session: Session, mapping: str | None, *, field: str = "", record: str = ""
) -> list[conflicts.Conflict]:
    """The conflicts of a mapping, or of all; only those of a field (or group), of a record (by name or id)."""
    found = await conflicts.find(session.connection, mapping=mapping)
    wanted = record.casefold()
    return [
        c
        for c in found
        if not field or c.field == field
        if not wanted or wanted in (c.record_name.casefold(), c.business_central_id, c.dataverse_id)
    ]


async def resolve(session: Session, numbers: Sequence[int], winner: Winner) -> AsyncIterator[Finished]:
    """Let a side win these conflicts, or whoever was last, and synchronise their records; where it cannot be told who
    was last, the conflict stays. ``UsageError`` for a number that there is not."""
    found = await conflicts.find(session.connection, ids=numbers)
    if unknown := sorted(set(numbers) - {conflict.id for conflict in found}):
        listed = ", ".join(map(str, unknown))
        raise UsageError(
            f"there is no conflict {listed}", remedy="`koppel conflicts` lists them; settled ones are gone."
        )
    won = await _winners(session, found, winner)
    for side in SIDES:
        mine = [conflict.id for conflict in found if won[conflict.id] == side]
        await conflicts.decide(session.connection, side, ids=mine)
    await session.connection.commit()
    ids: dict[str, list[str]] = {}
    for conflict in found:
        if won[conflict.id]:
            ids.setdefault(conflict.mapping, []).append(conflict.business_central_id)
    async for finished in _run(session, ids, create=False):
        yield finished


async def _winners(session: Session, found: Sequence[conflicts.Conflict], winner: Winner) -> dict[int, Side | None]:
    if winner != "newest":
        return dict.fromkeys((conflict.id for conflict in found), winner)
    for side in SIDES if found else ():
        table = session.mappings[found[0].mapping].endpoint(side).table
        await session.systems[side].by_ids(table, (), [ZERO_GUID])  # any answer tells the time by its clock
    ahead = clocks_apart(session)
    return {c.id: newer(c.business_central_modified_at, c.dataverse_modified_at, ahead) for c in found}


async def _run(session: Session, ids: Mapping[str, Sequence[str]], *, create: bool) -> AsyncIterator[Finished]:
    """Synchronise these records of each mapping, in the order of dependencies; parts with all that is due of their
    wholes."""
    wholes = dict.fromkeys(session.mappings[name].part_of for name in ids)
    async for finished in run_in_order(session, [name for name in session.mappings if name in wholes]):
        yield finished
    for name in (name for name in session.mappings if name in ids and not session.mappings[name].part_of):
        records = list(dict.fromkeys(ids[name]))
        for start in range(0, len(records), CHUNK):
            request = Request(records=tuple(records[start : start + CHUNK]), create=create)
            async for finished in run_in_order(session, [name], request):
                yield finished
