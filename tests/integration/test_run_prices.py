"""Customer price groups and their sales prices, and the price lists and lines that come of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from world import World, new_world
from world_data import Row

from koppel.store.database import Database
from koppel.sync.along import runs
from koppel.sync.explain import explain
from koppel.sync.full import run_in_order
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.undo import job_to_undo, undo
from koppel.sync.verify import verify

GROUPS, PRICES = "CUSTPRCGRP-PRICE", "SALESPRC-PRODPRICE"
OF_A_GROUP = "Customer_x0020_Price_x0020_Group"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """Two items with their products, and a group of customers."""
    async with new_world(database) as world:
        at(world, "2024-06-01")
        for number in ("A-1", "A-2"):
            await item(world, number)
        await world.bob.create("customerPriceGroups", code="GOLD", description="Gold customers")
        for name in ("CURRENCY", "UNIT OF MEASURE", "ITEM-PRODUCT"):
            await world.sync(name, full=True)
        yield world


async def item(world: World, number: str, **values: Any) -> Row:
    usual = {"displayName": number, "unitPrice": 100, "baseUnitOfMeasureCode": "PCS"}
    return await world.bob.create("items", {"number": number, **usual, **values})


def at(world: World, day: str) -> None:
    """It is this day."""
    world.session.today = lambda: date.fromisoformat(day)


async def price(world: World, number: str, amount: float, **values: Any) -> Row:
    usual = {"itemNo": number, "salesType": OF_A_GROUP, "salesCode": "GOLD", "unitPrice": amount}
    return await world.bob.create("salesPrices", {**usual, **values})


async def synchronised(world: World, **request: Any) -> None:
    """Groups and prices are; nothing fails."""
    for name in (GROUPS, PRICES):
        await world.sync(name, **request)
        assert [failure.message for failure in await world.failures(name)] == []


async def gold(world: World) -> Row:
    return await world.alice.one("pricelevels", "name eq 'GOLD'")


async def lines(world: World, name: str = "GOLD") -> dict[str, float]:
    """Amounts by product number in a price list."""
    found = await world.alice.one("pricelevels", f"name eq '{name}'")
    rows = await world.alice.rows("productpricelevels", f"_pricelevelid_value eq {found['pricelevelid']}")
    assert len({row["productnumber"] for row in rows}) == len(rows)
    return {row["productnumber"]: row["amount"] for row in rows}


@pytest.mark.rule("PL-01")
@pytest.mark.rule("PL-02")
@pytest.mark.rule("SPR-05")
async def test_a_group_becomes_a_price_list_with_its_prices(world: World) -> None:
    await price(world, "A-1", 90)
    await price(world, "A-2", 80)
    await synchronised(world, full=True)
    found = await gold(world)
    assert (found["description"], await world.currency(found)) == ("Gold customers", "USD")
    assert await lines(world) == {"A-1": 90, "A-2": 80}
    rows = await world.alice.rows("productpricelevels", f"_pricelevelid_value eq {found['pricelevelid']}")
    assert {row["pricingmethodcode"] for row in rows} == {1}
    await world.quiet(GROUPS, PRICES)


@pytest.mark.rule("PL-01")
async def test_a_description_is_only_given_to_a_new_list(world: World) -> None:
    await synchronised(world, full=True)
    group = await world.bob.one("customerPriceGroups", "code eq 'GOLD'")
    await world.bob.update("customerPriceGroups", group["id"], description="Other")
    await synchronised(world)
    assert (await gold(world))["description"] == "Gold customers"


@pytest.mark.rule("PL-02")
async def test_the_list_is_in_the_currency_of_the_prices(world: World) -> None:
    await price(world, "A-1", 90, currencyCode="EUR")
    await synchronised(world, full=True)
    found = await gold(world)
    assert await world.currency(found) == "EUR"
    [line] = await world.alice.rows("productpricelevels", f"_pricelevelid_value eq {found['pricelevelid']}")
    assert (line["amount"], line["_transactioncurrencyid_value"]) == (90, found["_transactioncurrencyid_value"])
    await world.quiet(GROUPS, PRICES)


@pytest.mark.rule("PL-03")
async def test_prices_of_two_currencies_hold_the_list(world: World) -> None:
    await price(world, "A-1", 90)
    wrong = await price(world, "A-2", 80, currencyCode="EUR")
    await world.sync(GROUPS, full=True)
    [failure] = await world.failures(GROUPS)
    assert (failure.field, failure.value) == ("currencyCode", "EUR")
    assert failure.message == "currencyCode is EUR, and the first price of the group, of item A-1, is in USD"
    assert await world.alice.rows("pricelevels", "name eq 'GOLD'") == []
    await world.bob.delete("salesPrices", wrong["id"])
    await synchronised(world, full=True)
    assert await lines(world) == {"A-1": 90}


@pytest.mark.rule("PL-03")
async def test_a_price_in_another_currency_than_its_list_is_held_alone(world: World) -> None:
    await price(world, "A-1", 90)
    await synchronised(world, full=True)
    await price(world, "A-2", 80, currencyCode="EUR")
    await world.sync(PRICES)
    [failure] = await world.failures(PRICES)
    assert (failure.code, failure.message) == ("PL-03", "currencyCode is EUR, and the price list GOLD is in USD")
    assert await lines(world) == {"A-1": 90}


@pytest.mark.rule("PL-04")
async def test_a_list_in_another_currency_cannot_be_taken(world: World) -> None:
    euro = await world.alice.one("transactioncurrencies", "isocurrencycode eq 'EUR'")
    bind = f"/transactioncurrencies({euro['transactioncurrencyid']})"
    await world.alice.create("pricelevels", {"name": "GOLD", "transactioncurrencyid@odata.bind": bind})
    await price(world, "A-1", 90)
    await world.sync(GROUPS, full=True)
    [failure] = await world.failures(GROUPS)
    dollar = await world.alice.one("transactioncurrencies", "isocurrencycode eq 'USD'")
    assert dollar["transactioncurrencyid"] in failure.message
    assert failure.code == "locked"


@pytest.mark.rule("PL-05")
async def test_a_list_waits_for_the_items_of_its_prices(world: World) -> None:
    await item(world, "A-3")
    await price(world, "A-3", 70)
    for _ in range(3):
        await world.sync(GROUPS, full=True)
    [failure] = await world.failures(GROUPS)
    assert failure.message == "item A-3 of its prices is not coupled in ITEM-PRODUCT"
    assert await world.alice.rows("pricelevels", "name eq 'GOLD'") == []
    await world.sync("ITEM-PRODUCT", full=True)
    await synchronised(world)
    assert await lines(world) == {"A-3": 70}


@pytest.mark.rule("PL-05")
@pytest.mark.rule("SPR-03")
async def test_an_item_outside_the_filter_holds_only_its_own_price(world: World) -> None:
    await item(world, "A-3", blocked=True)
    await price(world, "A-1", 90)
    await price(world, "A-3", 70)
    await world.sync(GROUPS, full=True)
    assert await world.failures(GROUPS) == []
    await world.sync(PRICES)
    [failure] = await world.failures(PRICES)
    assert failure.message == "itemNo A-3 is not coupled in ITEM-PRODUCT"
    assert await lines(world) == {"A-1": 90}


@pytest.mark.rule("PL-05")
async def test_a_list_waits_for_the_units_of_its_prices(world: World) -> None:
    await world.bob.create("unitsOfMeasure", code="PAIR", displayName="Pair")
    await world.bob.create("itemUnitsOfMeasure", itemNo="A-1", code="PAIR", qtyPerUnitOfMeasure=2)
    await price(world, "A-1", 90, unitOfMeasureCode="PAIR")
    await world.sync(GROUPS, full=True)
    [failure] = await world.failures(GROUPS)
    assert failure.message == "unit of measure PAIR is not coupled in UNIT OF MEASURE"


@pytest.mark.rule("SPR-01")
async def test_only_prices_of_customer_price_groups_are_sent(world: World) -> None:
    await price(world, "A-1", 90)
    customer = await world.bob.create("customers", displayName="Adatum")
    await price(world, "A-1", 70, salesType="Customer", salesCode=customer["number"])
    await price(world, "A-1", 60, salesType="All_x0020_Customers", salesCode="")
    await synchronised(world, full=True)
    assert await lines(world) == {"A-1": 90}
    assert len(await world.couplings(PRICES)) == 1


@pytest.mark.rule("SPR-02")
async def test_a_price_waits_for_its_group(world: World) -> None:
    await price(world, "A-1", 90)
    await world.sync(PRICES)
    [failure] = await world.failures(PRICES)
    assert failure.message == "salesCode GOLD is not coupled in CUSTPRCGRP-PRICE"
    await synchronised(world, full=True)
    assert await lines(world) == {"A-1": 90}


@pytest.mark.rule("SPR-04")
async def test_the_unit_is_that_of_the_price_or_of_the_item(world: World) -> None:
    await price(world, "A-1", 90)
    await price(world, "A-2", 80, unitOfMeasureCode="PCS")
    await synchronised(world, full=True)
    for row in await world.alice.rows(
        "productpricelevels", f"_pricelevelid_value eq {(await gold(world))['pricelevelid']}"
    ):
        unit = await world.alice.row("uoms", row["_uomid_value"])
        assert (unit["name"], unit["_uomscheduleid_value"]) == ("PCS", row["_uomscheduleid_value"])


@pytest.mark.rule("SPR-05")
async def test_a_new_price_changes_the_line(world: World) -> None:
    found = await price(world, "A-1", 90)
    await synchronised(world, full=True)
    await world.bob.update("salesPrices", found["id"], unitPrice=95)
    result = await world.sync(PRICES)
    assert result.counts["updated"] == 1
    assert await lines(world) == {"A-1": 95}
    await world.quiet(PRICES)


@pytest.mark.rule("SPR-06")
@pytest.mark.parametrize("full", [False, True])
async def test_a_line_that_is_there_is_taken(world: World, full: bool) -> None:
    await world.sync(GROUPS, full=True)
    product = await world.alice.one("products", "productnumber eq 'A-1'")
    line = await world.alice.create(
        "productpricelevels",
        {
            "amount": 5,
            "pricelevelid@odata.bind": f"/pricelevels({(await gold(world))['pricelevelid']})",
            "productid@odata.bind": f"/products({product['productid']})",
            "uomid@odata.bind": f"/uoms({product['_defaultuomid_value']})",
        },
    )
    await price(world, "A-1", 90)
    result = await world.sync(PRICES, full=full)
    assert (result.counts["coupled"], result.counts["created"], await world.failures(PRICES)) == (1, 0, [])
    [coupling] = await world.couplings(PRICES)
    assert coupling.dataverse_id == line["productpricelevelid"]
    assert await lines(world) == {"A-1": 90}


@pytest.mark.rule("SPR-07")
async def test_of_several_prices_the_one_valid_today_is_sent(world: World) -> None:
    await price(world, "A-1", 90)
    await price(world, "A-1", 85, startingDate="2024-05-01", endingDate="2024-06-30")
    await price(world, "A-1", 70, startingDate="2024-07-01")
    await price(world, "A-1", 60, minimumQuantity=10)
    await price(world, "A-2", 50, endingDate="2024-05-31")
    for name in (GROUPS, PRICES):
        result = await world.sync(name, full=True)
    assert (result.counts["created"], result.counts["skipped"], result.counts["failed"]) == (1, 4, 0)
    assert await lines(world) == {"A-1": 85}
    assert await world.failures(PRICES) == []
    await world.quiet(PRICES)


@pytest.mark.rule("SPR-07")
@pytest.mark.parametrize("full", [False, True])
async def test_a_line_passes_to_the_price_that_becomes_valid(world: World, full: bool) -> None:
    """To and fro, though no price was edited."""
    usual = await price(world, "A-1", 90)
    offer = await price(world, "A-1", 85, startingDate="2024-07-01", endingDate="2024-07-31")
    await synchronised(world, full=True)
    [before] = await world.couplings(PRICES)
    for day, valid, amount in (("2024-07-01", offer, 85), ("2024-08-01", usual, 90), ("2024-07-15", offer, 85)):
        at(world, day)
        await synchronised(world, full=full)
        [coupling] = await world.couplings(PRICES)
        assert coupling.business_central_id == valid["id"]
        assert coupling.dataverse_id == before.dataverse_id
        assert await lines(world) == {"A-1": amount}
        await world.quiet(PRICES)


@pytest.mark.rule("SPR-07")
@pytest.mark.parametrize("full", [False, True])
async def test_a_line_that_was_edited_passes_on_all_the_same(world: World, full: bool) -> None:
    """Dataverse is read first, and reports the line before Business Central tells whose it is."""
    await price(world, "A-1", 90)
    await synchronised(world, full=True)
    [before] = await world.couplings(PRICES)
    await world.alice.update("productpricelevels", before.dataverse_id, amount=80)
    offer = await price(world, "A-1", 85, startingDate="2024-06-01")
    await synchronised(world, full=full)
    assert await world.failures(PRICES) == []
    [coupling] = await world.couplings(PRICES)
    assert (coupling.business_central_id, coupling.dataverse_id) == (offer["id"], before.dataverse_id)
    await world.quiet(PRICES)


@pytest.mark.rule("SPR-07")
async def test_a_price_without_a_successor_leaves_its_line_as_it_is(world: World) -> None:
    await price(world, "A-1", 90, endingDate="2024-06-30")
    await synchronised(world, full=True)
    at(world, "2024-07-01")
    result = await world.sync(PRICES)
    assert (result.counts["uncoupled"], result.write_requests) == (1, 0)
    assert await lines(world) == {"A-1": 90}
    at(world, "2024-06-30")
    await world.sync(PRICES)
    assert len(await world.couplings(PRICES)) == 1


@pytest.mark.rule("SPR-08")
async def test_lines_are_created_by_any_run(world: World) -> None:
    await world.sync(GROUPS, full=True)
    await price(world, "A-1", 90)
    assert (await world.sync(PRICES)).counts["created"] == 1


@pytest.mark.rule("SPR-07")
async def test_what_has_no_line_is_explained_and_no_part_of_a_plan(world: World) -> None:
    await price(world, "A-1", 90)
    later = await price(world, "A-1", 70, startingDate="2024-07-01")
    await synchronised(world, full=True)
    assert [action.kind async for action in plan(world.session, PRICES)] == []
    found = await explain(world.session, PRICES, later["id"])
    assert found.answer == (
        "not coupled: it is not valid before 2024-07-01; Dataverse has one price for a price list, product and unit; "
        "nothing is to be done: the price that is valid today is sent"
    )
    at(world, "2024-07-01")
    moved = [(a.kind, a.reason) async for a in plan(world.session, PRICES)]
    assert moved == [
        ("uncouple", "another price of the item is valid; Dataverse has one price for a price list, product and unit"),
        ("update", "first synchronisation"),
    ]


async def test_nothing_is_left_to_explain_after_a_move(world: World) -> None:
    await price(world, "A-1", 90)
    await price(world, "A-1", 70, startingDate="2024-07-01")
    await synchronised(world, full=True)
    at(world, "2024-07-01")
    await synchronised(world)
    verified = await verify(world.session, [GROUPS, PRICES])
    assert (verified.compared, verified.differences, verified.orphans, verified.duplicates) == (2, [], [], [])


async def test_a_move_can_be_taken_back(world: World) -> None:
    await price(world, "A-1", 90)
    await price(world, "A-1", 70, startingDate="2024-07-01")
    await synchronised(world, full=True)
    [before] = await world.couplings(PRICES)
    at(world, "2024-07-01")
    result = await world.sync(PRICES)
    _, left = await undo(world.session, await job_to_undo(world.session, result.job))
    [after] = await world.couplings(PRICES)
    assert (after.business_central_id, left) == (before.business_central_id, [])
    assert await lines(world) == {"A-1": 90}


async def test_lists_whose_name_is_no_code_are_nobodys(world: World) -> None:
    """Business Central refuses to look for a code that is longer than codes are."""
    await world.sync(GROUPS, full=True)
    await world.alice.create("pricelevels", name="Price List in EUR")
    result = await world.sync(GROUPS, create=True)
    assert (result.counts["failed"], result.counts["coupled"]) == (0, 0)
    assert (await world.sync(GROUPS, full=True)).counts["coupled"] == 0


async def along(world: World, **request: Any) -> list[str]:
    """The mappings that a run of the groups comes to."""
    runs = run_in_order(world.session, [GROUPS], Request(**request))
    return [one.mapping async for one in runs if one.error is None]


@pytest.mark.rule("PL-06")
async def test_prices_go_along_with_their_group(world: World) -> None:
    first = await price(world, "A-1", 90)
    assert await along(world, full=True) == [GROUPS, PRICES]
    assert await lines(world) == {"A-1": 90}
    await world.bob.update("salesPrices", first["id"], unitPrice=95)
    await along(world)
    assert await lines(world) == {"A-1": 95}


@pytest.mark.rule("PL-06")
@pytest.mark.parametrize("name", ["GOLD", "business_central_id", "dataverse_id"])
async def test_those_of_a_chosen_group_go_along(world: World, name: str) -> None:
    await world.bob.create("customerPriceGroups", code="SILVER", description="")
    await price(world, "A-1", 90)
    await price(world, "A-1", 95, salesCode="SILVER")
    await world.sync(GROUPS, full=True)
    chosen = getattr(await world.coupling("GOLD", GROUPS), name, name)
    request = Request(records=(chosen,))
    asked = [one async for one in runs(world.session, [GROUPS], request)]
    planned = [action.mapping for name, each in asked async for action in plan(world.session, name, each)]
    assert planned == [PRICES]
    assert await along(world, records=(chosen,)) == [GROUPS, PRICES]
    assert (await lines(world), await lines(world, "SILVER")) == ({"A-1": 90}, {})


@pytest.mark.rule("PL-06")
async def test_a_group_without_prices_takes_none_along(world: World) -> None:
    assert await along(world, records=("GOLD",), create=True) == [GROUPS]
    assert await along(world, records=()) == [GROUPS]


@pytest.mark.rule("PL-06")
async def test_what_is_asked_for_anyway_runs_once(world: World) -> None:
    runs = run_in_order(world.session, [GROUPS, PRICES], Request(full=True))
    assert [one.mapping async for one in runs] == [GROUPS, PRICES]


@pytest.mark.rule("PL-05")
async def test_items_are_brought_along_where_their_mapping_creates_them(world: World) -> None:
    world.change("ITEM-PRODUCT", only_coupled=False)
    await world.reopen()
    at(world, "2024-06-01")
    await item(world, "A-3")
    await price(world, "A-3", 70)
    await along(world, full=True)
    assert await lines(world) == {"A-3": 70}


@pytest.mark.rule("SPR-07")
async def test_a_price_keeps_a_line_that_was_made_for_another_one(world: World) -> None:
    """The line has the id of the first price still, of which a rule says that it is outside."""
    await price(world, "A-1", 90)
    await synchronised(world, full=True)
    found = await price(world, "A-1", 80, startingDate="2024-05-01")
    await price(world, "A-2", 70)
    await synchronised(world, full=True)
    assert {c.business_central_key for c in await world.couplings(PRICES)} == {"A-1", "A-2"}
    await world.bob.update("salesPrices", found["id"], unitPrice=75)
    await synchronised(world)
    assert await lines(world) == {"A-1": 75, "A-2": 70}
    await world.quiet(PRICES)


@pytest.mark.rule("SPR-07")
async def test_a_price_whose_line_passed_on_may_get_another_one(world: World) -> None:
    """A new line has the id of its price, unless that is the id of the line that passed on."""
    first = await price(world, "A-1", 90)
    await synchronised(world, full=True)
    await price(world, "A-1", 80, startingDate="2024-05-01")
    await synchronised(world)
    await world.bob.update("salesPrices", first["id"], itemNo="A-2")
    await synchronised(world)
    assert await lines(world) == {"A-1": 80, "A-2": 90}
    assert len(await world.couplings(PRICES)) == 2
    await world.quiet(PRICES)
