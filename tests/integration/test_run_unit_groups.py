"""A unit group for each item and resource, instead of one for each unit of measure."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from catalogue import ACTIVE, ITEMS, bike, failure, product_of
from world import World, new_world
from world_data import Row

from koppel.engine.action import Action
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store.database import Database
from koppel.sync.run import plan
from koppel.sync.verify import verify
from switches import UNIT_GROUPS

GROUPS, UNITS = "UNIT GROUP", "ITEM UOM"
INACTIVE = {"statecode": 1, "statuscode": 2}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database, enabled=UNIT_GROUPS) as world:
        yield world


async def group(world: World, number: str = "BK-1") -> Row:
    """The unit group of an item."""
    return await world.alice.one("uomschedules", f"name eq 'ITEM {number} UOM GR'")


async def units(world: World, group: Row) -> dict[str, Row]:
    """Its units by name."""
    found = await world.alice.rows("uoms", f"_uomscheduleid_value eq {group['uomscheduleid']}")
    return {row["name"]: row for row in found}


async def box(world: World, quantity: float = 10, number: str = "BK-1") -> Row:
    """Another unit of an item."""
    return await world.bob.create("itemUnitsOfMeasure", itemNo=number, code="BOX", qtyPerUnitOfMeasure=quantity)


@pytest.mark.rule("UOM-08")
async def test_each_item_and_resource_has_a_group_of_its_own(world: World) -> None:
    await bike(world)
    world.sandbox.business_central.load(COMPANY, "resources", [{"number": "BK-1", "baseUnitOfMeasureCode": "BOX"}])
    await world.sync(GROUPS)
    groups = await world.alice.rows("uomschedules")
    assert sorted((row["name"], row["baseuomname"]) for row in groups) == [
        ("ITEM BK-1 UOM GR", "ITEM BK-1 UOM GR"),
        ("RESOURCE BK-1 UOM GR", "RESOURCE BK-1 UOM GR"),
    ]
    assert {row["name"] for row in await world.alice.rows("uoms")} == {row["name"] for row in groups}
    await world.quiet(GROUPS)


@pytest.mark.rule("UOM-08")
async def test_a_group_of_the_name_is_taken(world: World) -> None:
    made = await world.alice.create("uomschedules", name="ITEM BK-1 UOM GR", baseuomname="each")
    await bike(world)
    await world.sync(GROUPS)
    assert [row["uomscheduleid"] for row in await world.alice.rows("uomschedules")] == [made["uomscheduleid"]]
    assert [coupling.dataverse_id for coupling in await world.couplings(GROUPS)] == [made["uomscheduleid"]]
    await world.quiet(GROUPS)


@pytest.mark.rule("UOM-08")
async def test_the_group_follows_a_new_number(world: World) -> None:
    item = await bike(world)
    await world.sync(GROUPS)
    before = await group(world)
    await world.bob.update("items", item["id"], number="BK-2")
    await world.sync(GROUPS)
    assert (await group(world, "BK-2"))["uomscheduleid"] == before["uomscheduleid"]
    assert await world.failures(GROUPS) == []
    await world.quiet(GROUPS)


@pytest.mark.rule("UOM-13")
async def test_an_inactive_group_cannot_be_used(world: World) -> None:
    made = await world.alice.create("uomschedules", name="ITEM BK-1 UOM GR", baseuomname="each")
    await world.alice.update("uomschedules", made["uomscheduleid"], INACTIVE)
    await bike(world)
    await world.sync(GROUPS)
    assert await failure(world, GROUPS) == "unit group ITEM BK-1 UOM GR exists but is inactive"
    assert await world.couplings(GROUPS) == []


@pytest.mark.rule("UOM-09")
async def test_units_go_into_the_group_of_their_item(world: World) -> None:
    await bike(world)
    await box(world)
    world.sandbox.business_central.load(COMPANY, "resources", [{"number": "BK-1", "baseUnitOfMeasureCode": "PCS"}])
    for name in (GROUPS, UNITS, "RESOURCE UOM"):
        await world.sync(name)
        assert await world.failures(name) == []
    found = await units(world, await group(world))
    assert {name: row["quantity"] for name, row in found.items()} == {"ITEM BK-1 UOM GR": 1, "PCS": 1, "BOX": 10}
    assert [name for name, row in found.items() if row["isschedulebaseuom"]] == ["ITEM BK-1 UOM GR"]
    of_resource = await world.alice.one("uomschedules", "name eq 'RESOURCE BK-1 UOM GR'")
    assert set(await units(world, of_resource)) == {"RESOURCE BK-1 UOM GR", "PCS"}
    verified = await verify(world.session, [GROUPS, UNITS, "RESOURCE UOM"])
    assert (verified.compared, verified.differences) == (5, [])
    await world.quiet(GROUPS, UNITS, "RESOURCE UOM")


@pytest.mark.rule("UOM-09")
async def test_a_unit_of_the_name_in_the_group_is_taken_and_one_elsewhere_is_not(world: World) -> None:
    await bike(world)
    await bike(world, number="BK-2")
    await world.sync(GROUPS)
    mine = await group(world)
    made = await world.alice.create(
        "uoms",
        {"name": "PCS", "quantity": 3, "uomscheduleid@odata.bind": f"/uomschedules({mine['uomscheduleid']})"},
    )
    await world.sync(UNITS)
    assert await world.failures(UNITS) == []
    found = await units(world, mine)
    assert (found["PCS"]["uomid"], found["PCS"]["quantity"]) == (made["uomid"], 1)
    assert "PCS" in await units(world, await group(world, "BK-2"))
    await world.quiet(UNITS)


@pytest.mark.rule("UOM-09")
async def test_units_follow_what_changes_in_business_central(world: World) -> None:
    await bike(world)
    carton = await box(world)
    for name in (GROUPS, UNITS):
        await world.sync(name)
    await world.bob.update("itemUnitsOfMeasure", carton["id"], qtyPerUnitOfMeasure=12)
    await world.sync(UNITS)
    assert (await units(world, await group(world)))["BOX"]["quantity"] == 12
    await world.quiet(UNITS)


@pytest.mark.rule("UOM-09")
async def test_a_group_that_is_missing_is_brought_along(world: World) -> None:
    await bike(world)
    assert [action.mapping for action in await planned(world)] == [GROUPS, UNITS]
    result = await world.sync(UNITS)
    assert (result.counts["created"], [part.counts["created"] for part in result.parts]) == (1, [1])
    assert set(await units(world, await group(world))) == {"ITEM BK-1 UOM GR", "PCS"}


async def planned(world: World) -> list[Action]:
    return [action async for action in plan(world.session, UNITS)]


@pytest.mark.rule("UOM-09")
async def test_an_item_without_unit_group_is_named(world: World) -> None:
    await bike(world)
    [row] = await world.bob.rows("unitGroups")
    store = world.sandbox.business_central.companies[COMPANY].stores["unitGroups"]
    store.remove(row["id"], world.sandbox.business_central.stamp())
    await world.sync(UNITS)
    assert await failure(world, UNITS) == "item BK-1 has no unit group in Business Central"


async def prices(world: World, product: Row) -> dict[str, float]:
    """The product's prices in its default price list, by unit."""
    found = await world.alice.rows("productpricelevels", f"_productid_value eq {product['productid']}")
    assert {row["_pricelevelid_value"] for row in found} == {product["_pricelevelid_value"]}
    return {(await world.alice.row("uoms", row["_uomid_value"]))["name"]: row["amount"] for row in found}


