"""Intents: writes written down before they are sent, so that whatever happens then, it is known what was under way."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from koppel.odata.records import Scalar, Side
from koppel.store.database import TEXTS, Connection, as_json
from koppel.store.locks import PORTION

# An intent that is still open keeps the time of the first try: the record may have been made any time after it.
SAVE = """
INSERT INTO intent (mapping, kind, side, source_id, intended_id, identity, base, record_name, changes, held, why,
    table_name, job, portion)
SELECT %s, kind, side, source_id, intended_id, identity, decode(base, 'base64'), record_name, changes, held, why,
    table_name, job, %s
FROM json_to_recordset(%s) AS made (kind text, side text, source_id text, intended_id text, identity json, base text,
    record_name text, changes json, held json, why text, table_name text, job bigint)
ON CONFLICT (mapping, side, source_id) DO UPDATE
SET kind = EXCLUDED.kind, intended_id = EXCLUDED.intended_id, identity = EXCLUDED.identity, base = EXCLUDED.base,
    record_name = EXCLUDED.record_name, changes = EXCLUDED.changes, held = EXCLUDED.held, why = EXCLUDED.why,
    job = EXCLUDED.job, portion = EXCLUDED.portion"""
# Those of a portion that somebody is at are no one else's.
UNSETTLED = f"""
SELECT kind, side, source_id, intended_id, identity, base, record_name, changes, held, why, table_name, job,
    made_at
FROM intent
WHERE mapping = %(mapping)s AND (portion = %(portion)s OR %(portion)s = 0 AND NOT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {PORTION} AND objid = portion::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
))
ORDER BY made_at, side, source_id"""
SETTLE = f"DELETE FROM intent WHERE mapping = %s AND side = %s AND source_id = ANY {TEXTS}"

Kind = Literal["create", "update", "delete", "succeed"]


class Intended(msgspec.Struct, frozen=True, gc=False):
    """One field of an update: what was there, what was to be, and why."""

    field: str
    old: Scalar
    new: Scalar
    why: str = ""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A write on ``side``: a record to be created as partner of the other side's ``source_id``, changed or deleted, or
    to pass to another partner (``succeed``).

    ``intended_id``: the record's id, empty where the system chooses it; ``identity`` holds the values by which the
    record is looked for then. ``base``: what both sides were to agree on, as a coupling keeps it. ``changes`` of an
    update; ``held``: the columns of a record that is to be deleted, or created without there being a base; of one that
    is opened for an update, its state. ``table_name``: where a rule writes beside the mapping's own records;
    ``source_id`` is that of nothing then. ``made_at`` is the database's own, ignored on saving.
    """

    kind: Kind = "create"
    side: Side
    source_id: str
    intended_id: str = ""
    identity: Mapping[str, Scalar] = {}
    base: bytes | None = None
    record_name: str = ""
    changes: tuple[Intended, ...] = ()
    held: Mapping[str, Scalar] = {}
    why: str = ""
    table_name: str = ""
    job: int | None = None
    made_at: datetime | None = None


async def save(connection: Connection, mapping: str, intents: Sequence[Intent], portion: int = 0) -> None:
    """Write intents down, those of a run or of a portion of it. They protect once they are committed, so commit before
    anything is sent."""
    await connection.execute(SAVE, [mapping, portion, as_json(intents)])


async def unsettled(connection: Connection, mapping: str, portion: int = 0) -> list[Intent]:
    """The intents of which nobody has found out yet what became of them, oldest first: of one portion of a run, or of
    all that nobody is at."""
    values = {"mapping": mapping, "portion": portion}
    return [_intent(row) for row in await (await connection.execute(UNSETTLED, values)).fetchall()]


def _intent(row: Sequence[Any]) -> Intent:
    told = zip(Intent.__struct_fields__, row, strict=True)
    return msgspec.convert({name: value for name, value in told if value is not None}, Intent)


async def settle(connection: Connection, mapping: str, side: Side, source_ids: Collection[str]) -> None:
    """Forget intents whose outcome is known, in the transaction that records it."""
    if source_ids:
        await connection.execute(SETTLE, [mapping, side, as_json(source_ids)])
