"""Orders of Business Central go to Dataverse with their lines, where orders go both ways (SO-40 … SO-44)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from both_ways_scenes import BOTH, LINES, details, entered, lines, of_item, only_there, reopened
from order_scenes import act_on, here, in_currency, order, there, written_in
from world import World
from world_data import Row

from koppel.errors import MappingError, UsageError
from koppel.mapping.load import load_mappings
from switches import ORDERS_BOTH_WAYS


@pytest.mark.rule("SO-41")
@pytest.mark.rule("SO-43")
async def test_a_released_order_is_submitted_with_its_lines(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2, discountAmount=50), of_item("WRITE-IN", 1, 80, "Painting"))
    await world.sync(BOTH)
    order = await only_there(world)
    assert (order["name"], order["statecode"], order["discountamount"]) == ("Adatum", 1, None)
    assert (order["bcbi_businesscentralordernumber"], order["bcbi_businesscentraldocumentoccurrencenumber"]) == (
        made["number"],
        1,
    )
    bike, painting = await details(world, order)
    assert (bike["productnumber"], bike["quantity"], bike["priceperunit"]) == ("BIKE", 2, 500)
    assert (bike["manualdiscountamount"], bike["tax"], bike["ispriceoverridden"]) == (50, 199.5, True)
    assert (painting["isproductoverridden"], painting["productdescription"]) == (True, "Painting")
    assert [row["bcbi_businesscentrallinenumber"] for row in (bike, painting)] == [10000, 20000]
    assert order["totalamount"] == made_total(await lines(world, made))
    assert (order["totallineitemdiscountamount"], bike["producttypecode"]) == (50, 1)
    await world.quiet(BOTH)


def made_total(rows: list[Row]) -> float:
    return float(sum(row["netAmountIncludingTax"] for row in rows))


@pytest.mark.rule("SO-43")
async def test_lines_that_change_come_and_go(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2), of_item("BELL", 5, 100), of_item("LIFT", 1))
    await world.sync(BOTH)
    order = await only_there(world)
    bike, bell, lift = await lines(world, made)
    async with reopened(world, made):
        await world.bob.update("salesOrderLines", bike["id"], quantity=3)
        await world.bob.delete("salesOrderLines", bell["id"])
        await world.bob.create("salesOrderLines", documentId=made["id"], **of_item("WRITE-IN", 1, 80, "Painting"))
        assert (await world.sync(BOTH)).write_requests == 0, "it is being worked on"
    result = await world.sync(BOTH)
    (parts,) = {part.mapping for part in result.parts}
    assert parts == LINES
    found = await details(world, order)
    assert [(row["productnumber"], row["quantity"], row["bcbi_businesscentrallinenumber"]) for row in found] == [
        ("BIKE", 3, 10000),
        ("LIFT", 1, 30000),
        (None, 1, 40000),
    ]
    assert (await there(world, order))["statecode"] == 1
    await world.quiet(BOTH)
    assert lift


@pytest.mark.rule("SO-44")
async def test_an_order_that_was_shipped_is_fulfilled(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2))
    await world.sync(BOTH)
    await act_on(world, made, "ship")
    await world.sync(BOTH)
    order = await only_there(world)
    today = world.sandbox.clock().date().isoformat()
    assert (order["statecode"], order["statuscode"], order["datefulfilled"][:10]) == (3, 100001, today)
    assert [row["quantityshipped"] for row in await details(world, order)] == [2]
    await world.quiet(BOTH)
    async with reopened(world, made):
        await world.bob.create("salesOrderLines", documentId=made["id"], **of_item("LIFT", 1))
    await world.sync(BOTH)
    assert (await there(world, order))["statecode"] == 1
    assert len(await details(world, order)) == 2
    await world.quiet(BOTH)


@pytest.mark.rule("SO-41")
async def test_the_customer_has_to_be_coupled(world: World, customer: Row) -> None:
    other = await world.bob.create("customers", displayName="Trey", vatBusPostingGroup="HOME")
    made = await entered(world, other, of_item("BIKE"))
    await world.sync(BOTH)
    (failure,) = await world.failures(BOTH)
    assert (failure.code, failure.message) == ("SO-41", f"customer {other['number']} is not coupled in CUSTOMER")
    await world.sync("CUSTOMER", full=True)
    await world.sync(BOTH)
    assert (await only_there(world))["bcbi_businesscentralordernumber"] == made["number"]
    await world.quiet(BOTH)


@pytest.mark.rule("SO-43")
async def test_a_line_that_cannot_go_keeps_its_order_open(world: World, customer: Row) -> None:
    await world.bob.create("items", number="PUMP", displayName="Pump", unitPrice=20, baseUnitOfMeasureCode="PCS")
    await entered(world, customer, of_item("BIKE"), of_item("PUMP"))
    await world.sync(BOTH)
    (failure,) = await world.failures(LINES)
    assert (failure.code, failure.message) == ("SO-43", "item PUMP is not coupled in ITEM-PRODUCT")
    order = await only_there(world)
    assert (order["statecode"], len(await details(world, order))) == (0, 1)
    await world.sync("ITEM-PRODUCT", full=True)
    await world.sync(BOTH)
    assert ((await there(world, order))["statecode"], len(await details(world, order))) == (1, 2)
    await world.quiet(BOTH)


@pytest.mark.rule("SO-43")
async def test_lines_go_with_their_order_only(world: World, customer: Row) -> None:
    with pytest.raises(UsageError, match=f"its records go with those of {BOTH}"):
        await world.sync(LINES)


@pytest.mark.rule("SO-42")
async def test_an_order_in_another_currency_has_its_price_list(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 1, 450), currencyCode="EUR")
    await world.sync(BOTH)
    order = await only_there(world)
    prices = await world.alice.row("pricelevels", order["_pricelevelid_value"])
    assert prices["name"] == "Price List in EUR"
    (bike,) = await details(world, order)
    (price,) = await world.alice.rows("productpricelevels", f"_pricelevelid_value eq {prices['pricelevelid']}")
    assert (price["_productid_value"], price["amount"]) == (bike["_productid_value"], 500)
    assert (bike["priceperunit"], made["currencyCode"]) == (450, "EUR")


@pytest.mark.rule("SO-42")
async def test_an_order_may_have_a_price_list_of_its_own(world: World, customer: Row) -> None:
    world.change(BOTH, parameters={"own_price_list": True})
    made = await entered(world, customer, of_item("BIKE", 1, 450), currencyCode="EUR")
    await world.sync(BOTH)
    order = await only_there(world)
    prices = await world.alice.row("pricelevels", order["_pricelevelid_value"])
    assert prices["name"] == f"Business Central Order {made['number']} Price List"
    assert prices["_transactioncurrencyid_value"] == order["_transactioncurrencyid_value"]
    mine = f"_pricelevelid_value eq {prices['pricelevelid']}"
    assert [row["amount"] for row in await world.alice.rows("productpricelevels", mine)] == [500]
    async with reopened(world, made):
        await world.bob.create("salesOrderLines", documentId=made["id"], **of_item("LIFT", 1))
        await world.bob.create("salesOrderLines", documentId=made["id"], **of_item("WRITE-IN", 1, 80, "Painting"))
    await world.sync(BOTH)
    assert sorted(row["amount"] for row in await world.alice.rows("productpricelevels", mine)) == [50, 500]
    await world.quiet(BOTH)


@pytest.mark.rule("SO-42")
async def test_the_list_of_an_order_of_the_same_number_in_another_currency_stays(world: World, customer: Row) -> None:
    world.change(BOTH, parameters={"own_price_list": True})
    made = await entered(world, customer, of_item("BIKE", 1, 450), currencyCode="EUR")
    dollars = (await in_currency(world, "USD"))["transactioncurrencyid@odata.bind"]
    taken = f"Business Central Order {made['number']} Price List"
    await world.alice.create("pricelevels", {"name": taken, "transactioncurrencyid@odata.bind": dollars})
    await world.sync(BOTH)
    prices = await world.alice.row("pricelevels", (await only_there(world))["_pricelevelid_value"])
    assert prices["name"] == f"Business Central Order {made['number']} EUR Price List"


@pytest.mark.rule("SO-42")
async def test_an_order_of_dataverse_keeps_its_price_list(world: World, customer: Row) -> None:
    world.change(BOTH, parameters={"own_price_list": True})
    dollars = await in_currency(world, "USD")
    bound = "transactioncurrencyid@odata.bind"
    prices = await world.alice.create("pricelevels", {"name": "Fair", bound: dollars[bound]})
    own: Row = {"pricelevelid@odata.bind": f"/pricelevels({prices['pricelevelid']})"}
    made = await order(world, customer, written_in("Painting"), **own)
    await world.sync(BOTH)
    ours = await here(world)
    async with reopened(world, ours):
        await world.bob.create("salesOrderLines", documentId=ours["id"], **of_item("BIKE", 1, 450))
    await world.sync(BOTH)
    assert (await there(world, made))["_pricelevelid_value"] == prices["pricelevelid"]
    (price,) = await world.alice.rows("productpricelevels", f"_pricelevelid_value eq {prices['pricelevelid']}")
    assert (price["amount"], [row["priceperunit"] for row in await details(world, made)]) == (500, [100, 450])
    await world.quiet(BOTH)


@pytest.mark.rule("SO-40")
async def test_orders_are_archived_whatever_the_setup_says(world: World, customer: Row) -> None:
    (setup,) = await world.bob.rows("salesReceivablesSetup")
    assert not setup["archiveOrders"]
    await entered(world, customer, of_item("BIKE"))
    await world.sync(BOTH)
    (setup,) = await world.bob.rows("salesReceivablesSetup")
    assert setup["archiveOrders"]
    await world.quiet(BOTH)


@pytest.mark.rule("SO-40")
def test_one_of_the_two_setups_is_on() -> None:
    mappings = load_mappings(enabled=ORDERS_BOTH_WAYS)
    assert [mappings[name].enabled for name in ("SALESORDER-ORDER", "SALES ORDER NOTES")] == [False, False]
    with pytest.raises(MappingError, match="`SALESORDER-ORDER` is on, too, and only one of the two can be"):
        load_mappings(enabled={**ORDERS_BOTH_WAYS, "SALESORDER-ORDER": True})


@pytest.mark.rule("SO-40")
@pytest.mark.parametrize(
    ("side", "kept"), [("business_central", "status eq 'Released'"), ("dataverse", "statecode eq 1 or statecode eq 3")]
)
def test_the_filters_are_fixed(tmp_path: Path, side: str, kept: str) -> None:
    standard = resources.files("koppel.mapping") / "standard" / "sales-order-two-way.yaml"
    text = standard.read_text("utf-8").replace(f"  filter: {kept}\n", "") + "overrides: standard\n"
    (tmp_path / "orders.yaml").write_text(text, "utf-8")
    with pytest.raises(MappingError) as caught:
        load_mappings([tmp_path], enabled=ORDERS_BOTH_WAYS)
    assert f"the `filter` of {BOTH} is fixed" in str(caught.value)
    assert f"Write `filter: {kept}`." in str(caught.value)
