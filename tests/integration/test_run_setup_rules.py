"""Rules of the tables that the others refer to: salespeople, currencies, units, options."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
from world import World, new_world
from world_data import JO, PAM, Row

from koppel.errors import StoreError
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store import options
from koppel.store.database import Database
from koppel.store.options import Option
from koppel.sync.check_currency import currency_trouble


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def load(world: World, table: str, **values: Any) -> None:
    """A set-up row of Business Central, as it was always there."""
    world.sandbox.business_central.load(COMPANY, table, [values])


def user(world: World, **values: Any) -> str:
    """A user of Dataverse; the id."""
    row = {"fullname": "Max Power", "firstname": "Max", "lastname": "Power", "internalemailaddress": "max@example.com"}
    return world.sandbox.dataverse.load("systemuser", [{**row, "isdisabled": False, "islicensed": True, **values}])[0]


# salespeople


@pytest.mark.rule("SP-01")
@pytest.mark.parametrize("values", [{"isdisabled": True}, {"islicensed": False}, {"isintegrationuser": True}])
async def test_only_users_who_work_there_become_salespeople(world: World, values: Row) -> None:
    user(world, **values)
    await world.sync("SALESPEOPLE", full=True)
    assert "max@example.com" not in {row["email"] for row in await world.bob.rows("salespeoplePurchasers")}


@pytest.mark.rule("SP-01")
async def test_a_user_who_leaves_changes_nothing_any_more(world: World) -> None:
    await world.sync("SALESPEOPLE", full=True)
    world.sandbox.dataverse.update(
        "systemuser", JO, {"isdisabled": True, "mobilephone": "555-0199"}, caller=alice_there()
    )
    assert (await world.sync("SALESPEOPLE")).write_requests == 0
    assert await world.failures("SALESPEOPLE") == []


def alice_there() -> Any:
    from koppel.sandbox.dataverse.service import Caller
    from koppel.sandbox.tokens import ALICE

    return Caller(ALICE.id)


@pytest.mark.rule("SP-02")
async def test_users_tell_name_mail_and_phone_of_salespeople(world: World) -> None:
    await world.sync("SALESPEOPLE", full=True)
    jo = await world.bob.one("salespeoplePurchasers", "code eq 'JO'")
    assert jo["phoneNo"] == "555-0100"
    await world.alice.update("systemusers", JO, mobilephone="555-0101")
    await world.sync("SALESPEOPLE")
    assert (await world.bob.row("salespeoplePurchasers", jo["id"]))["phoneNo"] == "555-0101"
    await world.bob.update("salespeoplePurchasers", jo["id"], phoneNo="1")
    result = await world.sync("SALESPEOPLE")
    assert result.write_requests == 0
    assert any("phoneNo" in line for line in result.notices)
    await world.alice.update("systemusers", JO, mobilephone="555-0102")
    await world.sync("SALESPEOPLE")
    assert (await world.bob.row("salespeoplePurchasers", jo["id"]))["phoneNo"] == "555-0102"
    await world.quiet("SALESPEOPLE")


@pytest.mark.rule("SP-02")
async def test_users_are_never_written(world: World) -> None:
    before = dict(world.sandbox.dataverse.tables["systemuser"].rows)
    await world.sync("SALESPEOPLE", full=True)
    jo = await world.bob.one("salespeoplePurchasers", "code eq 'JO'")
    await world.bob.update("salespeoplePurchasers", jo["id"], displayName="Jo B.")
    await world.sync("SALESPEOPLE", full=True)
    assert world.sandbox.dataverse.tables["systemuser"].rows == before


@pytest.mark.rule("SP-03")
async def test_salespeople_come_before_whatever_they_own(world: World) -> None:
    order = list(world.mappings)
    assert order.index("SALESPEOPLE") < min(order.index("CUSTOMER"), order.index("CONTACT"))
    customer = await world.bob.create("customers", displayName="Adatum", salespersonCode="PAM")
    results = await world.sync_all(full=True)
    assert results["CUSTOMER"].counts["failed"] == 0
    assert (await world.account_of(customer))["_ownerid_value"] == PAM


async def test_new_salespeople_are_numbered(world: World) -> None:
    first, second = user(world), user(world, fullname="Kim Two", internalemailaddress="kim@example.com")
    await world.sync("SALESPEOPLE", full=True)
    codes = {c.dataverse_id: c.business_central_key for c in await world.couplings("SALESPEOPLE")}
    assert codes[JO] == "JO"
    assert {codes[first], codes[second]} <= {"SP NO. 00001", "SP NO. 00002", "SP NO. 00003", "SP NO. 00004"}
    await world.quiet("SALESPEOPLE")


@pytest.mark.rule("SP-04")
async def test_numbers_go_on_from_run_to_run(world: World) -> None:
    user(world)
    await world.sync("SALESPEOPLE", full=True)
    late = user(world, fullname="Kim Two", internalemailaddress="kim@example.com")
    await world.sync("SALESPEOPLE", full=True)
    assert await world.failures("SALESPEOPLE") == []
    codes = [c.business_central_key for c in await world.couplings("SALESPEOPLE")]
    assert len(set(codes)) == len(codes)
    assert late in {c.dataverse_id for c in await world.couplings("SALESPEOPLE")}


# currencies


async def dataverse_currency(world: World, code: str) -> Row:
    return await world.alice.one("transactioncurrencies", f"isocurrencycode eq '{code}'")


@pytest.mark.rule("CUR-01")
async def test_a_currency_that_is_there_is_coupled_and_updated(world: World) -> None:
    row = {"isocurrencycode": "EUR", "currencyname": "Old", "currencysymbol": "E", "currencyprecision": 2}
    [key] = world.sandbox.dataverse.load("transactioncurrency", [{**row, "exchangerate": 5.0}])
    result = await world.sync("CURRENCY", full=True)
    assert (result.counts["coupled"], result.counts["created"]) == (1, 1)
    assert (await world.coupling("EUR", "CURRENCY")).dataverse_id == key
    euro = await dataverse_currency(world, "EUR")
    assert (euro["currencyname"], euro["currencysymbol"], euro["exchangerate"]) == ("Euro", "€", 0.9)
    await world.quiet("CURRENCY")


@pytest.mark.rule("CUR-02")
async def test_a_currency_without_iso_code_is_skipped_with_a_reason(world: World) -> None:
    load(world, "currencies", code="XXY", displayName="Points")
    result = await world.sync("CURRENCY", full=True)
    assert (result.counts["skipped"], result.counts["failed"], result.counts["created"]) == (1, 0, 2)
    assert any("XXY is not a currency code of ISO 4217" in line for line in result.notices)
    assert await world.alice.rows("transactioncurrencies", "isocurrencycode eq 'XXY'") == []


@pytest.mark.rule("CUR-03")
async def test_the_rate_is_the_last_one_that_is_not_of_the_future(world: World) -> None:
    tomorrow = (date.today() + timedelta(days=1)).isoformat()
    load(
        world,
        "currencyExchangeRates",
        currencyCode="EUR",
        startingDate=tomorrow,
        exchangeRateAmount=50,
        relationalExchangeRateAmount=100,
    )
    await world.sync("CURRENCY", full=True)
    assert (await dataverse_currency(world, "EUR"))["exchangerate"] == 0.9
    assert (await dataverse_currency(world, "GBP"))["exchangerate"] == 0.75


@pytest.mark.rule("CUR-03")
@pytest.mark.rule("GEN-18")
async def test_a_rate_may_change_without_its_currency(world: World) -> None:
    await world.sync("CURRENCY", full=True)
    await world.quiet("CURRENCY")
    load(
        world,
        "currencyExchangeRates",
        currencyCode="EUR",
        startingDate=date.today().isoformat(),
        exchangeRateAmount=95,
        relationalExchangeRateAmount=100,
    )
    result = await world.sync("CURRENCY")
    assert result.counts["updated"] == 1
    assert (await dataverse_currency(world, "EUR"))["exchangerate"] == 0.95
    await world.quiet("CURRENCY")


def local_euro(world: World) -> None:
    """The local currency is the euro, Dataverse's base currency the dollar."""
    load(world, "generalLedgerSetup", localCurrencyCode="EUR")
    for table in ("currencies", "currencyExchangeRates"):
        store = world.sandbox.business_central.companies[COMPANY].stores[table]
        for key in list(store.rows):
            store.remove(key, world.sandbox.business_central.stamp())
    for code, rate in (("USD", 1.08), ("GBP", 0.85)):
        load(world, "currencies", code=code, displayName=code)
        load(
            world,
            "currencyExchangeRates",
            currencyCode=code,
            startingDate="2021-01-01",
            exchangeRateAmount=rate,
            relationalExchangeRateAmount=1,
        )


