"""A run that lets other workers have a hand in it: what it reads is laid out in portions, and what nobody takes it does
itself.

Only the leader reads, matches, saves cursors and looks at brakes; a portion is one chunk of a pass, planned, sent and
recorded by its taker (``hand.py``) as the leader would have done it. A pass ends when its last portion is done.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256

import msgspec

from koppel.engine.action import Refusal
from koppel.engine.match import Matches
from koppel.errors import StoppedError
from koppel.mapping.model import TableMapping
from koppel.odata.records import Record, Side
from koppel.store import portions, schedules
from koppel.sync.request import Request
from koppel.sync.scope import Incoming, Scope, Spread, Why
from koppel.sync.session import Session

LEAST = 1_000
"""Of fewer records nobody is told: it takes longer to tell than to do."""
LOOK_SECONDS = 0.05
GOING_SECONDS = 30.0
"""How long a run that ends early waits for those who are at its portions."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What takers must know of a run; see ``Scope``."""

    create: bool
    create_unmatched: bool
    matches: Matches | None
    undecided: dict[str, Refusal]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One portion; see ``Incoming`` and ``Scope``."""

    side: Side
    records: list[Record]
    deleted: list[str]
    why: Why
    outside: bool
    watched: bool
    behind: str
    request: Request
    settling: bool
    contested: list[tuple[str, str]]
    released: dict[Side, list[str]]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a portion; see ``Result`` and ``Scope``."""

    wrote: list[Side]
    counts: dict[str, int]
    notices: list[str]
    requests: dict[Side, int]
    write_requests: int
    contested: list[tuple[str, str]]
    released: dict[Side, list[str]]
    unfinished: list[str]
    unsure: bool
    went_back: list[Side]


def identities(mappings: Mapping[str, TableMapping]) -> dict[str, str]:
    """By name, what must be the same for portions of a mapping's runs to be done as their leader would: all that it
    says, and its functions' code. What a run creates its leader tells."""
    said = {
        name: msgspec.structs.replace(mapping, file="", functions="", only_coupled=True)
        for name, mapping in mappings.items()
    }
    return {name: sha256(msgspec.json.encode(one, order="sorted")).hexdigest() for name, one in said.items()}


async def handed_out(session: Session, scope: Scope, spread: Spread, incoming: Incoming) -> bool:
    """Lay out a chunk for another worker, unless none is free for it."""
    job, connection = session.job, session.connection
    if len(incoming.records) < LEAST or incoming.decisions:
        return False
    if await portions.waiting(connection, job) >= await portions.hands(connection, await _queue(session, scope)):
        return False
    if not spread.begun:
        spread.begun = True
        run = Run(
            create=scope.create,
            create_unmatched=scope.create_unmatched,
            matches=scope.matches,
            undecided=scope.undecided,
        )
        mapping = scope.ready.mapping
        ((name, identity),) = identities({mapping.name: mapping}).items()
        await portions.begin(connection, job, name, identity, msgspec.msgpack.encode(run))
    await portions.lay_out(connection, job, msgspec.msgpack.encode(_work(scope, spread, incoming)))
    return True


async def _queue(session: Session, scope: Scope) -> str:
    mapping = scope.ready.mapping
    return schedules.queue_of(mapping, await schedules.get(session.connection, mapping.name))


def _work(scope: Scope, spread: Spread, incoming: Incoming) -> Work:
    return Work(
        side=incoming.side,
        records=list(incoming.records),
        deleted=list(incoming.deleted),
        why=incoming.why,
        outside=incoming.outside,
        watched=incoming.watched,
        behind=incoming.behind,
        request=spread.request,
        settling=spread.settling,
        contested=sorted(scope.contested),
        released=as_lists(scope.released),
    )


def as_lists(sets: Mapping[Side, set[str]]) -> dict[Side, list[str]]:
    """The same, for sending."""
    return {side: sorted(ids) for side, ids in sets.items() if ids}


def incoming_of(work: Work) -> Incoming:
    """The chunk that was laid out."""
    return Incoming(
        side=work.side,
        records=work.records,
        deleted=work.deleted,
        why=work.why,
        outside=work.outside,
        watched=work.watched,
        behind=work.behind,
    )


async def taken_back(session: Session, scope: Scope, spread: Spread) -> AsyncIterator[tuple[Incoming, bool]]:
    """See to it that all portions get done: what nobody took, or could not end, is done here. With each, whether
    somebody began it: what became of what was sent must be found out first."""
    while spread.begun:
        for outcome in await portions.collect(session.connection, session.job):
            _note(scope, spread, msgspec.msgpack.decode(outcome, type=Outcome))
        portion = await portions.take_back(session.connection, session.job)
        if portion is not None:
            yield incoming_of(msgspec.msgpack.decode(portion.work, type=Work)), portion.begun
        elif not await portions.left(session.connection, session.job):
            return
        elif not session.may_go_on():
            raise StoppedError("the worker was told to stop", remedy="Another worker goes on from here.")
        else:
            await asyncio.sleep(LOOK_SECONDS)


def _note(scope: Scope, spread: Spread, outcome: Outcome) -> None:
    result = spread.result
    spread.done += 1
    spread.wrote.update(outcome.wrote)
    result.counts.update(Counter(outcome.counts))
    for line in outcome.notices:
        result.notice(line)
    for side, number in outcome.requests.items():
        result.requests[side] = result.requests.get(side, 0) + number
    result.write_requests += outcome.write_requests
    scope.contested.update(outcome.contested)
    for side, ids in outcome.released.items():
        scope.released[side].update(ids)
    scope.unfinished += outcome.unfinished
    scope.unsure = scope.unsure or outcome.unsure
    scope.went_back.update(outcome.went_back)


async def call_off(session: Session, scope: Scope) -> None:
    """The run ends early: nobody takes any more of it, and those who are at a portion end it."""
    if not (scope.spread and scope.spread.begun) or session.connection.closed or session.connection.broken:
        return
    until = time.monotonic() + GOING_SECONDS
    await session.connection.rollback()
    while time.monotonic() < until:
        while await portions.take_back(session.connection, session.job) is not None:
            pass
        await portions.collect(session.connection, session.job)
        if not await portions.left(session.connection, session.job):
            return
        await asyncio.sleep(LOOK_SECONDS)
