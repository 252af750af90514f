"""Sales prices and price lists: whom they are for, what a list tells its lines, and when they stand still."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, World

GROUP = "Customer_x0020_Price_x0020_Group"
EVERYBODY = "All_x0020_Customers"


@pytest.fixture
def world() -> World:
    world = World().with_relations()
    world.system.load("CRONUS", "unitsOfMeasure", [{"code": "PCS"}, {"code": "BOX"}, {"code": "DAY"}])
    world.system.load("CRONUS", "items", [{"number": "1000", "displayName": "Chain", "baseUnitOfMeasureCode": "PCS"}])
    world.system.load("CRONUS", "resources", [{"number": "ANN", "displayName": "Ann", "baseUnitOfMeasureCode": "DAY"}])
    world.system.load("CRONUS", "customerPriceGroups", [{"code": "RETAIL", "priceIncludesVAT": True}])
    world.system.load("CRONUS", "customers", [{"number": "C1", "displayName": "Acme", "currencyCode": "EUR"}])
    return world


async def post(world: World, table: str, **values: Any) -> str:
    """The code of the error."""
    return (await world.post(table, values, COMPANION)).code


async def made(world: World, table: str, **values: Any) -> dict[str, Any]:
    return await world.made(table, values, COMPANION)


async def change(world: World, table: str, row: dict[str, Any], **values: Any) -> dict[str, Any]:
    answer = await world.patch(f"{table}({row['id']})", values, COMPANION)
    assert answer.status == 200, answer.content
    changed: dict[str, Any] = answer.json
    return changed


async def refused(world: World, table: str, row: dict[str, Any], **values: Any) -> str:
    return (await world.patch(f"{table}({row['id']})", values, COMPANION)).code


async def rows(world: World, table: str) -> list[dict[str, Any]]:
    return (await world.get(table, COMPANION)).values


async def test_a_price_takes_over_the_terms_of_whom_it_is_for(world: World) -> None:
    price = await made(world, "salesPrices", itemNo="1000", salesType=GROUP, salesCode="retail", unitPrice=5)
    assert (price["salesCode"], price["priceIncludesVAT"], price["allowLineDisc"]) == ("RETAIL", True, False)
    assert price["currencyCode"] == "USD"
    price = await made(world, "salesPrices", itemNo="1000", salesCode="C1", unitPrice=5)
    assert (price["salesType"], price["currencyCode"]) == ("Customer", "EUR")
    price = await made(world, "salesPrices", itemNo="1000", salesType=EVERYBODY, unitPrice=5)
    assert (price["salesCode"], price["allowLineDisc"], price["startingDate"]) == ("", True, "0001-01-01")


async def test_a_price_names_whom_it_is_for(world: World) -> None:
    price = {"itemNo": "1000", "unitPrice": 5}
    assert await post(world, "salesPrices", **price) == "Application_FieldValidationException"
    assert await post(world, "salesPrices", **price, salesType=GROUP) == "Application_FieldValidationException"
    assert await post(world, "salesPrices", **price, salesCode="C9") == "Internal_InvalidTableRelation"
    wrong = {"salesType": GROUP, "salesCode": "NO"}
    assert await post(world, "salesPrices", **price, **wrong) == "Internal_InvalidTableRelation"
    everybody = {"salesType": EVERYBODY, "salesCode": "RETAIL"}
    assert await post(world, "salesPrices", **price, **everybody) == "Application_DialogException"
    backwards = {"salesCode": "RETAIL", "salesType": GROUP}
    assert await post(world, "salesPrices", **price, **backwards) == "Internal_InvalidTableRelation"


async def test_a_price_is_for_a_unit_of_its_item_and_for_some_time(world: World) -> None:
    price = {"itemNo": "1000", "salesCode": "C1", "unitPrice": 5}
    assert await post(world, "salesPrices", **price, unitOfMeasureCode="BOX") == "Internal_InvalidTableRelation"
    made_ = await made(world, "salesPrices", **price, unitOfMeasureCode="PCS", endingDate="2026-03-31")
    assert await refused(world, "salesPrices", made_, startingDate="2026-04-01") == "Application_DialogException"
    assert await refused(world, "salesPrices", made_, unitOfMeasureCode="BOX") == "Internal_InvalidTableRelation"
    assert (await change(world, "salesPrices", made_, startingDate="2026-03-31"))["startingDate"] == "2026-03-31"


@pytest.mark.parametrize("values", [{"salesType": "Campaign"}, {"variantCode": "RED"}])
async def test_what_the_sandbox_does_not_know_of_prices_says_so(world: World, values: dict[str, Any]) -> None:
    assert (await world.post("salesPrices", {"itemNo": "1000", **values}, COMPANION)).status == 501


async def test_prices_follow_their_group_and_go_with_it(world: World) -> None:
    await made(world, "salesPrices", itemNo="1000", salesType=GROUP, salesCode="RETAIL", unitPrice=5)
    await made(world, "salesPrices", itemNo="1000", salesCode="C1", unitPrice=5)
    [group] = await rows(world, "customerPriceGroups")
    await change(world, "customerPriceGroups", group, code="shops")
    assert sorted(row["salesCode"] for row in await rows(world, "salesPrices")) == ["C1", "SHOPS"]
    await world.delete(f"customerPriceGroups({group['id']})", COMPANION)
    assert [row["salesCode"] for row in await rows(world, "salesPrices")] == ["C1"]


async def test_prices_follow_their_customer_and_go_with_it(world: World) -> None:
    await made(world, "salesPrices", itemNo="1000", salesType=GROUP, salesCode="RETAIL", unitPrice=5)
    await made(world, "salesPrices", itemNo="1000", salesCode="C1", unitPrice=5)
    await made(world, "priceListHeaders", code="OWN", sourceType="Customer", sourceNo="C1")
    await made(world, "priceListLines", priceListCode="OWN", assetNo="1000")
    [customer] = await rows(world, "customers")
    await change(world, "customers", customer, number="NEW")
    assert sorted(row["salesCode"] for row in await rows(world, "salesPrices")) == ["NEW", "RETAIL"]
    for table in ("priceListHeaders", "priceListLines"):
        assert [row["sourceNo"] for row in await rows(world, table)] == ["NEW"]
    assert (await world.delete(f"customers({customer['id']})")).status == 204
    assert [row["salesCode"] for row in await rows(world, "salesPrices")] == ["RETAIL"]


async def test_a_renamed_unit_is_followed_even_in_keys(world: World) -> None:
    await made(world, "salesPrices", itemNo="1000", salesCode="C1", unitOfMeasureCode="PCS", unitPrice=5)
    unit = {row["code"]: row for row in await rows(world, "unitsOfMeasure")}
    await change(world, "unitsOfMeasure", unit["PCS"], code="EACH")
    assert [row["baseUnitOfMeasureCode"] for row in await rows(world, "items")] == ["EACH"]
    for table, field in (("itemUnitsOfMeasure", "code"), ("salesPrices", "unitOfMeasureCode")):
        assert [row[field] for row in await rows(world, table)] == ["EACH"]


async def test_prices_come_page_by_page_in_the_order_of_their_key(world: World) -> None:
    for day in range(1, 4):
        for quantity in (0, 5):
            values = {"startingDate": f"2026-01-{day:02d}", "minimumQuantity": quantity, "unitPrice": 5}
            await made(world, "salesPrices", itemNo="1000", salesType=EVERYBODY, **values)
            await made(world, "salesPrices", itemNo="1000", salesCode="C1", **values)
    url, found = world.url("salesPrices", COMPANION), []
    while url:
        answer = await world.ask("GET", url, headers={"Prefer": "odata.maxpagesize=5"})
        found += [(row["salesType"], row["startingDate"], row["minimumQuantity"]) for row in answer.values]
        url = answer.json.get("@odata.nextLink", "")
    assert len(found) == len(set(found)) == 12
    assert [row[1:] for row in found[:2]] == [("2026-01-01", 0), ("2026-01-01", 5)]


async def test_prices_follow_their_item_and_go_with_it(world: World) -> None:
    await made(world, "salesPrices", itemNo="1000", salesType=GROUP, salesCode="RETAIL", unitPrice=5)
    [item] = await rows(world, "items")
    await change(world, "items", item, number="2000")
    assert [row["itemNo"] for row in await rows(world, "salesPrices")] == ["2000"]
    assert (await world.delete(f"items({item['id']})")).status == 204
    assert await rows(world, "salesPrices") == []


async def test_a_line_takes_over_the_terms_of_its_list(world: World) -> None:
    header = await made(world, "priceListHeaders", code="SUMMER", currencyCode="EUR", startingDate="2026-06-01")
    assert (header["status"], header["priceType"], header["amountType"]) == ("Draft", "Sale", "Price")
    line = await made(world, "priceListLines", priceListCode="SUMMER", assetNo="1000", currencyCode="GBP", unitPrice=5)
    assert (line["lineNo"], line["assetType"], line["unitOfMeasureCode"]) == (10_000, "Item", "PCS")
    assert (line["currencyCode"], line["startingDate"], line["description"]) == ("EUR", "2026-06-01", "Chain")
    second = await made(world, "priceListLines", priceListCode="SUMMER", assetType="Resource", assetNo="ANN")
    assert (second["lineNo"], second["unitOfMeasureCode"]) == (20_000, "DAY")
    await change(world, "priceListHeaders", header, currencyCode="USD", endingDate="2026-08-31", status="Active")
    for row in await rows(world, "priceListLines"):
        assert (row["currencyCode"], row["endingDate"], row["status"]) == ("USD", "2026-08-31", "Active")


async def test_terms_of_a_list_may_be_defaults_only(world: World) -> None:
    header = await made(world, "priceListHeaders", code="MIXED", currencyCode="EUR", allowUpdatingDefaults=True)
    line = await made(world, "priceListLines", priceListCode="MIXED", assetNo="1000", currencyCode="GBP")
    other = await made(world, "priceListLines", priceListCode="MIXED", assetType="Resource", assetNo="ANN")
    assert (line["currencyCode"], other["currencyCode"]) == ("GBP", "EUR")
    await change(world, "priceListHeaders", header, currencyCode="USD")
    assert [row["currencyCode"] for row in await rows(world, "priceListLines")] == ["GBP", "EUR"]


async def test_an_active_list_stands_still_unless_it_may_be_edited(world: World) -> None:
    header = await made(world, "priceListHeaders", code="SUMMER")
    line = await made(world, "priceListLines", priceListCode="SUMMER", assetNo="1000", unitPrice=5)
    await change(world, "priceListHeaders", header, status="Active")
    active = "Application_FieldValidationException"
    assert await refused(world, "priceListHeaders", header, currencyCode="EUR") == active
    assert await refused(world, "priceListLines", line, unitPrice=6) == active
    assert await post(world, "priceListLines", priceListCode="SUMMER", assetType="Resource", assetNo="ANN") == active
    assert (await world.delete(f"priceListLines({line['id']})", COMPANION)).code == active
    assert (await world.delete(f"priceListHeaders({header['id']})", COMPANION)).code == "Application_DialogException"
    assert (await change(world, "priceListHeaders", header, description="Summer"))["description"] == "Summer"
    [setup] = await rows(world, "salesReceivablesSetup")
    await change(world, "salesReceivablesSetup", setup, allowEditingActivePrice=True)
    assert (await change(world, "priceListLines", line, unitPrice=6))["unitPrice"] == 6
    await change(world, "priceListHeaders", header, status="Inactive")
    assert await refused(world, "priceListLines", line, unitPrice=7) == active
    await change(world, "priceListHeaders", header, status="Draft")
    await world.delete(f"priceListHeaders({header['id']})", COMPANION)
    assert await rows(world, "priceListLines") == []


async def test_what_a_price_list_does_not_take(world: World) -> None:
    header = await made(world, "priceListHeaders", code="SUMMER")
    relation = "Internal_InvalidTableRelation"
    assert await post(world, "priceListLines", priceListCode="NONE", assetNo="1000") == relation
    assert await post(world, "priceListLines", priceListCode="SUMMER", assetNo="9") == relation
    box = {"assetNo": "1000", "unitOfMeasureCode": "BOX"}
    assert await post(world, "priceListLines", priceListCode="SUMMER", **box) == relation
    assert await post(world, "priceListLines", priceListCode="SUMMER") == "Application_FieldValidationException"
    assert await post(world, "priceListLines", assetNo="1000") == "Application_FieldValidationException"
    assert await refused(world, "priceListHeaders", header, code="WINTER") == "Application_DialogException"
    dates = {"startingDate": "2026-06-01", "endingDate": "2026-05-01"}
    assert await refused(world, "priceListHeaders", header, **dates) == "Application_DialogException"
    for values in ({"assetType": "G_x002F_L_x0020_Account"}, {"variantCode": "RED"}):
        assert (await world.post("priceListLines", {"priceListCode": "SUMMER", **values}, COMPANION)).status == 501


async def test_a_price_list_may_be_for_somebody(world: World) -> None:
    header = await made(world, "priceListHeaders", code="SUMMER", sourceType=GROUP, sourceNo="RETAIL")
    line = await made(world, "priceListLines", priceListCode="SUMMER", assetNo="1000")
    assert (line["sourceType"], line["sourceNo"]) == (GROUP, "RETAIL")
    assert await refused(world, "priceListHeaders", header, sourceType="Customer") == "Application_DialogException"
    wrong = {"sourceType": "Customer", "sourceNo": "C9"}
    assert await post(world, "priceListHeaders", code="A", **wrong) == "Internal_InvalidTableRelation"
    assert await post(world, "priceListHeaders", code="A", sourceNo="C1") == "Application_DialogException"
    assert (await world.post("priceListHeaders", {"code": "A", "sourceType": "Contact"}, COMPANION)).status == 501
