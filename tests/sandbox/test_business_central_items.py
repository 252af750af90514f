"""Items and resources: numbers, units, unit groups, stock, and what may no longer change or go."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, STANDARD, World

KINDS = [
    ("items", "itemUnitsOfMeasure", "itemNo", "Item"),
    ("resources", "resourceUnitsOfMeasure", "resourceNo", "Resource"),
]
kinds = pytest.mark.parametrize(("table", "units", "owner", "source"), KINDS, ids=["items", "resources"])


@pytest.fixture
def world() -> World:
    world = World().with_relations()
    world.system.load("CRONUS", "unitsOfMeasure", [{"code": "PCS"}, {"code": "BOX"}, {"code": "DAY"}])
    return world


async def rows(world: World, table: str) -> list[dict[str, Any]]:
    return (await world.get(table, COMPANION)).values


async def change(world: World, table: str, row: dict[str, Any], **values: Any) -> dict[str, Any]:
    answer = await world.patch(f"{table}({row['id']})", values, COMPANION)
    assert answer.status == 200, answer.content
    changed: dict[str, Any] = answer.json
    return changed


async def refused(world: World, table: str, row: dict[str, Any], **values: Any) -> str:
    """The code of the error."""
    return (await world.patch(f"{table}({row['id']})", values, COMPANION)).code


@kinds
async def test_a_new_one_gets_a_number_its_base_unit_and_its_group(
    world: World, table: str, units: str, owner: str, source: str
) -> None:
    row = await world.made(table, {"displayName": "Chain", "baseUnitOfMeasureCode": "pcs"}, COMPANION)
    assert row["number"] == f"{source[0]}00001" if table == "items" else "R00001"
    [unit] = await rows(world, units)
    assert (unit[owner], unit["code"], unit["qtyPerUnitOfMeasure"]) == (row["number"], "PCS", 1)
    [group] = await rows(world, "unitGroups")
    assert (group["sourceType"], group["sourceId"], group["sourceNo"]) == (source, row["id"], row["number"])


@kinds
async def test_the_base_unit_must_be_a_unit_and_may_be_blank(
    world: World, table: str, units: str, owner: str, source: str
) -> None:
    wrong = await world.post(table, {"number": "1", "baseUnitOfMeasureCode": "NO"}, COMPANION)
    assert wrong.code == "Internal_InvalidTableRelation"
    row = await world.made(table, {"number": "1"}, COMPANION)
    assert await rows(world, units) == []
    await world.made(units, {owner: "1", "code": "BOX", "qtyPerUnitOfMeasure": 12}, COMPANION)
    assert await refused(world, table, row, baseUnitOfMeasureCode="BOX") == "Application_DialogException"
    await change(world, table, row, baseUnitOfMeasureCode="PCS")
    assert [unit["code"] for unit in await rows(world, units)] == ["BOX", "PCS"]


@kinds
async def test_the_base_unit_stays_as_it_is(world: World, table: str, units: str, owner: str, source: str) -> None:
    await world.made(table, {"number": "1", "baseUnitOfMeasureCode": "PCS"}, COMPANION)
    [base] = await rows(world, units)
    assert await refused(world, units, base, qtyPerUnitOfMeasure=2) == "Application_DialogException"
    assert await refused(world, units, base, code="BOX") == "Application_DialogException"
    assert (await world.delete(f"{units}({base['id']})", COMPANION)).code == "Application_DialogException"
    other = await world.made(units, {owner: "1", "code": "BOX", "qtyPerUnitOfMeasure": 12}, COMPANION)
    assert await refused(world, units, other, qtyPerUnitOfMeasure=0) == "Application_FieldValidationException"
    assert (await change(world, units, other, qtyPerUnitOfMeasure=10))["qtyPerUnitOfMeasure"] == 10
    again = await world.post(units, {owner: "1", "code": "BOX"}, COMPANION)
    assert again.code == "Internal_EntityWithSameKeyExists"
    assert (await world.delete(f"{units}({other['id']})", COMPANION)).status == 204


@kinds
async def test_a_unit_in_use_cannot_be_deleted(world: World, table: str, units: str, owner: str, source: str) -> None:
    await world.made(table, {"number": "1", "baseUnitOfMeasureCode": "PCS"}, COMPANION)
    unit = {row["code"]: row["id"] for row in await rows(world, "unitsOfMeasure")}
    answer = await world.delete(f"unitsOfMeasure({unit['PCS']})")
    assert (answer.status, answer.code) == (400, "Application_DialogException")
    assert (await world.delete(f"unitsOfMeasure({unit['DAY']})")).status == 204


@kinds
async def test_a_renamed_one_takes_along_what_refers_to_it(
    world: World, table: str, units: str, owner: str, source: str
) -> None:
    row = await world.made(table, {"number": "1", "baseUnitOfMeasureCode": "PCS"}, COMPANION)
    await world.made("priceListHeaders", {"code": "LIST"}, COMPANION)
    line = {"priceListCode": "LIST", "assetType": source, "assetNo": "1", "unitPrice": 5}
    await world.made("priceListLines", line, COMPANION)
    await change(world, table, row, number="2")
    assert [unit[owner] for unit in await rows(world, units)] == ["2"]
    assert [group["sourceNo"] for group in await rows(world, "unitGroups")] == ["2"]
    assert [line["assetNo"] for line in await rows(world, "priceListLines")] == ["2"]


@kinds
async def test_a_deleted_one_takes_along_what_belongs_to_it(
    world: World, table: str, units: str, owner: str, source: str
) -> None:
    row = await world.made(table, {"number": "1", "baseUnitOfMeasureCode": "PCS"}, COMPANION)
    await world.made("priceListHeaders", {"code": "LIST"}, COMPANION)
    await world.made("priceListLines", {"priceListCode": "LIST", "assetType": source, "assetNo": "1"}, COMPANION)
    assert (await world.delete(f"{table}({row['id']})", COMPANION)).status == 204
    for other in (units, "unitGroups", "priceListLines"):
        assert await rows(world, other) == []


@kinds
async def test_loaded_ones_are_whole(world: World, table: str, units: str, owner: str, source: str) -> None:
    world.system.load("CRONUS", table, [{"number": "1", "baseUnitOfMeasureCode": "PCS"}])
    world.system.load("CRONUS", units, [{owner: "1", "code": "PCS", "qtyPerUnitOfMeasure": 1}])
    world.system.load("CRONUS", table, [{"number": "1", "baseUnitOfMeasureCode": "PCS", "unitPrice": 3}])
    [row] = await rows(world, table)
    assert row["unitPrice"] == 3
    assert [unit["code"] for unit in await rows(world, units)] == ["PCS"]
    assert [group["sourceId"] for group in await rows(world, "unitGroups")] == [row["id"]]


async def test_ids_and_codes_of_the_base_unit_follow_each_other(world: World) -> None:
    unit = {row["code"]: row["id"] for row in await rows(world, "unitsOfMeasure")}
    item = await world.made("items", {"number": "1", "baseUnitOfMeasureId": unit["BOX"]})
    assert item["baseUnitOfMeasureCode"] == "BOX"
    assert [row["code"] for row in await rows(world, "itemUnitsOfMeasure")] == ["BOX"]
    both = {"baseUnitOfMeasureId": unit["PCS"], "baseUnitOfMeasureCode": "BOX"}
    assert (await world.post("items", both)).code == "Application_DialogException"
    expanded = (await world.get("items?$expand=unitOfMeasure")).values[0]
    assert expanded["unitOfMeasure"]["code"] == "BOX"


async def test_numbers_by_hand_may_be_forbidden(world: World) -> None:
    world.company.series["ITEM"].manual = False
    assert (await world.post("items", {"number": "1"})).code == "Application_DialogException"
    assert (await world.made("items", {"displayName": "Chain"}))["number"] == "I00001"


async def test_stock_is_set_by_an_adjustment_on_the_standard_route(world: World) -> None:
    answer = await world.post("items", {"number": "1", "inventory": 5}, STANDARD)
    assert answer.json["error"]["message"].startswith("Inventory cannot be changed during on insert.")
    item = await world.made("items", {"number": "1", "displayName": "Chain"}, STANDARD)
    for stock in (5, 3):
        assert (await world.patch(f"items({item['id']})", {"inventory": stock})).json["inventory"] == stock
    entries = (await world.get("itemLedgerEntries")).values
    assert [(row["entryNumber"], row["quantity"], row["entryType"]) for row in entries] == [
        (1, 5, "Positive_x0020_Adjmt_x002E_"),
        (2, -2, "Negative_x0020_Adjmt_x002E_"),
    ]
    assert {(row["itemNumber"], row["postingDate"]) for row in entries} == {("1", "2026-03-01")}
    service = await world.made("items", {"number": "2", "type": "Service"}, STANDARD)
    refusal = await world.patch(f"items({service['id']})", {"inventory": 1})
    assert refusal.code == "Application_FieldValidationException"


async def test_stock_and_capacity_are_read_only_on_the_companion_route(world: World) -> None:
    item = await world.made("items", {"number": "1"}, COMPANION)
    assert await refused(world, "items", item, inventory=5) == "BadRequest_InvalidOperation"
    resource = await world.made("resources", {"number": "1"}, COMPANION)
    assert await refused(world, "resources", resource, capacity=5) == "BadRequest_InvalidOperation"
    assert (await world.post("itemLedgerEntries", {"itemNumber": "1"})).status == 405
    assert (await world.post("unitGroups", {"sourceNo": "1"}, COMPANION)).status == 405


async def test_an_item_that_was_moved_keeps_its_type_and_unit_and_stays(world: World) -> None:
    item = await world.made("items", {"number": "1", "baseUnitOfMeasureCode": "PCS"}, STANDARD)
    assert (await change(world, "items", item, type="Service"))["type"] == "Service"
    await change(world, "items", item, type="Inventory", baseUnitOfMeasureCode="BOX")
    await world.patch(f"items({item['id']})", {"inventory": 5})
    assert await refused(world, "items", item, type="Service") == "Application_DialogException"
    assert await refused(world, "items", item, baseUnitOfMeasureCode="PCS") == "Application_DialogException"
    assert (await world.delete(f"items({item['id']})")).code == "Application_DialogException"
    assert (await change(world, "items", item, blocked=True, number="2"))["blocked"]
    assert [row["itemNumber"] for row in await rows(world, "itemLedgerEntries")] == ["2"]


@pytest.mark.parametrize(
    ("field", "feature"),
    [
        ("itemCategoryCode", "item categories"),
        ("taxGroupCode", "tax groups"),
        ("generalProductPostingGroupCode", "posting groups"),
        ("inventoryPostingGroupCode", "posting groups"),
    ],
)
async def test_what_the_sandbox_does_not_know_of_items_says_so(world: World, field: str, feature: str) -> None:
    answer = await world.post("items", {"displayName": "Chain", field: "X"})
    assert answer.status == 501
    assert feature in answer.json["error"]["message"]


async def test_the_vendor_of_an_item_must_be_there(world: World) -> None:
    assert (await world.post("items", {"vendorNo": "V9"}, COMPANION)).code == "Internal_InvalidTableRelation"
    vendor = await world.made("vendors", {"displayName": "Acme"})
    item = await world.made("items", {"vendorNo": vendor["number"], "vendorItemNo": "a-1"}, COMPANION)
    assert item["vendorItemNo"] == "a-1"
    await change(world, "vendors", vendor, number="NEW")
    assert (await rows(world, "items"))[0]["vendorNo"] == "NEW"


async def test_the_search_name_of_a_resource_follows_its_name(world: World) -> None:
    resource = await world.made("resources", {"displayName": "Ann Bee", "type": "Machine"}, COMPANION)
    assert (resource["searchName"], resource["type"]) == ("ANN BEE", "Machine")
    assert (await change(world, "resources", resource, displayName="Bea"))["searchName"] == "BEA"
    own = await change(world, "resources", resource, searchName="b")
    assert (await change(world, "resources", own, displayName="Cee"))["searchName"] == "B"
    assert await refused(world, "resources", own, type="Robot") == "Application_EvaluateException"


async def test_the_write_in_product_is_a_resource_or_an_item_without_stock(world: World) -> None:
    world.system.load("CRONUS", "items", [{"number": "1000"}, {"number": "FEE", "type": "Service"}])
    world.system.load("CRONUS", "resources", [{"number": "ANN"}])
    [setup] = (await world.get("salesReceivablesSetup", COMPANION)).values
    path = f"salesReceivablesSetup({setup['id']})"
    for wrong in ("1000", "NONE"):
        refusal = await world.patch(path, {"writeInProductNo": wrong}, COMPANION)
        assert refusal.code == "Internal_InvalidTableRelation"
    assert (await world.patch(path, {"writeInProductNo": "fee"}, COMPANION)).json["writeInProductNo"] == "FEE"
    changed = (await world.patch(path, {"writeInProductType": "Resource"}, COMPANION)).json
    assert changed["writeInProductNo"] == ""
    assert (await world.patch(path, {"writeInProductNo": "ANN"}, COMPANION)).json["writeInProductNo"] == "ANN"
    assert (await world.patch(path, {"freightGLAccNo": "9"}, COMPANION)).code == "Internal_InvalidTableRelation"
