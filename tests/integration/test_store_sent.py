"""Processes tell each other what they send."""

from __future__ import annotations

from koppel.store import sent
from koppel.store.database import Connection


async def test_each_learns_what_the_others_sent(connection: Connection) -> None:
    assert await sent.exchange(connection, {"dataverse": [(3, 1.5), (0, 0.0)]}, process=1) == {}
    assert await sent.exchange(connection, {"dataverse": [(1, 0.5), (2, 0.25)]}, process=2) == {
        ("dataverse", 0): (3, 1.5)
    }
    assert await sent.exchange(connection, {"dataverse": [(4, 0.5)]}, process=1) == {
        ("dataverse", 0): (1, 0.5),
        ("dataverse", 1): (2, 0.25),
    }
    told = await sent.exchange(connection, {"business_central": [(0, 0.0)]}, process=3)
    assert told == {("dataverse", 0): (8, 2.5), ("dataverse", 1): (2, 0.25)}


async def test_what_was_sent_long_ago_does_not_count(connection: Connection) -> None:
    await sent.exchange(connection, {"dataverse": [(3, 1.5)]}, process=1)
    await connection.execute("UPDATE sent SET at = at - make_interval(secs => 301)")
    assert await sent.exchange(connection, {"dataverse": [(1, 0.5)]}, process=2) == {}
    row = await (await connection.execute("SELECT count(*) FROM sent")).fetchone()
    assert row == (1,)
