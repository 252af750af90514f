"""Coupled options: which code of Business Central is which option of a Dataverse choice column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec
import psycopg

from koppel.errors import StoreError
from koppel.store.couplings import REMEMBER_BOTH, Coupling
from koppel.store.database import Connection, as_json

ALL = "SELECT business_central_id, code, value, label FROM option_coupling WHERE mapping = %s ORDER BY code, value"
GIVEN = "json_to_recordset(%(options)s) AS given (business_central_id uuid, code text, value integer, label text)"
SAVE = f"""
INSERT INTO option_coupling (mapping, business_central_id, code, value, label)
SELECT %(mapping)s, business_central_id, code, value, coalesce(label, '') FROM {GIVEN}
ON CONFLICT (mapping, business_central_id) DO UPDATE
SET code = EXCLUDED.code, label = EXCLUDED.label
WHERE option_coupling.value = EXCLUDED.value"""
CLASH = f"""
SELECT given.code, given.value, old.code, old.value
FROM {GIVEN}
JOIN option_coupling old
    ON mapping = %(mapping)s AND (old.business_central_id = given.business_central_id) <> (old.value = given.value)
LIMIT 1"""
# An option has an id, too, where whom a code was coupled with is remembered (``formers``): its integer.
OPTION_ID = "lpad(to_hex(value), 32, '0')::uuid"
REMOVE = f"""
WITH gone AS (
    DELETE FROM option_coupling WHERE mapping = %s AND value = ANY (%s)
    RETURNING mapping, business_central_id, {OPTION_ID} AS dataverse_id, code AS business_central_key
), noted AS (
    {REMEMBER_BOTH}
)
SELECT count(*) FROM gone"""


class Option(msgspec.Struct, frozen=True):
    """A code (``business_central_id`` is its record) and the option's integer and label."""

    business_central_id: str
    code: str
    value: int
    label: str = ""

    @property
    def pair(self) -> Coupling:
        """The two as any coupled records."""
        return Coupling(self.business_central_id, option_id(self.value), self.code)


async def every(connection: Connection, mapping: str) -> list[Option]:
    """All coupled options of a mapping, by code."""
    return [Option(*row) for row in await (await connection.execute(ALL, [mapping])).fetchall()]


async def save(connection: Connection, mapping: str, options: Sequence[Option]) -> None:
    """Add or update coupled options.

    ``StoreError``, naming both pairs, when a code or an option would get a second partner; nothing is saved then.
    """
    _require_one_to_one(mapping, options)
    values = {"mapping": mapping, "options": as_json(options)}
    await connection.execute("SAVEPOINT save_options")
    try:
        whole = (await connection.execute(SAVE, values)).rowcount == len(options)
    except psycopg.errors.UniqueViolation:
        whole = False
    if not whole:
        await connection.execute("ROLLBACK TO SAVEPOINT save_options")
        row = await (await connection.execute(CLASH, values)).fetchone()
        assert row is not None
        raise _second_partner(mapping, row[:2], row[2:])
    await connection.execute("RELEASE SAVEPOINT save_options")


def _require_one_to_one(mapping: str, options: Sequence[Option]) -> None:
    seen: dict[str | int, Option] = {}
    for option in options:
        for key in (option.business_central_id, option.value):
            if key in seen:
                raise _second_partner(mapping, (option.code, option.value), (seen[key].code, seen[key].value))
            seen[key] = option


def _second_partner(mapping: str, new: Sequence[str | int], old: Sequence[str | int]) -> StoreError:
    return StoreError(
        f"code {new[0]} and option {new[1]} cannot be coupled: code {old[0]} is coupled to option {old[1]}",
        place=mapping,
        remedy="Uncouple the old pair first if the new one is right.",
    )


async def remove(connection: Connection, mapping: str, values: Collection[int]) -> int:
    """Uncouple options by their integers; how many were coupled."""
    row = await (await connection.execute(REMOVE, [mapping, list(values)])).fetchone()
    return row[0] if row else 0


def option_id(value: int) -> str:
    """The id of an option, by its integer."""
    return str(UUID(int=value))
