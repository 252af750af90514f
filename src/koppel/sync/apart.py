"""Taking couplings apart: what is known of a pair goes with its coupling, and so do the couplings of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from koppel.store import conflicts, couplings, failures, history, partings, pending
from koppel.store.couplings import Coupling
from koppel.sync.session import Session


async def take_apart(session: Session, mapping: str, pairs: Sequence[Coupling], why: str) -> None:
    """Uncouple these pairs, with their parts; nothing is written to either system."""
    connection = session.connection
    ours, theirs = [pair.business_central_id for pair in pairs], [pair.dataverse_id for pair in pairs]
    await couplings.remove(connection, mapping, "business_central", ours)
    await partings.forget(connection, mapping, [*ours, *theirs])
    await pending.remove_records(connection, mapping, ours)
    await failures.clear(connection, mapping, "business_central", ours)
    await failures.clear(connection, mapping, "dataverse", theirs)
    open_ = await conflicts.of_pairs(connection, mapping, ours)
    await conflicts.close(connection, [conflict.id for found in open_.values() for conflict in found])
    told = dict.fromkeys(ours, why)
    names = [(pair, pair.business_central_key) for pair in pairs]
    entries = [coupling_entry(session.job, mapping, "uncouple", pair, name, told) for pair, name in names]
    await history.add(connection, entries)
    await take_parts_apart(session, mapping, theirs)


async def take_parts_apart(session: Session, mapping: str, wholes: Sequence[str]) -> None:
    """Uncouple the parts of records of a mapping, by Dataverse id, that are not coupled any more."""
    for name, part in session.mappings.items():
        if part.part_of == mapping and wholes:
            found = await couplings.of_wholes(session.connection, name, wholes)
            if found:
                await take_apart(session, name, found, f"what it is part of is not coupled in {mapping} any more")


def coupling_entry(
    job: int, mapping: str, action: history.Action, pair: Coupling, name: str, why: Mapping[str, str]
) -> history.Entry:
    """How history tells that a pair was coupled or uncoupled."""
    ours, theirs = pair.business_central_id, pair.dataverse_id
    old, new = (None, ours) if action == "couple" else (ours, None)
    base = pair.base if action == "uncouple" else None
    return history.Entry(job, mapping, "dataverse", theirs, action, "", old, new, why.get(ours, ""), name, base)
