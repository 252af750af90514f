"""Contacts: whose they are, on both sides, and what becomes of their names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import JO, PAM, Row

from koppel.sandbox.seed_business_central import COMPANY
from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def customer_in_step(world: World, name: str = "Adatum") -> Row:
    customer = await world.bob.create("customers", displayName=name)
    await world.sync(full=True)
    return customer


async def person(world: World, customer: Row, **values: object) -> Row:
    """Somebody who works at a customer."""
    company = await world.company_contact(customer)
    given = {"type": "Person", "firstName": "Ann", "surname": "Lee", "companyNumber": company["number"]}
    return await world.bob.create("contacts", {**given, **values})


def parent(account: str) -> Row:
    return {"parentcustomerid_account@odata.bind": f"/accounts({account})"}


async def contact_of(world: World, person: Row) -> Row:
    coupling = await world.coupling(person["number"], "CONTACT")
    return await world.alice.row("contacts", coupling.dataverse_id)


async def person_of(world: World, contact: Row) -> Row:
    [coupling] = [c for c in await world.couplings("CONTACT") if c.dataverse_id == contact["contactid"]]
    return await world.bob.row("contacts", coupling.business_central_id)


@pytest.mark.rule("CONT-01")
async def test_companies_and_people_without_company_take_no_part(world: World) -> None:
    await customer_in_step(world)
    await world.bob.create("contacts", type="Person", firstName="No", surname="Company")
    await world.bob.create("contacts", type="Company", displayName="Litware")
    await world.alice.create("contacts", firstname="No", lastname="Account")
    result = await world.sync("CONTACT", full=True)
    assert (result.write_requests, result.counts["failed"], result.notices) == (0, 0, [])
    assert await world.couplings("CONTACT") == []


@pytest.mark.rule("CONT-01")
async def test_an_inactive_contact_takes_no_part(world: World) -> None:
    customer = await customer_in_step(world)
    contact = await world.alice.create("contacts", {"firstname": "Ann", "lastname": "Lee", **parent(customer["id"])})
    await world.alice.update("contacts", contact["contactid"], statecode=1, statuscode=2)
    assert (await world.sync("CONTACT", full=True)).write_requests == 0


@pytest.mark.rule("CONT-02")
async def test_a_person_whose_company_is_no_customer_is_skipped(world: World) -> None:
    company = await world.bob.create("contacts", type="Company", displayName="Litware")
    await world.bob.create("contacts", type="Person", firstName="Ann", surname="Lee", companyNumber=company["number"])
    result = await world.sync("CONTACT", full=True)
    assert (result.counts["skipped"], result.counts["failed"], result.write_requests) == (1, 0, 0)
    assert any(f"its company {company['number']} is not related to a customer" in line for line in result.notices)
    assert await world.failures("CONTACT") == []


@pytest.mark.rule("CONT-05")
@pytest.mark.rule("CONT-07")
@pytest.mark.rule("CONT-11")
@pytest.mark.rule("CONT-10")
async def test_a_person_becomes_a_contact_of_the_customers_account(world: World) -> None:
    customer = await customer_in_step(world)
    ann = await person(world, customer, middleName="B.", salespersonCode="PAM", currencyCode="EUR", city="Utrecht")
    result = await world.sync("CONTACT", full=True)
    assert result.counts["created"] == 1
    contact = await contact_of(world, ann)
    assert contact["contactid"] == ann["id"]
    assert contact["_parentcustomerid_value"] == (await world.account_of(customer))["accountid"]
    assert contact["_ownerid_value"] == PAM
    assert await world.currency(contact) == "EUR"
    assert (contact["firstname"], contact["middlename"], contact["lastname"]) == ("Ann", "B.", "Lee")
    assert contact["fullname"] == "Ann Lee"
    assert contact["address1_city"] == "Utrecht"
    await world.quiet("CONTACT", "CUSTOMER")


@pytest.mark.rule("CONT-05")
@pytest.mark.rule("CONT-06")
async def test_a_person_of_a_customer_that_is_not_coupled_gets_its_parent_later(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    ann = await person(world, customer)
    await world.sync("CONTACT", full=True)
    assert (await contact_of(world, ann))["_parentcustomerid_value"] is None
    await world.quiet("CONTACT")
    await world.bob.update("contacts", ann["id"], phoneNumber="3")
    await world.sync("CONTACT")
    assert (await contact_of(world, ann))["telephone1"] == "3"
    await world.sync(full=True)
    await world.sync("CONTACT")
    assert (await contact_of(world, ann))["_parentcustomerid_value"] == customer["id"]
    await world.quiet("CONTACT", "CUSTOMER")


@pytest.mark.rule("CONT-05")
async def test_a_person_who_moves_to_another_customer_moves_to_its_account(world: World) -> None:
    first, second = await customer_in_step(world), await customer_in_step(world, "Fabrikam")
    ann = await person(world, first)
    await world.sync("CONTACT", full=True)
    await world.bob.update("contacts", ann["id"], companyNumber=(await world.company_contact(second))["number"])
    await world.sync("CONTACT")
    assert (await contact_of(world, ann))["_parentcustomerid_value"] == second["id"]
    await world.alice.update("contacts", ann["id"], parent(first["id"]))
    await world.sync("CONTACT")
    now = await world.bob.row("contacts", ann["id"])
    assert now["companyNumber"] == (await world.company_contact(first))["number"]
    await world.quiet("CONTACT")


@pytest.mark.rule("CONT-03")
@pytest.mark.rule("CONT-11")
@pytest.mark.rule("CONT-10")
async def test_a_contact_becomes_a_person_of_the_customers_company(world: World) -> None:
    customer = await customer_in_step(world)
    contact = await world.alice.create(
        "contacts",
        {"firstname": "Ann", "middlename": "B.", "lastname": "Lee", "telephone1": "1", **parent(customer["id"])},
    )
    result = await world.sync("CONTACT", full=True)
    assert result.counts["created"] == 1
    ann = await person_of(world, contact)
    company = await world.company_contact(customer)
    assert (ann["type"], ann["companyNumber"], ann["phoneNumber"]) == ("Person", company["number"], "1")
    assert (ann["firstName"], ann["middleName"], ann["surname"]) == ("Ann", "B.", "Lee")
    assert ann["displayName"] == "Ann B. Lee"
    assert ann["number"].startswith("CT3")
    stored = world.sandbox.business_central.companies[COMPANY].stores["contacts"].rows[ann["id"]]
    assert stored.get("currencyCode", "") == ""
    await world.quiet("CONTACT", "CUSTOMER")


@pytest.mark.rule("CONT-03")
@pytest.mark.rule("CUST-12")
async def test_a_contact_of_an_account_that_is_not_coupled_is_held_until_it_is(world: World) -> None:
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    contact = await world.alice.create(
        "contacts", {"firstname": "Ann", "lastname": "Lee", **parent(account["accountid"])}
    )
    result = await world.sync("CONTACT", full=True)
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    [failure] = await world.failures("CONTACT")
    assert (failure.kind, failure.field, failure.side) == ("dependency", "companyNumber", "dataverse")
    await world.sync(full=True)
    await world.sync("CONTACT")
    company = await world.company_contact(await world.customer_of(account))
    assert (await person_of(world, contact))["companyNumber"] == company["number"]
    assert await world.failures("CONTACT") == []
    await world.quiet("CONTACT", "CUSTOMER")


@pytest.mark.rule("CONT-07")
async def test_the_owner_of_a_contact_follows_its_salesperson(world: World) -> None:
    ann = await person(world, await customer_in_step(world), salespersonCode="JO")
    await world.sync("CONTACT", full=True)
    assert (await contact_of(world, ann))["_ownerid_value"] == JO
    await world.bob.update("contacts", ann["id"], salespersonCode="EXT", phoneNumber="2")
    result = await world.sync("CONTACT")
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    await world.bob.update("contacts", ann["id"], salespersonCode="PAM")
    await world.sync("CONTACT")
    contact = await contact_of(world, ann)
    assert (contact["_ownerid_value"], contact["telephone1"]) == (PAM, "2")


@pytest.mark.rule("CONT-10")
async def test_a_changed_name_is_composed_anew_on_the_other_side(world: World) -> None:
    ann = await person(world, await customer_in_step(world))
    await world.sync("CONTACT", full=True)
    await world.alice.update("contacts", ann["id"], lastname="Ford")
    await world.sync("CONTACT")
    assert (await world.bob.row("contacts", ann["id"]))["displayName"] == "Ann Ford"
    await world.bob.update("contacts", ann["id"], displayName="Bea C. Hunt")
    await world.sync("CONTACT")
    contact = await contact_of(world, ann)
    assert (contact["fullname"], contact["middlename"]) == ("Bea Hunt", "C.")
    await world.quiet("CONTACT")


@pytest.mark.rule("CONT-12")
async def test_a_person_that_becomes_a_company_drops_out(world: World) -> None:
    ann = await person(world, await customer_in_step(world))
    await world.sync("CONTACT", full=True)
    await world.bob.update("contacts", ann["id"], type="Company")
    await world.alice.update("contacts", ann["id"], telephone1="9")
    result = await world.sync("CONTACT")
    assert (result.counts["failed"], result.write_requests) == (0, 0)
    assert len(await world.couplings("CONTACT")) == 1


@pytest.mark.rule("CUST-10")
async def test_an_edit_of_the_account_reaches_the_company_contact_too(world: World) -> None:
    customer = await customer_in_step(world)
    await world.alice.update("accounts", customer["id"], name="Adatum Corporation", telephone1="7")
    await world.sync()
    company = await world.company_contact(customer)
    assert (company["displayName"], company["phoneNumber"], company["type"]) == ("Adatum Corporation", "7", "Company")
    await world.quiet("CONTACT", "CUSTOMER")


@pytest.mark.rule("GEN-09")
async def test_a_reference_follows_blank_to_blank(world: World) -> None:
    customer = await customer_in_step(world)
    ann = await person(world, customer)
    await world.sync("CONTACT", full=True)
    await world.bob.update("customers", customer["id"], primaryContactNo=ann["number"])
    await world.sync()
    assert (await world.account_of(customer))["_primarycontactid_value"] == ann["id"]
    await world.alice.update("accounts", customer["id"], {"primarycontactid@odata.bind": None})
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["primaryContactNo"] == ""
    await world.quiet("CUSTOMER")


@pytest.mark.rule("GEN-13")
@pytest.mark.rule("CONT-03")
async def test_the_account_of_a_contact_is_synchronised_first_where_customers_are_created(world: World) -> None:
    account = await world.alice.create("accounts", {"name": "Litware", "customertypecode": 3})
    parent = {"parentcustomerid_account@odata.bind": f"/accounts({account['accountid']})"}
    await world.alice.create("contacts", {"firstname": "Lee", "lastname": "Gu", **parent})
    await world.sync("CURRENCY", full=True)
    for name in ("CUSTOMER", "CONTACT"):
        world.change(name, only_coupled=False)
    result = await world.sync("CONTACT")
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    person = await world.bob.one("contacts", "displayName eq 'Lee Gu'")
    customer = await world.bob.one("customers", "displayName eq 'Litware'")
    assert person["companyNumber"] == (await world.company_contact(customer))["number"]
    await world.sync()
    await world.quiet("CUSTOMER", "CONTACT")
