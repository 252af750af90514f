"""Coupling by hand and by matching fields, and uncoupling. Data stays as it is until the pair is synchronised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from koppel.engine.match import match
from koppel.engine.plan import other
from koppel.errors import StoreError, UsageError
from koppel.mapping.model import TableMapping
from koppel.odata.literals import is_guid
from koppel.odata.records import SPOKEN, Record, Side
from koppel.store import conflicts, couplings, failures, history, jobs, options, pending
from koppel.store.couplings import Coupling
from koppel.store.locks import mapping_lock
from koppel.sync.match import uncoupled_keys
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.run import Request, Result, synchronise
from koppel.sync.session import Session, ready_mapping

CHUNK = 5000
EXAMPLES = 20


class Named(msgspec.Struct, frozen=True):
    """A record as people know it."""

    id: str
    name: str


class Match(msgspec.Struct, frozen=True):
    """Two records that are the same, and the columns that say so."""

    business_central: Named
    dataverse: Named
    by: str


class Rivals(msgspec.Struct, frozen=True):
    """A record that matches several of the other side, or shares its match with another one."""

    side: Side
    record: Named
    rivals: tuple[Named, ...]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What matching finds among the uncoupled records. ``unmatched`` counts by side, with some of them as examples."""

    mapping: str
    unique: list[Match]
    ambiguous: list[Rivals]
    unmatched: dict[Side, int]
    examples: dict[Side, list[Named]]


async def match_preview(session: Session, mapping: str) -> Preview:
    """Match what is uncoupled on both sides; nothing is coupled."""
    ready = await ready_mapping(session, mapping)
    _require_match(ready.mapping)
    keys = {side: await uncoupled_keys(session, ready, side) for side in SIDES}
    found = match(keys["business_central"], keys["dataverse"])
    ambiguous = {"business_central": found.ambiguous_business_central, "dataverse": found.ambiguous_dataverse}
    taken = {"business_central": set(found.unique), "dataverse": set(found.unique.values())}
    unmatched = {
        side: [id for id in keys[side] if id not in taken[side] and id not in ambiguous[side]] for side in SIDES
    }
    named = {
        side: await _names(session, ready, side, [*taken[side], *ambiguous[side], *unmatched[side][:EXAMPLES]])
        for side in SIDES
    }
    return Preview(
        mapping=mapping,
        unique=[
            Match(named["business_central"][ours], named["dataverse"][theirs], _by(ready.mapping, found.group[ours]))
            for ours, theirs in found.unique.items()
        ],
        ambiguous=[
            Rivals(side, named[side][id], tuple(named[other(side)][rival] for rival in rivals))
            for side in SIDES
            for id, rivals in ambiguous[side].items()
        ],
        unmatched={side: len(unmatched[side]) for side in SIDES},
        examples={side: [named[side][id] for id in unmatched[side][:EXAMPLES]] for side in SIDES},
    )


def _require_match(mapping: TableMapping) -> None:
    if not mapping.match:
        remedy = "Option mappings match by themselves, codes by label." if mapping.kind == "options" else ""
        raise UsageError(
            f"{mapping.name} says no fields to match by",
            place=mapping.file,
            remedy=remedy or "Give it `match`, or couple its records by hand.",
        )


def _by(mapping: TableMapping, group: int) -> str:
    return " and ".join(pair.business_central or pair.dataverse for pair in mapping.match[group])


async def _names(session: Session, ready: Ready, side: Side, ids: Sequence[str]) -> dict[str, Named]:
    """The records of these ids by name; one that is gone meanwhile is called by its id."""
    end = ready.end(side)
    found = await session.systems[side].by_ids(end.schema.name, (end.columns[end.key],), ids)
    return {id: Named(id, str(found[id].values[0] or id) if id in found else id) for id in ids}


