"""The full synchronisation review: what is best for each mapping, in the order of dependencies, and carrying it out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Literal, get_args

import msgspec

from koppel.engine.plan import other
from koppel.errors import AuthenticationError, KoppelError, LockedError, StoreError, TransientError, UsageError
from koppel.mapping.model import TableMapping
from koppel.mapping.names import mapping_named
from koppel.odata.records import SPOKEN, Side
from koppel.store import overview, reviews
from koppel.store.database import Connection
from koppel.store.locks import mapping_lock
from koppel.store.reviews import Choice, ReviewLine, State
from koppel.sync.full import Finished, complete, run_in_order
from koppel.sync.prepare import SIDES
from koppel.sync.request import Request
from koppel.sync.session import Progress, Session, ready_mapping, wholes
from koppel.systems.dataverse import Dataverse

REVIEW = "full synchronisation review"
"""What is locked while one runs."""


class Count(msgspec.Struct, frozen=True):
    """Records inside a filter; ``more``: there are more than were counted."""

    records: int
    more: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One mapping of the review.

    ``couple``: match what is there, then create the rest as far as the mapping's ``create_unmatched`` says so;
    ``full``: likewise, where there is nothing to match. ``action``: what will be done, the recommendation unless a
    person chose otherwise; a ``full`` that a person chose creates whatever is not matched. ``wave``: from 1, after the
    waves of what it depends on. ``state``: how far the line got in the latest review; ``interrupted`` is what was
    running when that one died.
    """

    mapping: str
    caption: str
    depends_on: tuple[str, ...]
    wave: int
    business_central: Count
    dataverse: Count
    couplings: int
    recommendation: Choice
    reason: str
    action: Choice
    state: State | Literal["", "interrupted"] = ""
    message: str = ""


async def recommend(session: Session, names: Sequence[str]) -> list[Line]:
    """What to do about each mapping, in the order of dependencies. Reads one page of keys of each table."""
    numbers = {n.mapping: n for n in await overview.numbers(session.connection, names)}
    before = {line.mapping: line for line in await reviews.lines(session.connection)}
    running = await _is_running(session.connection)
    waves: dict[str, int] = {}
    found: list[Line] = []
    for name in wholes(session.mappings, names):
        mapping = session.mappings[name]
        waves[name] = 1 + max((waves.get(parent, 0) for parent in mapping.depends_on), default=0)
        line = await _line(session, mapping, numbers[name].couplings, waves[name])
        found.append(_with_state(line, before.get(name), running))
    return found


def _with_state(line: Line, before: ReviewLine | None, running: bool) -> Line:
    if before is None or before.action == "nothing":
        return line
    state = "interrupted" if before.state == "running" and not running else before.state
    return msgspec.structs.replace(line, state=state, message=before.message)


async def _is_running(connection: Connection) -> bool:
    try:
        async with mapping_lock(connection, REVIEW):
            return False
    except LockedError:
        return True


