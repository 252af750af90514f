"""What Business Central does of itself: company contacts, names, relations."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, World

CUSTOMER = {
    "displayName": "Acme",
    "addressLine1": "Main street 1",
    "city": "Delft",
    "postalCode": "2611 aa",
    "country": "NL",
    "phoneNumber": "015",
    "email": "info@acme.example",
    "website": "acme.example",
    "faxNo": "016",
    "mobilePhoneNo": "06",
    "salespersonCode": "JO",
    "currencyCode": "EUR",
}


@pytest.fixture
def world() -> World:
    return World().with_relations()


async def made(world: World, set_name: str, **values: Any) -> dict[str, Any]:
    return await world.made(set_name, values, COMPANION)


async def only(world: World, set_name: str, query: str = "") -> dict[str, Any]:
    (row,) = (await world.get(f"{set_name}?{query}", COMPANION)).values
    return row


async def current(world: World, set_name: str, row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await world.get(f"{set_name}({row['id']})", COMPANION)).json
    return found


async def change(world: World, set_name: str, row: dict[str, Any], **values: Any) -> dict[str, Any]:
    answer = await world.patch(f"{set_name}({row['id']})", values, COMPANION)
    assert answer.status == 200, answer.content
    changed: dict[str, Any] = answer.json
    return changed


@pytest.mark.rule("CUST-08")
async def test_a_new_customer_gets_its_company_contact(world: World) -> None:
    customer = await made(world, "customers", **CUSTOMER)
    contact = await only(world, "contacts")
    assert contact["type"] == "Company"
    assert contact["number"] == contact["companyNumber"] == "CT000001"
    assert contact["mobilePhoneNumber"] == "06"
    same = CUSTOMER.keys() - {"mobilePhoneNo"}
    assert {name: contact[name] for name in same} == {name: customer[name] for name in same}
    assert (contact["companyName"], contact["searchName"]) == ("Acme", "ACME")
    assert contact["contactBusinessRelation"] == "Customer"
    link = await only(world, "contactBusinessRelations")
    assert link["contactNumber"] == contact["number"]
    assert link["businessRelationCode"] == "CUST"
    assert (link["linkToTable"], link["number"]) == ("Customer", customer["number"])


@pytest.mark.rule("CUST-08")
async def test_the_type_of_the_contact_is_that_of_the_customer(world: World) -> None:
    await made(world, "customers", displayName="Ann Bee", type="Person")
    contact = await only(world, "contacts")
    assert (contact["type"], contact["firstName"], contact["surname"]) == ("Person", "Ann", "Bee")


@pytest.mark.rule("CUST-08")
async def test_without_a_relation_code_there_is_no_contact_and_without_numbers_no_customer(world: World) -> None:
    world.system.load("CRONUS", "marketingSetup", [{"contactNumberSeries": ""}])
    refused = await world.post("customers", {"displayName": "Acme"})
    assert (refused.status, refused.code) == (400, "Application_FieldValidationException")
    assert (await world.get("customers")).values == []
    world.system.load("CRONUS", "marketingSetup", [{"businessRelationCodeForCustomers": ""}])
    await made(world, "customers", displayName="Acme")
    assert (await world.get("contacts")).values == []


@pytest.mark.rule("CUST-10")
async def test_a_changed_customer_changes_its_company_contact(world: World) -> None:
    customer = await made(world, "customers", **CUSTOMER)
    before = await only(world, "contacts")
    person = await made(world, "contacts", displayName="Ann Bee", type="Person", companyNumber=before["number"])
    world.clock.advance(seconds=1)
    await change(world, "customers", customer, displayName="Ajax", city="", currencyCode="USD")
    after = await current(world, "contacts", before)
    assert (after["displayName"], after["companyName"], after["searchName"]) == ("Ajax", "Ajax", "AJAX")
    assert (after["city"], after["currencyCode"]) == ("", "USD")
    assert (after["number"], after["type"]) == (before["number"], "Company")
    assert (await current(world, "contacts", person))["companyName"] == "Ajax"
    world.clock.advance(seconds=1)
    await change(world, "customers", customer, creditLimit=5)
    assert (await current(world, "contacts", before))["lastModifiedDateTime"] == after["lastModifiedDateTime"]


async def test_a_changed_company_contact_changes_its_customer(world: World) -> None:
    customer = await made(world, "customers", **CUSTOMER)
    await change(world, "contacts", await only(world, "contacts"), city="Gouda", currencyCode="GBP")
    after = await current(world, "customers", customer)
    assert (after["city"], after["currencyCode"], after["displayName"]) == ("Gouda", "GBP", "Acme")
    pound = await only(world, "currencies", "$filter=code%20eq%20'GBP'")
    assert after["currencyId"] == pound["id"]


async def test_a_deleted_customer_leaves_its_contact_behind(world: World) -> None:
    customer = await made(world, "customers", displayName="Acme")
    await world.delete(f"customers({customer['id']})")
    assert (await world.get("contactBusinessRelations", COMPANION)).values == []
    assert (await only(world, "contacts"))["contactBusinessRelation"] == "None"


async def test_a_renamed_customer_keeps_its_relation(world: World) -> None:
    customer = await made(world, "customers", displayName="Acme")
    await change(world, "customers", customer, number="new")
    assert (await only(world, "contactBusinessRelations"))["number"] == "NEW"


async def test_a_customer_s_primary_contact_is_one_of_its_people(world: World) -> None:
    customer = await made(world, "customers", displayName="Acme")
    company = await only(world, "contacts")
    own = await made(world, "contacts", type="Person", displayName="Ann Bee", companyNumber=company["number"])
    other = await made(world, "contacts", type="Person", displayName="Carl Dee")
    changed = await change(world, "customers", customer, primaryContactNo=own["number"].lower())
    assert (changed["primaryContactNo"], changed["contact"]) == (own["number"], "Ann Bee")
    stranger = await world.patch(f"customers({customer['id']})", {"primaryContactNo": other["number"]}, COMPANION)
    assert stranger.code == "Application_DialogException"
    nobody = await world.patch(f"customers({customer['id']})", {"primaryContactNo": "X"}, COMPANION)
    assert nobody.code == "Internal_InvalidTableRelation"
    assert (await change(world, "customers", customer, primaryContactNo=""))["contact"] == ""


@pytest.mark.rule("CONT-10")
@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"firstName": "Ann", "middleName": "Mae", "surname": "Bee"}, "Ann Mae Bee"),
        ({"firstName": "Ann", "surname": "Bee"}, "Ann Bee"),
        ({"surname": "Bee"}, "Bee"),
    ],
)
@pytest.mark.parametrize("type_first", [True, False])
async def test_a_person_s_name_is_its_parts_joined(
    world: World, parts: dict[str, str], name: str, type_first: bool
) -> None:
    body = {"type": "Person", **parts} if type_first else {**parts, "type": "Person"}
    person = await made(world, "contacts", **body)
    assert (person["displayName"], person["searchName"]) == (name, name.upper())
    changed = await change(world, "contacts", person, surname="Cook")
    assert changed["displayName"] == " ".join([*name.split()[:-1], "Cook"])
    assert changed["searchName"] == changed["displayName"].upper()


@pytest.mark.parametrize(
    ("name", "parts"),
    [("Ann", ("Ann", "", "")), ("Ann Bee", ("Ann", "", "Bee")), ("Ann  Mae of Bee", ("Ann Mae", "of", "Bee"))],
)
async def test_a_person_s_name_is_split(world: World, name: str, parts: tuple[str, str, str]) -> None:
    person = await made(world, "contacts", displayName=name, type="Person")
    assert (person["firstName"], person["middleName"], person["surname"]) == parts


async def test_a_contact_needs_a_name(world: World) -> None:
    assert (await world.post("contacts", {"type": "Person"})).code == "Application_DialogException"
    assert (await world.post("contacts", {"displayName": ""})).code == "Application_DialogException"


async def test_a_person_s_company_is_a_company_that_exists(world: World) -> None:
    company = await made(world, "contacts", displayName="Acme")
    assert (company["companyNumber"], company["companyName"]) == (company["number"], "Acme")
    person = await made(world, "contacts", type="Person", displayName="Ann Bee", companyNumber=company["number"])
    assert person["companyName"] == "Acme"
    for wrong in ("NOBODY", person["number"]):
        answer = await world.patch(f"contacts({person['id']})", {"companyNumber": wrong}, COMPANION)
        assert answer.code == "Internal_InvalidTableRelation"
    await change(world, "contacts", company, displayName="Ajax")
    assert (await current(world, "contacts", person))["companyName"] == "Ajax"
    alone = await change(world, "contacts", person, companyNumber="")
    assert (alone["companyNumber"], alone["companyName"]) == ("", "")
    named = await change(world, "contacts", person, companyName="Ajax")
    assert named["companyNumber"] == company["number"]
    foreign = await world.patch(f"contacts({company['id']})", {"companyNumber": ""}, COMPANION)
    assert foreign.code == "Application_FieldValidationException"


async def test_a_contact_changes_its_type(world: World) -> None:
    company = await made(world, "contacts", displayName="Ann Bee")
    person = await change(world, "contacts", company, type="Person")
    assert (person["firstName"], person["surname"], person["companyNumber"]) == ("Ann", "Bee", "")
    again = await change(world, "contacts", person, type="Company")
    assert (again["firstName"], again["companyNumber"]) == ("", company["number"])


async def test_people_show_the_relation_of_their_company(world: World) -> None:
    await made(world, "customers", displayName="Acme")
    company = await only(world, "contacts")
    person = await made(world, "contacts", type="Person", displayName="Ann Bee", companyNumber=company["number"])
    assert person["contactBusinessRelation"] == "Customer"
    link = await only(world, "contactBusinessRelations")
    second = {"contactNumber": company["number"], "businessRelationCode": "PRESS"}
    await made(world, "contactBusinessRelations", **second)
    assert (await current(world, "contacts", person))["contactBusinessRelation"] == "Multiple"
    await world.delete(f"contactBusinessRelations({link['id']})", COMPANION)
    assert (await current(world, "contacts", person))["contactBusinessRelation"] == "Other"
    wrong = {**second, "businessRelationCode": "C", "linkToTable": "Customer", "number": "NOBODY"}
    answer = await world.post("contactBusinessRelations", wrong, COMPANION)
    assert answer.code == "Internal_InvalidTableRelation"


async def test_a_renamed_company_takes_its_people_along(world: World) -> None:
    await made(world, "customers", displayName="Acme")
    company = await only(world, "contacts")
    person = await made(world, "contacts", type="Person", displayName="Ann Bee", companyNumber=company["number"])
    renamed = await change(world, "contacts", company, number="new")
    assert (renamed["number"], renamed["companyNumber"]) == ("NEW", "NEW")
    assert (await current(world, "contacts", person))["companyNumber"] == "NEW"
    assert (await only(world, "contactBusinessRelations"))["contactNumber"] == "NEW"


async def test_a_deleted_company_takes_its_people_and_relations_along(world: World) -> None:
    await made(world, "customers", displayName="Acme")
    company = await only(world, "contacts")
    await made(world, "contacts", type="Person", displayName="Ann Bee", companyNumber=company["number"])
    assert (await world.delete(f"contacts({company['id']})")).status == 204
    assert (await world.get("contacts")).values == []
    assert (await world.get("contactBusinessRelations", COMPANION)).values == []


async def test_seeded_rows_are_as_if_they_had_been_entered(world: World) -> None:
    link = {"contactNumber": "CT1", "businessRelationCode": "CUST", "linkToTable": "Customer", "number": "C1"}
    world.system.load("CRONUS", "contactBusinessRelations", [link])
    world.system.load("CRONUS", "contacts", [{"number": "CT1", "displayName": "Acme"}])
    person = {"number": "CT2", "type": "Person", "displayName": "Ann Bee", "companyNumber": "CT1"}
    world.system.load("CRONUS", "contacts", [person])
    world.system.load("CRONUS", "customers", [{"number": "C1", "displayName": "Acme", "paymentTermsCode": "COD"}])
    customer = await only(world, "customers")
    assert customer["paymentTermsId"] == (await only(world, "paymentTerms", "$filter=code%20eq%20'COD'"))["id"]
    rows = (await world.get("contacts")).values
    assert [row["contactBusinessRelation"] for row in rows] == ["Customer", "Customer"]
    assert (rows[0]["companyNumber"], rows[0]["searchName"]) == ("CT1", "ACME")
    changed = await change(world, "customers", customer, primaryContactNo="CT2")
    assert changed["contact"] == "Ann Bee"
