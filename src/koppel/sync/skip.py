"""Records that a run passes over, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from koppel.engine.action import Action
from koppel.engine.plan import nothing, other
from koppel.odata.records import Record, Side
from koppel.store import failures
from koppel.store.couplings import Coupling
from koppel.store.failures import Failure
from koppel.sync.scope import Incoming, Scope, coupled_id
from koppel.sync.session import Session


async def passed_over(
    session: Session,
    scope: Scope,
    incoming: Incoming,
    side: Side,
    records: Sequence[Record | None],
    coupled: Mapping[str, Coupling] = {},
) -> dict[int, Failure]:
    """By place, the failures of records of ``side`` that are left alone; ``coupled``: those that have a partner.

    What deserved another try had it before (``read.again``): the others rest until they or the mapping change, or a
    person asks for them (promise 4). Of a pair, each side's own pass tells whether its record changed. What failed in
    this very job is not tried twice in it.
    """
    if incoming.why in ("again", "chosen") or not records:
        return {}
    mapping, partner = scope.ready.mapping, other(side)
    ids = {
        side: [record.id for record in records if record],
        partner: [coupled_id(coupled[record.id], partner) for record in records if record and record.id in coupled],
    }
    known = {side: await failures.by_ids(session.connection, mapping.name, side, ids[side]) for side in ids}
    found: dict[int, Failure] = {}
    for place, record in enumerate(records):
        pair = coupled.get(record.id) if record else None
        both = (known[side].get(record.id) if record else None, pair and known[partner].get(coupled_id(pair, partner)))
        for failure in both:
            if not (record and failure):
                continue
            rests = incoming.why != "anew" and not incoming.watched and _is_of(failure, record, pair, mapping.digest)
            if rests or failure.job == session.job:
                found[place] = failure
    return found


def _is_of(failure: Failure, record: Record, pair: Coupling | None, digest: str) -> bool:
    """Whether it failed as it is now."""
    versions = failure.version.split(" ") if pair else [failure.version]
    return failure.digest == digest and record.version in versions


def told_why(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record], failed: Mapping[int, Failure]
) -> list[Action]:
    """What to say of records that are passed over; those of this job are told of already."""
    mapping, end = scope.ready.mapping, scope.ready.end(incoming.side)
    return [
        nothing(mapping, incoming.side, record, _told(failed[place]), name=end.name_of(record))
        for place, record in enumerate(records)
        if place in failed and failed[place].job != session.job
    ]


def _told(failure: Failure) -> str:
    return f"{'skipped' if failure.state == 'skipped' else 'waits' if failure.via else 'failed'}: {failure.message}"


def versions_of(*records: Record | None) -> str:
    """What tells whether a record, or either one of a pair, changed."""
    return " ".join(record.version for record in records if record)
