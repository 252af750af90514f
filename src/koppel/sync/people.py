"""The names of the people whom records name by id as their last editors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from koppel.errors import KoppelError
from koppel.odata.records import Side
from koppel.store.conflicts import Conflict
from koppel.sync.session import Session

_PEOPLE: Mapping[Side, tuple[str, str]] = {
    "business_central": ("microsoft/automation/v2.0/users", "displayName"),
    "dataverse": ("systemuser", "fullname"),
}
"""The table of users of either side, and the column with their names."""


class OpenConflict(Conflict, frozen=True, kw_only=True):
    """A conflict with the names of those who edited last; empty where a system does not tell."""

    business_central_modified_by_name: str = ""
    dataverse_modified_by_name: str = ""


async def names_of(session: Session, side: Side, ids: Iterable[str]) -> dict[str, str]:
    """The names of users by id, asked for at once. A name is a courtesy: there is none where the connection may not
    read users, or the system is out of reach."""
    wanted = list(dict.fromkeys(filter(None, ids)))
    if not wanted:
        return {}
    table, column = _PEOPLE[side]
    try:
        found = await session.systems[side].by_ids(table, (column,), wanted)
    except KoppelError:
        return {}
    return {id: str(record.values[0]) for id, record in found.items() if record.values[0]}


async def with_names(session: Session, found: Sequence[Conflict]) -> list[OpenConflict]:
    """The same conflicts, with the names of those who edited last."""
    ours, theirs = await asyncio.gather(
        names_of(session, "business_central", (conflict.business_central_modified_by for conflict in found)),
        names_of(session, "dataverse", (conflict.dataverse_modified_by for conflict in found)),
    )
    return [
        OpenConflict(
            **msgspec.structs.asdict(conflict),
            business_central_modified_by_name=ours.get(conflict.business_central_modified_by, ""),
            dataverse_modified_by_name=theirs.get(conflict.dataverse_modified_by, ""),
        )
        for conflict in found
    ]
