"""One run by itself: over the records that a system told of, or over everything that changed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime

from koppel.errors import KoppelError, LockedError, StoppedError
from koppel.jobs import schedule
from koppel.jobs.schedule import Times
from koppel.store import notices, schedules
from koppel.store.notices import ANY, Notice
from koppel.store.schedules import Ended, Entry
from koppel.sync.full import Finished, run_in_order
from koppel.sync.news import has_news
from koppel.sync.request import Request
from koppel.sync.session import Session

log = logging.getLogger("koppel.jobs")

REPORT = "This is a bug of Koppel: report it with what the log says. The other mappings run on."
MOST_RECORDS = 1_000
"""Of more records than that nobody was told one by one: what changed is read instead."""


async def run_by_itself(session: Session, name: str) -> list[Finished]:
    """Run a mapping if it is due, and note when it is due next. Nothing if somebody was faster.

    Raises when the database is lost; other errors are noted, for another try.
    """
    entry = await schedules.get(session.connection, name)
    told = await notices.find(session.connection, name)
    await session.connection.commit()
    if entry is None:
        return []
    times = schedule.times_of(session.mappings[name], entry)
    session.queue = schedules.queue_of(session.mappings[name], entry)
    if not schedule.is_due(entry, times, told=bool(told)):
        return []
    *first, request = _requests(entry, told)
    try:
        if not (told or entry.next_run <= entry.now or await has_news(session, name)):
            await schedules.looked(session.connection, name)
            await session.connection.commit()
            return []
        finished = [one for asked in (*first, request) async for one in run_in_order(session, [name], asked)]
    except StoppedError:
        return []  # it is due still, and another worker goes on
    except Exception as error:
        if session.connection.closed:
            raise
        await session.connection.rollback()  # a statement that failed would have the note fail, too
        finished = [Finished(mapping=name, error=_explained(name, error))]
    ended = _ended(times, entry, request, finished, await schedules.clock(session.connection))
    if not ended.message:
        await notices.done(session.connection, told)
    job = next((one.result.job for one in finished if one.result), None)
    await schedules.ended(session.connection, name, ended, job)
    await session.connection.commit()
    for one in finished:
        _tell(one)
    return finished


def _explained(name: str, error: Exception) -> KoppelError:
    if isinstance(error, KoppelError):
        return error
    log.exception("%s: an error that nobody expected", name)
    return KoppelError(f"unexpected: {error!r}", remedy=REPORT)


def _tell(one: Finished) -> None:
    if one.result and +one.result.counts:
        did = ", ".join(f"{number:,} {what}" for what, number in one.result.counts.items() if number)
        log.info("%s: %s in %.1f s (job %d)", one.mapping, did, one.result.seconds, one.result.job)


def _requests(entry: Entry, told: Sequence[Notice]) -> list[Request]:
    """The records that were told of; or, where that says too little, all that changed, and before it those of which
    nothing but a notice says that they are gone."""
    records = {one.record for one in told}
    if records and ANY not in records and len(records) <= MOST_RECORDS and entry.next_run > entry.now:
        return [_of(records)]
    gone = {one.record for one in told if one.deleted and one.record}
    return [*([_of(gone)] if gone else []), Request()]


def _of(records: Collection[str]) -> Request:
    return Request(records=tuple(sorted(records)), lenient=True)


def _ended(times: Times, entry: Entry, request: Request, finished: Sequence[Finished], now: datetime) -> Ended:
    error = next((one.error for one in finished if one.error), None)
    if isinstance(error, LockedError):
        return schedule.after_collision(entry, error.message, now=now)
    if error is not None:
        log.warning("%s: %s", entry.mapping, error.message)
        return schedule.after_error(entry, str(error), now=now)
    if request.records is not None:
        return schedule.after_records(entry, times, now=now)
    return schedule.after_run(times, [one.result.counts for one in finished if one.result], now=now)
