"""Items and resources, and the products that come of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from catalogue import ACTIVE, ITEMS, LIST, RETIRED, REVISED, bike, failure, price_of, product_of, set_up_catalogue
from world import World, new_world
from world_data import Row

from koppel.mapping.steps import MapValues
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store.database import Database
from koppel.sync.undo import job_to_undo, undo
from koppel.sync.verify import verify


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        await set_up_catalogue(world)
        yield world


@pytest.mark.rule("PROD-09")
@pytest.mark.rule("PROD-11")
async def test_an_item_becomes_an_active_product_with_its_price(world: World) -> None:
    await bike(world)
    result = await world.sync(ITEMS, full=True)
    assert (result.counts["created"], await world.failures(ITEMS)) == (1, [])
    product = await product_of(world)
    assert (product["statecode"], product["statuscode"], product["quantitydecimal"]) == (ACTIVE, 1, 2)
    price = await price_of(world, product)
    assert (price["amount"], price["pricingmethodcode"]) == (999.5, 1)
    assert price["_uomid_value"] == product["_defaultuomid_value"]
    assert (await world.alice.row("pricelevels", price["_pricelevelid_value"]))["name"] == LIST
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-01")
@pytest.mark.rule("PROD-04")
@pytest.mark.rule("PROD-05")
@pytest.mark.rule("PROD-06")
@pytest.mark.rule("PROD-14")
async def test_every_field_of_an_item_arrives(world: World) -> None:
    await world.bob.create("vendors", number="V-1", displayName="Wheels Inc")
    await bike(
        world,
        unitCost=400.25,
        unitVolume=1.5,
        grossWeight=12.25,
        vendorNo="V-1",
        vendorItemNo="WB 7",
        baseUnitOfMeasureCode="BOX",
    )
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    assert {name: product[name] for name in product if name in FIELDS} == FIELDS
    assert await world.currency(product) == "USD"
    group = await world.alice.row("uomschedules", product["_defaultuomscheduleid_value"])
    unit = await world.alice.row("uoms", product["_defaultuomid_value"])
    assert (group["name"], unit["name"], unit["_uomscheduleid_value"]) == ("NAV BOX", "BOX", group["uomscheduleid"])
    verified = await verify(world.session, [ITEMS])
    assert (verified.compared, verified.differences) == (1, [])


FIELDS = {
    "name": "Road Bike",
    "productnumber": "BK-1",
    "producttypecode": 1,
    "price": 999.5,
    "standardcost": 400.25,
    "currentcost": 400.25,
    "stockvolume": 1.5,
    "stockweight": 12.25,
    "vendorid": "V-1",
    "vendorname": "Wheels Inc",
    "vendorpartnumber": "WB 7",
}


@pytest.mark.rule("PROD-01")
async def test_a_resource_becomes_a_service_beside_the_items(world: World) -> None:
    await bike(world)
    values = {"displayName": "Repair", "unitPrice": 60, "unitCost": 25, "baseUnitOfMeasureCode": "PCS"}
    world.sandbox.business_central.load(COMPANY, "resources", [{"number": "R-1", "capacity": 7, **values}])
    for name in (ITEMS, "RESOURCE-PRODUCT"):
        assert (await world.sync(name, full=True)).counts["created"] == 1
        assert await world.failures(name) == []
    product = await product_of(world, "R-1")
    assert (product["producttypecode"], product["name"], product["statecode"]) == (3, "Repair", ACTIVE)
    assert (product["price"], product["standardcost"], product["currentcost"]) == (60, 25, 25)
    assert product["quantityonhand"] == 7
    assert (await price_of(world, product))["amount"] == 60
    await world.quiet(ITEMS, "RESOURCE-PRODUCT")
    assert len(await world.couplings(ITEMS)) == len(await world.couplings("RESOURCE-PRODUCT")) == 1


@pytest.mark.rule("PROD-01")
async def test_the_type_is_put_back_and_other_types_are_nobodys_business(world: World) -> None:
    await bike(world)
    await world.sync(ITEMS, full=True)
    unit = await product_of(world)
    for number, kind in (("M-1", 2), ("F-1", 4)):
        await world.alice.create(
            "products",
            {
                "name": number,
                "productnumber": number,
                "producttypecode": kind,
                "quantitydecimal": 0,
                "defaultuomid@odata.bind": f"/uoms({unit['_defaultuomid_value']})",
                "defaultuomscheduleid@odata.bind": f"/uomschedules({unit['_defaultuomscheduleid_value']})",
            },
        )
    result = await world.sync(ITEMS, full=True)
    assert (result.counts["created"], result.write_requests) == (0, 0)


@pytest.mark.rule("PROD-04")
async def test_names_go_both_ways_and_prices_do_not(world: World) -> None:
    item = await bike(world)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    await world.alice.update("products", product["productid"], name="Racer", price=1.0)
    result = await world.sync(ITEMS)
    item = await world.bob.row("items", item["id"])
    assert (item["displayName"], item["unitPrice"]) == ("Racer", 999.5)
    assert any("unitPrice: changed on the side that only receives it" in line for line in result.notices)
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-05")
async def test_the_currency_of_a_product_is_put_back(world: World) -> None:
    await bike(world)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    euro = await world.alice.one("transactioncurrencies", "isocurrencycode eq 'EUR'")
    bind = f"/transactioncurrencies({euro['transactioncurrencyid']})"
    await world.alice.update("products", product["productid"], {"transactioncurrencyid@odata.bind": bind})
    assert await world.currency(await product_of(world)) == "EUR"
    await world.sync(ITEMS)
    assert await world.currency(await product_of(world)) == "USD"
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-05")
async def test_a_local_currency_that_dataverse_lacks_comes_first(world: World) -> None:
    world.sandbox.business_central.load(COMPANY, "generalLedgerSetup", [{"localCurrencyCode": "CHF"}])
    rate = {"startingDate": "2021-01-01", "exchangeRateAmount": 110, "relationalExchangeRateAmount": 100}
    world.sandbox.business_central.load(COMPANY, "currencyExchangeRates", [{"currencyCode": "USD", **rate}])
    await bike(world)
    await world.sync(ITEMS, full=True)
    assert await world.failures(ITEMS) == []
    franc = await world.alice.one("transactioncurrencies", "isocurrencycode eq 'CHF'")
    assert franc["exchangerate"] == pytest.approx(1 / 1.1, abs=1e-9)
    product = await product_of(world)
    assert product["_transactioncurrencyid_value"] == franc["transactioncurrencyid"]
    assert (await price_of(world, product))["_transactioncurrencyid_value"] == franc["transactioncurrencyid"]
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-06")
async def test_an_item_needs_a_base_unit(world: World) -> None:
    item = await bike(world, baseUnitOfMeasureCode="")
    await world.sync(ITEMS, full=True)
    assert await failure(world) == "baseUnitOfMeasureCode is blank, and is required"
    assert await world.alice.rows("products") == []
    await world.bob.update("items", item["id"], baseUnitOfMeasureCode="PCS")
    await world.sync(ITEMS)
    assert (await product_of(world))["statecode"] == ACTIVE


@pytest.mark.rule("UOM-07")
async def test_a_unit_that_is_not_coupled_is_waited_for(world: World) -> None:
    await world.bob.create("unitsOfMeasure", code="PAIR", displayName="Pair")
    await bike(world, baseUnitOfMeasureCode="PAIR")
    for _ in range(3):
        await world.sync(ITEMS, full=True)
    assert await failure(world) == "unit of measure PAIR is not coupled in UNIT OF MEASURE"
    await world.sync("UNIT OF MEASURE", full=True)
    await world.sync(ITEMS)
    assert (await product_of(world))["statecode"] == ACTIVE
    assert await world.failures(ITEMS) == []


@pytest.mark.rule("UOM-07")
async def test_a_unit_group_that_is_no_use_is_named(world: World) -> None:
    pieces = await world.alice.one("uomschedules", "name eq 'NAV PCS'")
    bind = f"/uomschedules({pieces['uomscheduleid']})"
    await world.alice.create("uoms", {"name": "Dozen", "quantity": 12, "uomscheduleid@odata.bind": bind})
    await bike(world)
    await world.sync(ITEMS, full=True)
    assert await failure(world) == "unit group NAV PCS contains 2 units"


@pytest.mark.rule("PROD-07")
async def test_stock_and_price_are_never_negative(world: World) -> None:
    row = {"number": "BK-1", "displayName": "Road Bike", "baseUnitOfMeasureCode": "PCS"}
    world.sandbox.business_central.load(COMPANY, "items", [{**row, "unitPrice": -3, "inventory": -5}])
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    assert (product["price"], product["quantityonhand"]) == (0, 0)
    assert (await price_of(world, product))["amount"] == 0
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-12")
async def test_a_blocked_item_retires_its_product_and_brings_it_back(world: World) -> None:
    item = await bike(world)
    await world.sync(ITEMS, full=True)
    await world.bob.update("items", item["id"], blocked=True, displayName="Old Bike")
    result = await world.sync(ITEMS)
    product = await product_of(world)
    assert (product["statecode"], product["statuscode"], product["name"]) == (RETIRED, 2, "Road Bike")
    assert any("only what the filter asks for is carried over" in line for line in result.notices)
    await world.quiet(ITEMS)
    await world.bob.update("items", item["id"], blocked=False)
    await world.sync(ITEMS)
    product = await product_of(world)
    assert (product["statecode"], product["statuscode"], product["name"]) == (ACTIVE, 1, "Old Bike")
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-02")
async def test_blocked_items_and_inactive_products_get_no_partner(world: World) -> None:
    await bike(world, blocked=True)
    result = await world.sync(ITEMS, full=True)
    assert (result.counts["created"], result.write_requests) == (0, 0)


@pytest.mark.rule("PROD-12")
async def test_a_product_that_somebody_revises_stays_as_it_is(world: World) -> None:
    item = await bike(world)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    await world.alice.update("products", product["productid"], statecode=REVISED, statuscode=3)
    result = await world.sync(ITEMS)
    assert result.write_requests == 0
    assert any("outside the filter of Dataverse" in line for line in result.notices)
    await world.bob.update("items", item["id"], displayName="Racer")
    await world.sync(ITEMS)
    assert (await product_of(world))["name"] == "Road Bike"
    await world.alice.update("products", product["productid"], statecode=ACTIVE, statuscode=1)
    await world.sync(ITEMS)
    assert (await product_of(world))["name"] == "Racer"


@pytest.mark.rule("PROD-12")
async def test_without_filters_a_blocked_item_becomes_a_retired_product(world: World) -> None:
    mapping = world.mappings[ITEMS]
    world.change(
        ITEMS, left_filter="keep", business_central=msgspec.structs.replace(mapping.business_central, filter="")
    )
    world.change(ITEMS, dataverse=msgspec.structs.replace(mapping.dataverse, filter="producttypecode eq 1"))
    await bike(world, blocked=True)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    assert (product["statecode"], await world.failures(ITEMS)) == (RETIRED, [])
    assert (await price_of(world, product))["amount"] == 999.5
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-13")
async def test_a_retired_product_may_block_its_item(world: World) -> None:
    back = (MapValues(values={"0": False}, rest=True),)
    world.change_field("blocked", ITEMS, direction="both", from_dataverse=back)
    item = await bike(world)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    for state, status, blocked in ((RETIRED, 2, True), (ACTIVE, 1, False)):
        await world.alice.update("products", product["productid"], statecode=state, statuscode=status)
        await world.sync(ITEMS)
        assert (await world.bob.row("items", item["id"]))["blocked"] is blocked
        assert (await product_of(world))["statecode"] == state
        await world.quiet(ITEMS)


@pytest.mark.rule("PROD-11")
async def test_a_record_that_is_asked_for_is_finished_at_once(world: World) -> None:
    item = await bike(world)
    result = await world.sync(ITEMS, records=(item["id"],), create=True)
    assert result.counts["created"] == 1
    product = await product_of(world)
    assert (product["statecode"], (await price_of(world, product))["amount"]) == (ACTIVE, 999.5)
    await world.quiet(ITEMS)


async def test_a_created_product_can_be_taken_back(world: World) -> None:
    await bike(world)
    result = await world.sync(ITEMS, full=True)
    _, left = await undo(world.session, await job_to_undo(world.session, result.job))
    assert [str(one) for one in left] == [
        f"{LIST}: the record in Dataverse stays as it is, other records may refer to it"
    ]
    assert await world.alice.rows("products") == []
    assert await world.couplings(ITEMS) == []


async def drawing_board(world: World, number: str, kind: int) -> Row:
    """An active product that somebody made in Dataverse, in boxes."""
    group = await world.alice.one("uomschedules", "name eq 'NAV BOX'")
    [unit] = await world.alice.rows("uoms", f"_uomscheduleid_value eq {group['uomscheduleid']}")
    product = await world.alice.create(
        "products",
        {
            "name": f"Idea {number}",
            "productnumber": number,
            "producttypecode": kind,
            "quantitydecimal": 0,
            "price": 7,
            "defaultuomid@odata.bind": f"/uoms({unit['uomid']})",
            "defaultuomscheduleid@odata.bind": f"/uomschedules({group['uomscheduleid']})",
        },
    )
    return await world.alice.update("products", product["productid"], statecode=ACTIVE, statuscode=1)


@pytest.mark.rule("PROD-15")
@pytest.mark.parametrize(("name", "table", "kind"), [(ITEMS, "items", 1), ("RESOURCE-PRODUCT", "resources", 3)])
async def test_a_product_becomes_what_its_type_says(world: World, name: str, table: str, kind: int) -> None:
    product = await drawing_board(world, "X-1", kind)
    await world.sync(name, full=True)
    assert await world.failures(name) == []
    [made] = await world.bob.rows(table)
    assert (made["displayName"], made["baseUnitOfMeasureCode"], made["blocked"]) == ("Idea X-1", "BOX", False)
    product = await world.alice.row("products", product["productid"])
    assert (product["productnumber"], product["price"], product["statecode"]) == (made["number"], 7, ACTIVE)
    assert product["productnumber"] not in ("", "X-1")
    assert (await price_of(world, product))["amount"] == 7
    other = {ITEMS: "RESOURCE-PRODUCT", "RESOURCE-PRODUCT": ITEMS}[name]
    assert (await world.sync(other, full=True)).counts["created"] == 0
    await world.quiet(ITEMS, "RESOURCE-PRODUCT")
    await world.bob.update(table, made["id"], unitPrice=9)
    await world.sync(name)
    product = await world.alice.row("products", product["productid"])
    assert (product["price"], (await price_of(world, product))["amount"]) == (9, 9)


async def test_items_go_over_the_standard_api_without_what_it_lacks(database: Database) -> None:
    async with new_world(database, route="v2.0") as world:
        for name in ("CURRENCY", "UNIT OF MEASURE"):
            await world.sync(name, full=True)
        await bike(world, grossWeight=3)
        result = await world.sync(ITEMS, full=True)
        assert any("items.grossWeight" in line for line in result.notices)
        product = await product_of(world)
        assert (product["statecode"], product["stockweight"]) == (ACTIVE, None)
        assert (await price_of(world, product))["amount"] == 999.5
        await world.quiet(ITEMS)
