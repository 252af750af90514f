"""Uncoupling: records, mappings, and couplings whose records are gone. The data stays as it is on both sides, but for
what rules write to a record that is uncoupled (GEN-08)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from koppel.engine.action import Action
from koppel.errors import UsageError
from koppel.odata.literals import is_guid
from koppel.odata.records import Record, Side
from koppel.store import couplings, history, jobs, options
from koppel.store.couplings import Coupling
from koppel.store.options import Option
from koppel.sync.apart import take_apart
from koppel.sync.couple import coupling_job
from koppel.sync.follow import carry_out
from koppel.sync.options import option_entry
from koppel.sync.orphan import Orphan, orphan_of
from koppel.sync.precede import with_parting
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.scope import open_scope, read_side
from koppel.sync.session import Session, ready_mapping
from koppel.systems.dataverse import Dataverse


async def uncouple(session: Session, mapping: str, names: Sequence[str] = (), *, everything: bool = False) -> int:
    """Uncouple records of one mapping, given by id on either side or Business Central key, or all of it; how many.

    Couplings of other mappings stay, also of the same tables. ``UsageError`` for what is not coupled.
    """
    count = 0
    async with coupling_job(session, mapping, "uncouple") as job:
        if session.mappings[mapping].kind == "options":
            return await _uncouple_options(session, job, mapping, names, everything)
        if everything:
            async for chunk in couplings.stream(session.connection, mapping):
                count += await _uncouple(session, job, mapping, chunk)
        else:
            count = await _uncouple(session, job, mapping, await _coupled(session, mapping, names))
    return count


async def uncouple_pairs(session: Session, mapping: str, pairs: Sequence[Coupling], why: str) -> int:
    """Uncouple these pairs; how many."""
    async with coupling_job(session, mapping, "uncouple") as job:
        return await _uncouple(session, job, mapping, pairs, why)


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


async def pair_of(session: Session, mappings: Sequence[str], name: str) -> list[str]:
    """The ids by which history knows a record: those of its pair, or the id that was given; none for another name."""
    for mapping in mappings:
        if pair := await coupling_named(session, mapping, name):
            return [pair.business_central_id, pair.dataverse_id]
    return [name.lower()] if is_guid(name) else []


async def _uncouple(
    session: Session, job: int, mapping: str, pairs: Sequence[Coupling], why: str = "uncoupled by hand"
) -> int:
    await _part(session, mapping, pairs)
    await take_apart(session, mapping, pairs, why)
    await jobs.count(session.connection, job, {"uncoupled": len(pairs)})
    return len(pairs)


async def _part(session: Session, mapping: str, pairs: Sequence[Coupling]) -> None:
    """Write to both records of these pairs what rules want to be written before; the first error stops it all."""
    if not session.mappings[mapping].rules.uncouple:
        return
    ready = await ready_mapping(session, mapping)
    scope = await open_scope(session, ready, create=False)
    records = {side: await read_side(session, scope, side, [_id(pair, side) for pair in pairs]) for side in SIDES}
    actions = [_uncoupling(mapping, pair, *(records[side].get(_id(pair, side)) for side in SIDES)) for pair in pairs]
    parted = await with_parting(session, scope, actions, ready.mapping.rules.uncouple)
    errors = await carry_out(session, scope, [write for action in parted for write in action.before])
    for error in errors.values():
        raise error


def _uncoupling(mapping: str, pair: Coupling, ours: Record | None, theirs: Record | None) -> Action:
    return Action(
        kind="uncouple",
        mapping=mapping,
        business_central_id=pair.business_central_id,
        dataverse_id=pair.dataverse_id,
        records=(ours, theirs),
    )


async def _uncouple_options(session: Session, job: int, mapping: str, codes: Sequence[str], everything: bool) -> int:
    wanted = {code.casefold() for code in codes}
    every = await options.every(session.connection, mapping)
    found = [option for option in every if everything or {option.code.casefold(), str(option.value)} & wanted]
    known = {text for option in found for text in (option.code.casefold(), str(option.value))}
    if unknown := sorted(wanted - known):
        raise UsageError(f"{', '.join(unknown)} is not coupled", place=mapping, remedy="Give its code, or its value.")
    await options.remove(session.connection, mapping, [option.value for option in found])
    why = "uncoupled by hand"
    entries = [
        option_entry(job, mapping, "uncouple", o.value, o.code, old=o.business_central_id, why=why) for o in found
    ]
    await history.add(session.connection, entries)
    await jobs.count(session.connection, job, {"uncoupled": len(found)})
    return len(found)


async def orphans(session: Session, mapping: str) -> AsyncIterator[list[Orphan]]:
    """The couplings whose records are gone, chunk by chunk; asks both systems for every coupled record."""
    ready = await ready_mapping(session, mapping)
    if ready.mapping.kind == "options":
        yield await _orphan_options(session, ready)
        return
    done, total = 0, await couplings.count(session.connection, mapping)
    async for chunk in couplings.stream(session.connection, mapping):
        await session.connection.commit()
        alive = {
            side: await session.systems[side].by_ids(ready.end(side).schema.name, (), [_id(c, side) for c in chunk])
            for side in SIDES
        }
        missing = [(pair, tuple(side for side in SIDES if _id(pair, side) not in alive[side])) for pair in chunk]
        yield [orphan_of(mapping, pair, sides) for pair, sides in missing if sides]
        done += len(chunk)
        session.progress(mapping, "looking for orphans", done, total)


def _id(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id


async def _orphan_options(session: Session, ready: Ready) -> list[Orphan]:
    dataverse, end = session.systems["dataverse"], ready.business_central
    assert isinstance(dataverse, Dataverse)
    values = await dataverse.options(ready.dataverse.schema.name, ready.mapping.dataverse.column)
    pages = session.systems["business_central"].query(end.schema.name, ())
    codes = {record.id async for page in pages for record in page.records}

    def missing(option: Option) -> tuple[Side, ...]:
        gone = {"business_central": option.business_central_id not in codes, "dataverse": option.value not in values}
        return tuple(side for side in SIDES if gone[side])

    return [
        Orphan(
            mapping=ready.mapping.name,
            name=option.code,
            missing=sides,
            business_central_id=option.business_central_id,
            dataverse_id=str(option.value),
        )
        for option in await options.every(session.connection, ready.mapping.name)
        if (sides := missing(option))
    ]


async def remove_orphans(session: Session, mapping: str, found: Sequence[Orphan]) -> int:
    """Uncouple what ``orphans`` found; how many."""
    if session.mappings[mapping].kind == "options":
        return await uncouple(session, mapping, [orphan.dataverse_id for orphan in found])
    ids = [orphan.business_central_id for orphan in found]
    pairs = await couplings.by_ids(session.connection, mapping, "business_central", ids)
    return await uncouple_pairs(session, mapping, list(pairs.values()), "its records are gone")
