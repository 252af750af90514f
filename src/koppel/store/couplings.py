"""Couplings: which record of one side belongs to which of the other, and on what they last agreed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime
from typing import Literal, LiteralString

import msgspec
import psycopg

from koppel.errors import StoreError
from koppel.odata.records import ZERO_GUID, Side
from koppel.store.database import Connection, array, as_asked, copy_rows

State = Literal["active", "skipped"]

FIELDS = """business_central_id, dataverse_id, business_central_key, business_central_version, dataverse_version,
    base, state, initial, job, whole"""
SELECT = f"SELECT {FIELDS}, created_at, synced_at FROM coupling"
ID: dict[Side, LiteralString] = {"business_central": "business_central_id", "dataverse": "dataverse_id"}
OTHER: dict[Side, LiteralString] = {"business_central": "dataverse_id", "dataverse": "business_central_id"}
BY_IDS = {side: f"{SELECT} WHERE mapping = %s AND {ID[side]} = ANY (%s::uuid[])" for side in ID}
OF_WHOLES = f"{SELECT} WHERE mapping = %s AND whole = ANY (%s::uuid[]) ORDER BY business_central_id"
AFTER = f"{SELECT} WHERE mapping = %s AND business_central_id > %s ORDER BY business_central_id LIMIT %s"
REMEMBER = """ON CONFLICT (mapping, side, record_id, partner_id)
    DO UPDATE SET business_central_key = EXCLUDED.business_central_key"""
REMEMBER_BOTH = f"""INSERT INTO former (mapping, side, record_id, partner_id, business_central_key)
    SELECT mapping, 'business_central', business_central_id, dataverse_id, business_central_key FROM gone
    UNION ALL
    SELECT mapping, 'dataverse', dataverse_id, business_central_id, business_central_key FROM gone
    {REMEMBER}"""
SEEN = "CREATE TEMP TABLE IF NOT EXISTS seen_version (id uuid, version text, base bytea) ON COMMIT DELETE ROWS"
COPY_SEEN = "COPY seen_version (id, version, base) FROM STDIN"
TOUCH = {
    side: f"""
UPDATE coupling SET {side}_version = seen.version, base = coalesce(seen.base, coupling.base)
FROM seen_version seen
WHERE mapping = %s AND {ID[side]} = seen.id"""
    for side in ID
}
FORGET_VERSIONS = "DELETE FROM seen_version"
MAPPINGS_OF = """
SELECT DISTINCT mapping FROM coupling
WHERE business_central_id = %(id)s::uuid OR dataverse_id = %(id)s::uuid
ORDER BY mapping"""
COUNT = "SELECT count(*) FROM coupling WHERE mapping = %s"
# Whom each of the two was coupled with stays known, in case that it gets another partner (``formers``).
REMOVE = {
    side: f"""
WITH gone AS (
    DELETE FROM coupling WHERE mapping = %s AND {ID[side]} = ANY (%s::uuid[])
    RETURNING mapping, business_central_id, dataverse_id, business_central_key
), noted AS (
    {REMEMBER_BOTH}
)
SELECT count(*) FROM gone"""
    for side in ID
}
# Codes are re-used: of several couplings that bore a key, the one synchronised last bears it now.
RESOLVE_KEYS = """
SELECT DISTINCT ON (business_central_key) business_central_key, dataverse_id
FROM coupling
WHERE mapping = %s AND business_central_key = ANY (%s)
ORDER BY business_central_key, synced_at DESC NULLS LAST, created_at DESC, business_central_id"""
IDS_OF_KEYS = """
SELECT business_central_id FROM coupling WHERE mapping = %s AND business_central_key = ANY (%s)
ORDER BY business_central_id"""
RESOLVE_IDS = {
    side: f"""