async def catalogue(world: World) -> None:
    """Everything that products need."""
    for name in ("CURRENCY", GROUPS, UNITS, "RESOURCE UOM"):
        await world.sync(name, full=True)


@pytest.mark.rule("UOM-10")
@pytest.mark.rule("UOM-11")
async def test_a_product_has_its_group_and_a_price_in_each_unit(world: World) -> None:
    await bike(world)
    await box(world)
    await catalogue(world)
    result = await world.sync(ITEMS, full=True)
    assert (result.counts["created"], await world.failures(ITEMS)) == (1, [])
    product = await product_of(world)
    assert product["_defaultuomscheduleid_value"] == (await group(world))["uomscheduleid"]
    assert (await world.alice.row("uoms", product["_defaultuomid_value"]))["name"] == "PCS"
    assert (product["statecode"], await prices(world, product)) == (ACTIVE, {"PCS": 999.5, "BOX": 9995})
    verified = await verify(world.session, [ITEMS])
    assert (verified.compared, verified.differences) == (1, [])
    await world.quiet(GROUPS, UNITS, ITEMS)


@pytest.mark.rule("UOM-10")
@pytest.mark.rule("UOM-11")
async def test_a_resource_has_them_too(world: World) -> None:
    await world.bob.create("resources", number="R-1", displayName="Repair", baseUnitOfMeasureCode="PCS", unitPrice=60)
    await world.bob.create("resourceUnitsOfMeasure", resourceNo="R-1", code="BOX", qtyPerUnitOfMeasure=8)
    await catalogue(world)
    await world.sync("RESOURCE-PRODUCT", full=True)
    assert await world.failures("RESOURCE-PRODUCT") == []
    product = await product_of(world, "R-1")
    assert await prices(world, product) == {"PCS": 60, "BOX": 480}
    await world.quiet(GROUPS, "RESOURCE UOM", "RESOURCE-PRODUCT")