async def _line(session: Session, mapping: TableMapping, couplings: int, wave: int) -> Line:
    counts: dict[Side, Count] = {side: Count(0) for side in SIDES}
    try:
        for side in SIDES if mapping.enabled else ():
            counts[side] = await _count(session, mapping, side)
        recommendation, reason = _recommend(mapping, {side: counts[side].records for side in SIDES}, couplings)
    except (AuthenticationError, TransientError, StoreError):
        raise
    except KoppelError as error:
        recommendation, reason = "nothing", error.message
    return Line(
        mapping=mapping.name,
        caption=mapping.caption,
        depends_on=mapping.depends_on,
        wave=wave,
        business_central=counts["business_central"],
        dataverse=counts["dataverse"],
        couplings=couplings,
        recommendation=recommendation,
        reason=reason,
        action=recommendation,
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


def _recommend(mapping: TableMapping, records: Mapping[Side, int], couplings: int) -> tuple[Choice, str]:
    if not mapping.enabled:
        return "nothing", "off (`enabled: false`)"
    if couplings:
        return "full", "coupled already: everything is compared"
    if not any(records[side] for side in SIDES if mapping.writes_to(other(side))):
        return "nothing", "there is nothing to synchronise"
    if all(records.values()) and mapping.kind == "records" and not mapping.match:
        return "nothing", "both sides have records and `match` does not say which are the same: couple by hand"
    if all(records.values()):
        return "couple", "both sides have records: match them first"
    return "full", f"{next(SPOKEN[side] for side in SIDES if not records[side])} has no records yet"


def chosen(lines: Sequence[Line], choices: Mapping[str, str]) -> list[Line]:
    """The review as a person wants it: ``choices`` say ``full``, ``couple`` or ``nothing`` for some of the mappings.

    ``UsageError`` for a mapping that is not in it, or a choice that there is not.
    """
    known = [line.mapping for line in lines]
    wanted: dict[str, Choice] = {}
    for name, choice in choices.items():
        found = next((each for each in _CHOICES if each == choice.casefold()), None)
        if found is None:
            raise UsageError(f"{name} cannot be {choice!r}", remedy="Write full, couple or nothing.")
        wanted[mapping_named(known, name)] = found
    return [msgspec.structs.replace(line, action=wanted.get(line.mapping, line.action)) for line in lines]


_CHOICES: tuple[Choice, ...] = get_args(Choice)


async def run_review(session: Session, lines: Sequence[Line], *, force: bool = False) -> AsyncIterator[Finished]:
    """Carry out a review, line by line. How far it gets is written down: ``go_on`` goes on after a crash.

    A line that ends with an error keeps no other one from running: what refers to its records waits for them.
    ``LockedError`` while another review runs.
    """
    planned = [
        ReviewLine(
            mapping=line.mapping, action=line.action, insisted=line.action == "full" and line.recommendation != "full"
        )
        for line in lines
    ]
    async with mapping_lock(session.connection, REVIEW):
        await reviews.begin(session.connection, planned)
        await session.connection.commit()
        async for finished in _run(session, [line for line in planned if line.action != "nothing"], force):
            yield finished


async def go_on(
    session: Session, names: Collection[str] | None = None, *, force: bool = False
) -> AsyncIterator[Finished]:
    """Run lines of the latest review again: these, or, for ``None``, those that are not done.

    ``LockedError`` while another review runs.
    """
    async with mapping_lock(session.connection, REVIEW):
        stored = {line.mapping: line for line in await reviews.lines(session.connection)}
        left = [line.mapping for line in stored.values() if line.state != "done"] if names is None else names
        planned = [stored.get(n, ReviewLine(mapping=n, action="full")) for n in session.mappings if n in left]
        async for finished in _run(session, planned, force):
            yield finished


async def _run(session: Session, lines: Sequence[ReviewLine], force: bool) -> AsyncIterator[Finished]:
    told = session.progress
    try:
        for number, line in enumerate(lines, 1):
            session.progress = _of_line(told, f"{number} of {len(lines)}, ")
            async for finished in _run_line(session, line, force):
                yield finished
    finally:
        session.progress = told
    async for finished in complete(session, [line.mapping for line in lines], force=force):
        yield finished


def _of_line(told: Progress, place: str) -> Progress:
    return lambda mapping, phase, done, total: told(place + mapping, phase, done, total)


async def _run_line(session: Session, line: ReviewLine, force: bool) -> AsyncIterator[Finished]:
    await reviews.start(session.connection, line.mapping)
    await session.connection.commit()
    request = Request(full=True, force=force, create_unmatched=line.insisted)
    async for finished in run_in_order(session, [line.mapping], request):
        result, error = finished.result, finished.error
        failed = result.counts["failed"] if result else 0
        message = error.message if error else f"{failed:,} records failed" if failed else ""
        job = result.job if result else None
        await reviews.end(session.connection, line.mapping, "failed" if error else "done", job, message)
        await session.connection.commit()
        yield finished


def only_coupled(session: Session, names: Sequence[str]) -> list[str]:
    """Those of these mappings that create nothing outside of a full synchronisation."""
    mappings = [session.mappings[name] for name in names]
    return [mapping.name for mapping in mappings if mapping.only_coupled and mapping.kind == "records"]


async def keep_creating(session: Session, names: Collection[str], keep: bool) -> None:
    """Let mappings go on creating what is new in later runs (ENG-236), or do again as their file says; from the next
    session on."""
    await reviews.keep_creating(session.connection, names, keep)
    await session.connection.commit()


async def with_creating(connection: Connection, mappings: Mapping[str, TableMapping]) -> dict[str, TableMapping]:
    """The mappings as later runs see them: those that go on creating are not limited to coupled records."""
    names = await reviews.creating(connection)
    await connection.commit()
    return {
        name: msgspec.structs.replace(mapping, only_coupled=False) if name in names else mapping
        for name, mapping in mappings.items()
    }
