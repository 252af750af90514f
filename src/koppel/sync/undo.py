"""Taking a job back: what it wrote is written back, as far as nobody has changed it since.

Updates come back field by field, creations are deleted, deletions created again, couplings taken apart or restored with
what had been agreed on. All of it is planned from the history, the last write first, and carried out and written down
as the job that any other run is: so it can be taken back itself, and done again from where it broke off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from koppel.engine.action import Action
from koppel.engine.brakes import CHANGES, check_brakes
from koppel.errors import UsageError, VersionError
from koppel.store import couplings, cursors, history, intents, jobs
from koppel.store.history import Entry
from koppel.store.jobs import Job
from koppel.sync.intend import intend
from koppel.sync.job import as_job
from koppel.sync.precede import write_first
from koppel.sync.prepare import Ready
from koppel.sync.record import count_done, record_chunk, settle_intents, told
from koppel.sync.recover import found_as_sent, recover
from koppel.sync.request import Result
from koppel.sync.restore import plan_returns
from koppel.sync.reverse import Left, Past, Reversal, plan_removals, plan_updates
from koppel.sync.reverse_beside import plan_beside
from koppel.sync.scope import Scope, open_scope
from koppel.sync.session import Session, parts_of, ready_mapping
from koppel.sync.undo_options import undo_options
from koppel.sync.write import ROUNDS, Done, send

PHASES: tuple[Callable[[Session, Scope, Past], Awaitable[Reversal]], ...] = (
    partial(plan_updates, side="business_central"),
    partial(plan_updates, side="dataverse"),
    plan_removals,
    plan_returns,
    partial(plan_updates, side="business_central", parted=True),
    partial(plan_updates, side="dataverse", parted=True),
    plan_beside,
)
"""Fields come back while their pair is coupled. One side at a time, so that what one of them refuses is no matter of
the other."""


async def job_to_undo(session: Session, number: int) -> Job:
    """The job of this number. ``UsageError`` when there is none, it still runs, or its mapping is not known."""
    job = await jobs.get(session.connection, number)
    if job is None:
        raise UsageError(f"there is no job {number}", remedy="`koppel jobs` lists the latest ones.")
    if job.status == "running":
        raise UsageError(f"job {number} still runs", remedy="Wait until it is done, or stop it.")
    for name in job.mappings:
        if name not in session.mappings:
            raise UsageError(
                f"job {number} ran mapping {name}, which is not there any more", remedy="Put its file back first."
            )
        await _find_out(session, name)
    return job


async def _find_out(session: Session, name: str) -> None:
    """Let history tell, as far as it does not yet, what became of writes that were not answered. What was created is
    coupled as it was sent; nothing is written to either system."""
    found = await intents.unsettled(session.connection, name)
    await session.connection.commit()
    if not found:
        return

    async def work(ready: Ready, result: Result) -> None:
        scope = await open_scope(session, ready, create=False)
        found = [found_as_sent(scope, action) for action in await recover(session, scope)]
        done = [Done(action=action) for action in found if action]
        result.counts.update(count_done(done))
        await record_chunk(session, scope, done, result.counts)

    await as_job(session, name, "recover", work)


async def preview_undo(session: Session, job: Job) -> AsyncIterator[Reversal]:
    """What taking a job back would do, chunk by chunk; writes nothing to either system."""
    session.job = 0
    for name in _mappings(session, job):
        ready = await ready_mapping(session, name)
        if ready.mapping.kind == "options":
            yield await undo_options(session, ready, job.id, apply=False)
            continue
        scope = await open_scope(session, ready, create=False)
        async for entries in history.of_job(session.connection, job.id):
            for plan in PHASES:
                yield await plan(session, scope, await _past(session, job, _of(name, entries)))


def _mappings(session: Session, job: Job) -> list[str]:
    """The mapping of a job, and those of its parts: they were uncoupled with what they are part of."""
    return [*job.mappings, *(part for name in job.mappings for part in parts_of(session.mappings, name))]


def _of(mapping: str, entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.mapping == mapping]


async def undo(session: Session, job: Job, *, force: bool = False) -> tuple[Result, list[Left]]:
    """Take a job back, as a job of its own. ``BrakeError`` before anything is written, when it would do too much."""
    (name,) = job.mappings
    left: list[Left] = []

    async def work(ready: Ready, result: Result) -> None:
        if ready.mapping.kind == "options":
            await _options(session, ready, job, result, left)
        else:
            for each in _mappings(session, job):
                await _records(session, await ready_mapping(session, each), job, result, left)
        for one in left:
            result.notice(str(one))

    if not force and session.mappings[name].kind == "records":
        await _check_brakes(session, job)
    return await as_job(session, name, "undo", work, direction=job.direction, undoes=job.id), left


async def _options(session: Session, ready: Ready, job: Job, result: Result, left: list[Left]) -> None:
    found = await undo_options(session, ready, job.id, apply=True)
    left += found.left
    result.counts.update({"uncouple": "uncoupled", "couple": "coupled"}.get(a.kind, "updated") for a in found.actions)
    await jobs.count(session.connection, session.job, result.counts)
    await session.connection.commit()


async def _check_brakes(session: Session, job: Job) -> None:
    kinds: Counter[str] = Counter()
    async for part in preview_undo(session, job):
        kinds.update(action.kind for action in part.actions)
    (name,) = job.mappings
    check_brakes(
        session.brakes.of(session.mappings[name]),
        name,
        couplings=await couplings.count(session.connection, name),
        updates=sum(kinds[kind] for kind in CHANGES),
        deletions=kinds["delete"],
    )


async def _past(session: Session, job: Job, entries: Sequence[Entry]) -> Past:
    """The entries with what others wrote since to the same records. What took this job back already is no other."""
    ours = [job.id, session.job, *await jobs.undoing(session.connection, job.id)]
    ids = {id for entry in entries for id in (entry.record_id, entry.old, entry.new) if isinstance(id, str)}
    since = await history.written_since(session.connection, entries[-1].id, ids, ours)
    await session.connection.commit()
    return Past(job=job.id, entries=entries, since=since)


async def _records(session: Session, ready: Ready, job: Job, result: Result, left: list[Left]) -> None:
    scope = await open_scope(session, ready, create=False)
    # What comes back was wanted once: the next run has to look at it again, whatever the systems report as changed.
    await cursors.spoil(session.connection, ready.mapping.name, cursors.UNDONE)
    await session.connection.commit()
    async for entries in history.of_job(session.connection, job.id):
        mine = _of(ready.mapping.name, entries)
        for plan in PHASES if mine else ():
            for round_ in range(1, ROUNDS + 1):
                found = await plan(session, scope, await _past(session, job, mine))
                if not await _carry_out(session, scope, found.actions, result, last=round_ == ROUNDS):
                    break
            left += found.left


async def _carry_out(
    session: Session, scope: Scope, actions: Sequence[Action], result: Result, *, last: bool
) -> list[Done]:
    """Write and record; those that somebody edited meanwhile, which are to be planned once more unless it is the last
    time."""
    tried = await write_first(session, scope, actions)
    held = [action for action in tried if action.refusal]
    await intend(session, scope, tried)
    done = await send(session, scope, tried)
    edited = [] if last else [one for one in done if isinstance(one.error, VersionError)]
    refused = [one for one in done if one.error and one not in edited]
    through = [one for one in done if not (one.error or one.action.refusal)]
    counts = count_done(through)
    counts["failed"] += len(refused) + len(held)
    await settle_intents(session, scope.ready.mapping.name, [one for one in done if one.error])
    await record_chunk(session, scope, through, counts)
    result.counts.update(counts)
    for action in held:
        result.notice(told(action))
    for one in refused:
        assert one.error is not None
        result.notice(f"{one.action.name}: {one.error.message}; {one.error.remedy}")
    return edited
