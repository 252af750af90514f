"""Records that a run passes over, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from koppel.engine.action import Action
from koppel.engine.plan import nothing
from koppel.odata.records import Record
from koppel.store import failures
from koppel.store.failures import Failure
from koppel.sync.prepare import SIDES
from koppel.sync.scope import Incoming, Scope
from koppel.sync.session import Session


async def passed_over(
    session: Session, scope: Scope, incoming: Incoming, found: Sequence[tuple[Record | None, Record | None]]
) -> dict[int, Failure]:
    """By place, the failures of records and pairs that are left alone.

    Skipped ones stay skipped until they or the mapping change, or a person asks for them (promise 4); what failed in
    this very job is not tried twice in it.
    """
    if incoming.why in ("again", "chosen") or not found:
        return {}
    mapping = scope.ready.mapping
    known = {
        side: await failures.by_ids(
            session.connection, mapping.name, side, [r.id for pair in found if (r := pair[number]) is not None]
        )
        for number, side in enumerate(SIDES)
    }
    return {
        place: failure
        for place, pair in enumerate(found)
        for side, record in zip(SIDES, pair, strict=True)
        if record is not None and (failure := known[side].get(record.id)) is not None
        if failure.job == session.job
        or (failure.state, failure.version, failure.digest) == ("skipped", versions_of(*pair), mapping.digest)
    }


def told_why(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record], failed: Mapping[int, Failure]
) -> list[Action]:
    """What to say of records that are passed over; those of this job are told of already."""
    mapping, end = scope.ready.mapping, scope.ready.end(incoming.side)
    return [
        nothing(mapping, incoming.side, record, f"skipped: {failed[place].message}", name=end.name_of(record))
        for place, record in enumerate(records)
        if place in failed and failed[place].job != session.job
    ]


def versions_of(*records: Record | None) -> str:
    """What tells whether a record, or either one of a pair, changed."""
    return " ".join(record.version for record in records if record)