@pytest.mark.rule("CUR-04")
async def test_rates_are_units_for_one_of_the_base_currency_whichever_that_is(world: World) -> None:
    local_euro(world)
    await world.sync("CURRENCY", full=True)
    assert (await dataverse_currency(world, "USD"))["exchangerate"] == 1.0
    assert (await dataverse_currency(world, "GBP"))["exchangerate"] == pytest.approx(0.7870370370, abs=1e-10)


@pytest.mark.rule("CUR-09")
async def test_a_base_currency_without_rate_is_told_before_anything_runs(world: World) -> None:
    assert await currency_trouble(world.session.systems) is None
    local_euro(world)
    assert await currency_trouble(world.session.systems) is None
    for row in await world.bob.rows("currencyExchangeRates", "currencyCode eq 'USD'"):
        await world.bob.delete("currencyExchangeRates", row["id"])
    told = "USD, the base currency of Dataverse, has no exchange rate in Business Central, where EUR is local"
    assert (await currency_trouble(world.session.systems) or ("", ""))[0] == told


@pytest.mark.rule("CUR-05")
async def test_a_currency_without_rate_is_held_and_nothing_of_it_written(world: World) -> None:
    load(world, "currencies", code="CHF", displayName="Franc")
    result = await world.sync("CURRENCY", full=True)
    assert (result.counts["failed"], result.counts["created"]) == (1, 2)
    [failure] = await world.failures("CURRENCY")
    assert (failure.code, failure.message, failure.record_name) == ("CUR-05", "no exchange rate for CHF", "CHF")
    assert await world.alice.rows("transactioncurrencies", "isocurrencycode eq 'CHF'") == []
    load(
        world,
        "currencyExchangeRates",
        currencyCode="CHF",
        startingDate="2021-01-01",
        exchangeRateAmount=95,
        relationalExchangeRateAmount=100,
    )
    await world.sync("CURRENCY")
    assert (await dataverse_currency(world, "CHF"))["exchangerate"] == 0.95
    assert await world.failures("CURRENCY") == []


