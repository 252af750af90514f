"""Failures: records that did not synchronise, and why. The same data error twice makes a record *skipped*."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from koppel.errors import Kind
from koppel.mapping.model import Direction
from koppel.odata.records import Side
from koppel.store.couplings import ID
from koppel.store.database import TEXTS, Connection, as_json

State = Literal["active", "skipped"]

GIVEN = """mapping, side, record_id, record_name, direction, kind, code, field, value, message, remedy,
    version, digest, job"""
SELECT = f"SELECT {GIVEN}, attempts, state, first_at, last_at FROM failure"
SAME = "(failure.kind, failure.code, failure.field) = (EXCLUDED.kind, EXCLUDED.code, EXCLUDED.field)"
RECORD = f"""
INSERT INTO failure ({GIVEN})
SELECT {GIVEN}
FROM json_to_recordset(%s) AS given (
    mapping text, side text, record_id text, record_name text, direction text, kind text, code text, field text,
    value text, message text, remedy text, version text, digest text, job bigint
)
ON CONFLICT (mapping, side, record_id) DO UPDATE
SET record_name = EXCLUDED.record_name, direction = EXCLUDED.direction, kind = EXCLUDED.kind, code = EXCLUDED.code,
    field = EXCLUDED.field, value = EXCLUDED.value, message = EXCLUDED.message, remedy = EXCLUDED.remedy,
    version = EXCLUDED.version, digest = EXCLUDED.digest, job = EXCLUDED.job, last_at = now(),
    attempts = CASE WHEN {SAME} THEN failure.attempts + 1 ELSE 1 END,
    state = CASE WHEN {SAME} AND EXCLUDED.kind = 'data' AND failure.attempts >= 1 THEN 'skipped' ELSE 'active' END,
    first_at = CASE WHEN {SAME} THEN failure.first_at ELSE now() END"""
# A pair is skipped as long as a failure of either of its records is. The records of an option mapping are not in
# ``coupling`` and may have ids that are no GUIDs.
HOLD = [
    f"""
UPDATE coupling SET state = 'skipped'
FROM failure
WHERE failure.state = 'skipped' AND failure.mapping = ANY (%s) AND failure.side = '{side}'
    AND coupling.mapping = failure.mapping AND coupling.state = 'active' AND coupling.{ID[side]}
        = CASE WHEN failure.record_id ~ '^[0-9a-f-]{{36}}$' THEN failure.record_id::uuid END"""
    for side in ID
]
FREE = """
UPDATE coupling SET state = 'active'
WHERE coupling.state = 'skipped' AND NOT EXISTS (
    SELECT FROM failure
    WHERE failure.mapping = coupling.mapping AND failure.state = 'skipped' AND (failure.side, failure.record_id) IN (
        ('business_central', coupling.business_central_id::text), ('dataverse', coupling.dataverse_id::text)
    )
)"""
CLEAR = f"DELETE FROM failure WHERE mapping = %s AND side = %s AND record_id = ANY {TEXTS}"
BY_IDS = f"{SELECT} WHERE mapping = %s AND side = %s AND record_id = ANY {TEXTS}"
CHOSEN = """
(%(mapping)s::text IS NULL OR mapping = %(mapping)s)
    AND (%(side)s::text IS NULL OR side = %(side)s)
    AND (%(ids)s::text[] IS NULL OR record_id = ANY (%(ids)s))"""
FIND = f"""
{SELECT}
WHERE {CHOSEN}
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
    AND (%(job)s::bigint IS NULL OR job = %(job)s)
ORDER BY last_at DESC, mapping, side, record_id
LIMIT %(limit)s"""
RETRY = f"UPDATE failure SET state = 'active', attempts = 0 WHERE {CHOSEN}"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A record that did not synchronise. ``side`` and ``record_id``: where it was read; ``direction``: where to go.

    ``kind``, ``code``, ``field``, ``value``, ``message``, ``remedy``: the error's. ``version``: the record's when it
    failed, and ``digest`` the mapping's: when either is another one, a skipped record deserves another try. The rest is
    the database's own, ignored on recording; ``attempts`` counts the same error in a row since a person's last retry.
    """

    mapping: str
    side: Side
    record_id: str
    record_name: str = ""
    direction: Direction
    kind: Kind
    code: str = ""
    field: str = ""
    value: str = ""
    message: str
    remedy: str = ""
    version: str = ""
    digest: str = ""
    job: int | None = None
    attempts: int = 0
    state: State = "active"
    first_at: datetime | None = None
    last_at: datetime | None = None


def _failure(row: Sequence[Any]) -> Failure:
    return Failure(**dict(zip(Failure.__struct_fields__, row, strict=True)))


async def record(connection: Connection, failures: Collection[Failure]) -> None:
    """Write failures down. The same data error (kind, code, field) a second time in a row makes the record skipped."""
    latest = {(f.mapping, f.side, f.record_id): f for f in failures}
    if not latest:
        return
    await connection.execute(RECORD, [as_json(latest.values())])
    for statement in HOLD:
        await connection.execute(statement, [sorted({mapping for mapping, _, _ in latest})])
    await connection.execute(FREE)


async def clear(connection: Connection, mapping: str, side: Side, record_ids: Collection[str]) -> None:
    """Forget the failures of records that synchronised or take no part any more."""
    if (await connection.execute(CLEAR, [mapping, side, as_json(record_ids)])).rowcount:
        await connection.execute(FREE)


async def by_ids(connection: Connection, mapping: str, side: Side, record_ids: Collection[str]) -> dict[str, Failure]:
    """The failures of these records, by id: active ones and skipped ones."""
    if not record_ids:
        return {}
    rows = await connection.execute(BY_IDS, [mapping, side, as_json(record_ids)])
    return {failure.record_id: failure for failure in map(_failure, await rows.fetchall())}


async def find(
    connection: Connection,
    *,
    mapping: str | None = None,
    side: Side | None = None,
    record_ids: Collection[str] | None = None,
    state: State | None = None,
    kind: Kind | None = None,
    job: int | None = None,
    limit: int | None = None,
) -> list[Failure]:
    """The failures that fit, latest first."""
    values = _chosen(mapping, side, record_ids) | {"state": state, "kind": kind, "job": job, "limit": limit}
    return [_failure(row) for row in await (await connection.execute(FIND, values)).fetchall()]


async def retry(
    connection: Connection,
    *,
    mapping: str | None = None,
    side: Side | None = None,
    record_ids: Collection[str] | None = None,
) -> int:
    """Let failed records take part again, as if they had not failed before: these, a mapping's, or all; how many."""
    count = (await connection.execute(RETRY, _chosen(mapping, side, record_ids))).rowcount
    await connection.execute(FREE)
    return count


def _chosen(mapping: str | None, side: Side | None, record_ids: Collection[str] | None) -> dict[str, Any]:
    return {"mapping": mapping, "side": side, "ids": None if record_ids is None else list(record_ids)}
