"""What records refer to is brought along: synchronised in the same run, by its own mapping (GEN-13)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from koppel.errors import KoppelError
from koppel.odata.literals import is_guid
from koppel.store import failures
from koppel.store.failures import Failure
from koppel.sync.chunk import plan_chunk
from koppel.sync.passes import Step
from koppel.sync.prepare import Ready
from koppel.sync.read import again
from koppel.sync.request import Request, Result
from koppel.sync.scope import Scope
from koppel.sync.session import Session, Synchronise


async def bring(session: Session, ready: Ready, result: Result, synchronise: Synchronise) -> int:
    """Synchronise what records that failed in this job wait for, as its own mapping would; how many were asked for.

    A mapping that another process is at, or that is being brought along already, is left alone.
    """
    missing = await _missing(session, ready)
    job, busy = session.job, session.bringing
    asked = 0
    for name in (name for name in session.mappings if name in missing and name not in busy):
        session.bringing = busy | {ready.mapping.name, name}
        try:
            result.parts.append(await synchronise(session, name, Request(records=tuple(missing[name]))))
            asked += len(missing[name])
        except KoppelError as error:
            result.notice(f"{name} was not brought along: {error.message}")
        finally:
            session.job, session.bringing = job, busy
    return asked


async def _missing(session: Session, ready: Ready) -> dict[str, list[str]]:
    """The records that are waited for, by mapping: keys in Business Central, or ids of either side."""
    found: dict[str, dict[str, None]] = {}
    for failure in await failures.find(session.connection, mapping=ready.mapping.name, job=session.job):
        if failure.via in ready.mapping.brings and _names(failure):
            found.setdefault(failure.via, {})[failure.reference] = None
    await session.connection.commit()
    return {name: list(references) for name, references in found.items()}


def _names(failure: Failure) -> bool:
    """Whether the reference is what the record is called: one that a rule translates need not be."""
    return failure.refers_by != "rule" or (failure.side == "dataverse" and is_guid(failure.reference))


async def waited(session: Session, scope: Scope) -> AsyncIterator[Step]:
    """The records that wait no longer, planned."""
    for incoming in await again(session, scope):
        yield await plan_chunk(session, scope, incoming), None
