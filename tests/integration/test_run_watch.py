"""Rows of other tables that a mapping watches: whom their changes concern, what that costs, and that none is missed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from world import World, new_world
from world_data import Row

from koppel.errors import MappingError
from koppel.mapping.model import Watch
from koppel.mapping.steps import LookUp
from koppel.odata.records import Side
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store.database import Database
from koppel.sync.explain import explain
from koppel.sync.request import Result

TERMS = Watch(table="paymentTerms", column="code", key="paymentTermsCode", line=4)
PEOPLE = Watch(table="contact", column="parentcustomerid_account", key="id", line=5)


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """Customers tell the name of their payment terms in the account's fax, and watch the table of terms."""
    async with new_world(database) as world:
        step = LookUp(table="paymentTerms", where="code", take="displayName")
        world.change_field(
            "faxNo", business_central="paymentTermsCode", code=True, direction="to_dataverse", to_dataverse=(step,)
        )
        world.change(fields=tuple(f for f in world.mappings["CUSTOMER"].fields if not f.options), only_coupled=False)
        watch(world, "business_central", TERMS)
        yield world


def watch(world: World, side: Side, *watches: Watch, name: str = "CUSTOMER") -> None:
    end = world.mappings[name].endpoint(side)
    world.change(name, **{side: msgspec.structs.replace(end, watch=watches)})


async def customers(world: World) -> tuple[Row, Row]:
    """One with the terms COD, one with NET 30, both in step."""
    made = [
        await world.bob.create("customers", displayName=f"Customer {code}", paymentTermsCode=code)
        for code in ("COD", "NET 30")
    ]
    await world.sync()
    return made[0], made[1]


async def rename(world: World, code: str, name: str) -> Row:
    """Other terms by the same code."""
    row = await world.bob.one("paymentTerms", f"code eq '{code}'")
    return await world.bob.update("paymentTerms", row["id"], displayName=name)


async def fax(world: World, customer: Row) -> Any:
    return (await world.account_of(customer))["fax"]


def compared(result: Result, why: str) -> bool:
    return any(why in line and "so everything is compared" in line for line in result.notices)


async def test_a_changed_row_is_a_change_of_the_records_it_belongs_to(world: World) -> None:
    first, second = await customers(world)
    await rename(world, "COD", "At once")
    assert await world.planned() == ["update"]
    result = await world.sync()
    assert (result.counts["updated"], result.counts["unchanged"], result.notices) == (1, 1, [])
    assert (await fax(world, first), await fax(world, second)) == ("At once", "Net 30 days")
    await world.quiet("CUSTOMER")


async def test_a_watched_table_costs_one_request_when_nothing_changed(world: World) -> None:
    await customers(world)
    for _ in range(2):
        assert (await world.sync()).requests == {"business_central": 2, "dataverse": 1}
    await rename(world, "COD", "At once")
    await world.sync()
    for _ in range(2):  # also as long as the row is so recent that it comes again
        assert (await world.sync()).requests == {"business_central": 2, "dataverse": 1}
    watch(world, "business_central")
    await world.sync()
    assert (await world.sync()).requests == {"business_central": 1, "dataverse": 1}


async def test_a_row_of_a_table_without_rows_is_noticed(world: World) -> None:
    store = world.sandbox.business_central.companies[COMPANY].stores["paymentTerms"]
    for key in list(store.rows):
        store.remove(key, world.sandbox.business_central.stamp())
    await world.sync()
    await world.bob.create("paymentTerms", code="COD", displayName="At once")
    customer = await world.bob.create("customers", displayName="Adatum", paymentTermsCode="COD")
    await world.sync()
    await rename(world, "COD", "Today")
    await world.sync()
    assert await fax(world, customer) == "Today"


