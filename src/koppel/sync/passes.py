"""The passes of a run, chunk by chunk: what deserves another try, then what either side reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import msgspec

from koppel.errors import KoppelError
from koppel.odata.records import SPOKEN, Side
from koppel.sync.chunk import plan_chunk
from koppel.sync.moved import coupled_there, uncoupled_there
from koppel.sync.read import Changes, again, as_it_is_now, chosen, read_changes, read_everything, start_reading
from koppel.sync.reading import BEHIND
from koppel.sync.recover import recover
from koppel.sync.request import Request, Result
from koppel.sync.scope import Incoming, Planned, Scope, Spread
from koppel.sync.session import Session
from koppel.sync.spread import handed_out, taken_back

CHUNK = 5_000
READING_ORDER: tuple[Side, Side] = ("dataverse", "business_central")

Step = tuple[Planned, Changes | None]
"""A planned chunk; the last one of a side's pass comes with where its reading has got to."""


async def planned_chunks(
    session: Session, scope: Scope, request: Request, result: Result | None = None
) -> AsyncIterator[Step]:
    """The chunks of a run, planned."""
    if request.records is not None:
        unknown: list[str] = []
        for start in range(0, len(request.records), CHUNK):
            found, nobody = await chosen(session, scope, request.records[start : start + CHUNK])
            for place, named in enumerate(found):
                incoming = msgspec.structs.replace(named, asked=not request.lenient)
                now = await as_it_is_now(session, scope, incoming) if place else incoming
                yield await plan_chunk(session, scope, now), None
            unknown += nobody
        if unknown and not request.lenient:
            raise KoppelError(
                f"no record is called {', '.join(unknown)}",
                place=scope.ready.mapping.name,
                remedy="give the record's GUID on either side, or its number in Business Central",
            )
        return
    if scope.ready.mapping.coupled_in:
        async for actions in uncoupled_there(session, scope):
            yield Planned(side="dataverse", actions=actions, why="again"), None
        async for incoming in coupled_there(session, scope):
            yield await plan_chunk(session, scope, incoming), None
    async for incoming in again(session, scope, early=request.full):
        yield await plan_chunk(session, scope, incoming), None
    async for step in passes(session, scope, READING_ORDER, request, result):
        yield step


async def passes(
    session: Session, scope: Scope, sides: Iterable[Side], request: Request, result: Result | None
) -> AsyncIterator[Step]:
    """What the sides report, one after the other, planned; then all of a side that went back behind its reports."""
    for side in sides:
        if scope.unsure:  # what was made without an answer must not be taken for news
            scope.unsure = False
            yield Planned(side=side, actions=await recover(session, scope), why="again"), None
        async for step in _pass(session, scope, side, request, result):
            yield step
    while scope.went_back:
        side = next(side for side in READING_ORDER if side in scope.went_back)
        scope.went_back.remove(side)
        async for step in _pass(session, scope, side, request, result, why=BEHIND):
            yield step


async def _pass(
    session: Session, scope: Scope, side: Side, request: Request, result: Result | None, *, why: str = ""
) -> AsyncIterator[Step]:
    """What changed on a side; everything there, if there is a reason (``why``) not to rely on what it reports."""
    scope.uncoupled.clear()
    changes = await start_reading(session, scope.ready, side, full=request.full)
    done = 0
    total = await session.systems[side].count(scope.ready.end(side).schema.name) if request.full else None
    every = read_everything(session, scope.ready, changes, f"{SPOKEN[side]} {why}") if why else None
    async for incoming in every or read_changes(session, scope.ready, changes):
        if request.unconditional and side == "business_central":  # one side's pass is enough for a pair
            incoming = msgspec.structs.replace(incoming, why="anew")
        for part in in_chunks(incoming):
            if not (scope.spread and await handed_out(session, scope, scope.spread, part)):
                yield await plan_chunk(session, scope, part), None
        done += len(incoming.records)
        session.progress(scope.ready.mapping.name, SPOKEN[side], done, total)
    if result is not None and changes.notice:
        result.notice(changes.notice)
    wrote: set[Side] = set()
    if scope.spread:
        async for step in _taken_back(session, scope, scope.spread):
            yield step
        wrote, scope.spread.wrote = scope.spread.wrote, set()
    yield Planned(side=side, actions=[], wrote=wrote), changes


async def _taken_back(session: Session, scope: Scope, spread: Spread) -> AsyncIterator[Step]:
    async for incoming, begun in taken_back(session, scope, spread):
        if begun:  # only once what is on its way here is recorded can it be told what is not
            yield Planned(side=incoming.side, actions=[], why="again"), None
            yield Planned(side=incoming.side, actions=await recover(session, scope), why="again"), None
        yield await plan_chunk(session, scope, incoming), None


def in_chunks(incoming: Incoming) -> Iterable[Incoming]:
    """The same, at most ``CHUNK`` records at once; deletions come last."""
    parts = [incoming.records[start : start + CHUNK] for start in range(0, len(incoming.records), CHUNK)]
    for part in parts[:-1]:
        yield msgspec.structs.replace(incoming, records=part, deleted=())
    yield msgspec.structs.replace(incoming, records=parts[-1] if parts else ())