async def match_now(session: Session, mapping: str) -> AsyncIterator[Result]:
    """Couple every unique match and synchronise the pairs, in chunks. Nothing is created."""
    unique = (await match_preview(session, mapping)).unique
    for start in range(0, len(unique), CHUNK):
        chunk = unique[start : start + CHUNK]
        made = [Coupling(m.business_central.id, m.dataverse.id) for m in chunk]
        why = {m.business_central.id: f"match by {m.by}" for m in chunk}
        names = {m.business_central.id: m.business_central.name for m in chunk}
        await _store(session, mapping, made, names, why)
        yield await synchronise(session, mapping, Request(records=tuple(why)))


async def couple(session: Session, mapping: str, business_central: str, dataverse: str) -> Result:
    """Couple two records, each given by id or by what people call it, and synchronise them.

    ``UsageError`` for a record that is not there, is outside the filter, or is one of several of that name;
    ``StoreError``, saying who is coupled to whom, when one of them has a partner already.
    """
    ready = await ready_mapping(session, mapping)
    ours = await _one(session, ready, "business_central", business_central)
    theirs = await _one(session, ready, "dataverse", dataverse)
    if not await _is_coupled(session, ready, ours, theirs):
        name = ready.business_central.name_of(ours)
        await _store(session, mapping, [Coupling(ours.id, theirs.id)], {ours.id: name}, {ours.id: "coupled by hand"})
    return await synchronise(session, mapping, Request(records=(ours.id,)))


async def _one(session: Session, ready: Ready, side: Side, text: str) -> Record:
    found = await _records_named(session, ready, side, text)
    if len(found) != 1:
        what = f"{len(found)} records are" if found else "no record is"
        raise UsageError(
            f"{what} called {text!r} in {SPOKEN[side]}",
            place=ready.mapping.name,
            remedy=f"Give its id, or its {ready.mapping.endpoint(side).key}.",
        )
    passes = ready.end(side).passes
    if passes is not None and not passes(found[0]):
        raise UsageError(
            f"{text} is outside the filter of {SPOKEN[side]}",
            place=ready.mapping.name,
            remedy=f"koppel explain {ready.mapping.name!r} {found[0].id}",
        )
    return found[0]


async def _records_named(session: Session, ready: Ready, side: Side, text: str) -> list[Record]:
    end, system = ready.end(side), session.systems[side]
    if ready.mapping.kind == "options":
        raise UsageError(
            "options couple by themselves", place=ready.mapping.name, remedy="Give the option the code as its label."
        )
    if is_guid(text):
        return list((await system.by_ids(end.schema.name, end.columns, [text.lower()])).values())
    return await system.by_keys(end.schema.name, end.columns, end.columns[end.key], [text])


async def _is_coupled(session: Session, ready: Ready, ours: Record, theirs: Record) -> bool:
    """Whether they are a pair already; ``StoreError`` when one of them has another partner."""
    for side, record, wanted in (("business_central", ours, theirs), ("dataverse", theirs, ours)):
        known = await couplings.by_ids(session.connection, ready.mapping.name, side, [record.id])  # type: ignore[arg-type]
        if not known:
            continue
        there: Side = other(side)  # type: ignore[arg-type]
        partner = _id(known[record.id], there)
        if partner == wanted.id:
            return True
        names = await _names(session, ready, there, [partner])
        raise StoreError(
            f"{ready.end(other(there)).name_of(record)} in {SPOKEN[other(there)]} is coupled to "
            f"{names[partner].name} ({partner}) in {SPOKEN[there]}",
            place=ready.mapping.name,
            remedy=f"If that is wrong, first: koppel uncouple {ready.mapping.name!r} {record.id}",
        )
    return False


