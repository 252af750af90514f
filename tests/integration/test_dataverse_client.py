"""The client of Dataverse against the simulated one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sandbox_clients import World, guid, new_world, pages_of

from koppel.errors import (
    AuthenticationError,
    CursorError,
    DataError,
    ExistsError,
    NotFoundError,
    OutcomeUnknownError,
    TransientError,
    VersionError,
)
from koppel.odata.records import Page, Record
from koppel.sandbox.dataverse.webhooks import message_id
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.sandbox.tokens import KOPPEL, KOPPEL_TWO
from koppel.systems.dataverse import Dataverse
from koppel.systems.system import Create, Update, Written

NAME = ("name",)


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def client(world: World) -> Dataverse:
    return world.dataverse()


def accounts(count: int, start: int = 1) -> list[Create]:
    return [Create(guid(number), {"name": f"Account {number}"}) for number in range(start, start + count)]


def errors(results: Sequence[Written]) -> list[type[Exception] | None]:
    return [type(result.error) if result.error else None for result in results]


async def changes(client: Dataverse, cursor: str | None = None, columns: tuple[str, ...] = NAME) -> list[Page]:
    return await pages_of(client.changes("account", columns, cursor=cursor, since=None, filter=None))


async def one(client: Dataverse, key: str, columns: tuple[str, ...] = NAME) -> Record:
    return (await client.by_ids("account", columns, [key]))[key]


def lose(world: World, rate: float) -> None:
    world.sandbox.faults.set(Faults(dataverse=SystemFaults(lost=rate)))


# who and what


async def test_when_a_table_changed_last(world: World, client: Dataverse) -> None:
    assert await client.latest("account") == ""
    for number in (1, 2):
        await client.create("account", accounts(1, number), NAME)
        world.sandbox.clock.advance(60)
    first, second = [(await one(client, guid(number))).modified_at for number in (1, 2)]
    assert await client.latest("account") == second > first


async def test_who_am_i(client: Dataverse) -> None:
    assert await client.who_am_i() == KOPPEL.id


async def test_two_users_are_both_the_connections_own(world: World) -> None:
    client = world.dataverse_of_two()
    assert await client.own_users() == {KOPPEL.id, KOPPEL_TWO.id}
    await client.close()


async def test_a_wrong_secret_is_told(world: World) -> None:
    with pytest.raises(AuthenticationError, match="AADSTS7000215") as caught:
        await world.dataverse(secret="wrong").who_am_i()
    assert "client secret" in caught.value.remedy


async def test_an_expired_token_is_replaced(world: World, client: Dataverse) -> None:
    await client.who_am_i()
    world.sandbox.tokens._issued.clear()
    assert await client.who_am_i() == KOPPEL.id


async def test_a_schema_costs_one_request_and_one_for_all_names(client: Dataverse) -> None:
    schema = await client.describe("account")
    assert await client.describe("account") is schema
    assert client.counters.requests == 2
    assert (schema.set_name, schema.id_column, schema.tracks_changes) == ("accounts", "accountid", True)
    assert schema.columns["name"].max_length == 160
    assert schema.columns["statecode"].options == {0: "Active", 1: "Inactive"}
    assert schema.columns["primarycontactid"].targets == ("contacts",)
    assert schema.columns["revenue"].kind == "money"
    assert not schema.columns["modifiedon"].creatable
    assert (await client.describe("productpricelevel")).bulk == frozenset()


async def test_a_known_schema_is_not_read_again(world: World, client: Dataverse) -> None:
    schema = await client.describe("account")
    other = world.dataverse(known={"account": schema})
    await pages_of(other.query("account", NAME))
    assert other.counters.requests == 1


async def test_an_unknown_table(client: Dataverse) -> None:
    assert "account" in await client.tables()
    with pytest.raises(NotFoundError):
        await client.describe("accnt")


# reading


async def test_rows_come_page_by_page(world: World, client: Dataverse) -> None:
    world.sandbox.dataverse.load("account", [{"accountid": guid(n), "name": f"A{n}"} for n in range(1, 5202)])
    pages = await changes(client)
    assert [len(page.records) for page in pages] == [5000, 201]
    assert pages[0].cursor is None
    assert pages[1].cursor
    assert len({record.id for page in pages for record in page.records}) == 5201
    assert client.counters.requests == 4


async def test_changes_since_a_cursor_with_deletions(client: Dataverse) -> None:
    await client.create("account", accounts(3), NAME)
    (first,) = await changes(client)
    row = first.records[0]
    await client.update("account", [Update(row.id, row.version, {"name": "New"})], NAME)
    await client.delete("account", [Update(first.records[1].id, "", {})])
    (second,) = await changes(client, first.cursor)
    assert [(record.id, record.values) for record in second.records] == [(row.id, ("New",))]
    assert second.deleted == [first.records[1].id]
    (third,) = await changes(client, second.cursor)
    assert (third.records, third.deleted) == ([], [])
    assert third.cursor


async def test_records_tell_version_time_and_editor(client: Dataverse) -> None:
    await client.create("account", accounts(1), NAME)
    (page,) = await changes(client)
    record = page.records[0]
    assert record.version.startswith('W/"')
    assert record.modified_at.endswith("Z")
    assert record.modified_by == KOPPEL.id


async def test_an_old_cursor_has_expired(world: World, client: Dataverse) -> None:
    (page,) = await changes(client)
    world.sandbox.clock.advance(8 * 24 * 3600)
    with pytest.raises(CursorError) as caught:
        await changes(client, page.cursor)
    assert caught.value.remedy == "read everything again"


async def test_a_cursor_is_for_the_columns_it_was_made_with(client: Dataverse) -> None:
    (page,) = await changes(client)
    with pytest.raises(CursorError, match="other columns"):
        await changes(client, page.cursor, ("name", "telephone1"))


async def test_without_change_tracking_there_are_time_and_filter(world: World, client: Dataverse) -> None:
    world.sandbox.dataverse.tracked.discard("account")
    await client.create("account", accounts(2), NAME)
    world.sandbox.clock.advance(60)
    since = world.sandbox.dataverse.now()
    await client.create("account", accounts(3, start=10), NAME)

    async def found(since: str | None, filter: str | None) -> list[object]:
        pages = await pages_of(client.changes("account", NAME, cursor=None, since=since, filter=filter))
        assert all(page.cursor is None for page in pages)
        return [record.values[0] for page in pages for record in page.records]

    assert len(await found(None, None)) == 5
    assert await found(since, None) == ["Account 10", "Account 11", "Account 12"]
    assert await found(since, "name eq 'Account 11' or name eq 'Account 1'") == ["Account 11"]
    assert await found(None, "name eq 'Account 1'") == ["Account 1"]


async def test_by_ids_in_few_requests(client: Dataverse) -> None:
    await client.create("account", accounts(2000), NAME)
    before = client.counters.requests
    found = await client.by_ids("account", NAME, [guid(number) for number in range(1000, 3000)])
    assert sorted(found) == [guid(number) for number in range(1000, 2001)]
    assert found[guid(1500)].values == ("Account 1500",)
    assert client.counters.requests - before == 1
    assert client.counters.write_requests == 4


async def test_by_keys_of_any_kind_of_text(client: Dataverse) -> None:
    names = ["O'Hara", 'say "x"', "both ' and \"", "a&b=c/d?#%", "été"]
    rows = [Create(guid(number), {"name": name}) for number, name in enumerate([*names, "other"], 1)]
    await client.create("account", rows, NAME)
    found = await client.by_keys("account", NAME, "name", [*names, "missing", None])
    assert sorted(str(record.values[0]) for record in found) == sorted(names)
    assert await client.by_keys("account", NAME, "name", []) == []
    assert await client.by_ids("account", NAME, []) == {}


async def test_query_with_filter_and_order(client: Dataverse) -> None:
    await client.create("account", accounts(12), NAME)
    (page,) = await pages_of(client.query("account", NAME, filter="startswith(name,'Account 1')", order="name desc"))
    assert [record.values[0] for record in page.records] == ["Account 12", "Account 11", "Account 10", "Account 1"]


async def test_a_filter_that_is_none_is_an_error(client: Dataverse) -> None:
    with pytest.raises(DataError):
        await pages_of(client.query("account", NAME, filter="name foo 1"))


# writing


async def test_create_in_bulk(client: Dataverse) -> None:
    results = await client.create("account", accounts(1200), NAME)
    assert [result.id for result in results] == [row.id for row in accounts(1200)]
    assert errors(results) == [None] * 1200
    assert client.counters.write_requests == 3
    assert client.counters.written == 1200


async def test_one_bad_row_does_not_stop_the_others(client: Dataverse) -> None:
    await client.create("account", accounts(1), NAME)
    rows = accounts(5)
    rows[2] = Create(guid(3), {"name": "x" * 161})
    results = await client.create("account", rows, NAME)
    assert errors(results) == [ExistsError, None, DataError, None, None]
    bad = results[2].error
    assert bad is not None
    assert (bad.field, bad.value) == ("name", "x" * 161)
    assert "shorten" in bad.remedy
    assert sorted(await client.by_ids("account", NAME, [row.id for row in rows])) == [guid(n) for n in (1, 2, 4, 5)]


async def test_create_without_bulk_action(world: World, client: Dataverse) -> None:
    dataverse = world.sandbox.dataverse
    for name in dataverse.bulk["account"]:
        dataverse.store.remove("sdkmessagefilter", message_id(f"account/{name}"))
    dataverse.bulk["account"] = frozenset()
    results = await client.create("account", [*accounts(250), Create("", {"name": "Its own id"})], NAME)
    assert errors(results) == [None] * 251
    assert all(result.version for result in results)
    assert (await one(client, results[-1].id)).version == results[-1].version
    assert client.counters.write_requests == 2


async def test_an_update_needs_the_current_version(client: Dataverse) -> None:
    await client.create("account", accounts(2), NAME)
    row = await one(client, guid(1))
    (done,) = await client.update("account", [Update(row.id, row.version, {"name": "First"})], NAME)
    results = await client.update(
        "account",
        [
            Update(row.id, row.version, {"name": "Too late"}),
            Update(guid(2), "", {"name": "Whatever version"}),
            Update(guid(9), "", {"name": "Nobody"}),
        ],
        NAME,
    )
    assert errors(results) == [VersionError, None, NotFoundError]
    now = await one(client, guid(1))
    assert (now.values, now.version) == (("First",), done.version)


async def test_updates_take_one_request_for_two_hundred(client: Dataverse) -> None:
    await client.create("account", accounts(450), NAME)
    before = client.counters.requests
    rows = [Update(guid(number), "", {"name": f"B{number}"}) for number in range(1, 451)]
    results = await client.update("account", rows, NAME)
    assert [result.id for result in results] == [row.id for row in rows]
    assert client.counters.requests - before == 3


async def test_a_delete_needs_the_current_version(client: Dataverse) -> None:
    await client.create("account", accounts(2), NAME)
    old = await one(client, guid(1))
    await client.update("account", [Update(old.id, old.version, {"name": "New"})], NAME)
    results = await client.delete("account", [Update(old.id, old.version, {}), Update(guid(2), "", {})])
    assert errors(results) == [VersionError, None]
    assert list(await client.by_ids("account", NAME, [guid(1), guid(2)])) == [guid(1)]


async def test_lookups_are_written_read_and_cleared(client: Dataverse) -> None:
    await client.create("account", accounts(1), NAME)
    lookups = ("lastname", "parentcustomerid_account", "parentcustomerid_contact", "ownerid")
    await client.create("contact", [Create(guid(7), {"lastname": "A", "parentcustomerid_account": guid(1)})], lookups)
    contact = (await client.by_ids("contact", lookups, [guid(7)]))[guid(7)]
    assert contact.values == ("A", guid(1), None, KOPPEL.id)
    change = Update(guid(7), contact.version, {"parentcustomerid_account": None})
    assert errors(await client.update("contact", [change], lookups)) == [None]
    assert (await client.by_ids("contact", lookups, [guid(7)]))[guid(7)].values[1:3] == (None, None)


async def test_a_lookup_to_nobody_is_an_error_of_its_row(client: Dataverse) -> None:
    rows = [
        Create(guid(7), {"lastname": "A", "parentcustomerid_account": guid(99)}),
        Create(guid(8), {"lastname": "B"}),
    ]
    assert errors(await client.create("contact", rows, ())) == [NotFoundError, None]


async def test_an_unknown_column_is_named(client: Dataverse) -> None:
    (result,) = await client.create("account", [Create(guid(1), {"nmae": "A"})], NAME)
    assert result.error is not None
    assert result.error.field == "nmae"
    with pytest.raises(DataError, match="nmae"):
        await changes(client, columns=("nmae",))


# choices


async def test_options_are_added_and_renamed(client: Dataverse) -> None:
    before = await client.options("account", "paymenttermscode")
    value = await client.insert_option("account", "paymenttermscode", "14 days")
    chosen = await client.insert_option("account", "paymenttermscode", "21 days", 777)
    await client.update_option("account", "paymenttermscode", value, "Two weeks")
    await client.publish("account")
    assert chosen == 777
    assert await client.options("account", "paymenttermscode") == {**before, value: "Two weeks", 777: "21 days"}
    assert await client.options("account", "statecode") == {0: "Active", 1: "Inactive"}


# trouble


async def test_throttling_is_waited_out(world: World, client: Dataverse) -> None:
    await client.create("account", accounts(1), NAME)
    limits = world.sandbox.dataverse.limits
    limits.requests, limits.enforced = 12, True
    for _ in range(30):
        await one(client, guid(1))
    assert client.counters.throttled > 0
    assert sum(world.slept) > 300


async def test_unavailability_is_waited_out(world: World, client: Dataverse) -> None:
    world.sandbox.faults.set(Faults(seed=3, dataverse=SystemFaults(unavailable=0.5, retry_after=7)))
    results = await client.create("account", accounts(1000), NAME)
    assert errors(results) == [None] * 1000
    assert client.counters.throttled > 0
    assert max(world.slept) == pytest.approx(7, abs=0.1)


async def test_a_system_that_is_down_is_transient(world: World, client: Dataverse) -> None:
    world.sandbox.faults.set(Faults(dataverse=SystemFaults(unavailable=1.0)))
    with pytest.raises(TransientError, match="503"):
        await client.who_am_i()


async def test_a_lost_answer_to_a_create_with_ids_is_found_out_by_repeating(world: World, client: Dataverse) -> None:
    await client.describe("account")
    lose(world, 1.0)
    results = await client.create("account", accounts(2), NAME)
    assert errors(results) == [TransientError] * 2
    lose(world, 0.0)
    assert errors(await client.create("account", accounts(3), NAME)) == [ExistsError, ExistsError, None]


async def test_a_lost_answer_to_any_other_create_stays_unknown(world: World, client: Dataverse) -> None:
    await client.describe("account")
    lose(world, 1.0)
    results = await client.create("account", [Create("", {"name": "Once"})], NAME)
    assert errors(results) == [OutcomeUnknownError]
    lose(world, 0.0)
    assert len(await client.by_keys("account", NAME, "name", ["Once"])) == 1


async def test_a_lost_answer_to_an_update_ends_in_a_version_refused(world: World, client: Dataverse) -> None:
    await client.create("account", accounts(1), NAME)
    row = await one(client, guid(1))
    world.sandbox.faults.set(Faults(seed=5, dataverse=SystemFaults(lost=0.5)))
    change = [Update(row.id, row.version, {"name": "New"})]
    results = [(await client.update("account", change, NAME))[0] for _ in range(6)]
    assert VersionError in errors(results)
    lose(world, 0.0)
    assert (await one(client, guid(1))).values == ("New",)