@pytest.mark.rule("CUR-08")
async def test_the_local_currency_is_created_where_dataverse_lacks_it(world: World) -> None:
    local_euro(world)
    await world.sync("CURRENCY", full=True)
    euro = await dataverse_currency(world, "EUR")
    assert (euro["currencyname"], euro["currencysymbol"], euro["currencyprecision"]) == ("EUR", "EUR", 2)
    assert euro["exchangerate"] == pytest.approx(0.9259259259, abs=1e-10)
    customer = await world.bob.create("customers", displayName="Adatum", currencyCode="")
    await world.sync(full=True)
    assert await world.currency(await world.account_of(customer)) == "EUR"
    await world.quiet("CURRENCY", "CUSTOMER")
    assert len(await world.alice.rows("transactioncurrencies")) == 3


# units


async def group(world: World, code: str) -> Row:
    return await world.alice.one("uomschedules", f"name eq 'NAV {code}'")


async def units_of(world: World, group: Row) -> list[str]:
    rows = await world.alice.rows("uoms", f"_uomscheduleid_value eq {group['uomscheduleid']}")
    return [row["name"] for row in rows]


@pytest.mark.rule("UOM-01")
@pytest.mark.rule("UOM-02")
async def test_a_unit_becomes_a_group_of_one_unit(world: World) -> None:
    await world.sync("UNIT OF MEASURE", full=True)
    box = await group(world, "BOX")
    assert box["baseuomname"] == "BOX"
    assert await units_of(world, box) == ["BOX"]
    await world.quiet("UNIT OF MEASURE")


@pytest.mark.rule("UOM-02")
async def test_the_prefix_is_a_parameter_of_the_mapping(world: World) -> None:
    world.change("UNIT OF MEASURE", parameters={"prefix": "ADATUM"})
    await world.reopen()
    await world.sync("UNIT OF MEASURE", full=True)
    assert {row["name"] for row in await world.alice.rows("uomschedules")} == {"ADATUM BOX", "ADATUM PCS"}


@pytest.mark.rule("UOM-03")
@pytest.mark.rule("UOM-06")
async def test_a_group_of_that_name_is_coupled_and_its_unit_renamed(world: World) -> None:
    box = await world.alice.create("uomschedules", name="NAV BOX", baseuomname="carton")
    result = await world.sync("UNIT OF MEASURE", full=True)
    assert (result.counts["coupled"], result.counts["created"], result.counts["failed"]) == (1, 1, 0)
    assert (await world.coupling("BOX", "UNIT OF MEASURE")).dataverse_id == box["uomscheduleid"]
    assert await units_of(world, box) == ["BOX"]
    await world.quiet("UNIT OF MEASURE")


