"""Pending fields: references that wait until the record they lead to is coupled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from koppel.odata.records import Side
from koppel.store.database import Connection, array, as_json

FIELDS = "business_central_id, dataverse_id, field, via, refers_by, reference, leads"
SAVE = f"""
INSERT INTO pending (mapping, {FIELDS})
SELECT %s, {FIELDS}
FROM json_to_recordset(%s) AS waiting (
    business_central_id uuid, dataverse_id uuid, field text, via text, refers_by text, reference text, leads text
)
ON CONFLICT (mapping, business_central_id, field) DO UPDATE
SET dataverse_id = EXCLUDED.dataverse_id, via = EXCLUDED.via, refers_by = EXCLUDED.refers_by,
    reference = EXCLUDED.reference, leads = EXCLUDED.leads"""
SELECT = f"SELECT {FIELDS}, since FROM pending"
ORDER = "ORDER BY business_central_id, field"
ALL = f"{SELECT} WHERE mapping = %s {ORDER}"
LED = f"{SELECT} WHERE mapping = %s AND leads <> '' AND business_central_id = ANY (%s::uuid[]) {ORDER}"
# CASE, since only a reference by id can be read as one. Also true of ``failure``, but for ``since``.
COUPLED = """CASE refers_by
    WHEN 'option' THEN EXISTS (
        SELECT FROM option_coupling WHERE option_coupling.mapping = via AND reference IN (code, value::text)
    )
    WHEN 'rule' THEN EXISTS (
        SELECT FROM coupling WHERE coupling.mapping = ANY (via || %(through)s::text[]) AND coupling.created_at > {since}
    )
    WHEN 'key' THEN EXISTS (
        SELECT FROM coupling WHERE coupling.mapping = via AND business_central_key = reference
    )
    WHEN 'business_central' THEN EXISTS (
        SELECT FROM coupling WHERE coupling.mapping = via AND coupling.business_central_id = reference::uuid
    )
    ELSE EXISTS (
        SELECT FROM coupling WHERE coupling.mapping = via AND coupling.dataverse_id = reference::uuid
    )
END"""
READY = f"""
{SELECT}
WHERE mapping = %(mapping)s AND {COUPLED.replace("{since}", "since")}
{ORDER}"""
REMOVE = """
DELETE FROM pending
USING json_to_recordset(%(done)s) AS done (business_central_id uuid, field text)
WHERE mapping = %(mapping)s AND pending.business_central_id = done.business_central_id AND pending.field = done.field"""
REMOVE_RECORDS = "DELETE FROM pending WHERE mapping = %s AND business_central_id = ANY (%s::uuid[])"


RefersBy = Literal["key", "option", "rule"] | Side


class Pending(msgspec.Struct, frozen=True):
    """A field of a coupled pair that waits for ``reference``, a record of mapping ``via``.

    ``refers_by``: ``reference`` is its Business Central key, or its id on a side. ``leads``: the side that leads though
    nothing changed, since the record has another partner now. ``since``: the database's own.
    """

    business_central_id: str
    dataverse_id: str
    field: str
    via: str
    refers_by: RefersBy
    reference: str
    leads: Side | Literal[""] = ""
    since: datetime | None = None


async def save(connection: Connection, mapping: str, pending: Sequence[Pending]) -> None:
    """Let fields wait; one that waits already waits for its new reference."""
    await connection.execute(SAVE, [mapping, as_json(pending)])


async def waiting(connection: Connection, mapping: str) -> list[Pending]:
    """Every field of the mapping that waits."""
    return [Pending(*row) for row in await (await connection.execute(ALL, [mapping])).fetchall()]


async def led(connection: Connection, mapping: str, business_central_ids: Collection[str]) -> list[Pending]:
    """The fields of these records that one side leads though nothing changed."""
    rows = await connection.execute(LED, [mapping, array(business_central_ids)])
    return [Pending(*row) for row in await rows.fetchall()]


async def ready(connection: Connection, mapping: str, *, through: Sequence[str] = ()) -> list[Pending]:
    """The fields that wait no longer, because their reference is coupled by now. ``through``: the mappings besides
    ``via`` whose couplings a reference by rule may come of."""
    rows = await connection.execute(READY, {"mapping": mapping, "through": list(through)})
    return [Pending(*row) for row in await rows.fetchall()]


async def remove(connection: Connection, mapping: str, fields: Collection[tuple[str, str]]) -> None:
    """Forget fields, each given as Business Central id of its record and name."""
    done = [{"business_central_id": id, "field": field} for id, field in fields]
    await connection.execute(REMOVE, {"mapping": mapping, "done": as_json(done)})


async def remove_records(connection: Connection, mapping: str, business_central_ids: Collection[str]) -> None:
    """Forget all fields of these records, which are coupled no longer or were written whole."""
    if business_central_ids:
        await connection.execute(REMOVE_RECORDS, [mapping, array(business_central_ids)])
