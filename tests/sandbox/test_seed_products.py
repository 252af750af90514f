"""What the sandbox sells when it starts: exact counts, whole references, and prices as the offers made them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from koppel.sandbox.business_central import BusinessCentral, Company, create_business_central
from koppel.sandbox.business_central.validate import convert
from koppel.sandbox.seed import seed_business_central
from koppel.sandbox.seed_business_central import COMPANY, customer_rows
from koppel.sandbox.seed_opportunities import opportunity_rows
from koppel.sandbox.seed_products import product_rows, vendor_rows
from koppel.sandbox.tables import Row

TABLES = {**product_rows(), **vendor_rows()}


@pytest.fixture(scope="module")
def company() -> Company:
    system = create_business_central(lambda: datetime(2026, 3, 1, tzinfo=UTC), caller=lambda _: None)
    seed_business_central(system, "adventureworks", 800)
    return system.companies[COMPANY]


def test_counts_are_those_of_the_source() -> None:
    assert {table: len(rows) for table, rows in TABLES.items()} == {
        "accounts": 6,
        "unitsOfMeasure": 1,
        "itemUnitsOfMeasure": 504,
        "resourceUnitsOfMeasure": 6,
        "unitGroups": 510,
        "itemLedgerEntries": 404,
        "items": 504,
        "resources": 6,
        "customerPriceGroups": 2,
        "salesPrices": 2 * 395 + 233 + 10,
        "contactBusinessRelations": 104,
        "contacts": 104,
        "vendors": 104,
    }


def test_every_value_fits_its_field_and_every_reference_is_there(company: Company) -> None:
    for store in company.stores.values():
        info = store.info
        for row in store.rows.values():
            for name, value in row.items():
                if info.fields[name].kind in ("text", "code", "enum", "decimal", "date", "boolean"):
                    assert convert(info.fields[name], value) == value
            for name, related in info.relations.items():
                assert not row.get(name) or company.stores[related].find(row[name]), (info.name, name, row[name])


def test_no_two_rows_have_the_same_key(company: Company) -> None:
    for store in company.stores.values():
        assert len(store.by_key) == len(store.rows), store.info.name


def test_discontinued_items_are_blocked() -> None:
    assert Counter(row.get("blocked", False) for row in TABLES["items"]) == {False: 406, True: 98}


def test_of_a_few_items_there_is_less_than_nothing() -> None:
    assert len([row for row in TABLES["items"] if row.get("inventory", 0) < 0]) == 6


def test_the_stock_of_an_item_is_the_sum_of_its_movements() -> None:
    stock: Counter[str] = Counter()
    for entry in TABLES["itemLedgerEntries"]:
        stock[entry["itemNumber"]] += entry["quantity"]
    assert dict(stock) == {row["number"]: row["inventory"] for row in TABLES["items"] if "inventory" in row}


def test_every_item_and_resource_has_its_base_unit_and_its_unit_group(company: Company) -> None:
    for table, units, source in (
        ("items", "itemUnitsOfMeasure", "Item"),
        ("resources", "resourceUnitsOfMeasure", "Resource"),
    ):
        for row in company.stores[table].rows.values():
            unit = company.stores[units].find(row["number"], row["baseUnitOfMeasureCode"])
            assert unit is not None
            assert unit["qtyPerUnitOfMeasure"] == 1
            group = company.stores["unitGroups"].find(source, row["id"])
            assert group is not None
            assert group["sourceNo"] == row["number"]


def prices(item: str, group: str) -> list[Row]:
    return [row for row in TABLES["salesPrices"] if row["itemNo"] == item and row["salesCode"] == group]


def test_a_price_is_the_list_price_of_its_time_or_that_less_a_discount() -> None:
    found = {(p["startingDate"], p.get("minimumQuantity", 0)): p for p in prices("HL-U509-R", "RESELLER")}
    assert found["2011-05-31", 0]["unitPrice"] == 33.6442
    assert found["2011-05-31", 0]["endingDate"] == "2012-05-29"
    assert found["2013-05-30", 0]["unitPrice"] == 34.99
    assert "endingDate" not in found["2013-05-30", 0]
    assert found["2011-05-31", 11]["unitPrice"] == round(34.99 * 0.98, 4)
    assert found["2012-05-30", 1]["unitPrice"] == round(34.99 * 0.9, 4)
    assert {p.get("minimumQuantity", 0) for p in prices("HL-U509-R", "CUSTOMER")} == {0}


def test_each_item_that_is_sold_has_one_price_today_for_each_group() -> None:
    today = [row for row in TABLES["salesPrices"] if "endingDate" not in row]
    assert Counter(row["salesCode"] for row in today) == {"CUSTOMER": 195, "RESELLER": 195}
    assert len({(row["itemNo"], row["salesCode"]) for row in today}) == len(today)
    blocked = {row["number"] for row in TABLES["items"] if row.get("blocked")}
    assert not blocked & {row["itemNo"] for row in today}


def test_a_vendor_has_its_company_contact(company: Company) -> None:
    for vendor in company.stores["vendors"].rows.values():
        [link] = company.stores["contactBusinessRelations"].having("number", vendor["number"])
        contact = company.stores["contacts"].find(link["contactNumber"])
        assert contact is not None
        assert contact["contactBusinessRelation"] == link["linkToTable"] == "Vendor"
        assert contact["displayName"] == vendor["displayName"]
    assert Counter(row.get("blocked", "") for row in TABLES["vendors"]) == {"": 100, "All": 4}


def test_opportunities_are_with_people_at_stores(company: Company) -> None:
    opportunities = company.stores["opportunities"].rows.values()
    for row in opportunities:
        person = company.stores["contacts"].find(row["contactNumber"])
        assert person is not None
        assert person["type"] == "Person"
        assert person["companyNumber"] == row["contactCompanyNo"]
        assert row.get("closed", False) == (row.get("status") in ("Won", "Lost"))
    assert Counter(row.get("status", "Not_x0020_Started") for row in opportunities) == {
        "In_x0020_Progress": 47,
        "Not_x0020_Started": 17,
        "Lost": 16,
        "Won": 15,
    }


def test_opportunities_of_repeated_customers_are_others() -> None:
    numbers = [row["number"] for rows in customer_rows(20_000) for row in opportunity_rows(rows)]
    assert len(numbers) == len(set(numbers)) > 95


def test_an_empty_sandbox_has_no_products() -> None:
    system = BusinessCentral(lambda: datetime(2026, 3, 1, tzinfo=UTC), lambda _: None)
    seed_business_central(system, "empty", None)
    assert not system.companies[COMPANY].stores["items"].rows
    assert not system.companies[COMPANY].stores["vendors"].rows
