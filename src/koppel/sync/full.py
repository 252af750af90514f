"""Several mappings in the order of their dependencies: every modified record, or the full synchronisation review."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal

import msgspec

from koppel.engine.plan import other
from koppel.errors import AuthenticationError, KoppelError, StoreError, TransientError
from koppel.mapping.model import TableMapping
from koppel.odata.records import SPOKEN, Side
from koppel.store import failures, overview, pending
from koppel.store.failures import Failure
from koppel.sync.prepare import SIDES
from koppel.sync.run import Request, Result, synchronise
from koppel.sync.session import Session, ready_mapping
from koppel.systems.dataverse import Dataverse

Recommendation = Literal["full", "couple", "nothing"]


class Count(msgspec.Struct, frozen=True):
    """Records inside a filter; ``more``: there are more than were counted."""

    records: int
    more: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One mapping of the review. ``couple``: match what is there before creating the rest."""

    mapping: str
    caption: str
    depends_on: tuple[str, ...]
    business_central: Count
    dataverse: Count
    couplings: int
    recommendation: Recommendation
    reason: str


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one mapping: a result, or the error that ended it. ``completing``: the second round."""

    mapping: str
    result: Result | None = None
    error: KoppelError | None = None
    completing: bool = False


async def recommend(session: Session, names: Sequence[str]) -> list[Line]:
    """What to do about each mapping, in the order of dependencies. Reads one page of keys of each table."""
    numbers = {n.mapping: n for n in await overview.numbers(session.connection, names)}
    return [await _line(session, session.mappings[name], numbers[name].couplings) for name in names]


async def _line(session: Session, mapping: TableMapping, couplings: int) -> Line:
    counts = {side: await _count(session, mapping, side) for side in SIDES}
    recommendation, reason = _recommend(mapping, {side: counts[side].records for side in SIDES}, couplings)
    return Line(
        mapping=mapping.name,
        caption=mapping.caption,
        depends_on=mapping.depends_on,
        business_central=counts["business_central"],
        dataverse=counts["dataverse"],
        couplings=couplings,
        recommendation=recommendation,
        reason=reason,
    )


async def _count(session: Session, mapping: TableMapping, side: Side) -> Count:
    """How many records the first page of keys holds, and whether there is a second one."""
    system = session.systems[side]
    end = (await ready_mapping(session, mapping.name)).end(side)
    if isinstance(system, Dataverse) and mapping.kind == "options":
        return Count(len(await system.options(end.schema.name, mapping.dataverse.column)))
    found: Count | None = None
    pages = system.query(end.schema.name, (end.columns[end.key],), filter=end.filter or None)
    async for page in pages:
        if found is not None:
            return Count(found.records, more=True)
        found = Count(len(page.records))
    return found or Count(0)


def _recommend(mapping: TableMapping, records: Mapping[Side, int], couplings: int) -> tuple[Recommendation, str]:
    if couplings:
        return "full", "coupled already: everything is compared"
    if not any(records[side] for side in SIDES if mapping.writes_to(other(side))):
        return "nothing", "there is nothing to synchronise"
    if all(records.values()):
        return "couple", "both sides have records: match them first"
    return "full", f"{next(SPOKEN[side] for side in SIDES if not records[side])} has no records yet"


async def run_in_order(
    session: Session, names: Sequence[str], request: Request = Request(), *, completing: bool = False
) -> AsyncIterator[Finished]:
    """Run mappings one by one. One that ends with an error does not keep the others from running, unless a system or
    the database is out of reach."""
    for name in names:
        try:
            yield Finished(mapping=name, result=await synchronise(session, name, request), completing=completing)
        except (AuthenticationError, TransientError, StoreError):
            raise
        except KoppelError as error:
            yield Finished(mapping=name, error=error, completing=completing)


async def run_full(session: Session, names: Sequence[str], *, force: bool = False) -> AsyncIterator[Finished]:
    """Full synchronisation of mappings given in the order of dependencies.

    At the end those with fields that waited for a mapping after them run once more: a customer's primary contact
    exists only after the contacts do.
    """
    async for finished in run_in_order(session, names, Request(full=True, force=force)):
        yield finished
    waited = [name for name in names if await _deserves_another(session, name)]
    async for finished in run_in_order(session, waited, Request(force=force), completing=True):
        yield finished


async def _deserves_another(session: Session, name: str) -> bool:
    found = await pending.ready(session.connection, name)
    await session.connection.commit()
    return bool(found)


async def failures_of(session: Session, jobs: Sequence[int]) -> list[Failure]:
    """What these jobs left behind: records that failed in them and did not come through since."""
    return [failure for job in jobs for failure in await failures.find(session.connection, job=job)]