@pytest.mark.rule("UOM-10")
async def test_a_new_unit_of_a_coupled_item_gets_its_price_at_once(world: World) -> None:
    await bike(world)
    await catalogue(world)
    await world.sync(ITEMS, full=True)
    carton = await box(world)
    await world.sync(UNITS)
    assert await prices(world, await product_of(world)) == {"PCS": 999.5, "BOX": 9995}
    await world.bob.update("itemUnitsOfMeasure", carton["id"], qtyPerUnitOfMeasure=2)
    await world.sync(UNITS)
    assert await prices(world, await product_of(world)) == {"PCS": 999.5, "BOX": 1999}
    await world.quiet(UNITS, ITEMS)


@pytest.mark.rule("UOM-10")
async def test_prices_in_all_units_follow_that_of_the_item(world: World) -> None:
    item = await bike(world)
    await box(world)
    await catalogue(world)
    await world.sync(ITEMS, full=True)
    await world.bob.update("items", item["id"], unitPrice=100)
    await world.sync(ITEMS)
    assert await prices(world, await product_of(world)) == {"PCS": 100, "BOX": 1000}
    await world.quiet(UNITS, ITEMS)


@pytest.mark.rule("UOM-11")
async def test_another_base_unit_of_the_item_is_that_of_the_product(world: World) -> None:
    item = await bike(world)
    await box(world, 1)
    await catalogue(world)
    await world.sync(ITEMS, full=True)
    await world.bob.update("items", item["id"], baseUnitOfMeasureCode="BOX")
    await world.sync(ITEMS)
    assert await world.failures(ITEMS) == []
    product = await product_of(world)
    assert (await world.alice.row("uoms", product["_defaultuomid_value"]))["name"] == "BOX"
    assert await prices(world, product) == {"PCS": 999.5, "BOX": 999.5}
    await world.quiet(UNITS, ITEMS)


@pytest.mark.rule("UOM-11")
async def test_an_item_without_base_unit_is_held(world: World) -> None:
    await bike(world, baseUnitOfMeasureCode="")
    await catalogue(world)
    await world.sync(ITEMS, full=True)
    assert await failure(world) == "baseUnitOfMeasureCode is blank, and is required"


