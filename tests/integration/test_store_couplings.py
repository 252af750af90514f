from __future__ import annotations

from uuid import UUID

import pytest

from koppel.errors import StoreError
from koppel.odata.records import Side
from koppel.store import couplings, failures
from koppel.store.couplings import Coupling, Seen
from koppel.store.database import Connection, Database
from koppel.store.failures import Failure


def guid(number: int) -> str:
    return str(UUID(int=number))


def pair(number: int, **values: object) -> Coupling:
    return Coupling(guid(number), guid(1_000_000 + number), f"C{number:05}", **values)  # type: ignore[arg-type]


async def test_what_is_saved_is_found_from_both_sides(connection: Connection) -> None:
    saved = Coupling(guid(1), guid(2), "C1", 'W/"1\t"', "W/\\2", b"\x00\xff", "skipped", "dataverse", 7)
    await couplings.save(connection, "CUSTOMER", [saved])
    by_bc = await couplings.by_ids(connection, "CUSTOMER", "business_central", [guid(1), guid(9)])
    by_dv = await couplings.by_ids(connection, "CUSTOMER", "dataverse", [guid(2)])
    assert list(by_bc) == [guid(1)]
    assert by_bc[guid(1)] == by_dv[guid(2)]
    found = by_bc[guid(1)]
    assert [getattr(found, name) for name in Coupling.__struct_fields__[:9]] == [
        getattr(saved, name) for name in Coupling.__struct_fields__[:9]
    ]
    assert found.created_at is not None
    assert found.synced_at is not None


async def test_mappings_are_apart(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(1)])
    await couplings.save(connection, "CONTACT", [pair(1), pair(2)])
    assert await couplings.count(connection, "CUSTOMER") == 1
    assert await couplings.count(connection, "CONTACT") == 2
    assert await couplings.by_ids(connection, "CUSTOMER", "business_central", [guid(2)]) == {}


async def test_saving_again_updates_and_keeps_when_it_was_coupled(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(1)])
    await connection.commit()
    first = (await couplings.by_ids(connection, "CUSTOMER", "dataverse", [guid(1_000_001)]))[guid(1_000_001)]
    await couplings.save(connection, "CUSTOMER", [pair(1, base=b"new", dataverse_version="2")])
    await connection.commit()
    second = (await couplings.by_ids(connection, "CUSTOMER", "dataverse", [guid(1_000_001)]))[guid(1_000_001)]
    assert first.synced_at is None
    assert (second.base, second.dataverse_version, second.created_at) == (b"new", "2", first.created_at)
    assert second.synced_at is not None
    assert await couplings.count(connection, "CUSTOMER") == 1


@pytest.mark.parametrize(
    "second",
    [Coupling(guid(1), guid(77)), Coupling(guid(77), guid(1_000_001))],
    ids=["business_central", "dataverse"],
)
async def test_a_record_gets_no_second_partner(connection: Connection, second: Coupling) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(1)])
    with pytest.raises(StoreError) as refused:
        await couplings.save(connection, "CUSTOMER", [pair(5), second])
    for part in (second.business_central_id, second.dataverse_id, guid(1), guid(1_000_001)):
        assert part in refused.value.message
    # The transaction goes on as if the call had not been made.
    assert await couplings.count(connection, "CUSTOMER") == 1
    await couplings.save(connection, "CUSTOMER", [pair(5)])
    assert await couplings.count(connection, "CUSTOMER") == 2


async def test_one_call_cannot_couple_a_record_twice(connection: Connection) -> None:
    with pytest.raises(StoreError, match=guid(1_000_001)):
        await couplings.save(connection, "CUSTOMER", [pair(1), Coupling(guid(2), guid(1_000_001))])


async def test_a_removed_record_may_be_coupled_anew(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(1), pair(2)])
    assert await couplings.remove(connection, "CUSTOMER", "dataverse", [guid(1_000_001), guid(3)]) == 1
    await couplings.save(connection, "CUSTOMER", [Coupling(guid(1), guid(77))])
    assert await couplings.count(connection, "CUSTOMER") == 2


async def test_references_resolve_by_key_and_id(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(1), pair(2)])
    keys = await couplings.resolve_keys(connection, "CUSTOMER", ["C00001", "C00002", "C00003"])
    ids = await couplings.resolve_ids(connection, "CUSTOMER", "dataverse", [guid(1_000_002), guid(4)])
    back = await couplings.resolve_ids(connection, "CUSTOMER", "business_central", [guid(1)])
    assert keys == {"C00001": guid(1_000_001), "C00002": guid(1_000_002)}
    assert ids == {guid(1_000_002): couplings.Reference(guid(2), "C00002")}
    assert back == {guid(1): couplings.Reference(guid(1_000_001), "C00001")}


async def test_a_key_used_again_leads_to_the_record_that_bears_it_now(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [Coupling(guid(1), guid(11), "C1", base=b"old")])
    await connection.commit()
    await couplings.save(connection, "CUSTOMER", [Coupling(guid(2), guid(12), "C1", base=b"new")])
    await connection.commit()
    assert await couplings.resolve_keys(connection, "CUSTOMER", ["C1"]) == {"C1": guid(12)}