async def test_a_row_that_was_long_under_way_is_not_missed(world: World) -> None:
    first, _ = await customers(world)
    row = await rename(world, "COD", "At once")
    world.sandbox.clock.advance(120)
    await rename(world, "NET 30", "A month")
    store = world.sandbox.business_central.companies[COMPANY].stores["paymentTerms"]
    hidden, stamp = store.rows[row["id"]], store.table.stamp(row["id"])
    store.remove(row["id"], stamp)
    await world.sync()
    store.put(hidden, stamp)
    result = await world.sync()
    assert (await fax(world, first), result.counts["updated"]) == ("At once", 1)


async def test_what_changed_before_a_run_that_failed_is_not_missed(world: World) -> None:
    first, _ = await customers(world)
    await rename(world, "COD", "At once")

    async def cut(number: int, request: Any) -> None:
        if b"PATCH" in request.body:
            raise RuntimeError("the end")

    world.line.before = cut
    with pytest.raises(RuntimeError):
        await world.sync()
    world.line.before = None
    await world.reopen()
    await world.sync()
    assert await fax(world, first) == "At once"


async def test_a_restored_backup_shows_in_a_watched_table_too(world: World) -> None:
    first, _ = await customers(world)
    world.sandbox.clock.advance(600)
    store = world.sandbox.business_central.companies[COMPANY].stores["paymentTerms"]
    kept: dict[str, Any] = {key: (row, store.table.stamp(key)) for key, row in store.rows.items()}
    await rename(world, "COD", "At once")
    await rename(world, "NET 30", "A month")
    await world.sync()
    world.sandbox.clock.advance(600)
    store.revert(kept)
    assert compared(await world.sync(), "Business Central went back behind what it had reported")
    assert await fax(world, first) == "Cash"
    assert (await world.sync()).notices == []


async def test_a_record_and_its_row_that_both_changed_are_written_once(world: World) -> None:
    first, _ = await customers(world)
    for couplings_from in (200, 0):  # brakes or none
        world.session.brakes = msgspec.structs.replace(
            world.session.brakes, changes_from=couplings_from, changes_percent=100
        )
        await rename(world, "COD", f"At once {couplings_from}")
        await world.bob.update("customers", first["id"], phoneNumber=str(couplings_from))
        result = await world.sync()
        assert (result.counts["updated"], result.write_requests) == (1, 1)
        account = await world.account_of(first)
        assert (account["fax"], account["telephone1"]) == (f"At once {couplings_from}", str(couplings_from))


@pytest.mark.parametrize("couplings_from", [200, 0])
async def test_a_new_record_and_its_new_row_make_one_partner(database: Database, couplings_from: int) -> None:
    """Also where the system chooses the ids."""
    async with new_world(database, route="v2.0") as world:
        world.change(only_coupled=False, direction="from_dataverse", match=())
        world.change_field("salespersonCode", enabled=False)
        watch(world, "dataverse", PEOPLE)
        await world.alice.create("accounts", name="First", customertypecode=3)
        await world.sync()
        world.session.brakes = msgspec.structs.replace(world.session.brakes, changes_from=couplings_from)
        account = await world.alice.create("accounts", name="Second", customertypecode=3)
        parent = {"parentcustomerid_account@odata.bind": f"/accounts({account['accountid']})"}
        await world.alice.create("contacts", {"lastname": "Lee", **parent})
        assert (await world.sync()).counts["created"] == 1
        assert len(await world.bob.rows("customers")) == 2


async def test_a_full_run_covers_deleted_rows_of_business_central(world: World) -> None:
    world.change_field("paymentTermsCode", to_dataverse=(_lenient(world),))
    first, _ = await customers(world)
    row = await world.bob.one("paymentTerms", "code eq 'COD'")
    await world.bob.delete("paymentTerms", row["id"])
    await world.quiet("CUSTOMER")
    await world.sync(full=True)
    assert await fax(world, first) is None


def _lenient(world: World) -> LookUp:
    return LookUp(table="paymentTerms", where="code", take="displayName", otherwise="empty")


# Dataverse


async def person(world: World, account: Row) -> Row:
    parent = {"parentcustomerid_account@odata.bind": f"/accounts({account['accountid']})"}
    return await world.alice.create("contacts", {"lastname": "Lee", **parent})


