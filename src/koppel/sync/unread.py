"""Edits of people that the mapping of their record has not read yet, and that a write beside it would hide (GEN-14)."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.errors import RemoteError, TransientError
from koppel.mapping.model import TableMapping
from koppel.odata.records import Record, Side
from koppel.store import couplings
from koppel.sync.scope import recorded_version
from koppel.sync.session import Session


async def unread_edits(
    session: Session, own: TableMapping, side: Side, table: str, rows: Mapping[str, Record]
) -> dict[str, RemoteError]:
    """By id, the rows that another mapping has to read first: it leaves alone what the connection's user edited last.

    ``own``: the mapping that is running, which has read its own records.
    """
    others = [m for m in session.mappings.values() if m.name != own.name and _leaves_own_alone(m, side, table)]
    if not (others and rows):
        return {}
    users = await session.systems[side].own_users()
    waiting: dict[str, RemoteError] = {}
    for mapping in others:
        found = await couplings.by_ids(session.connection, mapping.name, side, list(rows))
        for id, coupling in found.items():
            known = recorded_version(coupling, side) == rows[id].version
            if not known and rows[id].modified_by not in (users or {""}):
                waiting[id] = _not_yet(mapping.name)
    return waiting


def _not_yet(mapping: str) -> RemoteError:
    error = TransientError(f"{mapping} has not carried over yet what a person edited in the record to be written")
    error.remedy = f"nothing is to be done: it goes through once {mapping} has run"
    return error


def _leaves_own_alone(mapping: TableMapping, side: Side, table: str) -> bool:
    two_ways = mapping.enabled and mapping.direction == "both" and mapping.ignore_integration_user
    return two_ways and mapping.endpoint(side).table == table
