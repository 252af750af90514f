from __future__ import annotations

import asyncio

from koppel.odata.records import Values
from koppel.store import snapshots
from koppel.store.database import Connection, Database

FIELDS = ("name", "city", "creditLimit")


def base(number: int) -> tuple[Values, Values]:
    values = (f"Customer {number}", "Seattle", number * 1.25)
    return values, values


async def test_a_base_of_an_older_field_list_is_read_by_the_present_one(database: Database) -> None:
    async with database.connect() as connection:
        old = snapshots.encode(await snapshots.open_codec(connection, "CUSTOMER", FIELDS), *base(1))
    async with database.connect() as connection:
        codec = await snapshots.open_codec(connection, "CUSTOMER", ("creditLimit", "fax", "name"))
        assert snapshots.decode(codec, old)[0] == (1.25, snapshots.UNKNOWN, "Customer 1")
        # Back to the first list: it is known already.
        assert (await snapshots.open_codec(connection, "CUSTOMER", FIELDS)).version == 1


async def test_a_field_list_outlives_the_chunk_it_was_made_for(connection: Connection) -> None:
    await snapshots.open_codec(connection, "CUSTOMER", FIELDS)
    await connection.rollback()
    codec = await snapshots.open_codec(connection, "CUSTOMER", (*FIELDS, "fax"))
    assert codec.version == 2


async def test_field_lists_made_at_once_do_not_mix(database: Database) -> None:
    async def opened(number: int) -> tuple[snapshots.Codec, bytes]:
        async with database.connect() as connection:
            codec = await snapshots.open_codec(connection, "CUSTOMER", (f"field{number % 3}", "name"))
            return codec, snapshots.encode(codec, (number, "x"), (number, "x"))

    written = await asyncio.gather(*(opened(number) for number in range(9)))
    assert len({codec.version for codec, _ in written}) == 3
    async with database.connect() as connection:
        for number, (codec, packed) in enumerate(written):
            again = await snapshots.open_codec(connection, "CUSTOMER", codec.fields)
            assert snapshots.decode(again, packed)[0] == (number, "x")


async def test_a_dictionary_is_trained_once_and_old_bases_stay_readable(connection: Connection) -> None:
    plain = await snapshots.open_codec(connection, "CUSTOMER", FIELDS)
    old = snapshots.encode(plain, *base(7))
    bases = [base(number) for number in range(2000)]
    assert await snapshots.train(connection, plain, bases[:99]) is plain
    trained = await snapshots.train(connection, plain, bases)
    await connection.rollback()
    assert await snapshots.train(connection, trained, bases) is trained
    new = snapshots.encode(trained, *base(7))
    assert len(new) < len(old)
    codec = await snapshots.open_codec(connection, "CUSTOMER", FIELDS)
    assert snapshots.decode(codec, old) == snapshots.decode(codec, new) == base(7)


async def test_the_first_of_two_dictionaries_stays(database: Database) -> None:
    async with database.connect() as one, database.connect() as two:
        first = await snapshots.open_codec(one, "CUSTOMER", FIELDS)
        second = await snapshots.open_codec(two, "CUSTOMER", FIELDS)
        first = await snapshots.train(one, first, [base(number) for number in range(500)])
        second = await snapshots.train(two, second, [base(number) for number in range(500, 1500)])
        assert snapshots.decode(second, snapshots.encode(first, *base(3))) == base(3)
        assert snapshots.decode(first, snapshots.encode(second, *base(4))) == base(4)
