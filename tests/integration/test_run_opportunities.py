"""Opportunities: what goes where, whom they are with, and what is created when (OPP-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from world import World, new_world
from world_data import PAM, Row

from koppel.sandbox.business_central.logic.opportunity import OPPORTUNITIES
from koppel.sandbox.business_central.work import Work
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import BOB
from koppel.store.database import Database

NAME = "OPPORTUNITY"


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
