"""Coupling by hand: two records, many pairs, or new partners. Data stays as it is until a pair is synchronised."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from koppel.engine.plan import other
from koppel.errors import KoppelError, StoreError, UsageError
from koppel.mapping.model import TableMapping
from koppel.odata.literals import is_guid
from koppel.odata.records import SPOKEN, Record, Side
from koppel.store import couplings, history, jobs
from koppel.store.couplings import Coupling
from koppel.store.locks import mapping_lock
from koppel.sync.apart import coupling_entry
from koppel.sync.couple_option import couple_option
from koppel.sync.full import Finished, run_in_order
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.relink import note_partners
from koppel.sync.request import Request, Result
from koppel.sync.run import synchronise
from koppel.sync.session import Session, ready_mapping
from koppel.systems.tally import tallied
from koppel.tracing import span

CHUNK = 5000
Initial = Side | Literal[""]
"""The side that wins where a new pair differs; empty: as the mapping says."""


class Wanted(msgspec.Struct, frozen=True):
    """A pair as somebody wrote it, each record by id or by what people call it. ``line``: of a file, from 1."""

    business_central: str
    dataverse: str
    line: int = 0


class Refused(msgspec.Struct, frozen=True):
    """A pair that cannot be coupled, and why."""

    wanted: Wanted
    error: KoppelError


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that were looked at: those that can be coupled, with the name of the Business Central record by its id;
    how many are coupled already; those that cannot be."""

    mapping: str
    pairs: list[Coupling] = []
    names: dict[str, str] = {}
    already: int = 0
    refused: list[Refused] = []


async def examine(session: Session, mapping: str, wanted: Sequence[Wanted]) -> Examined:
    """Look at pairs that are to be coupled; nothing is coupled yet.

    Refused is a record that is not there, one of several of its name, or outside the filter, and one that has another
    partner already, or gets one by an earlier pair.
    """
    ready = await ready_mapping(session, mapping)
    if ready.mapping.kind == "options":
        remedy = "Couple them one by one, or give the options their codes as labels."
        raise UsageError("options are not coupled in bulk", place=mapping, remedy=remedy)
    found = Examined(mapping=mapping, pairs=[], names={}, refused=[])
    already = 0
    taken: dict[tuple[Side, str], Wanted] = {}
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        records = {
            side: await records_called(session, ready, side, [_text(each, side) for each in chunk]) for side in SIDES
        }
        partners = {side: await _partners(session, ready, side, records[side]) for side in SIDES}
        for each in chunk:
            try:
                ours, theirs = [await _one(session, ready, side, _text(each, side), records[side]) for side in SIDES]
                if partners["business_central"].get(ours.id) == theirs.id:
                    already += 1
                    continue
                for side, record in (("business_central", ours), ("dataverse", theirs)):
                    await _require_free(session, ready, side, record, partners, taken)  # type: ignore[arg-type]
            except (UsageError, StoreError) as error:
                found.refused.append(Refused(each, error))
                continue
            taken |= {("business_central", ours.id): each, ("dataverse", theirs.id): each}
            key = str(ours.values[ready.business_central.key] or "")
            found.pairs.append(Coupling(ours.id, theirs.id, business_central_key=key))
            found.names[ours.id] = ready.business_central.name_of(ours)
    return msgspec.structs.replace(found, already=already)


def _text(wanted: Wanted, side: Side) -> str:
    return wanted.business_central if side == "business_central" else wanted.dataverse


Records = Mapping[str, Sequence[Record]]
"""Records by what was written, in small letters."""


async def records_called(session: Session, ready: Ready, side: Side, texts: Sequence[str]) -> Records:
    """The records of ids and names; a name may be that of several."""
    end, system = ready.end(side), session.systems[side]
    ids = [text.lower() for text in texts if is_guid(text)]
    keys = list(dict.fromkeys(text for text in texts if text and not is_guid(text)))
    found: dict[str, list[Record]] = {}
    if ids:
        found |= {id: [one] for id, one in (await system.by_ids(end.schema.name, end.columns, ids)).items()}
    if keys:
        for record in await system.by_keys(end.schema.name, end.columns, end.columns[end.key], keys):
            found.setdefault(end.name_of(record).strip().lower(), []).append(record)
    return found


async def _partners(session: Session, ready: Ready, side: Side, records: Records) -> dict[str, str]:
    """By id, the partner on the other side of those records that have one."""
    ids = [record.id for found in records.values() for record in found]
    known = await couplings.by_ids(session.connection, ready.mapping.name, side, ids)
    return {id: _id(coupling, other(side)) for id, coupling in known.items()}


async def _one(session: Session, ready: Ready, side: Side, text: str, records: Records) -> Record:
    """The one record that is meant. ``UsageError`` when there is none, or several, or it is outside the filter."""
    found = records.get(text.strip().lower(), ())
    if len(found) != 1:
        what = f"{len(found)} records are" if found else "no record is"
        raise UsageError(
            f"{what} called {text!r} in {SPOKEN[side]}",
            place=ready.mapping.name,
            remedy=await _elsewhere(session, ready, side, text)
            or f"Give its id, or its {ready.mapping.endpoint(side).key}.",
        )
    passes = ready.end(side).passes
    if passes is not None and not passes(found[0]):
        raise UsageError(
            f"{text} is outside the filter of {SPOKEN[side]}",
            place=ready.mapping.name,
            remedy=f"koppel explain {ready.mapping.name!r} {found[0].id}",
        )
    return found[0]