def _id(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id


async def _store(
    session: Session, mapping: str, made: Sequence[Coupling], names: dict[str, str], why: dict[str, str]
) -> None:
    async with _job(session, mapping, "couple") as job:
        await couplings.save(session.connection, mapping, made)
        entries = [_entry(job, mapping, "couple", pair, names[pair.business_central_id], why) for pair in made]
        await history.add(session.connection, entries)
        await jobs.count(session.connection, job, {"coupled": len(made)})


def _entry(
    job: int, mapping: str, action: history.Action, pair: Coupling, name: str, why: dict[str, str]
) -> history.Entry:
    ours, theirs = pair.business_central_id, pair.dataverse_id
    old, new = (None, ours) if action == "couple" else (ours, None)
    return history.Entry(job, mapping, "dataverse", theirs, action, "", old, new, why.get(ours, ""), name)


@asynccontextmanager
async def _job(session: Session, mapping: str, kind: str) -> AsyncIterator[int]:
    """A job that only changes what is written down; all of it or nothing."""
    async with mapping_lock(session.connection, mapping):
        job = await jobs.start(session.connection, kind, [mapping])
        try:
            yield job
            await session.connection.commit()
        except BaseException as error:
            await session.connection.rollback()
            await jobs.finish(session.connection, job, "failed", str(error))
            raise
        await jobs.finish(session.connection, job, "done")


async def uncouple(session: Session, mapping: str, names: Sequence[str] = (), *, everything: bool = False) -> int:
    """Uncouple records, given by id on either side or Business Central key; how many pairs. Data stays as it is."""
    count = 0
    async with _job(session, mapping, "uncouple") as job:
        if session.mappings[mapping].kind == "options":
            return await _uncouple_options(session, job, mapping, names, everything)
        if everything:
            async for chunk in couplings.stream(session.connection, mapping):
                count += await _uncouple(session, job, mapping, chunk)
        else:
            count = await _uncouple(session, job, mapping, await _coupled(session, mapping, names))
    return count


async def _coupled(session: Session, mapping: str, names: Sequence[str]) -> list[Coupling]:
    found: dict[str, Coupling] = {}
    for name in names:
        pair = await coupling_named(session, mapping, name)
        if pair is None:
            raise UsageError(
                f"{name} is not coupled",
                place=mapping,
                remedy="Give its id on either side, or its key in Business Central.",
            )
        found[pair.business_central_id] = pair
    return list(found.values())


async def coupling_named(session: Session, mapping: str, name: str) -> Coupling | None:
    """The coupling of a record, given by id on either side or Business Central key."""
    connection = session.connection
    if not is_guid(name):
        partner = (await couplings.resolve_keys(connection, mapping, [name])).get(name)
        return (await couplings.by_ids(connection, mapping, "dataverse", [partner]))[partner] if partner else None
    for side in SIDES:
        if found := await couplings.by_ids(connection, mapping, side, [name.lower()]):
            return found[name.lower()]
    return None


async def _uncouple(session: Session, job: int, mapping: str, pairs: Sequence[Coupling]) -> int:
    connection = session.connection
    ours, theirs = [pair.business_central_id for pair in pairs], [pair.dataverse_id for pair in pairs]
    await couplings.remove(connection, mapping, "business_central", ours)
    await pending.remove_records(connection, mapping, ours)
    await failures.clear(connection, mapping, "business_central", ours)
    await failures.clear(connection, mapping, "dataverse", theirs)
    open_ = await conflicts.of_pairs(connection, mapping, ours)
    await conflicts.close(connection, [conflict.id for found in open_.values() for conflict in found])
    why = dict.fromkeys(ours, "uncoupled by hand")
    await history.add(
        connection, [_entry(job, mapping, "uncouple", pair, pair.business_central_key, why) for pair in pairs]
    )
    await jobs.count(connection, job, {"uncoupled": len(pairs)})
    return len(pairs)


async def _uncouple_options(session: Session, job: int, mapping: str, codes: Sequence[str], everything: bool) -> int:
    wanted = {code.upper() for code in codes}
    found = [o for o in await options.every(session.connection, mapping) if everything or o.code.upper() in wanted]
    await options.remove(session.connection, mapping, [option.value for option in found])
    await jobs.count(session.connection, job, {"uncoupled": len(found)})
    return len(found)


async def pair_of(session: Session, mappings: Sequence[str], name: str) -> list[str]:
    """The ids by which history knows a record: those of its pair, else the id that was given."""
    for mapping in mappings:
        if pair := await coupling_named(session, mapping, name):
            return [pair.business_central_id, pair.dataverse_id]
    if not is_guid(name):
        raise UsageError(f"no coupled record is called {name!r}", remedy="Give the record's id on either side.")
    return [name.lower()]