async def test_rows_of_dataverse_are_watched_by_change_tracking(world: World) -> None:
    watch(world, "dataverse", PEOPLE)
    first, second = await customers(world)
    await world.quiet("CUSTOMER")
    await person(world, await world.account_of(first))
    world.line.requests.clear()
    result = await world.sync()
    asked = [request for request in world.line.requests if f"'{first['id']}'" in unquote(request.url)]
    assert (result.counts["unchanged"], len(asked)) == (2, 1)
    assert (await world.sync()).requests == {"business_central": 2, "dataverse": 2}
    lee = await person(world, await world.account_of(second))
    await world.sync()
    await world.alice.delete("contacts", lee["contactid"])
    result = await world.sync()
    assert compared(result, "rows of contact were deleted")
    assert result.counts["unchanged"] == 2
    assert (await world.sync()).requests == {"business_central": 2, "dataverse": 2}


async def test_an_expired_cursor_of_a_watched_table(world: World) -> None:
    watch(world, "dataverse", PEOPLE)
    first, _ = await customers(world)
    await world.alice.update("accounts", first["id"], telephone1="2")
    world.sandbox.clock.advance(8 * 24 * 3600)
    assert compared(await world.sync(), "the change-tracking cursor expired")
    assert (await world.bob.row("customers", first["id"]))["phoneNumber"] == "2"
    assert (await world.sync()).notices == []


# records that failed


@pytest.mark.rule("CUR-05")
async def test_a_record_that_is_skipped_is_tried_again_when_its_row_changes(world: World) -> None:
    world.sandbox.business_central.load(COMPANY, "currencies", [{"code": "CHF", "displayName": "Franc"}])
    await world.sync("CURRENCY", full=True)
    await world.sync("CURRENCY")
    assert [failure.state for failure in await world.failures("CURRENCY")] == ["skipped"]
    await world.quiet("CURRENCY")
    assert [failure.attempts for failure in await world.failures("CURRENCY")] == [2]
    rate(world, "CHF", 95)
    assert [action.kind for action in (await explain(world.session, "CURRENCY", "CHF")).full] == ["create"]
    await world.sync("CURRENCY", full=True)
    assert await world.failures("CURRENCY") == []
    assert len(await world.couplings("CURRENCY")) == 3


# currencies


def rate(world: World, code: str, amount: float, day: date | None = None) -> None:
    row = {"currencyCode": code, "exchangeRateAmount": amount, "relationalExchangeRateAmount": 100}
    day = day or date.today()
    world.sandbox.business_central.load(COMPANY, "currencyExchangeRates", [{**row, "startingDate": day.isoformat()}])


async def rates(world: World) -> dict[str, float]:
    rows = await world.alice.rows("transactioncurrencies")
    return {row["isocurrencycode"]: row["exchangerate"] for row in rows}


@pytest.mark.rule("CUR-03")
async def test_a_rate_that_becomes_valid_by_date_alone_is_noticed(world: World) -> None:
    today = date.today()
    await world.sync("CURRENCY", full=True)
    rate(world, "EUR", 95, today + timedelta(days=1))
    await world.sync("CURRENCY")
    assert (await rates(world))["EUR"] == 0.9
    await world.quiet("CURRENCY")
    world.session.today = lambda: today + timedelta(days=1)
    assert await world.planned("CURRENCY") == ["update"]
    assert (await world.sync("CURRENCY")).counts["updated"] == 1
    assert (await rates(world))["EUR"] == 0.95
    assert sum((await world.sync("CURRENCY")).requests.values()) == 3


@pytest.mark.rule("CUR-05")
async def test_a_first_rate_that_becomes_valid_by_date_alone_is_noticed_too(world: World) -> None:
    tomorrow = date.today() + timedelta(days=1)
    world.sandbox.business_central.load(COMPANY, "currencies", [{"code": "CHF", "displayName": "Franc"}])
    rate(world, "CHF", 95, tomorrow)
    await world.sync("CURRENCY", full=True)
    await world.sync("CURRENCY")
    assert [failure.state for failure in await world.failures("CURRENCY")] == ["skipped"]
    world.session.today = lambda: tomorrow
    await world.sync("CURRENCY")
    assert (await rates(world))["CHF"] == 0.95