SELECT {ID[side]}, {OTHER[side]}, business_central_key
FROM coupling
WHERE mapping = %s AND {ID[side]} = ANY (%s::uuid[])"""
    for side in ID
}

# Records of Business Central that are coupled in one of two mappings only.
WITHOUT = f"""
{SELECT} WHERE mapping = %s AND business_central_id > %s AND NOT EXISTS (
    SELECT FROM coupling there WHERE there.mapping = %s AND there.business_central_id = coupling.business_central_id
)
ORDER BY business_central_id LIMIT %s"""
MISSING = """
SELECT business_central_id FROM coupling there
WHERE mapping = %s AND state = 'active' AND business_central_id > %s AND NOT EXISTS (
    SELECT FROM coupling WHERE coupling.mapping = %s AND coupling.business_central_id = there.business_central_id
) AND NOT EXISTS (
    SELECT FROM failure WHERE failure.mapping = %s AND failure.side = 'business_central'
        AND failure.record_id = there.business_central_id::text
)
ORDER BY business_central_id LIMIT %s"""

STAGE = """
CREATE TEMP TABLE IF NOT EXISTS staged_coupling (LIKE coupling INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
DELETE FROM staged_coupling"""
COPY = f"COPY staged_coupling (mapping, {FIELDS}) FROM STDIN"
ADD = f"COPY coupling (mapping, {FIELDS}, synced_at) FROM STDIN"
SAVE = f"""
WITH renamed AS (
    INSERT INTO former (mapping, side, record_id, partner_id, business_central_key)
    SELECT mapping, 'dataverse', coupling.dataverse_id, business_central_id, coupling.business_central_key
    FROM staged_coupling staged
    JOIN coupling USING (mapping, business_central_id)
    WHERE coupling.dataverse_id = staged.dataverse_id AND coupling.business_central_key <> ''
        AND coupling.business_central_key <> staged.business_central_key
    {REMEMBER}
), saved AS (
    INSERT INTO coupling (mapping, {FIELDS}, synced_at)
    SELECT mapping, {FIELDS}, CASE WHEN base IS NOT NULL THEN now() END FROM staged_coupling
    ON CONFLICT (mapping, business_central_id) DO UPDATE
    SET business_central_key = EXCLUDED.business_central_key,
        business_central_version = EXCLUDED.business_central_version,
        dataverse_version = EXCLUDED.dataverse_version,
        base = EXCLUDED.base, state = EXCLUDED.state, initial = EXCLUDED.initial,
        job = EXCLUDED.job, whole = EXCLUDED.whole, synced_at = EXCLUDED.synced_at
    WHERE coupling.dataverse_id = EXCLUDED.dataverse_id
    RETURNING 1
)
SELECT count(*) FROM saved"""
CLASH = """
SELECT staged.business_central_id, staged.dataverse_id, coupling.business_central_id, coupling.dataverse_id
FROM staged_coupling staged
JOIN coupling USING (mapping)
WHERE (coupling.business_central_id = staged.business_central_id) <> (coupling.dataverse_id = staged.dataverse_id)
LIMIT 1"""

# A temporary table is not looked after by autovacuum. TRUNCATE and ANALYZE cost more than a small one is worth.
IF_LARGE = "DO $$ BEGIN IF pg_relation_size('{table}') > 1000000 THEN {large}; ELSE {small}; END IF; END $$"
FORGET_SEEN = f"""
CREATE TEMP TABLE IF NOT EXISTS seen_record (id uuid NOT NULL);
{IF_LARGE.format(table="seen_record", large="TRUNCATE seen_record", small="DELETE FROM seen_record")}"""
NOTE_SEEN = "COPY seen_record (id) FROM STDIN"
PREPARE_SEEN = IF_LARGE.format(table="seen_record", large="ANALYZE seen_record", small="NULL")
# Gathered in a table, since a cursor would stay open when a run ends in the middle.
FORGET_UNSEEN = f"""
CREATE TEMP TABLE IF NOT EXISTS unseen_coupling (LIKE coupling, PRIMARY KEY (business_central_id));
{IF_LARGE.format(table="unseen_coupling", large="TRUNCATE unseen_coupling", small="DELETE FROM unseen_coupling")}"""
GATHER_UNSEEN = {
    side: f"""
INSERT INTO unseen_coupling
SELECT * FROM coupling WHERE mapping = %s AND NOT EXISTS (SELECT FROM seen_record WHERE id = {ID[side]})"""
    for side in ID
}
UNSEEN = AFTER.replace("FROM coupling", "FROM unseen_coupling")


class Coupling(msgspec.Struct, frozen=True, gc=False):
    """A pair of records. Versions are ETags as last seen after a synchronisation.

    ``business_central_key``: the code or number by which references find the record. ``base``: see ``snapshots``; none
    until first synchronised; ``initial`` says which side wins then (empty: as the mapping says). ``job``: the one that
    saved it last. ``whole``: the record of Dataverse that they are parts of. The times are the database's own,
    ignored on saving.
    """

    business_central_id: str
    dataverse_id: str
    business_central_key: str = ""
    business_central_version: str = ""
    dataverse_version: str = ""
    base: bytes | None = None
    state: State = "active"
    initial: Side | Literal[""] = ""
    job: int | None = None
    whole: str | None = None
    created_at: datetime | None = None
    synced_at: datetime | None = None


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A record as it was seen: ``version``, and the coupling's base where it is another one now."""

    id: str
    version: str
    base: bytes | None = None


class Reference(msgspec.Struct, frozen=True, gc=False):
    """What a reference leads to: the coupled record's id on the other side, and its key in Business Central."""

    id: str
    business_central_key: str


async def by_ids(connection: Connection, mapping: str, side: Side, ids: Collection[str]) -> dict[str, Coupling]:
    """The couplings of these records of one side, by their id there; what is not coupled is not in it."""
    rows = await connection.execute(BY_IDS[side], [mapping, array(ids)])
    place = 0 if side == "business_central" else 1
    return as_asked(ids, {row[place]: Coupling(*row) for row in await rows.fetchall()})


async def of_wholes(connection: Connection, mapping: str, wholes: Collection[str]) -> list[Coupling]:
    """The couplings of the parts of these records of Dataverse."""
    rows = await connection.execute(OF_WHOLES, [mapping, array(wholes)])
    return [Coupling(*row) for row in await rows.fetchall()]


async def save(connection: Connection, mapping: str, couplings: Sequence[Coupling], *, new: bool = False) -> None:
    """Add or update couplings. ``new``: probably none of them is there yet, so adding is tried first, which is faster.

    ``StoreError``, naming both pairs, when a record would get a second partner; nothing is saved then.
    """
    if not couplings:
        return
    _require_one_to_one(mapping, couplings)
    if new and await _add(connection, mapping, couplings):
        return
    await connection.execute(STAGE)
    await copy_rows(connection, COPY, _rows(mapping, couplings))
    await connection.execute("SAVEPOINT save_couplings")
    try:
        row = await (await connection.execute(SAVE)).fetchone()
        whole = row is not None and row[0] == len(couplings)
    except psycopg.errors.UniqueViolation:
        whole = False
    if not whole:
        await connection.execute("ROLLBACK TO SAVEPOINT save_couplings")
        raise await _clash(connection, mapping)
    await connection.execute("RELEASE SAVEPOINT save_couplings")


async def _add(connection: Connection, mapping: str, couplings: Sequence[Coupling]) -> bool:
    """Add couplings; False, and nothing is added, when one of the records is coupled already."""
    cursor = await connection.execute("SAVEPOINT add_couplings; SELECT now()")
    cursor.nextset()
    now = await cursor.fetchone()
    assert now is not None
    try:
        rows = zip(_rows(mapping, couplings), couplings, strict=True)
        await copy_rows(connection, ADD, ((*row, now[0] if c.base is not None else None) for row, c in rows))
    except psycopg.errors.UniqueViolation:
        await connection.execute("ROLLBACK TO SAVEPOINT add_couplings")
        return False
    await connection.execute("RELEASE SAVEPOINT add_couplings")
    return True


def _rows(mapping: str, couplings: Iterable[Coupling]) -> Iterable[tuple[object, ...]]:
    for c in couplings:
        yield (
            mapping,
            c.business_central_id,
            c.dataverse_id,
            c.business_central_key,
            c.business_central_version,
            c.dataverse_version,
            c.base,
            c.state,
            c.initial,
            c.job,
            c.whole,
        )


def _require_one_to_one(mapping: str, couplings: Sequence[Coupling]) -> None:
    seen: dict[str, Coupling] = {}
    for coupling in couplings:
        for key in ("b" + coupling.business_central_id, "d" + coupling.dataverse_id):
            if key in seen:
                raise _second_partner(mapping, _pair(coupling), _pair(seen[key]))
            seen[key] = coupling


async def _clash(connection: Connection, mapping: str) -> StoreError:
    row = await (await connection.execute(CLASH)).fetchone()
    assert row is not None
    return _second_partner(mapping, row[:2], row[2:])


def _pair(coupling: Coupling) -> tuple[str, str]:
    return coupling.business_central_id, coupling.dataverse_id


def _second_partner(mapping: str, new: Sequence[str], old: Sequence[str]) -> StoreError:
    return StoreError(
        f"Business Central record {new[0]} and Dataverse record {new[1]} cannot be coupled: "
        f"Business Central record {old[0]} is coupled to Dataverse record {old[1]}",
        place=mapping,
        remedy="Uncouple the old pair first if the new one is right.",
    )


async def touch(connection: Connection, mapping: str, side: Side, seen: Sequence[Seen]) -> None:
    """Note the versions under which records of one side show what their base holds."""
    if seen:
        await connection.execute(SEEN)
        await copy_rows(connection, COPY_SEEN, ((one.id, one.version, one.base) for one in seen))
        await connection.execute(TOUCH[side], [mapping])
        await connection.execute(FORGET_VERSIONS)


async def remove(connection: Connection, mapping: str, side: Side, ids: Collection[str]) -> int:
    """Uncouple the records with these ids on ``side``; how many were coupled."""
    row = await (await connection.execute(REMOVE[side], [mapping, array(ids)])).fetchone()
    return int(row[0]) if row else 0


async def mappings_of(connection: Connection, id: str) -> list[str]:
    """The mappings in which a record of either side has a partner."""
    return [row[0] for row in await (await connection.execute(MAPPINGS_OF, {"id": id})).fetchall()]


async def count(connection: Connection, mapping: str) -> int:
    """How many couplings the mapping has."""
    row = await (await connection.execute(COUNT, [mapping])).fetchone()
    return int(row[0]) if row else 0


async def resolve_keys(connection: Connection, mapping: str, keys: Collection[str]) -> dict[str, str]:
    """The Dataverse ids of the coupled records with these Business Central keys."""
    return dict(await (await connection.execute(RESOLVE_KEYS, [mapping, list(keys)])).fetchall())


async def ids_of_keys(connection: Connection, mapping: str, keys: Collection[str]) -> list[str]:
    """The ids in Business Central of the records that were coupled under these keys."""
    return [row[0] for row in await (await connection.execute(IDS_OF_KEYS, [mapping, list(keys)])).fetchall()]


async def resolve_ids(connection: Connection, mapping: str, side: Side, ids: Collection[str]) -> dict[str, Reference]:
    """What the coupled records with these ids on ``side`` are on the other one."""
    rows = await connection.execute(RESOLVE_IDS[side], [mapping, array(ids)])
    return as_asked(ids, {row[0]: Reference(row[1], row[2]) for row in await rows.fetchall()})


async def stream(connection: Connection, mapping: str, chunk: int = 5000) -> AsyncIterator[list[Coupling]]:
    """All couplings in chunks, by Business Central id. The caller may commit and write between chunks."""
    async for couplings in _pages(connection, AFTER, mapping, chunk):
        yield couplings


async def without(connection: Connection, mapping: str, there: str, chunk: int = 5000) -> AsyncIterator[list[Coupling]]:
    """The couplings of a mapping whose record of Business Central is not coupled in another one, ``there``."""
    last = ZERO_GUID
    while rows := await (await connection.execute(WITHOUT, [mapping, last, there, chunk])).fetchall():
        found = [Coupling(*row) for row in rows]
        yield found
        last = found[-1].business_central_id


async def missing(connection: Connection, mapping: str, there: str, chunk: int = 5000) -> AsyncIterator[list[str]]:
    """The records of Business Central (ids) that are coupled ``there``, and neither coupled in a mapping nor failed."""
    last = ZERO_GUID
    values = [there, last, mapping, mapping, chunk]
    while rows := await (await connection.execute(MISSING, values)).fetchall():
        yield [row[0] for row in rows]
        values[1] = rows[-1][0]


async def _pages(
    connection: Connection, statement: LiteralString, mapping: str, chunk: int
) -> AsyncIterator[list[Coupling]]:
    last = ZERO_GUID
    while rows := await (await connection.execute(statement, [mapping, last, chunk])).fetchall():
        couplings = [Coupling(*row) for row in rows]
        yield couplings
        last = couplings[-1].business_central_id


async def begin_full_read(connection: Connection) -> None:
    """Forget which records this connection has seen: a full read of one side begins. Commits."""
    await connection.execute(FORGET_SEEN)
    await connection.commit()


async def note_seen(connection: Connection, ids: Iterable[str]) -> None:
    """Records that the full read has come upon; kept by the database, so that memory stays flat."""
    await copy_rows(connection, NOTE_SEEN, ((id,) for id in ids))


async def unseen(connection: Connection, mapping: str, side: Side, chunk: int = 5000) -> AsyncIterator[list[Coupling]]:
    """The couplings whose record on ``side`` a *finished* full read did not come upon: it is gone, or filtered out.

    Commits before the first chunk; the caller may commit and write between chunks.
    """
    await connection.execute(PREPARE_SEEN)
    await connection.execute(FORGET_UNSEEN)
    await connection.execute(GATHER_UNSEEN[side], [mapping])
    await connection.commit()
    async for couplings in _pages(connection, UNSEEN, mapping, chunk):
        yield couplings
