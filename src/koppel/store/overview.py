"""How much of everything each mapping has, counted in one statement."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from koppel.store.database import Connection

COUNT = """
SELECT name,
    (SELECT count(*) FROM coupling WHERE mapping = name)
        + (SELECT count(*) FROM option_coupling WHERE mapping = name),
    (SELECT count(DISTINCT business_central_id) FROM pending WHERE mapping = name),
    (SELECT count(*) FROM failure WHERE mapping = name AND state = 'active'),
    (SELECT count(*) FROM failure WHERE mapping = name AND state = 'skipped'),
    (SELECT count(*) FROM conflict WHERE mapping = name)
FROM unnest(%s::text[]) WITH ORDINALITY AS given (name, place)
ORDER BY place"""


class Numbers(msgspec.Struct, frozen=True):
    """One mapping in numbers. ``waiting``: pairs with a field whose reference is not coupled yet."""

    mapping: str
    couplings: int
    waiting: int
    failures: int
    skipped: int
    conflicts: int


async def numbers(connection: Connection, mappings: Sequence[str]) -> list[Numbers]:
    """The numbers of these mappings, in their order."""
    return [Numbers(*row) for row in await (await connection.execute(COUNT, [list(mappings)])).fetchall()]
