"""Former partners: a record that gets another one is meant by references that still name the one it had before."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from koppel.odata.records import Side
from koppel.store.couplings import ID, OTHER, Coupling
from koppel.store.database import Connection, array, as_json
from koppel.store.options import OPTION_ID

# Where a record is coupled with the partner that it had, under the key that it had, nothing is due.
MOVED = {
    side: f"""
WITH pair AS (
    SELECT * FROM json_to_recordset(%(pairs)s) AS pair (
        business_central_id uuid, dataverse_id uuid, business_central_key text
    )
), before AS (
    DELETE FROM former USING pair
    WHERE former.mapping = %(via)s AND former.side = '{side}' AND former.record_id = pair.{ID[side]}
    RETURNING former.record_id, former.partner_id, former.business_central_key AS former_key,
        pair.{OTHER[side]} AS partner_now, pair.business_central_key AS key_now
)
INSERT INTO reference_due (mapping, via, side, record_id, former_id, former_key)
SELECT referring, %(via)s, '{side}', record_id, partner_id, former_key
FROM before CROSS JOIN unnest(%(referring)s::text[]) AS referring
WHERE (partner_id <> partner_now OR ('{side}' = 'dataverse' AND former_key <> key_now))
    AND EXISTS (SELECT FROM coupling WHERE coupling.mapping = referring)
ON CONFLICT DO NOTHING"""
    for side in ID
}
_OPTION = {"business_central": "business_central_id", "dataverse": OPTION_ID}
IS_COUPLED = " OR ".join(
    f"""side = '{side}' AND (
    EXISTS (SELECT FROM coupling WHERE coupling.mapping = via AND coupling.{id} = record_id)
    OR EXISTS (SELECT FROM option_coupling WHERE option_coupling.mapping = via AND {_OPTION[side]} = record_id))"""
    for side, id in ID.items()
)
ANY = "SELECT EXISTS (SELECT FROM former WHERE mapping = %s)"
AMONG = "SELECT DISTINCT record_id FROM former WHERE mapping = %s AND side = %s AND record_id = ANY (%s::uuid[])"
DUE = f"""
SELECT via, side, record_id, former_id, former_key
FROM reference_due
WHERE mapping = %s AND ({IS_COUPLED})
ORDER BY via, side, record_id, former_id, former_key"""
DONE = """
DELETE FROM reference_due due
USING json_to_recordset(%(done)s) AS done (via text, side text, record_id uuid, former_id uuid, former_key text)
WHERE due.mapping = %(mapping)s AND (due.via, due.side, due.record_id, due.former_id, due.former_key)
    = (done.via, done.side, done.record_id, done.former_id, done.former_key)"""


class Due(msgspec.Struct, frozen=True):
    """A record of mapping ``via``, of ``side``, that has another partner now; ``former_id`` and ``former_key`` are that
    of the pair it belonged to before."""

    via: str
    side: Side
    record_id: str
    former_id: str
    former_key: str


async def note_partners(
    connection: Connection, via: str, pairs: Sequence[Coupling], referring: Collection[str]
) -> None:
    """These pairs of mapping ``via`` are coupled now: if one of the two had another partner, or the pair another key,
    the mappings ``referring`` to it have references due."""
    if not (pairs and referring):
        return
    row = await (await connection.execute(ANY, [via])).fetchone()
    if row and row[0]:
        known = [
            {name: getattr(pair, name) for name in ("business_central_id", "dataverse_id", "business_central_key")}
            for pair in pairs
        ]
        for side in MOVED:
            values = {"via": via, "pairs": as_json(known), "referring": list(referring)}
            await connection.execute(MOVED[side], values)


async def among(connection: Connection, mapping: str, side: Side, ids: Collection[str]) -> list[str]:
    """Those of these records that were coupled otherwise, or as something else, before."""
    rows = await connection.execute(AMONG, [mapping, side, array(ids)])
    return [row[0] for row in await rows.fetchall()]


async def due(connection: Connection, mapping: str) -> list[Due]:
    """The records to which references of ``mapping`` are due; not as long as they have no partner at all."""
    return [Due(*row) for row in await (await connection.execute(DUE, [mapping])).fetchall()]


async def done(connection: Connection, mapping: str, due: Sequence[Due]) -> None:
    """What refers to these records is known."""
    if due:
        await connection.execute(DONE, {"mapping": mapping, "done": as_json(due)})