@pytest.mark.rule("UOM-04")
async def test_an_inactive_group_is_no_use(world: World) -> None:
    box = await world.alice.create("uomschedules", name="NAV BOX", baseuomname="BOX")
    await world.alice.update("uomschedules", box["uomscheduleid"], statecode=1, statuscode=2)
    result = await world.sync("UNIT OF MEASURE", full=True)
    assert (result.counts["failed"], result.counts["created"]) == (1, 1)
    [failure] = await world.failures("UNIT OF MEASURE")
    assert (failure.code, failure.message) == ("UOM-04", "unit group NAV BOX exists but is inactive")
    await world.alice.update("uomschedules", box["uomscheduleid"], statecode=0, statuscode=1)
    await world.sync("UNIT OF MEASURE", full=True)
    assert (await world.coupling("BOX", "UNIT OF MEASURE")).dataverse_id == box["uomscheduleid"]


@pytest.mark.rule("UOM-05")
async def test_nor_is_a_group_of_several_units(world: World) -> None:
    box = await world.alice.create("uomschedules", name="NAV BOX", baseuomname="BOX")
    [unit] = await world.alice.rows("uoms", f"_uomscheduleid_value eq {box['uomscheduleid']}")
    await world.alice.create(
        "uoms",
        {
            "name": "PALLET",
            "quantity": 40,
            "uomscheduleid@odata.bind": f"/uomschedules({box['uomscheduleid']})",
            "baseuom@odata.bind": f"/uoms({unit['uomid']})",
        },
    )
    result = await world.sync("UNIT OF MEASURE", full=True)
    assert result.counts["failed"] == 1
    [failure] = await world.failures("UNIT OF MEASURE")
    assert (failure.code, failure.field) == ("UOM-05", "name")
    assert failure.message == "unit group NAV BOX contains more than one unit and cannot be used"
    assert set(await units_of(world, box)) == {"BOX", "PALLET"}


@pytest.mark.rule("UOM-06")
async def test_a_renamed_unit_is_renamed(world: World) -> None:
    await world.sync("UNIT OF MEASURE", full=True)
    box = await group(world, "BOX")
    unit = await world.bob.one("unitsOfMeasure", "code eq 'BOX'")
    await world.bob.update("unitsOfMeasure", unit["id"], code="CARTON")
    await world.sync("UNIT OF MEASURE")
    now = await world.alice.row("uomschedules", box["uomscheduleid"])
    assert now["name"] == "NAV CARTON"
    assert await units_of(world, now) == ["CARTON"]
    await world.quiet("UNIT OF MEASURE")


# options


@pytest.mark.rule("OPT-01")
@pytest.mark.parametrize(
    ("mapping", "column", "codes"),
    [
        ("PAYMENT TERMS", "paymenttermscode", {"COD", "NET 30"}),
        ("SHIPMENT METHOD", "address1_freighttermscode", {"EXW"}),
        ("SHIPPING AGENT", "address1_shippingmethodcode", {"DHL"}),
    ],
)
async def test_codes_are_coupled_with_options_of_the_account(
    world: World, mapping: str, column: str, codes: set[str]
) -> None:
    await world.sync(mapping)
    coupled = await options.every(world.session.connection, mapping)
    assert {option.code for option in coupled} == codes
    for option in coupled:
        assert (await world.label(column, option.value)).upper() == option.code
    await world.session.connection.commit()
    await world.quiet(mapping)


@pytest.mark.rule("OPT-03")
async def test_a_code_and_an_option_belong_to_each_other_alone(world: World) -> None:
    await world.sync("PAYMENT TERMS")
    [first, second] = await options.every(world.session.connection, "PAYMENT TERMS")
    taken = Option("00000000-0000-4000-8000-000000000001", "OTHER", first.value)
    with pytest.raises(StoreError, match="coupled"):
        await options.save(world.session.connection, "PAYMENT TERMS", [taken])
    moved = Option(first.business_central_id, first.code, second.value)
    with pytest.raises(StoreError, match="coupled"):
        await options.save(world.session.connection, "PAYMENT TERMS", [moved])
    assert await options.every(world.session.connection, "PAYMENT TERMS") == [first, second]
