"""The client of Business Central against the simulated one, under both routes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sandbox_clients import COMPANION, World, guid, new_world, pages_of

from koppel.errors import (
    DataError,
    ExistsError,
    NotFoundError,
    OutcomeUnknownError,
    TransientError,
    VersionError,
)
from koppel.odata.records import Record
from koppel.sandbox.business_central.limits import Limits
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import KOPPEL
from koppel.systems.business_central import BusinessCentral
from koppel.systems.system import Create, Update, Written

ROUTES = [COMPANION, "v2.0"]
NAME = ("displayName", "number")


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def client(world: World) -> BusinessCentral:
    return world.business_central()


@pytest.fixture(params=ROUTES)
def either(request: pytest.FixtureRequest, world: World) -> BusinessCentral:
    """A client of each route."""
    return world.business_central(request.param)


def customers(count: int, start: int = 1) -> list[Create]:
    return [Create(guid(number), {"displayName": f"Customer {number}"}) for number in range(start, start + count)]


def anonymous(count: int) -> list[Create]:
    return [Create("", row.values) for row in customers(count)]


def errors(results: Sequence[Written]) -> list[type[Exception] | None]:
    return [type(result.error) if result.error else None for result in results]


def records_of(results: Sequence[Written]) -> list[Record]:
    return [result.record for result in results if result.record]


async def all_rows(client: BusinessCentral, since: str | None = None, filter: str | None = None) -> list[Record]:
    pages = await pages_of(client.changes("customers", NAME, cursor=None, since=since, filter=filter))
    assert all(page.cursor is None and page.deleted == [] for page in pages)
    return [record for page in pages for record in page.records]


def lose(world: World, rate: float) -> None:
    world.sandbox.faults.set(Faults(business_central=SystemFaults(lost=rate)))


# who and what


async def test_when_a_table_changed_last(world: World, client: BusinessCentral) -> None:
    assert await client.latest("customers") == ""
    made = []
    for number in (1, 2):
        made += records_of(await client.create("customers", customers(1, number), NAME))
        world.sandbox.clock.advance(60)
    assert await client.latest("customers") == made[1].modified_at > made[0].modified_at


async def test_the_routes_differ_in_ids_and_editors(world: World) -> None:
    companion = await world.business_central().describe("customers")
    standard = await world.business_central("v2.0").describe("customers")
    assert (companion.takes_ids, companion.modified_by) == (True, "systemModifiedBy")
    assert (standard.takes_ids, standard.modified_by) == (False, "")
    assert companion.modified_at == standard.modified_at == "lastModifiedDateTime"
    assert standard.columns.keys() < companion.columns.keys()
    assert standard.columns["displayName"].max_length == 100
    assert "All" in standard.columns["blocked"].options


async def test_the_schema_is_read_once(either: BusinessCentral) -> None:
    for table in ("customers", "contacts", "customers"):
        await either.describe(table)
    assert either.counters.requests == 1
    assert "customers" in await either.tables()
    with pytest.raises(NotFoundError, match="customrs"):
        await either.describe("customrs")


@pytest.mark.parametrize("name", [COMPANY.lower(), "adventure works"])
async def test_a_company_is_found_by_name(world: World, name: str) -> None:
    client = world.business_central(company=name)
    assert await all_rows(client) == []
    assert await all_rows(world.business_central(company=world.sandbox.business_central.companies[COMPANY].id)) == []


async def test_an_unknown_company_names_those_that_there_are(world: World) -> None:
    with pytest.raises(NotFoundError, match=COMPANY):
        await all_rows(world.business_central(company="Nobody Ltd"))


# reading


async def test_rows_come_page_by_page(world: World, client: BusinessCentral) -> None:
    world.sandbox.business_central.settings.page_size = 40
    await client.create("customers", customers(100), NAME)
    pages = await pages_of(client.changes("customers", NAME, cursor=None, since=None, filter=None))
    assert [len(page.records) for page in pages if page.records] == [40, 40, 20]
    assert len({record.id for page in pages for record in page.records}) == 100


async def test_what_was_modified_since(world: World, either: BusinessCentral) -> None:
    await either.create("customers", anonymous(3), NAME)
    world.sandbox.clock.advance(60)
    (row, *_) = await all_rows(either)
    (done,) = await either.update("customers", [Update(row.id, row.version, {"displayName": "New"})], NAME)
    assert done.record is not None
    found = await all_rows(either, since=done.record.modified_at)
    assert [record.id for record in found] == [row.id]
    assert found == [done.record]


async def test_the_system_filters_where_it_can(either: BusinessCentral) -> None:
    await either.create("customers", anonymous(12), NAME)
    since = "2020-01-01T00:00:00Z"
    assert len(await all_rows(either, since, "displayName eq 'Customer 3' or displayName eq 'Customer 4'")) == 2
    assert len(await all_rows(either, since, "startswith(displayName,'Customer 1')")) == 4
    everything = ["displayName eq 'Customer 3' or city eq 'X'", "not startswith(displayName,'C')", "this is none"]
    for left_to_the_caller in everything:
        assert len(await all_rows(either, since, left_to_the_caller)) == 12


async def test_records_tell_version_time_and_editor(client: BusinessCentral) -> None:
    (written,) = await client.create("customers", customers(1), NAME)
    (record,) = await all_rows(client)
    assert record == written.record
    assert record.version.startswith('W/"')
    assert record.modified_by == KOPPEL.id


async def test_by_ids_in_few_requests(client: BusinessCentral) -> None:
    await client.create("customers", customers(500), NAME)
    before = client.counters.requests
    found = await client.by_ids("customers", NAME, [guid(number) for number in range(400, 900)])
    assert sorted(found) == [guid(number) for number in range(400, 501)]
    assert client.counters.requests - before == 1


async def test_by_keys_of_any_kind_of_text(either: BusinessCentral) -> None:
    names = ["O'Hara", 'say "x"', "a&b=c/d?#%", "été"]
    await either.create("customers", [Create("", {"displayName": name}) for name in [*names, "other"]], NAME)
    found = await either.by_keys("customers", NAME, "displayName", [*names, "missing", None])
    assert sorted(str(record.values[0]) for record in found) == sorted(names)
    assert await either.by_keys("customers", NAME, "displayName", []) == []


async def test_a_selection_of_more_than_a_page(world: World, client: BusinessCentral) -> None:
    await client.create("customers", [Create(guid(number), {"displayName": "Same"}) for number in range(90)], NAME)
    world.sandbox.business_central.settings.page_size = 40
    keys = ["Same", *(f"Other {number}" for number in range(150))]
    assert len(await client.by_keys("customers", NAME, "displayName", keys)) == 90


async def test_query_with_filter_and_order(either: BusinessCentral) -> None:
    await either.create("customers", anonymous(3), NAME)
    pages = await pages_of(
        either.query("customers", NAME, filter="displayName ne 'Customer 2'", order="displayName desc")
    )
    assert [record.values[0] for page in pages for record in page.records] == ["Customer 3", "Customer 1"]
    with pytest.raises(DataError, match="OR"):
        await pages_of(either.query("customers", NAME, filter="displayName eq 'a' or city eq 'b'"))


# writing


async def test_creates_answer_with_the_record_as_it_became(client: BusinessCentral) -> None:
    rows = [Create(row.id, {**row.values, "country": ""}) for row in customers(250)]
    results = await client.create("customers", rows, NAME)
    assert [result.id for result in results] == [row.id for row in rows]
    assert len({record.values[1] for record in records_of(results)}) == 250
    assert all(result.record and result.version == result.record.version for result in results)
    assert client.counters.write_requests == 3
    assert client.counters.written == 250


async def test_one_bad_row_does_not_stop_the_others(client: BusinessCentral) -> None:
    await client.create("customers", customers(1), NAME)
    rows = [
        *customers(2),
        Create(guid(3), {"displayName": "x" * 101}),
        Create(guid(4), {"displayName": "A", "salespersonCode": "NOBODY"}),
        Create(guid(5), {"displayName": "A", "balanceDue": 5}),
        Create(guid(6), {"displayName": "Last"}),
    ]
    results = await client.create("customers", rows, NAME)
    assert errors(results) == [ExistsError, None, DataError, DataError, DataError, None]
    too_long, nobody, read_only = (result.error for result in results[2:5])
    assert too_long is not None
    assert nobody is not None
    assert read_only is not None
    assert (too_long.field, too_long.value) == ("displayName", "x" * 101)
    assert nobody.value == "NOBODY"
    assert read_only.field == "balanceDue"
    assert all("CorrelationId" not in error.message for error in (too_long, nobody, read_only))


async def test_the_standard_route_refuses_a_chosen_id(world: World) -> None:
    (result,) = await world.business_central("v2.0").create("customers", customers(1), NAME)
    assert isinstance(result.error, DataError)


async def test_an_update_needs_the_current_version(either: BusinessCentral) -> None:
    first, second = records_of(await either.create("customers", anonymous(2), NAME))
    (done,) = await either.update("customers", [Update(first.id, first.version, {"displayName": "First"})], NAME)
    results = await either.update(
        "customers",
        [
            Update(first.id, first.version, {"displayName": "Too late"}),
            Update(second.id, "", {"displayName": "Whatever version"}),
            Update(guid(99), "", {"displayName": "Nobody"}),
        ],
        NAME,
    )
    assert errors(results) == [VersionError, None, NotFoundError]
    now = (await either.by_ids("customers", NAME, [first.id]))[first.id]
    assert (now.values[0], now.version) == ("First", done.version)


async def test_a_delete_needs_the_current_version(either: BusinessCentral) -> None:
    old, other = records_of(await either.create("customers", anonymous(2), NAME))
    await either.update("customers", [Update(old.id, old.version, {"displayName": "New"})], NAME)
    results = await either.delete("customers", [Update(old.id, old.version, {}), Update(other.id, other.version, {})])
    assert errors(results) == [VersionError, None]
    assert results[1].id == other.id
    assert [record.id for record in await all_rows(either)] == [old.id]


async def test_an_unknown_field_is_named(client: BusinessCentral) -> None:
    (result,) = await client.create("customers", [Create(guid(1), {"displayNmae": "A"})], NAME)
    assert result.error is not None
    assert result.error.field == "displayNmae"
    with pytest.raises(DataError, match="displayNmae"):
        await client.by_ids("customers", ("displayNmae",), [guid(1)])


# trouble


async def test_throttling_is_waited_out(world: World, client: BusinessCentral) -> None:
    await client.create("customers", customers(1), NAME)
    world.sandbox.business_central.settings.limits = Limits(requests=5, window=0.05, retry_after=1)
    for _ in range(12):
        assert len(await all_rows(client)) == 1
    assert client.counters.throttled > 0


async def test_unavailability_is_waited_out(world: World, client: BusinessCentral) -> None:
    world.sandbox.faults.set(Faults(seed=3, business_central=SystemFaults(unavailable=0.5, retry_after=7)))
    assert errors(await client.create("customers", customers(500), NAME)) == [None] * 500
    assert client.counters.throttled > 0


async def test_a_lost_answer_to_a_create_with_ids_is_found_out_by_repeating(
    world: World, client: BusinessCentral
) -> None:
    await all_rows(client)
    lose(world, 1.0)
    assert errors(await client.create("customers", customers(2), NAME)) == [TransientError] * 2
    lose(world, 0.0)
    assert errors(await client.create("customers", customers(3), NAME)) == [ExistsError, ExistsError, None]


@pytest.mark.parametrize("route", ROUTES)
async def test_a_lost_answer_to_any_other_create_stays_unknown(world: World, route: str) -> None:
    client = world.business_central(route)
    await all_rows(client)
    lose(world, 1.0)
    assert errors(await client.create("customers", anonymous(1), NAME)) == [OutcomeUnknownError]
    lose(world, 0.0)
    assert len(await all_rows(client)) == 1
