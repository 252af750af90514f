"""Fields that wait for what they refer to: contacts and options, completed by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import Row

from koppel.store import pending
from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def with_person(world: World, **values: object) -> tuple[Row, Row]:
    """A customer whose primary contact is a person of its company."""
    customer = await world.bob.create("customers", {"displayName": "Adatum", **values})
    company = await world.company_contact(customer)
    person = await world.bob.create(
        "contacts", type="Person", firstName="Ann", surname="Lee", companyNumber=company["number"]
    )
    customer = await world.bob.update("customers", customer["id"], primaryContactNo=person["number"])
    return customer, person


async def waiting(world: World) -> list[tuple[str, str]]:
    found = await pending.waiting(world.session.connection, "CUSTOMER")
    await world.session.connection.commit()
    return [(one.field, one.reference) for one in found]


@pytest.mark.rule("CONT-13")
@pytest.mark.rule("CUST-07")
async def test_a_primary_contact_that_is_not_coupled_waits_and_is_completed(world: World) -> None:
    customer, person = await with_person(world)
    await world.sync(create=True)
    account = await world.account_of(customer)
    assert account["_primarycontactid_value"] is None
    assert account["address1_primarycontactname"] == "Ann Lee"
    assert await waiting(world) == [("primaryContactNo", person["number"])]
    await world.sync("CONTACT", create=True)
    assert (await world.alice.row("accounts", account["accountid"]))["_primarycontactid_value"] is None
    result = await world.sync()
    assert result.counts["updated"] == 1
    assert (await world.account_of(customer))["_primarycontactid_value"] == person["id"]
    assert await waiting(world) == []
    await world.quiet("CUSTOMER", "CONTACT")


async def test_the_other_way_a_primary_contact_waits_as_well(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    account = await world.account_of(customer)
    bind = {"parentcustomerid_account@odata.bind": f"/accounts({account['accountid']})"}
    contact = await world.alice.create("contacts", {"firstname": "Ann", "lastname": "Lee", **bind})
    bind = {"primarycontactid@odata.bind": f"/contacts({contact['contactid']})"}
    await world.alice.update("accounts", account["accountid"], {**bind, "telephone1": "9"})
    await world.sync()
    now = await world.bob.row("customers", customer["id"])
    assert (now["primaryContactNo"], now["phoneNumber"]) == ("", "9")
    assert (await world.account_of(customer))["_primarycontactid_value"] == contact["contactid"]
    await world.sync("CONTACT", create=True)
    await world.sync()
    person = await world.bob.one("contacts", "type eq 'Person'")
    assert (await world.bob.row("customers", customer["id"]))["primaryContactNo"] == person["number"]
    await world.quiet("CUSTOMER", "CONTACT")


async def test_what_waits_is_no_conflict_and_stops_no_other_edit(world: World) -> None:
    customer, person = await with_person(world)
    await world.sync(create=True)
    await world.alice.update("accounts", customer["id"], telephone1="7")
    await world.bob.update("customers", customer["id"], website="adatum.example")
    await world.sync()
    account = await world.account_of(customer)
    assert (account["websiteurl"], account["telephone1"]) == ("adatum.example", "7")
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "7"
    assert await world.conflicts() == []
    assert await waiting(world) == [("primaryContactNo", person["number"])]
    await world.quiet("CUSTOMER")


async def test_a_reference_that_is_cleared_waits_no_longer(world: World) -> None:
    customer, _ = await with_person(world)
    await world.sync(create=True)
    await world.bob.update("customers", customer["id"], primaryContactNo="")
    await world.sync()
    assert await waiting(world) == []
    await world.sync("CONTACT", create=True)
    await world.sync()
    assert (await world.account_of(customer))["_primarycontactid_value"] is None


@pytest.mark.rule("OPT-02")
async def test_a_code_without_option_leaves_the_choice_empty_and_warns(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", paymentTermsCode="COD", phoneNumber="1")
    result = await world.sync(create=True)
    account = await world.account_of(customer)
    assert (account["paymenttermscode"], account["telephone1"]) == (None, "1")
    assert any("'COD' has no counterpart in PAYMENT TERMS" in line for line in result.notices)
    assert result.counts["failed"] == 0
    await world.quiet("CUSTOMER")
    await world.sync("PAYMENT TERMS")
    await world.sync()
    account = await world.account_of(customer)
    assert await world.label("paymenttermscode", account["paymenttermscode"]) == "COD"
    await world.quiet("CUSTOMER")


@pytest.mark.rule("OPT-02")
async def test_a_changed_code_without_option_empties_the_choice(world: World) -> None:
    await world.sync("PAYMENT TERMS")
    customer = await world.bob.create("customers", displayName="Adatum", paymentTermsCode="COD")
    await world.sync(create=True)
    await world.bob.create("paymentTerms", code="21 DAYS", displayName="21 days")
    await world.bob.update("customers", customer["id"], paymentTermsCode="21 DAYS")
    result = await world.sync()
    assert (await world.account_of(customer))["paymenttermscode"] is None
    assert any("21 DAYS" in line for line in result.notices)
    assert world.stored_customer(customer["id"])["paymentTermsCode"] == "21 DAYS"
    await world.quiet("CUSTOMER")
    await world.sync("PAYMENT TERMS")
    await world.sync()
    account = await world.account_of(customer)
    assert await world.label("paymenttermscode", account["paymenttermscode"]) == "21 DAYS"
    await world.quiet("CUSTOMER")


@pytest.mark.rule("OPT-02")
async def test_a_field_may_hold_the_record_instead(world: World) -> None:
    world.change_field("paymentTermsCode", on_missing="fail")
    await world.reopen()
    customer = await world.bob.create("customers", displayName="Adatum", paymentTermsCode="COD")
    result = await world.sync(create=True)
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    [failure] = await world.failures()
    assert (failure.kind, failure.field, failure.value) == ("dependency", "paymentTermsCode", "COD")
    await world.sync("PAYMENT TERMS")
    await world.sync(create=True)
    account = await world.account_of(customer)
    assert await world.label("paymenttermscode", account["paymenttermscode"]) == "COD"
    assert await world.failures() == []


@pytest.mark.rule("OPT-04")
async def test_an_option_without_code_leaves_the_code_blank_until_it_has_one(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    await world.alice.update("accounts", customer["id"], paymenttermscode=3, telephone1="2")
    await world.sync()
    now = await world.bob.row("customers", customer["id"])
    assert (now["paymentTermsCode"], now["phoneNumber"]) == ("", "2")
    assert (await world.account_of(customer))["paymenttermscode"] == 3
    await world.bob.create("paymentTerms", code="NET 45", displayName="Net 45 days")
    await world.sync("PAYMENT TERMS")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["paymentTermsCode"] == "NET 45"
    assert (await world.account_of(customer))["paymenttermscode"] == 3
    await world.quiet("CUSTOMER")


@pytest.mark.rule("OPT-04")
async def test_an_option_becomes_its_code_and_an_empty_choice_a_blank_one(world: World) -> None:
    await world.sync("PAYMENT TERMS")
    customer = await world.bob.create("customers", displayName="Adatum", paymentTermsCode="COD")
    await world.sync(create=True)
    await world.alice.update("accounts", customer["id"], paymenttermscode=1)
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["paymentTermsCode"] == "NET 30"
    await world.alice.update("accounts", customer["id"], paymenttermscode=None)
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["paymentTermsCode"] == ""
    await world.quiet("CUSTOMER")