async def _elsewhere(session: Session, ready: Ready, side: Side, text: str) -> str:
    """What to say of an id that is a record's, but not one of this table and side."""
    if not is_guid(text):
        return ""
    there = ready.end(other(side)).schema.name
    if await session.systems[other(side)].by_ids(there, (), [text.lower()]):
        return f"It is a record of {SPOKEN[other(side)]}: the record of Business Central is written first."
    owners = [name for name in await couplings.mappings_of(session.connection, text) if name != ready.mapping.name]
    return f"It is a record of {', '.join(owners)}." if owners else ""


async def _require_free(
    session: Session,
    ready: Ready,
    side: Side,
    record: Record,
    partners: Mapping[Side, Mapping[str, str]],
    taken: Mapping[tuple[Side, str], Wanted],
) -> None:
    """``StoreError``, saying who is coupled to whom, when the record has a partner already."""
    name, there = ready.end(side).name_of(record), other(side)
    if partner := partners[side].get(record.id):
        end = ready.end(there)
        found = await session.systems[there].by_ids(end.schema.name, (end.columns[end.key],), [partner])
        called = str(found[partner].values[0] or partner) if partner in found else "a record that is gone"
        raise StoreError(
            f"{name} in {SPOKEN[side]} is coupled to {called} ({partner}) in {SPOKEN[there]}",
            place=ready.mapping.name,
            remedy=f"If that is wrong, first: koppel uncouple {ready.mapping.name!r} {record.id}",
        )
    if earlier := taken.get((side, record.id)):
        raise UsageError(
            f"{name} in {SPOKEN[side]} is to be coupled to {_text(earlier, there)} already",
            place=f"line {earlier.line}" if earlier.line else ready.mapping.name,
            remedy="Keep one of the two pairs.",
        )


def _id(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id


async def couple(
    session: Session, mapping: str, business_central: str, dataverse: str, *, sync: bool = True, initial: Initial = ""
) -> Result:
    """Couple two records, each given by id or by what people call it; see ``couple_pairs``. Or a code and an option,
    by label or value.

    ``UsageError`` or ``StoreError`` says why they cannot be. A pair that is coupled already is only synchronised.
    """
    if session.mappings[mapping].kind == "options":
        ready = await ready_mapping(session, mapping)
        async with coupling_job(session, mapping, "couple") as job:
            return await couple_option(session, ready, job, business_central, dataverse)
    found = await examine(session, mapping, [Wanted(business_central, dataverse)])
    for refused in found.refused:
        raise refused.error
    require_initial(session.mappings[mapping], initial)
    if found.already:
        return await synchronise(session, mapping, Request(records=(business_central,)))
    result = await _store_pairs(session, found, found.pairs, initial)
    ids = tuple(pair.business_central_id for pair in found.pairs)
    return await synchronise(session, mapping, Request(records=ids)) if sync else result


async def couple_pairs(
    session: Session, found: Examined, *, sync: bool = True, initial: Initial = ""
) -> AsyncIterator[Finished]:
    """Couple pairs that were examined.

    ``sync``: synchronise them at once; ``initial``: the side that wins where they differ, whenever that will be.
    """
    require_initial(session.mappings[found.mapping], initial)
    for start in range(0, len(found.pairs), CHUNK):
        chunk = found.pairs[start : start + CHUNK]
        result = await _store_pairs(session, found, chunk, initial)
        if not sync:
            yield Finished(mapping=found.mapping, result=result)
            continue
        request = Request(records=tuple(pair.business_central_id for pair in chunk))
        async for finished in run_in_order(session, [found.mapping], request):
            yield finished


async def _store_pairs(session: Session, found: Examined, pairs: Sequence[Coupling], initial: Initial) -> Result:
    made = [msgspec.structs.replace(pair, initial=initial) for pair in pairs]
    why = {pair.business_central_id: "coupled by hand" for pair in made}
    return await store_couplings(session, found.mapping, made, found.names, why)


def require_initial(mapping: TableMapping, initial: Initial) -> None:
    """``UsageError`` when a side is to win that the mapping never reads from."""
    if initial and not mapping.writes_to(other(initial)):
        raise UsageError(
            f"{SPOKEN[initial]} cannot win: the mapping runs {mapping.direction}",
            place=mapping.name,
            remedy="Leave the choice of a side out.",
        )


async def store_couplings(
    session: Session, mapping: str, made: Sequence[Coupling], names: Mapping[str, str], why: Mapping[str, str]
) -> Result:
    """Write new couplings down, as a job. They have no base: nothing of what either record agreed on before with
    another partner counts any more."""
    async with coupling_job(session, mapping, "couple") as job:
        await couplings.save(session.connection, mapping, made)
        await note_partners(session, mapping, made)
        entries = [coupling_entry(job, mapping, "couple", pair, names[pair.business_central_id], why) for pair in made]
        await history.add(session.connection, entries)
        await jobs.count(session.connection, job, {"coupled": len(made)})
    return Result(mapping=mapping, job=job, counts=Counter(coupled=len(made)))


@asynccontextmanager
async def coupling_job(session: Session, mapping: str, type: jobs.Type) -> AsyncIterator[int]:
    """A job that changes what is written down, all of it or nothing."""
    async with mapping_lock(session.connection, mapping):
        direction = session.mappings[mapping].direction
        job = session.job = await jobs.start(session.connection, type, [mapping], direction=direction)
        try:
            traced = span("job", job=job, mapping=mapping, type=type, direction=direction, queue=session.queue)
            with tallied() as tally, traced:
                yield job
            await jobs.count(session.connection, job, {}, tally.untold())
            await session.connection.commit()
        except BaseException as error:
            await session.connection.rollback()
            await jobs.finish(session.connection, job, "failed", str(error))
            raise
        await jobs.finish(session.connection, job, "done")
