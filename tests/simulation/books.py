"""What Koppel has written down about a mapping, and what its references lead to by that."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec
from world import World

from koppel.engine.fields import Field, Group
from koppel.odata.records import Side
from koppel.store import history, intents, jobs, options, pending
from koppel.store.couplings import Coupling
from koppel.store.failures import Failure
from koppel.store.history import Entry
from koppel.store.options import Option
from koppel.store.pending import Pending
from koppel.sync.prepare import Ready
from koppel.sync.recover import UNDECIDED
from koppel.sync.session import ready_mapping


class Books(msgspec.Struct, kw_only=True, dict=True):
    """The bookkeeping of one mapping. ``contested``: (Business Central id, group) of open conflicts."""

    ready: Ready
    couplings: list[Coupling]
    options: list[Option]
    history: list[Entry]
    failures: list[Failure]
    pending: list[Pending]
    contested: set[tuple[str, str]]
    unsettled: list[str]
    running: int

    @cached_property
    def troubled(self) -> set[str]:
        """Ids of records with a failure."""
        return {failure.record_id for failure in self.failures}

    @cached_property
    def undecided(self) -> set[str]:
        """Ids of those of which it cannot be told where they come from."""
        return {failure.record_id for failure in self.failures if failure.code == UNDECIDED}

    @cached_property
    def waiting(self) -> set[tuple[str, str]]:
        """(Business Central id, field) of what waits for a reference."""
        return {(one.business_central_id, one.field) for one in self.pending}

    @cached_property
    def partner(self) -> Mapping[Side, Mapping[str, str]]:
        """By side and id, the id of the partner."""
        pairs = [(coupling.business_central_id, coupling.dataverse_id) for coupling in self.couplings]
        return {"business_central": dict(pairs), "dataverse": {theirs: ours for ours, theirs in pairs}}

    @cached_property
    def fields(self) -> Mapping[str, tuple[Field, Group]]:
        """The fields that take part, by name, with their groups."""
        return {field.name: (field, group) for group in self.ready.table.groups for field in group.fields}


async def read_books(world: World, name: str) -> Books:
    """Read what is written down."""
    connection = world.session.connection
    conflicts = await world.conflicts(name)
    books = Books(
        ready=await ready_mapping(world.session, name),
        couplings=await world.couplings(name),
        options=await options.every(connection, name),
        history=await history.find(connection, mapping=name, limit=100_000),
        failures=await world.failures(name),
        pending=await pending.waiting(connection, name),
        contested={(conflict.business_central_id, conflict.field) for conflict in conflicts},
        unsettled=[intent.source_id for intent in await intents.unsettled(connection, name)],
        running=sum(job.status == "running" for job in await jobs.recent(connection, mapping=name)),
    )
    await connection.commit()
    return books
