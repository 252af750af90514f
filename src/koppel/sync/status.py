"""Where each mapping stands: couplings, what waits or failed, the last job, how far reading has got."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from koppel.mapping.model import TableMapping
from koppel.odata.records import Side
from koppel.store import cursors, history, jobs, overview
from koppel.sync.prepare import SIDES
from koppel.sync.session import Session
from koppel.sync.uncouple import pair_of


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one mapping stands. ``creates``: any run creates what is new, not only a full one.

    ``read_until``: when each side's changes were last read to their end.
    """

    mapping: str
    caption: str
    creates: bool
    numbers: overview.Numbers
    last_job: jobs.Job | None
    read_until: dict[Side, datetime]


async def standings(session: Session, names: Sequence[str]) -> list[Standing]:
    """Where these mappings stand; nothing is asked of either system."""
    counted = await overview.numbers(session.connection, names)
    return [await _standing(session, numbers) for numbers in counted]


async def _standing(session: Session, numbers: overview.Numbers) -> Standing:
    last = await jobs.recent(session.connection, mapping=numbers.mapping, limit=1)
    found = {side: await cursors.get(session.connection, numbers.mapping, side) for side in SIDES}
    return Standing(
        mapping=numbers.mapping,
        caption=session.mappings[numbers.mapping].caption,
        creates=_creates(session.mappings[numbers.mapping]),
        numbers=numbers,
        last_job=last[0] if last else None,
        read_until={side: cursor.moved_at for side, cursor in found.items() if cursor and cursor.moved_at},
    )


async def written(
    session: Session,
    record: str | None = None,
    *,
    mapping: str | None = None,
    job: int | None = None,
    field: str | None = None,
    side: Side | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
) -> list[history.Entry]:
    """What was written, the latest first: to a record and its partner, in a mapping, by a job, to a field, on a side,
    from a time on, before a time. A record that is not coupled any more is found by the name that it had."""
    among = [mapping] if mapping else list(session.mappings)
    ids = await pair_of(session, among, record) if record else []
    return await history.find(
        session.connection,
        mapping=mapping,
        record_ids=ids or None,
        record_name=None if ids else record,
        job=job,
        field=field,
        side=side,
        since=since,
        until=until,
        limit=limit,
    )


def _creates(mapping: TableMapping) -> bool:
    return mapping.kind == "options" or not mapping.only_coupled
