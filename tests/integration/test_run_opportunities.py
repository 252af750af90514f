"""Opportunities: what goes where, whom they are with, and what is created when (OPP-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from world import World, new_world
from world_data import PAM, Row

from koppel.sandbox.business_central.logic.opportunity import OPPORTUNITIES, update
from koppel.sandbox.business_central.work import Work
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import BOB
from koppel.store.database import Database

NAME = "OPPORTUNITY"
LIKELY = {"probabilityPercent": 50}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        setup = await world.bob.one("marketingSetup", "")
        await world.bob.update("marketingSetup", setup["id"], opportunityNumberSeries="OPP")
        yield world


async def buyer(world: World) -> tuple[Row, Row]:
    """A customer and a person who works there, both in step."""
    customer = await world.bob.create("customers", displayName="Adatum")
    company = await world.company_contact(customer)
    given = {"type": "Person", "firstName": "Ann", "surname": "Lee", "companyNumber": company["number"]}
    person = await world.bob.create("contacts", given)
    await world.sync(full=True)
    await world.sync("CONTACT", full=True)
    return customer, person


async def there(world: World, name: str) -> Row:
    return await world.alice.one("opportunities", f"name eq '{name}'")


async def opportunity(world: World, person: Row, **values: Any) -> Row:
    return await world.bob.create(
        "opportunities", {"description": "Bikes", "contactNumber": person["number"], **values}
    )


async def won(world: World, name: str) -> None:
    """Alice wins an opportunity."""
    bound = {"opportunityid@odata.bind": f"/opportunities({(await there(world, name))['opportunityid']})"}
    await world.alice.create("WinOpportunity", {"Status": 3, "OpportunityClose": {"subject": "Won", **bound}})


@pytest.mark.rule("OPP-01")
@pytest.mark.rule("OPP-03")
@pytest.mark.rule("OPP-04")
@pytest.mark.rule("OPP-06")
async def test_an_opportunity_arrives_with_owner_contact_account_and_currency(world: World) -> None:
    customer, person = await buyer(world)
    made = await opportunity(world, person, salespersonCode="PAM")
    result = await world.sync(NAME, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    found = await there(world, "Bikes")
    contact = await world.coupling(person["number"], "CONTACT")
    assert (found["_ownerid_value"], found["_parentcontactid_value"]) == (PAM, contact.dataverse_id)
    assert found["_parentaccountid_value"] == (await world.account_of(customer))["accountid"]
    assert await world.currency(found) == "USD"
    await world.alice.update("opportunities", found["opportunityid"], name="Fifty bikes", description="Theirs only")
    await world.sync(NAME)
    assert (await world.bob.row("opportunities", made["id"]))["description"] == "Fifty bikes"
    await world.quiet(NAME)


@pytest.mark.rule("OPP-02")
@pytest.mark.rule("OPP-08")
async def test_new_ones_come_with_a_full_run_and_closed_ones_stay_as_they_are(world: World) -> None:
    _, person = await buyer(world)
    made = await opportunity(world, person)
    assert (await world.sync(NAME)).counts["created"] == 0
    await world.sync(NAME, full=True)
    work = Work(world.sandbox.business_central, world.sandbox.business_central.companies[COMPANY], BOB.id)
    work.change(OPPORTUNITIES, made["id"], {"status": "Lost", "description": "Gone"})
    await world.sync(NAME)
    assert (await there(world, "Bikes"))["statecode"] == 0


@pytest.mark.rule("OPP-03")
async def test_a_contact_that_is_not_coupled_holds_its_opportunity(world: World) -> None:
    customer, _ = await buyer(world)
    company = await world.company_contact(customer)
    given = {"type": "Person", "firstName": "Lee", "surname": "Gu", "companyNumber": company["number"]}
    await opportunity(world, await world.bob.create("contacts", given))
    assert (await world.sync(NAME, full=True)).counts["failed"] == 1
    [failure] = await world.failures(NAME)
    assert (failure.code, failure.via, failure.field) == ("not-coupled", "CONTACT", "contactNumber")
    await world.sync("CONTACT", full=True)
    assert (await world.sync(NAME)).counts["created"] == 1


@pytest.mark.rule("OPP-03")
@pytest.mark.rule("OPP-04")
async def test_an_opportunity_with_a_company_has_an_account_and_no_contact(world: World) -> None:
    customer, person = await buyer(world)
    made = await opportunity(world, await world.company_contact(customer))
    result = await world.sync(NAME, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    found = await there(world, "Bikes")
    assert found["_parentcontactid_value"] is None
    assert found["_parentaccountid_value"] == (await world.account_of(customer))["accountid"]
    await world.bob.update("opportunities", made["id"], contactNumber=person["number"])
    await world.sync(NAME)
    contact = await world.coupling(person["number"], "CONTACT")
    assert (await there(world, "Bikes"))["_parentcontactid_value"] == contact.dataverse_id
    await world.quiet(NAME)


@pytest.mark.rule("OPP-04")
async def test_the_account_is_completed_when_its_customer_is_coupled(world: World) -> None:
    customer, person = await buyer(world)
    coupling = await world.coupling(customer["number"])
    await world.session.connection.execute("DELETE FROM coupling WHERE mapping = 'CUSTOMER'")
    await world.session.connection.commit()
    await opportunity(world, person)
    await world.sync(NAME, full=True)
    assert (await there(world, "Bikes"))["_parentaccountid_value"] is None
    await world.sync(records=(customer["number"],), create=True)
    await world.sync(NAME)
    assert (await there(world, "Bikes"))["_parentaccountid_value"] == coupling.dataverse_id
    await world.quiet(NAME)


@pytest.mark.rule("OPP-07")
async def test_a_new_one_from_dataverse_is_with_its_contact(world: World) -> None:
    customer, person = await buyer(world)
    contact = await world.coupling(person["number"], "CONTACT")
    bound = {"parentcontactid@odata.bind": f"/contacts({contact.dataverse_id})"}
    await world.alice.create("opportunities", {"name": "Helmets", **bound})
    result = await world.sync(NAME, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    made = await world.bob.one("opportunities", "description eq 'Helmets'")
    company = await world.company_contact(customer)
    assert (made["contactNumber"], made["contactCompanyNo"]) == (person["number"], company["number"])
    await world.sync(NAME)
    await world.quiet(NAME)


@pytest.mark.rule("OPP-06")
@pytest.mark.rule("OPP-08")
async def test_estimates_go_one_way_and_fields_that_are_off_can_be_switched_on(world: World) -> None:
    _, person = await buyer(world)
    made = await opportunity(world, person)
    work = Work(world.sandbox.business_central, world.sandbox.business_central.companies[COMPANY], BOB.id)
    update(work, made["number"], {"estimatedValue": 1234.56, "estimatedClosingDate": "2027-01-31"} | LIKELY)
    await world.sync(NAME, full=True)
    found = await there(world, "Bikes")
    assert (found["estimatedvalue"], found["estimatedclosedate"]) == (1234.56, "2027-01-31")
    assert (found["closeprobability"], found["actualvalue"], found["actualclosedate"]) == (None, None, None)
    await world.alice.update("opportunities", found["opportunityid"], estimatedvalue=1)
    await world.sync(NAME)
    assert (await world.bob.row("opportunities", made["id"]))["estimatedValue"] == 1234.56
    for field in ("dateClosed", "probabilityPercent", "calculatedCurrentValue"):
        world.change_field(field, NAME, enabled=True)
    await world.reopen()
    await world.sync(NAME)
    found = await there(world, "Bikes")
    assert (found["closeprobability"], found["actualvalue"], found["actualclosedate"]) == (50, 617.28, None)
    await world.quiet(NAME)


@pytest.mark.rule("OPP-07")
async def test_a_new_one_from_dataverse_keeps_what_business_central_does_not_have(world: World) -> None:
    customer, _ = await buyer(world)
    account, company = await world.account_of(customer), await world.company_contact(customer)
    stranger = await world.alice.create("contacts", firstname="Max", lastname="Roe")
    bound = {
        "parentcontactid@odata.bind": f"/contacts({stranger['contactid']})",
        "parentaccountid@odata.bind": f"/accounts({account['accountid']})",
    }
    values: Row = {"estimatedvalue": 5000, "estimatedclosedate": "2027-01-31"}
    await world.alice.create("opportunities", {"name": "Helmets", **bound, **values})
    await world.alice.create("opportunities", name="Nobody's", **values)
    result = await world.sync(NAME, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (2, 0), result
    made = await world.bob.one("opportunities", "description eq 'Helmets'")
    assert (made["contactNumber"], made["contactCompanyNo"]) == (company["number"], company["number"])
    assert (await world.bob.one("opportunities", "description eq 'Nobody''s'"))["contactNumber"] == ""
    await world.bob.update("opportunities", made["id"], description="More helmets", salespersonCode="PAM")
    result = await world.sync(NAME)
    assert (result.counts["updated"], result.counts["failed"]) == (1, 0), result
    await world.sync(NAME, full=True)
    found = await there(world, "More helmets")
    assert (found["_parentcontactid_value"], found["_ownerid_value"]) == (stranger["contactid"], PAM)
    assert found["_parentaccountid_value"] == account["accountid"]
    for row in (found, await there(world, "Nobody''s")):
        assert (row["estimatedvalue"], row["estimatedclosedate"]) == (5000, "2027-01-31")
    await world.quiet(NAME)


@pytest.mark.rule("OPP-02")
@pytest.mark.rule("OPP-08")
async def test_won_ones_of_dataverse_are_not_made_anew_as_open_ones(world: World) -> None:
    _, person = await buyer(world)
    made = await opportunity(world, person)
    await world.alice.create("opportunities", name="Won long ago")
    await won(world, "Won long ago")
    await world.sync(NAME, full=True)
    assert [row["description"] for row in await world.bob.rows("opportunities")] == ["Bikes"]
    await won(world, "Bikes")
    await world.bob.update("opportunities", made["id"], description="Bikes, paid")
    result = await world.sync(NAME)
    assert (result.counts["updated"], result.counts["failed"]) == (1, 0), result
    assert (await there(world, "Bikes, paid"))["statecode"] == 1
    assert (await world.bob.row("opportunities", made["id"]))["status"] == "Not_x0020_Started"
    await world.quiet(NAME)


@pytest.mark.rule("OPP-04")
async def test_a_company_whose_customer_does_not_exist_holds_its_opportunity(world: World) -> None:
    customer, person = await buyer(world)
    made = await opportunity(world, person)
    relations = world.sandbox.business_central.companies[COMPANY].stores["contactBusinessRelations"]
    [relation] = relations.having("number", customer["number"])
    relations.rows[relation["id"]]["number"] = "C-NONE"
    result = await world.sync(NAME, full=True)
    assert result.counts["failed"] == 1
    [failure] = await world.failures(NAME)
    assert (failure.code, failure.record_id) == ("OPP-04", made["id"])
    assert failure.message.endswith("is related to customer C-NONE, which does not exist")


async def test_the_standard_api_has_what_most_of_it_needs(database: Database) -> None:
    async with new_world(database, route="v2.0") as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        setup = await world.bob.one("marketingSetup", "")
        await world.bob.update("marketingSetup", setup["id"], opportunityNumberSeries="OPP")
        await world.alice.create("opportunities", name="Helmets")
        await world.sync(NAME, full=True)
        made = await world.bob.one("opportunities", "description eq 'Helmets'")
        await world.bob.update("opportunities", made["id"], description="Bells")
        await world.sync(NAME)
        await there(world, "Bells")
        await world.quiet(NAME)
