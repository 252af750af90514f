"""Conflicts: fields that both sides changed differently, held until a person decides."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from koppel.odata.records import Scalar, Side
from koppel.store.database import Connection, array, as_json

Value = Scalar | Mapping[str, Scalar]
"""What a field holds, or the fields of a group by name."""

GIVEN = """mapping, business_central_id, dataverse_id, field, record_name, base, business_central, dataverse,
    business_central_version, dataverse_version, business_central_modified_at, business_central_modified_by,
    dataverse_modified_at, dataverse_modified_by, job"""
SELECT = f"SELECT {GIVEN}, id, decision, opened_at FROM conflict"
SAME = {
    side: f"conflict.{side}::text IS NOT DISTINCT FROM EXCLUDED.{side}::text"
    for side in ("business_central", "dataverse")
}
# Who edited is who edited the value: the record may have been written since.
EDITED = ", ".join(
    f"{column} = CASE WHEN {same} THEN conflict.{column} ELSE EXCLUDED.{column} END"
    for side, same in SAME.items()
    for column in (f"{side}_modified_at", f"{side}_modified_by")
)
# A decision was made on two values that were shown: it does not hold for others.
SAVE = f"""
INSERT INTO conflict ({GIVEN})
SELECT {GIVEN}
FROM json_to_recordset(%s) AS given (
    mapping text, business_central_id uuid, dataverse_id uuid, field text, record_name text,
    base json, business_central json, dataverse json,
    business_central_version text, dataverse_version text,
    business_central_modified_at text, business_central_modified_by text,
    dataverse_modified_at text, dataverse_modified_by text, job bigint
)
ON CONFLICT (mapping, business_central_id, dataverse_id, field) DO UPDATE
SET record_name = EXCLUDED.record_name, base = EXCLUDED.base,
    business_central = EXCLUDED.business_central, dataverse = EXCLUDED.dataverse,
    business_central_version = EXCLUDED.business_central_version, dataverse_version = EXCLUDED.dataverse_version,
    {EDITED},
    job = EXCLUDED.job,
    decision = CASE WHEN {SAME["business_central"]} AND {SAME["dataverse"]} THEN conflict.decision END"""
OF_PAIRS = f"{SELECT} WHERE mapping = %s AND business_central_id = ANY (%s::uuid[]) ORDER BY id"
CHOSEN = """
(%(mapping)s::text IS NULL OR mapping = %(mapping)s)
    AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s))"""
FIND = f"""
{SELECT}
WHERE {CHOSEN}
    AND (%(decided)s::boolean IS NULL OR (decision IS NOT NULL) = %(decided)s)
ORDER BY id
LIMIT %(limit)s"""
DECIDE = f"UPDATE conflict SET decision = %(decision)s WHERE {CHOSEN}"
CLOSE = "DELETE FROM conflict WHERE id = ANY (%s)"


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A contested field (or group) of a pair: the ``base`` and the value of each side, with version, time and user.

    ``id``, ``decision`` (the side that shall win) and ``opened_at`` are the database's own, ignored on saving.
    """

    mapping: str
    business_central_id: str
    dataverse_id: str
    field: str
    record_name: str = ""
    base: Value = None
    business_central: Value = None
    dataverse: Value = None
    business_central_version: str = ""
    dataverse_version: str = ""
    business_central_modified_at: str = ""
    business_central_modified_by: str = ""
    dataverse_modified_at: str = ""
    dataverse_modified_by: str = ""
    job: int | None = None
    id: int = 0
    decision: Side | None = None
    opened_at: datetime | None = None


def _conflict(row: Sequence[Any]) -> Conflict:
    return Conflict(**dict(zip(Conflict.__struct_fields__, row, strict=True)))


async def save(connection: Connection, conflicts: Sequence[Conflict]) -> None:
    """Open conflicts, or bring open ones up to date: they keep their number, and the decision if both values stayed."""
    await connection.execute(SAVE, [as_json(conflicts)])


async def of_pairs(
    connection: Connection, mapping: str, business_central_ids: Collection[str]
) -> dict[str, list[Conflict]]:
    """The conflicts of these pairs, decided or not, by Business Central id."""
    found: dict[str, list[Conflict]] = {}
    for row in await (await connection.execute(OF_PAIRS, [mapping, array(business_central_ids)])).fetchall():
        found.setdefault(row[1], []).append(_conflict(row))
    return found


async def find(
    connection: Connection,
    *,
    mapping: str | None = None,
    ids: Collection[int] | None = None,
    decided: bool | None = None,
    limit: int | None = None,
) -> list[Conflict]:
    """The conflicts that fit, oldest first."""
    values = _chosen(mapping, ids) | {"decided": decided, "limit": limit}
    return [_conflict(row) for row in await (await connection.execute(FIND, values)).fetchall()]


async def decide(
    connection: Connection, decision: Side | None, *, mapping: str | None = None, ids: Collection[int] | None = None
) -> int:
    """Let one side win (none: take a decision back) in these conflicts, a mapping's, or all; in how many."""
    return (await connection.execute(DECIDE, _chosen(mapping, ids) | {"decision": decision})).rowcount


async def close(connection: Connection, ids: Collection[int]) -> None:
    """Forget conflicts that are settled."""
    await connection.execute(CLOSE, [list(ids)])


def _chosen(mapping: str | None, ids: Collection[int] | None) -> dict[str, Any]:
    return {"mapping": mapping, "ids": None if ids is None else list(ids)}
