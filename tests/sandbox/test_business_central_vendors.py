"""Vendors: numbers, references, and the company contact that stands for each of them, as for customers."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, STANDARD, World

VENDOR: dict[str, Any] = {
    "displayName": "Acme",
    "addressLine1": "Main street 1",
    "city": "Delft",
    "country": "NL",
    "email": "info@acme.example",
    "faxNo": "016",
    "mobilePhoneNo": "06",
    "purchaserCode": "JO",
    "currencyCode": "EUR",
}


@pytest.fixture
def world() -> World:
    return World().with_relations()


async def only(world: World, table: str) -> dict[str, Any]:
    (row,) = (await world.get(table, COMPANION)).values
    return row


async def change(world: World, table: str, row: dict[str, Any], **values: Any) -> dict[str, Any]:
    answer = await world.patch(f"{table}({row['id']})", values, COMPANION)
    assert answer.status == 200, answer.content
    changed: dict[str, Any] = answer.json
    return changed


async def test_a_new_vendor_gets_a_number_and_its_company_contact(world: World) -> None:
    vendor = await world.made("vendors", VENDOR, COMPANION)
    assert vendor["number"] == "V00001"
    contact = await only(world, "contacts")
    assert (contact["type"], contact["number"]) == ("Company", contact["companyNumber"])
    assert (contact["salespersonCode"], contact["mobilePhoneNumber"]) == ("JO", "06")
    same = VENDOR.keys() - {"purchaserCode", "mobilePhoneNo"}
    assert {name: contact[name] for name in same} == {name: VENDOR[name] for name in same}
    assert contact["contactBusinessRelation"] == "Vendor"
    link = await only(world, "contactBusinessRelations")
    assert (link["linkToTable"], link["number"], link["businessRelationCode"]) == ("Vendor", vendor["number"], "VEND")


async def test_a_vendor_needs_a_name(world: World) -> None:
    assert (await world.post("vendors", {"city": "Delft"})).code == "Application_DialogException"
    vendor = await world.made("vendors", {"displayName": "Acme"})
    assert (await world.patch(f"vendors({vendor['id']})", {"displayName": ""})).code == "Application_DialogException"


async def test_a_vendor_and_its_contact_follow_each_other(world: World) -> None:
    vendor = await world.made("vendors", VENDOR, COMPANION)
    await change(world, "vendors", vendor, displayName="Ajax", purchaserCode="PS")
    contact = await only(world, "contacts")
    assert (contact["displayName"], contact["companyName"], contact["salespersonCode"]) == ("Ajax", "Ajax", "PS")
    await change(world, "contacts", contact, city="Gouda", currencyCode="GBP", salespersonCode="JO")
    after = await only(world, "vendors")
    assert (after["city"], after["currencyCode"], after["purchaserCode"]) == ("Gouda", "GBP", "JO")
    assert after["currencyId"] == (await world.get("currencies?$filter=code%20eq%20'GBP'")).values[0]["id"]


async def test_one_contact_may_stand_for_a_customer_and_a_vendor(world: World) -> None:
    customer = await world.made("customers", {"displayName": "Acme"}, COMPANION)
    contact = await only(world, "contacts")
    world.system.load("CRONUS", "vendors", [{"number": "V1", "displayName": "Acme"}])
    link = {"contactNumber": contact["number"], "businessRelationCode": "VEND", "linkToTable": "Vendor"}
    assert (await world.post("contactBusinessRelations", {**link, "number": "NOBODY"}, COMPANION)).status == 400
    await world.made("contactBusinessRelations", {**link, "number": "V1"}, COMPANION)
    changed = await change(world, "contacts", contact, phoneNumber="015")
    assert changed["contactBusinessRelation"] == "Multiple"
    for table in ("customers", "vendors"):
        assert (await only(world, table))["phoneNumber"] == "015"
    await change(world, "customers", customer, number="V1")
    numbers = {
        row["linkToTable"]: row["number"] for row in (await world.get("contactBusinessRelations", COMPANION)).values
    }
    assert numbers == {"Customer": "V1", "Vendor": "V1"}


async def test_a_renamed_vendor_keeps_its_contact_and_a_deleted_one_leaves_it_behind(world: World) -> None:
    vendor = await world.made("vendors", {"displayName": "Acme"})
    await change(world, "vendors", vendor, number="new")
    assert (await only(world, "contactBusinessRelations"))["number"] == "NEW"
    await world.delete(f"vendors({vendor['id']})")
    assert (await world.get("contactBusinessRelations", COMPANION)).values == []
    assert (await only(world, "contacts"))["contactBusinessRelation"] == "None"


async def test_the_primary_contact_is_one_of_the_company(world: World) -> None:
    vendor = await world.made("vendors", {"displayName": "Acme"})
    company = await only(world, "contacts")
    person = {"type": "Person", "displayName": "Ann Bee"}
    stranger = await world.made("contacts", person)
    refused = await world.patch(f"vendors({vendor['id']})", {"primaryContactNo": stranger["number"]}, COMPANION)
    assert refused.code == "Application_DialogException"
    own = await world.made("contacts", {**person, "companyNumber": company["number"]})
    changed = await change(world, "vendors", vendor, primaryContactNo=own["number"])
    assert changed["contact"] == "Ann Bee"


async def test_ids_and_codes_of_references_follow_each_other(world: World) -> None:
    [terms] = (await world.get("paymentTerms?$filter=code%20eq%20'COD'")).values
    vendor = await world.made("vendors", {"displayName": "Acme", "paymentTermsId": terms["id"]})
    shown = (await world.get(f"vendors({vendor['id']})", COMPANION)).json
    assert (shown["paymentTermsCode"], shown["currencyCode"]) == ("COD", "USD")
    changed = await change(world, "vendors", vendor, paymentTermsCode="", shippingAgentCode="dhl")
    assert changed["paymentTermsId"] == "00000000-0000-0000-0000-000000000000"
    assert changed["shippingAgentCode"] == "DHL"
    wrong = await world.patch(f"vendors({vendor['id']})", {"purchaserCode": "NOBODY"}, COMPANION)
    assert wrong.code == "Internal_InvalidTableRelation"
    assert (await change(world, "vendors", vendor, country="ZZ"))["country"] == "ZZ"
    assert (await world.patch(f"vendors({vendor['id']})", {"country": "YY"})).status == 400


@pytest.mark.parametrize("values", [{"balance": 5}, {"blocked": "Ship"}])
async def test_what_cannot_be_written(world: World, values: dict[str, Any]) -> None:
    vendor = await world.made("vendors", {"displayName": "Acme"})
    assert (await world.patch(f"vendors({vendor['id']})", values)).status == 400
    blocked = await change(world, "vendors", vendor, blocked="Payment")
    assert blocked["blocked"] == "Payment"


async def test_contacts_of_a_vendor(world: World) -> None:
    vendor = await world.made("vendors", {"displayName": "Acme"})
    by_parent = (await world.get(f"vendors({vendor['id']})/contactsInformation", STANDARD)).values
    assert [(row["contactName"], row["relatedType"]) for row in by_parent] == [("Acme", "Vendor")]
    related = f"relatedId%20eq%20{vendor['id']}%20and%20relatedType%20eq%20'Vendor'"
    assert (await world.get(f"contactsInformation?$filter={related}")).values == by_parent
    both = f"relatedId%20eq%20{vendor['id']}%20and%20relatedType%20eq%20'Employee'"
    assert (await world.get(f"contactsInformation?$filter={both}")).status == 501
