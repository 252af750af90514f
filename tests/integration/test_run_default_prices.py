"""The default price list that Koppel keeps, with a price of every product."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from catalogue import ACTIVE, ITEMS, LIST, bike, failure, price_of, product_of, set_up_catalogue
from world import World, new_world
from world_data import Row

from koppel.store.database import Database
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.saved import apply_plan, is_written, read_plan, save_plan, saved_action


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        await set_up_catalogue(world)
        yield world


@pytest.mark.rule("PROD-08")
async def test_a_list_of_the_name_is_used(world: World) -> None:
    made = await world.alice.create("pricelevels", name=LIST)
    await bike(world)
    await world.sync(ITEMS, full=True)
    assert (await product_of(world))["_pricelevelid_value"] == made["pricelevelid"]
    assert len(await world.alice.rows("pricelevels")) == 1


async def euro_list(world: World, name: str = LIST) -> Row:
    euro = await world.alice.one("transactioncurrencies", "isocurrencycode eq 'EUR'")
    bind = f"/transactioncurrencies({euro['transactioncurrencyid']})"
    return await world.alice.create("pricelevels", {"name": name, "transactioncurrencyid@odata.bind": bind})


@pytest.mark.rule("PROD-08")
async def test_a_list_of_the_name_in_another_currency_is_left_alone(world: World) -> None:
    other = await euro_list(world)
    await bike(world)
    await world.sync(ITEMS, full=True)
    used = await world.alice.row("pricelevels", (await product_of(world))["_pricelevelid_value"])
    assert (used["name"], used["pricelevelid"] != other["pricelevelid"]) == (f"Business Central USD {LIST[17:]}", True)
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-08")
async def test_a_list_that_cannot_be_made_holds_what_needs_it(world: World) -> None:
    await euro_list(world)
    taken = await euro_list(world, f"Business Central USD {LIST[17:]}")
    item = await bike(world)
    await world.sync(ITEMS, full=True)
    assert (await failure(world)).startswith("Business Central USD Default Price List has to be there first, and could")
    assert await world.alice.rows("products") == []
    await world.alice.delete("pricelevels", taken["pricelevelid"])
    await world.sync(ITEMS, records=(item["id"],), create=True)
    assert (await product_of(world))["statecode"] == ACTIVE
    assert await world.failures(ITEMS) == []


@pytest.mark.rule("PROD-08")
async def test_the_list_may_be_renamed(world: World) -> None:
    await bike(world)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    await world.alice.update("pricelevels", product["_pricelevelid_value"], name="Ours")
    await bike(world, number="BK-2")
    await world.sync(ITEMS, full=True)
    assert (await product_of(world, "BK-2"))["_pricelevelid_value"] == product["_pricelevelid_value"]
    assert len(await world.alice.rows("pricelevels")) == 1


@pytest.mark.rule("PROD-09")
async def test_an_existing_product_gets_its_price_before_its_list(world: World) -> None:
    unit = await world.alice.one("uomschedules", "name eq 'NAV PCS'")
    [piece] = await world.alice.rows("uoms", f"_uomscheduleid_value eq {unit['uomscheduleid']}")
    product = await world.alice.create(
        "products",
        {
            "name": "Bike",
            "productnumber": "BK-1",
            "quantitydecimal": 0,
            "defaultuomid@odata.bind": f"/uoms({piece['uomid']})",
            "defaultuomscheduleid@odata.bind": f"/uomschedules({unit['uomscheduleid']})",
        },
    )
    await world.alice.update("products", product["productid"], statecode=ACTIVE, statuscode=1)
    await bike(world)
    result = await world.sync(ITEMS, full=True)
    assert (result.counts["coupled"], result.counts["created"], await world.failures(ITEMS)) == (1, 0, [])
    product = await product_of(world)
    assert (product["name"], product["quantitydecimal"]) == ("Road Bike", 0)
    assert (await price_of(world, product))["amount"] == 999.5
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-09")
async def test_a_new_price_goes_to_the_product_and_to_its_line(world: World) -> None:
    item = await bike(world)
    await world.sync(ITEMS, full=True)
    await world.bob.update("items", item["id"], unitPrice=1100)
    await world.sync(ITEMS)
    product = await product_of(world)
    assert (product["price"], (await price_of(world, product))["amount"]) == (1100, 1100)
    assert len(await world.alice.rows("productpricelevels")) == 1
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-10")
@pytest.mark.parametrize("full", [False, True])
async def test_edits_of_the_default_price_list_are_set_back(world: World, full: bool) -> None:
    await bike(world)
    await bike(world, number="BK-2")
    await world.sync(ITEMS, full=True)
    await world.quiet(ITEMS)
    product = await product_of(world)
    line = await price_of(world, product)
    await world.alice.update("productpricelevels", line["productpricelevelid"], amount=1)
    result = await world.sync(ITEMS, full=full)
    assert (await price_of(world, product))["amount"] == 999.5
    assert result.write_requests == 1
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-10")
async def test_a_price_that_was_deleted_there_comes_back(world: World) -> None:
    await bike(world)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    line = await price_of(world, product)
    await world.alice.delete("productpricelevels", line["productpricelevelid"])
    await world.sync(ITEMS)
    assert (await price_of(world, await product_of(world)))["amount"] == 999.5
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-10")
async def test_other_price_lists_are_never_touched(world: World) -> None:
    item = await bike(world)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    other = await world.alice.create("pricelevels", name="Friends")
    line = await world.alice.create(
        "productpricelevels",
        {
            "amount": 5,
            "pricelevelid@odata.bind": f"/pricelevels({other['pricelevelid']})",
            "productid@odata.bind": f"/products({product['productid']})",
            "uomid@odata.bind": f"/uoms({product['_defaultuomid_value']})",
        },
    )
    await world.bob.update("items", item["id"], unitPrice=1100)
    await world.sync(ITEMS)
    assert (await world.alice.row("productpricelevels", line["productpricelevelid"]))["amount"] == 5


@pytest.mark.rule("PROD-10")
async def test_a_list_that_was_deleted_comes_back(world: World) -> None:
    await bike(world)
    await world.sync(ITEMS, full=True)
    product = await product_of(world)
    line = await price_of(world, product)
    await world.alice.update("products", product["productid"], {"pricelevelid@odata.bind": None})
    await world.alice.delete("productpricelevels", line["productpricelevelid"])
    await world.alice.delete("pricelevels", line["_pricelevelid_value"])
    await world.sync(ITEMS)
    assert await world.failures(ITEMS) == []
    product = await product_of(world)
    assert (await price_of(world, product))["amount"] == 999.5
    await world.quiet(ITEMS)


@pytest.mark.rule("PROD-08")
@pytest.mark.rule("PROD-11")
async def test_a_plan_shows_what_comes_first_and_what_comes_later(world: World, tmp_path: Path) -> None:
    await bike(world)
    request = Request(full=True)
    (action,) = [a async for a in plan(world.session, ITEMS, request) if is_written(a)]
    assert [(write.table, write.name, write.create) for write in action.before] == [("pricelevel", LIST, True)]
    assert action.later["statecode"] == ACTIVE
    assert set(action.later) == {"statecode", "pricelevelid"}
    (line,) = action.after
    assert (line.table, line.create, line.values["amount"]) == ("productpricelevel", True, 999.5)
    assert line.values["uomid"] == action.to_dataverse["defaultuomid"]
    assert await world.alice.rows("pricelevels") == []
    save_plan(tmp_path / "plan.json", world.session, [ITEMS], request, [saved_action(action)])
    [_ async for _ in apply_plan(world.session, read_plan(tmp_path / "plan.json"))]
    product = await product_of(world)
    assert (product["statecode"], product["_pricelevelid_value"]) == (ACTIVE, action.later["pricelevelid"])
    assert (await price_of(world, product))["productpricelevelid"] == line.id


@pytest.mark.rule("PROD-10")
async def test_a_plan_shows_what_is_set_back(world: World, tmp_path: Path) -> None:
    await bike(world)
    await world.sync(ITEMS, full=True)
    await world.quiet(ITEMS)
    line = await price_of(world, await product_of(world))
    await world.alice.update("productpricelevels", line["productpricelevelid"], amount=1)
    (action,) = [a async for a in plan(world.session, ITEMS) if is_written(a)]
    (write,) = action.after
    assert (action.kind, action.to_dataverse, write.id) == ("update", {}, line["productpricelevelid"])
    assert (write.values, action.reason) == ({"amount": 999.5}, write.reason)
    save_plan(tmp_path / "plan.json", world.session, [ITEMS], Request(), [saved_action(action)])
    [_ async for _ in apply_plan(world.session, read_plan(tmp_path / "plan.json"))]
    assert (await price_of(world, await product_of(world)))["amount"] == 999.5
