"""What records refer to is brought along: synchronised in the same run, by its own mapping (GEN-13).

A mapping that is being brought along brings along what its own records refer to, but none that is at it already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from koppel.engine.action import Action, Refusal
from koppel.errors import KoppelError
from koppel.odata.literals import is_guid
from koppel.store import failures
from koppel.sync.chunk import plan_chunk
from koppel.sync.passes import Step
from koppel.sync.prepare import Ready
from koppel.sync.read import again
from koppel.sync.record import refers_by
from koppel.sync.references import goes_through
from koppel.sync.request import Request, Result
from koppel.sync.scope import Scope
from koppel.sync.session import Plan, Session, Synchronise


async def bring(session: Session, ready: Ready, result: Result, synchronise: Synchronise) -> bool:
    """Synchronise what records that failed in this job wait for, as its own mapping would; whether there was anything.

    A mapping that another process is at is left alone, and that is told.
    """
    found = False
    for name in _brought(session, ready):
        missing = await _missing(session, ready, name)
        if missing:
            with _bringing(session, ready, name):
                try:
                    result.parts.append(await synchronise(session, name, Request(records=missing, lenient=True)))
                    found = True
                except KoppelError as error:
                    result.notice(f"{name} was not brought along: {error.message}")
    return found


async def foresee(
    session: Session, ready: Ready, actions: Sequence[Action], plan: Plan
) -> tuple[list[Action], list[Action]]:
    """In a preview: what would be brought along first, and the actions, of which those that wait for it tell so."""
    first: list[Action] = []
    found = list(actions)
    held = {place: action.refusal for place, action in enumerate(found) if action.refusal and action.refusal.via}
    for name in _brought(session, ready):
        mine = {place: refusal for place, refusal in held.items() if _may_be_of(ready, name, refusal)}
        names = tuple(dict.fromkeys(refusal.value for refusal in mine.values()))
        if names:
            with _bringing(session, ready, name):
                planned = [action async for action in plan(session, name, Request(records=names, lenient=True))]
            first += planned
            come = {known: action.name for action in planned if not action.refusal for known in _names_of(action)}
            for place, refusal in mine.items():
                if refusal.value in come:
                    remedy = f"the run synchronises {come[held.pop(place).value]} in {name} first"
                    told = msgspec.structs.replace(refusal, remedy=remedy)
                    found[place] = msgspec.structs.replace(found[place], refusal=told)
    return first, found


def _names_of(action: Action) -> tuple[str, ...]:
    return action.name, action.business_central_id, action.dataverse_id


def _brought(session: Session, ready: Ready) -> list[str]:
    """The mappings to bring along, in the order of their dependencies."""
    brings = [name for name, mapping in session.mappings.items() if mapping.enabled and name in ready.mapping.brings]
    return [name for name in brings if name not in session.bringing]


@contextmanager
def _bringing(session: Session, ready: Ready, name: str) -> Iterator[None]:
    job, busy = session.job, session.bringing
    session.bringing = busy | {ready.mapping.name, name}
    try:
        yield
    finally:
        session.job, session.bringing = job, busy


async def _missing(session: Session, ready: Ready, name: str) -> tuple[str, ...]:
    """The records that may be those of ``name`` and are still waited for: keys in Business Central, or ids."""
    connection, mapping = session.connection, ready.mapping
    failed = await failures.find(connection, mapping=mapping.name, job=session.job)
    due = await failures.due(connection, mapping.name, through=goes_through(mapping))
    await connection.commit()
    come = {(failure.side, failure.record_id) for failure in due}
    left = [f for f in failed if (f.side, f.record_id) not in come]
    return tuple(dict.fromkeys(f.reference for f in left if _leads_to(ready, name, f.via, f.refers_by, f.reference)))


def _may_be_of(ready: Ready, name: str, refusal: Refusal) -> bool:
    return _leads_to(ready, name, refusal.via, refers_by(ready, refusal), refusal.value)


def _leads_to(ready: Ready, name: str, via: str, refers_by: str, reference: str) -> bool:
    """Whether a reference may name a record of this mapping; what a rule translates is a name only if it is an id."""
    if refers_by == "rule":
        return is_guid(reference) and name in (via, *goes_through(ready.mapping))
    return name == via


async def waited(session: Session, scope: Scope) -> AsyncIterator[Step]:
    """The records that wait no longer, planned."""
    async for incoming in again(session, scope):
        yield await plan_chunk(session, scope, incoming), None
