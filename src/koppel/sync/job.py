"""Work on one mapping as a job: locked, counted, and written down however it ends."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from koppel.errors import KoppelError, StoppedError
from koppel.mapping.model import Direction
from koppel.odata.records import SPOKEN
from koppel.store import jobs
from koppel.store.locks import mapping_lock
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.request import Result
from koppel.sync.session import Session, ready_mapping
from koppel.systems.tally import tallied
from koppel.tracing import span


async def as_job(
    session: Session,
    name: str,
    type: jobs.Type,
    work: Callable[[Ready, Result], Awaitable[None]],
    *,
    direction: Direction = "both",
    undoes: int | None = None,
) -> Result:
    """Do work on one mapping as a job: nobody else is at the mapping meanwhile, and what came of it is written down.

    ``direction``: as far as the mapping's own does not limit it.
    """
    began, around = time.monotonic(), session.tally
    towards = session.mappings[name].direction if direction == "both" else direction
    async with mapping_lock(session.connection, name):
        session.job = await jobs.start(
            session.connection, type, [name], direction=towards, queue=session.queue, undoes=undoes
        )
        session.setup_tables.clear()
        result = Result(mapping=name, job=session.job)
        for warning in session.warnings.get(name, ()):
            result.notice(warning)
        traced = span("job", job=session.job, mapping=name, type=type, direction=towards, queue=session.queue)
        try:
            with tallied() as session.tally, traced as tell:
                await work(await ready_mapping(session, name), result)
                tell(**{name: number for name, number in result.counts.items() if number})
        except BaseException as error:
            await _end(session, result, began, error)
            raise
        else:
            await _end(session, result, began, None)
        finally:
            session.tally = around
    return result


async def _end(session: Session, result: Result, began: float, error: BaseException | None) -> None:
    tally = session.tally
    result.seconds = time.monotonic() - began
    # What other workers sent for it is there already, and written down.
    result.requests = {side: result.requests.get(side, 0) + tally.requests[SPOKEN[side]] for side in SIDES}
    result.write_requests += tally.writes
    if session.connection.closed or session.connection.broken:
        return
    await session.connection.rollback()
    messages = [jobs.Message("info", line, result.mapping) for line in result.notices]
    await jobs.add_messages(session.connection, session.job, messages)
    await jobs.count(session.connection, session.job, {}, tally.untold())
    await jobs.finish(session.connection, session.job, _status(error), "" if error is None else str(error))


def _status(error: BaseException | None) -> jobs.Status:
    if error is None:
        return "done"
    return "failed" if isinstance(error, KoppelError) and not isinstance(error, StoppedError) else "stopped"