async def test_the_stream_survives_commits_and_sees_each_once(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(number) for number in range(1, 251)])
    await couplings.save(connection, "CONTACT", [pair(1)])
    await connection.commit()
    seen: list[str] = []
    async for chunk in couplings.stream(connection, "CUSTOMER", 100):
        seen += [coupling.business_central_id for coupling in chunk]
        await couplings.save(connection, "CUSTOMER", [pair(number, base=b"x") for number in range(1, 3)])
        await connection.commit()
    assert seen == [guid(number) for number in range(1, 251)]


async def test_nothing_of_a_chunk_that_was_not_committed_stays(database: Database) -> None:
    async with database.connect() as connection:
        await couplings.save(connection, "CUSTOMER", [pair(1)])
    async with database.connect() as connection:
        assert await couplings.count(connection, "CUSTOMER") == 0


@pytest.mark.parametrize("side", ["business_central", "dataverse"])
async def test_a_full_read_tells_which_couplings_it_did_not_come_upon(connection: Connection, side: Side) -> None:
    saved = [pair(number) for number in range(1, 301)]
    await couplings.save(connection, "CUSTOMER", saved)
    for missing in ({7, 200}, {9}, set(range(1, 301))):
        await couplings.begin_full_read(connection)
        for start in (0, 100, 200):
            chunk = [getattr(c, f"{side}_id") for c in saved[start : start + 100] if saved.index(c) + 1 not in missing]
            await couplings.note_seen(connection, chunk)
            await connection.commit()
        found: list[str] = []
        async for gone in couplings.unseen(connection, "CUSTOMER", side, 50):
            assert len(gone) <= 50
            found += [coupling.business_central_id for coupling in gone]
            await connection.commit()
        assert sorted(found) == sorted(guid(number) for number in missing)


async def test_a_run_that_ends_among_them_is_in_nobodys_way(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(number) for number in (1, 2, 3)])
    await couplings.begin_full_read(connection)
    abandoned = couplings.unseen(connection, "CUSTOMER", "dataverse", 1)
    assert [c.business_central_id for c in await anext(abandoned)] == [guid(1)]
    await connection.rollback()
    found = [
        c.business_central_id async for some in couplings.unseen(connection, "CUSTOMER", "dataverse") for c in some
    ]
    assert found == [guid(1), guid(2), guid(3)]
    await abandoned.aclose()  # type: ignore[attr-defined]


async def test_what_was_seen_is_noted_with_a_new_base_or_without(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(n, base=b"old", dataverse_version="1") for n in (1, 2, 3)])
    await couplings.save(connection, "CONTACT", [pair(1)])
    seen = [Seen(guid(1_000_001), "2"), Seen(guid(1_000_002), "3", b"new")]
    await couplings.touch(connection, "CUSTOMER", "dataverse", seen)
    await couplings.touch(connection, "CUSTOMER", "business_central", [Seen(guid(1), "9")])
    found = await couplings.by_ids(connection, "CUSTOMER", "business_central", [guid(n) for n in (1, 2, 3)])
    assert [(c.business_central_version, c.dataverse_version, c.base) for _, c in sorted(found.items())] == [
        ("9", "2", b"old"),
        ("", "3", b"new"),
        ("", "1", b"old"),
    ]
    other = await couplings.by_ids(connection, "CONTACT", "business_central", [guid(1)])
    assert other[guid(1)].dataverse_version == ""


async def test_new_ones_are_added_and_found_to_be_old_updated(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [pair(1, base=b"a"), pair(2)], new=True)
    await couplings.save(connection, "CUSTOMER", [pair(2, base=b"b"), pair(3)], new=True)
    found = await couplings.by_ids(connection, "CUSTOMER", "business_central", [guid(n) for n in (1, 2, 3)])
    assert {id: (c.base, c.synced_at is not None) for id, c in found.items()} == {
        guid(1): (b"a", True),
        guid(2): (b"b", True),
        guid(3): (None, False),
    }
    with pytest.raises(StoreError, match=guid(77)):
        await couplings.save(connection, "CUSTOMER", [Coupling(guid(1), guid(77))], new=True)


async def test_what_is_coupled_in_one_of_two_mappings_only(connection: Connection) -> None:
    """What failed has its own tries, and what is skipped takes no part."""
    failure = Failure(
        mapping="STATISTICS",
        side="business_central",
        record_id=guid(7),
        direction="to_dataverse",
        kind="data",
        message="too long",
    )
    await failures.record(connection, [failure])
    await couplings.save(connection, "CUSTOMER", [*map(pair, range(1, 8)), pair(8, state="skipped")])
    await couplings.save(connection, "STATISTICS", [pair(1), pair(2), *map(pair, range(20, 23))])
    for chunk in (1, 2, 100):
        alone = [c async for some in couplings.without(connection, "STATISTICS", "CUSTOMER", chunk) for c in some]
        assert [c.business_central_id for c in alone] == list(map(guid, range(20, 23)))
        new = [id async for some in couplings.missing(connection, "STATISTICS", "CUSTOMER", chunk) for id in some]
        assert new == list(map(guid, range(3, 7)))
