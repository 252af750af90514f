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
from koppel.store.database import TEXTS, Connection, as_asked, as_json
from koppel.store.pending import COUPLED, RefersBy

State = Literal["active", "skipped"]

GIVEN = """mapping, side, record_id, record_name, direction, kind, code, field, value, message, remedy,
    version, digest, job, via, refers_by, reference, next_try"""
SELECT = f"SELECT {GIVEN}, attempts, state, first_at, last_at FROM failure"
SAME = "(failure.kind, failure.code, failure.field) = (EXCLUDED.kind, EXCLUDED.code, EXCLUDED.field)"
# The second try is the next run's; then they are a minute apart, two, four, at most a quarter of an hour.
BACKS_OFF = "EXCLUDED.kind NOT IN ('data', 'dependency') AND failure.attempts >= 1"
LATER = "now() + least(interval '15 minutes', interval '1 minute' * 2 ^ least(failure.attempts - 1, 4))"
RECORD = f"""
INSERT INTO failure ({GIVEN})
SELECT {GIVEN}
FROM json_to_recordset(%s) AS given (
    mapping text, side text, record_id text, record_name text, direction text, kind text, code text, field text,
    value text, message text, remedy text, version text, digest text, job bigint,
    via text, refers_by text, reference text, next_try timestamptz
)
ON CONFLICT (mapping, side, record_id) DO UPDATE
SET record_name = EXCLUDED.record_name, direction = EXCLUDED.direction, kind = EXCLUDED.kind, code = EXCLUDED.code,
    field = EXCLUDED.field, value = EXCLUDED.value, message = EXCLUDED.message, remedy = EXCLUDED.remedy,
    version = EXCLUDED.version, digest = EXCLUDED.digest, job = EXCLUDED.job, last_at = now(),
    via = EXCLUDED.via, refers_by = EXCLUDED.refers_by, reference = EXCLUDED.reference,
    next_try = greatest(EXCLUDED.next_try, CASE WHEN {SAME} AND {BACKS_OFF} THEN {LATER} END),
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
# A reference by rule may come of any coupling made after the job that missed it had begun.
SINCE = "coalesce((SELECT started FROM job WHERE job.id = failure.job), failure.last_at)"
DUE = f"""
{SELECT}
WHERE mapping = %(mapping)s AND state = 'active'
    AND (%(early)s OR next_try IS NULL OR next_try <= now())
    AND (via = '' OR {COUPLED.replace("{since}", SINCE)})
ORDER BY side, record_id"""
RETRY = f"UPDATE failure SET state = 'active', attempts = 0, via = '', next_try = NULL WHERE {CHOSEN}"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A record that did not synchronise. ``side`` and ``record_id``: where it was read; ``direction``: where to go.

    ``kind``, ``code``, ``field``, ``value``, ``message``, ``remedy``: the error's. ``version``: the record's when it
    failed, and ``digest`` the mapping's: when either is another one, the record deserves another try at once.
    ``via``, ``refers_by``, ``reference``: the coupling it waits for, as in ``pending``; without it no try is worth
    while. ``next_try``: not before then (a system said so, or the same error came several times). The rest is the
    database's own, ignored on recording; ``attempts`` counts the same error in a row since a person's last retry.
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
    via: str = ""
    refers_by: RefersBy | Literal[""] = ""
    reference: str = ""
    next_try: datetime | None = None
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
    return as_asked(record_ids, {failure.record_id: failure for failure in map(_failure, await rows.fetchall())})


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


async def due(
    connection: Connection, mapping: str, *, early: bool = False, through: Sequence[str] = ()
) -> list[Failure]:
    """The failures that deserve another try: what they wait for is coupled, and it is time (``early``: always).
    ``through``: as in ``pending.ready``."""
    rows = await connection.execute(DUE, {"mapping": mapping, "early": early, "through": list(through)})
    return [_failure(row) for row in await rows.fetchall()]


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
