"""Lending a hand: doing portions of runs that other processes lead (``spread.py``)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping

import msgspec
import psycopg

from koppel.errors import LockedError, StoreError
from koppel.odata.records import SPOKEN
from koppel.store import jobs, portions
from koppel.store.portions import Offer
from koppel.sync.carry import apply, stream
from koppel.sync.chunk import plan_chunk
from koppel.sync.passes import Step
from koppel.sync.prepare import SIDES
from koppel.sync.recover import recover
from koppel.sync.request import Result
from koppel.sync.scope import Scope, open_scope
from koppel.sync.session import Session, ready_mapping
from koppel.sync.spread import Outcome, Run, Work, as_lists, incoming_of
from koppel.systems.tally import tallied
from koppel.tracing import span

log = logging.getLogger("koppel.sync")


async def lend_a_hand(session: Session, known: Mapping[str, str]) -> int:
    """Do portions of other processes' runs of the mappings that are ``known`` by their identities, until there is none
    left; how many were done.

    What cannot be done here is left to the run's leader. ``StoreError`` when the database is lost.
    """
    done = 0
    while session.may_go_on() and (offer := await portions.offered(session.connection, known)):
        async with portions.taking_part(session.connection, offer) as is_led:
            did = await _portions(session, offer) if is_led else 0
        if not did:
            break
        done += did
    return done


async def _portions(session: Session, offer: Offer) -> int:
    run, done = msgspec.msgpack.decode(offer.run, type=Run), 0
    session.job = offer.job
    session.setup_tables.clear()
    scope = await open_scope(session, await ready_mapping(session, offer.mapping), create=run.create)
    scope.create_unmatched, scope.matches, scope.undecided = run.create_unmatched, run.matches, run.undecided
    while session.may_go_on() and (portion := await portions.take(session.connection, offer.job)):
        session.portion = portion.id
        try:
            traced = span("portion", job=offer.job, mapping=offer.mapping, portion=portion.id)
            with tallied() as session.tally, traced:
                outcome = await _do(session, scope, msgspec.msgpack.decode(portion.work, type=Work))
                await jobs.count(session.connection, offer.job, {}, session.tally.untold())
        except (LockedError, StoreError, psycopg.Error):
            raise
        except Exception as error:
            log.warning("%s: a portion of job %d is left to its leader: %r", offer.mapping, offer.job, error)
            await session.connection.rollback()
            await portions.refuse(session.connection, portion.id)
            return done
        finally:
            session.portion = 0
        await portions.done(session.connection, portion.id, msgspec.msgpack.encode(outcome))
        done += 1
    return done


async def _do(session: Session, scope: Scope, work: Work) -> Outcome:
    tally = session.tally
    result, request = Result(mapping=scope.ready.mapping.name), work.request
    scope.uncoupled.clear()
    scope.contested.update(work.contested)
    for side, ids in work.released.items():
        scope.released[side].update(ids)
    wrote = await stream(session, scope, _planned(session, scope, work), result, request, settling=work.settling)
    if scope.unsure:
        scope.unsure = False
        wrote |= await apply(session, scope, await recover(session, scope), result, request)
    outcome = Outcome(
        wrote=sorted(wrote),
        counts=dict(result.counts),
        notices=result.notices,
        requests={side: tally.requests[SPOKEN[side]] for side in SIDES},
        write_requests=tally.writes,
        contested=sorted(scope.contested),
        released=as_lists(scope.released),
        unfinished=scope.unfinished,
        unsure=scope.unsure,
        went_back=sorted(scope.went_back),
    )
    scope.unfinished, scope.unsure = [], False
    return outcome


async def _planned(session: Session, scope: Scope, work: Work) -> AsyncIterator[Step]:
    yield await plan_chunk(session, scope, incoming_of(work)), None