@pytest.mark.rule("CUR-03")
async def test_a_rate_of_the_base_currency_concerns_every_currency(world: World) -> None:
    """The local currency is none of Business Central's records, the base currency has rate 1 whatever its rate is."""
    world.sandbox.business_central.load(COMPANY, "generalLedgerSetup", [{"localCurrencyCode": "CHF"}])
    world.sandbox.business_central.load(COMPANY, "currencies", [{"code": "USD", "displayName": "Dollar"}])
    rate(world, "USD", 125, date(2021, 1, 1))
    await world.sync("CURRENCY", full=True)
    assert await rates(world) == {"USD": 1, "CHF": 0.8, "EUR": 0.72, "GBP": 0.6}
    await world.quiet("CURRENCY")
    rate(world, "USD", 250)
    await world.sync("CURRENCY")
    assert await rates(world) == {"USD": 1, "CHF": 0.4, "EUR": 0.36, "GBP": 0.3}
    await world.quiet("CURRENCY")


@pytest.mark.rule("CUR-03")
async def test_currencies_whose_rates_did_not_change_cost_three_requests(world: World) -> None:
    await world.sync("CURRENCY", full=True)
    assert (await world.sync("CURRENCY")).requests == {"business_central": 2, "dataverse": 1}


# contacts


@pytest.mark.rule("CONT-02")
async def test_a_company_that_becomes_a_customer_takes_its_people_along(world: World) -> None:
    world.change("CONTACT", only_coupled=False)
    await world.sync("CURRENCY", full=True)
    company = await world.bob.create("contacts", type="Company", displayName="Litware")
    lee = await world.bob.create("contacts", type="Person", surname="Lee", companyNumber=company["number"])
    assert (await world.sync("CONTACT")).counts["skipped"] == 1
    customer = await world.bob.create("customers", displayName="Litware")
    other = await world.bob.one("contactBusinessRelations", f"number eq '{customer['number']}'")
    await world.bob.update("contactBusinessRelations", other["id"], contactNumber=company["number"])
    await world.sync()
    assert (await world.sync("CONTACT")).counts["created"] == 1
    account = await world.account_of(customer)
    assert (await world.alice.row("contacts", lee["id"]))["_parentcustomerid_value"] == account["accountid"]
    await world.quiet("CONTACT")


# what cannot be watched


async def test_a_table_that_the_route_lacks_is_told_and_left_out(database: Database) -> None:
    async with new_world(database, route="v2.0") as world:
        watch(world, "business_central", Watch(table="contactBusinessRelations", column="number"))
        await world.sync()
        result = await world.sync()
        assert "left out, the route does not show it: contactBusinessRelations (watched)" in result.notices
        assert result.requests == {"business_central": 1, "dataverse": 1}


@pytest.mark.parametrize(
    ("side", "wrong", "said"),
    [
        (
            "dataverse",
            Watch(table="contct", line=5),
            "customer.yaml:5: Dataverse has no table 'contct'",
        ),
        ("business_central", Watch(table="paymentTerms", column="cod"), "table paymentTerms has no column 'cod'"),
        ("business_central", Watch(table="paymentTerms", column="code", key="no"), "table customers has no column"),
    ],
)
async def test_names_that_nobody_knows_are_refused(world: World, side: Side, wrong: Watch, said: str) -> None:
    watch(world, side, wrong)
    with pytest.raises(MappingError) as caught:
        await world.sync()
    assert said in str(caught.value)


async def test_a_filter_that_only_the_system_can_follow_is_refused(world: World) -> None:
    deep = "parentaccountid/customertypecode eq 3"
    end = world.mappings["CUSTOMER"].dataverse
    world.change(dataverse=msgspec.structs.replace(end, filter=deep, watch=(PEOPLE,)))
    with pytest.raises(MappingError, match=r"customer\.yaml:5: the filter cannot follow the path"):
        await world.sync()
