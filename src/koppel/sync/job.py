"""Work on one mapping as a job: locked, counted, and written down however it ends."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from koppel.errors import KoppelError, StoppedError
from koppel.store import jobs
from koppel.store.locks import mapping_lock
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.request import Result
from koppel.sync.session import Session, ready_mapping


async def as_job(
    session: Session,
    name: str,
    kind: str,
    work: Callable[[Ready, Result], Awaitable[None]],
    *,
    undoes: int | None = None,
) -> Result:
    """Do work on one mapping as a job: nobody else is at the mapping meanwhile, and what came of it is written down."""
    began, before = time.monotonic(), _sent(session)
    async with mapping_lock(session.connection, name):
        session.job = await jobs.start(session.connection, kind, [name], undoes=undoes)
        session.setup_tables.clear()
        result = Result(mapping=name, job=session.job)
        for warning in session.warnings.get(name, ()):
            result.notice(warning)
        try:
            await work(await ready_mapping(session, name), result)
        except BaseException as error:
            await _end(session, result, began, before, error)
            raise
        await _end(session, result, began, before, None)
    return result


def _sent(session: Session) -> dict[str, int]:
    return {side: session.systems[side].counters.requests for side in SIDES} | {"writes": session.write_requests()}


async def _end(
    session: Session, result: Result, began: float, before: dict[str, int], error: BaseException | None
) -> None:
    after = _sent(session)
    result.seconds = time.monotonic() - began
    # What other workers sent for it is there already.
    result.requests = {side: result.requests.get(side, 0) + after[side] - before[side] for side in SIDES}
    result.write_requests += after["writes"] - before["writes"]
    if session.connection.closed or session.connection.broken:
        return
    await session.connection.rollback()
    messages = [jobs.Message("info", line, result.mapping) for line in result.notices]
    await jobs.add_messages(session.connection, session.job, messages)
    await jobs.count(session.connection, session.job, {}, sum(result.requests.values()))
    await jobs.finish(session.connection, session.job, _status(error), "" if error is None else str(error))


def _status(error: BaseException | None) -> jobs.Status:
    if error is None:
        return "done"
    return "failed" if isinstance(error, KoppelError) and not isinstance(error, StoppedError) else "stopped"