@pytest.mark.rule("UOM-11")
async def test_a_product_waits_for_units_that_may_not_be_made(world: World) -> None:
    await bike(world)
    for name in ("CURRENCY", GROUPS):
        await world.sync(name, full=True)
    world.change(UNITS, only_coupled=True)
    await world.sync(ITEMS, full=True)
    assert await failure(world) == "unit PCS of item BK-1 is not coupled in ITEM UOM"
    assert await world.alice.rows("products") == []
    world.change(UNITS, only_coupled=False)
    await world.sync(UNITS)
    await world.sync(ITEMS)
    assert await world.failures(ITEMS) == []
    assert await prices(world, await product_of(world)) == {"PCS": 999.5}


@pytest.mark.rule("UOM-11")
async def test_group_and_unit_of_a_new_product_are_brought_along(world: World) -> None:
    await world.sync("CURRENCY", full=True)
    await bike(world)
    result = await world.sync(ITEMS, full=True)
    assert (result.counts["created"], await world.failures(ITEMS)) == (1, [])
    assert await prices(world, await product_of(world)) == {"PCS": 999.5}
    await world.quiet(GROUPS, UNITS, ITEMS)


async def idea(world: World, group: Row, name: str, number: str = "X-1") -> Row:
    """An active product that somebody made in Dataverse, in this unit of the group."""
    unit = (await units(world, group))[name]
    product = await world.alice.create(
        "products",
        {
            "name": f"Idea {number}",
            "productnumber": number,
            "producttypecode": 1,
            "quantitydecimal": 0,
            "price": 7,
            "defaultuomid@odata.bind": f"/uoms({unit['uomid']})",
            "defaultuomscheduleid@odata.bind": f"/uomschedules({group['uomscheduleid']})",
        },
    )
    return await world.alice.update("products", product["productid"], statecode=ACTIVE, statuscode=1)


@pytest.mark.rule("UOM-12")
async def test_a_product_becomes_an_item_whose_group_and_unit_are_its_own(world: World) -> None:
    await catalogue(world)
    seeds = await world.alice.create("uomschedules", name="Seeds", baseuomname="BOX")
    product = await idea(world, seeds, "BOX")
    await world.sync(ITEMS, full=True)
    assert await world.failures(ITEMS) == []
    [item] = await world.bob.rows("items")
    assert (item["displayName"], item["baseUnitOfMeasureCode"]) == ("Idea X-1", "BOX")
    [unit] = await world.bob.rows("itemUnitsOfMeasure")
    assert (unit["itemNo"], unit["code"], unit["qtyPerUnitOfMeasure"]) == (item["number"], "BOX", 1)
    assert (await group(world, item["number"]))["uomscheduleid"] == seeds["uomscheduleid"]
    product = await world.alice.row("products", product["productid"])
    assert [pair.dataverse_id for pair in await world.couplings(GROUPS)] == [seeds["uomscheduleid"]]
    assert [pair.dataverse_id for pair in await world.couplings(UNITS)] == [product["_defaultuomid_value"]]
    assert await prices(world, product) == {"BOX": 7}
    await world.quiet(GROUPS, UNITS, ITEMS)


@pytest.mark.rule("UOM-12")
async def test_a_product_in_a_unit_that_business_central_lacks_is_held(world: World) -> None:
    await catalogue(world)
    await idea(world, await world.alice.create("uomschedules", name="Seeds", baseuomname="packet"), "packet")
    await world.sync(ITEMS, full=True)
    assert await failure(world) == "its unit is called packet, which is no unit of measure in Business Central"
    assert await world.bob.rows("items") == []


@pytest.mark.rule("UOM-12")
async def test_products_that_share_a_group_are_held(world: World) -> None:
    await catalogue(world)
    seeds = await world.alice.create("uomschedules", name="Seeds", baseuomname="BOX")
    for number in ("X-1", "X-2"):
        await idea(world, seeds, "BOX", number)
    await world.sync(ITEMS, full=True)
    said = {found.message for found in await world.failures(ITEMS)}
    assert said == {"other products are in its unit group, too, and each item and resource has one of its own"}
    assert await world.bob.rows("items") == []
