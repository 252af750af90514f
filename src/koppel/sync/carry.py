"""Carrying out planned chunks: each is sent while the next one is planned, then recorded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from koppel.engine.action import Action
from koppel.engine.plan import towards
from koppel.errors import StoppedError
from koppel.odata.records import Side
from koppel.store import couplings
from koppel.store.snapshots import train
from koppel.sync.follow import follow_up
from koppel.sync.intend import intend
from koppel.sync.passes import Step
from koppel.sync.precede import write_first
from koppel.sync.read import save_cursor
from koppel.sync.record import count_done, record_chunk, told
from koppel.sync.recover import couple_found
from koppel.sync.request import Request, Result
from koppel.sync.scope import Planned, Scope
from koppel.sync.session import Session, share_limits
from koppel.sync.write import Done, send, try_again
from koppel.tracing import traced

WRITES = ("created", "updated", "coupled", "uncoupled", "deleted")
"""What a settling round adds to a run's counters; the rest it has counted already."""


async def stream(
    session: Session,
    scope: Scope,
    steps: AsyncIterator[Step],
    result: Result,
    request: Request,
    *,
    settling: bool = False,
) -> set[Side]:
    """Apply chunk by chunk, the next one being planned while one is on its way; the sides that were written.

    A side's last chunk is recorded before the other side is read, which may report what was created there. A run in
    one direction leaves the other's changes to the next one.
    """
    wrote: set[Side] = set()
    sent: asyncio.Task[list[Done]] | None = None
    try:
        async for planned, changes in steps:
            await share_limits(session.connection, session.systems)
            if not session.may_go_on():
                raise StoppedError("the worker was told to stop", remedy="Another worker goes on from here.")
            wrote.update(planned.wrote)
            before, sent = sent, await _send(session, scope, planned, result, request, settling=settling)
            if before is not None:
                wrote |= await _record(session, scope, await before, result, settling=settling)
            at_once = planned.why in ("again", "chosen") or (planned.watched and planned.why != "full")
            if changes is not None or at_once:  # what comes at once may come once more, as changed
                before, sent = sent, None
                wrote |= await _record(session, scope, await before if before else (), result, settling=settling)
            if changes is not None and request.direction == "both":
                await save_cursor(session, scope.ready, changes)
        if sent is not None:
            before, sent = sent, None
            wrote |= await _record(session, scope, await before, result, settling=settling)
    except Exception:
        if sent is not None:  # what is on its way is recorded, and nothing of a chunk that could not be
            done = await sent
            await session.connection.rollback()
            await _record(session, scope, done, result, settling=settling)
        raise
    finally:
        if sent is not None:
            sent.cancel()
            await asyncio.gather(sent, return_exceptions=True)
    return wrote


async def _send(
    session: Session, scope: Scope, planned: Planned, result: Result, request: Request, *, settling: bool
) -> asyncio.Task[list[Done]] | None:
    """Send a chunk on its way, if there is anything to do about it; what needs no write is noted at once."""
    if not settling:
        result.counts["unchanged"] += planned.unchanged
    await couplings.touch(session.connection, scope.ready.mapping.name, planned.side, planned.touched)
    if not planned.actions:
        return None
    scope.codec = await train(
        session.connection, scope.codec, [a.base for a in planned.actions[:2000] if a.base is not None]
    )
    actions = await _written_down(session, scope, planned.actions, request)
    return asyncio.create_task(send(session, scope, actions))


async def apply(
    session: Session, scope: Scope, actions: Sequence[Action], result: Result, request: Request
) -> set[Side]:
    """Carry out and record actions; the sides that were written."""
    if not actions:
        return set()
    actions = await _written_down(session, scope, actions, request)
    return await _record(session, scope, await send(session, scope, actions), result)


async def _written_down(
    session: Session, scope: Scope, actions: Sequence[Action], request: Request
) -> Sequence[Action]:
    """What is left to send of actions, all of it written down, once that is written which comes first."""
    actions = await write_first(session, scope, [towards(action, request.direction) for action in actions])
    actions = await couple_found(session, scope, actions)
    await intend(session, scope, actions)
    return actions


@traced("record")
async def _record(
    session: Session, scope: Scope, sent: Sequence[Done], result: Result, *, settling: bool = False
) -> set[Side]:
    """Try again, follow up and record a chunk; the sides that were written."""
    followed, done = await follow_up(session, scope, await try_again(session, scope, sent))
    counts = count_done(done)
    counts["conflicts"] = _newly_contested(scope, done)
    if settling:
        counts = Counter({name: number for name, number in counts.items() if name in WRITES})
    await record_chunk(session, scope, done, counts)
    result.counts.update(counts)
    for one in done:
        scope.unsure = scope.unsure or bool(one.unknown)
        if one.superseded:
            continue
        if one.action.later and one.made:
            scope.unfinished.append(one.id("business_central"))
        if one.error:
            result.notice(f"{one.action.name}: {one.error.message}; {one.error.remedy}")
        elif (one.action.refusal and not one.action.refusal.outside) or one.action.conflicts:
            result.notice(told(one.action))
        for warning in one.action.warnings:
            result.notice(f"{one.action.name}: {warning}")
    return followed | {side for one in done for side in one.made}


def _newly_contested(scope: Scope, done: Sequence[Done]) -> int:
    """The conflicts that this run had not come upon yet: both sides report a contested pair."""
    found = {
        (one.action.business_central_id, c.group) for one in done if not one.superseded for c in one.action.conflicts
    }
    new = found - scope.contested
    scope.contested |= new
    return len(new)
