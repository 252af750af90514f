"""Whether there is anything for a run to do, at the price of a request for each side."""

from __future__ import annotations

from koppel.store import couplings
from koppel.sync.elsewhere import has_moved
from koppel.sync.prepare import SIDES
from koppel.sync.read import read_changes, start_reading
from koppel.sync.scope import Incoming, recorded_version
from koppel.sync.session import Session, ready_mapping


async def has_news(session: Session, name: str) -> bool:
    """Whether a side reports a change of one of this mapping's records since the last run. Nothing is noted down.

    Of codes and options it is not known before they are compared: they always count as changed.
    """
    ready = await ready_mapping(session, name)
    if ready.mapping.kind == "options":
        return True
    if await has_moved(session, ready):
        return True
    for side in SIDES:
        changes = await start_reading(session, ready, side, full=False)
        if changes.complete:
            return True
        async for incoming in read_changes(session, ready, changes):
            if await _tells_something(session, name, incoming):
                return True
    return False


async def _tells_something(session: Session, name: str, incoming: Incoming) -> bool:
    """Not what is read once more, as the pair holds its version already."""
    ids = [*(record.id for record in incoming.records), *incoming.deleted]
    coupled = await couplings.by_ids(session.connection, name, incoming.side, ids)
    await session.connection.commit()
    told = {id: recorded_version(coupling, incoming.side) for id, coupling in coupled.items()}
    changed = any(told.get(record.id) != record.version for record in incoming.records)
    return incoming.watched or changed or any(id in coupled for id in incoming.deleted)
