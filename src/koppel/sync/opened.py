"""Wholes that are closed take no parts: they are opened for as long as their parts are written, and closed again.

That they are open is written down before, with the records that they are paired with: whatever happens meanwhile, the
next run closes them (``recover``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from koppel.engine.plan import other
from koppel.odata.records import Record, Side
from koppel.store import couplings, intents
from koppel.store.intents import Intent
from koppel.sync.prepare import Ready
from koppel.sync.reopen import State, is_closed, state_of
from koppel.sync.scope import coupled_id
from koppel.sync.session import Session
from koppel.systems.system import Update


@asynccontextmanager
async def opened(session: Session, whole: Ready, side: Side, ids: Collection[str]) -> AsyncIterator[None]:
    """Have those of these records of ``side`` open that are coupled in the mapping of the wholes, and closed."""
    opens, mapping = whole.mapping.endpoint(side).reopen, whole.mapping.name
    found = await _read(session, whole, side, ids) if opens else {}
    states = {id: state_of(whole.end(side), record, opens) for id, record in found.items()}
    closed = {id: state for id, state in states.items() if is_closed(state, opens)}
    sources = await _sources(session, mapping, side, closed)
    closed = {id: state for id, state in closed.items() if id in sources}
    if not closed:
        yield
        return
    written = [_intent(session, whole, found[id], side, sources[id], closed[id]) for id in closed]
    await intents.save(session.connection, mapping, written, session.portion)
    await session.connection.commit()
    rows = [Update(id, found[id].version, opens) for id in closed]
    answers = await session.systems[side].update(whole.end(side).schema.name, rows, ())
    yield
    open_ = {id: state for (id, state), answer in zip(closed.items(), answers, strict=True) if not answer.error}
    failed = await _close(session, whole, side, open_)
    await intents.settle(session.connection, mapping, side, [sources[id] for id in closed if id not in failed])
    await session.connection.commit()


async def _read(session: Session, whole: Ready, side: Side, ids: Collection[str]) -> Mapping[str, Record]:
    end = whole.end(side)
    return await session.systems[side].by_ids(end.schema.name, end.columns, list(ids)) if ids else {}


async def _sources(session: Session, mapping: str, side: Side, ids: Collection[str]) -> dict[str, str]:
    """The partners of records of which no write is in doubt."""
    pairs = await couplings.by_ids(session.connection, mapping, side, list(ids))
    partners = {id: coupled_id(pair, other(side)) for id, pair in pairs.items()}
    unsettled = await intents.unsettled(session.connection, mapping, session.portion)
    doubts = {intent.source_id for intent in unsettled if intent.side == side}
    return {id: partner for id, partner in partners.items() if partner not in doubts}


def _intent(session: Session, whole: Ready, record: Record, side: Side, source: str, state: State) -> Intent:
    return Intent(
        kind="update",
        side=side,
        source_id=source,
        intended_id=record.id,
        record_name=whole.end(side).name_of(record),
        held=state,
        job=session.job,
    )


async def _close(session: Session, whole: Ready, side: Side, states: Mapping[str, State]) -> set[str]:
    """Close those that are open still, as they are now; those that could not be.

    One that the system wants open by what was written to it stays so: what is written last to a whole says the rest.
    """
    opens = whole.mapping.endpoint(side).reopen
    found = await _read(session, whole, side, states)
    open_ = [id for id, record in found.items() if not is_closed(state_of(whole.end(side), record, opens), opens)]
    rows = [Update(id, found[id].version, states[id]) for id in open_]
    answers = await session.systems[side].update(whole.end(side).schema.name, rows, ()) if rows else []
    return {id for id, answer in zip(open_, answers, strict=True) if answer.error and answer.error.kind != "data"}
