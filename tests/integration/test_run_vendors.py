"""Vendors and the accounts of their kind, beside customers on the same table (VEND-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import PAM, Row

from koppel.store.database import Database

VENDOR = "VENDOR"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def account(world: World, name: str) -> Row:
    return await world.alice.one("accounts", f"name eq '{name}'")


@pytest.mark.rule("VEND-01")
async def test_vendors_become_accounts_of_their_kind(world: World) -> None:
    values = {"displayName": "Litware", "purchaserCode": "PAM", "currencyCode": "EUR", "city": "Delft"}
    made = await world.bob.create("vendors", values)
    await world.bob.create("vendors", {"displayName": "Blocked", "blocked": "All"})
    result = await world.sync(VENDOR, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0)
    found = await account(world, "Litware")
    assert (found["customertypecode"], found["_ownerid_value"], found["address1_city"]) == (11, PAM, "Delft")
    assert await world.currency(found) == "EUR"
    await world.alice.update("accounts", found["accountid"], telephone1="555-0199")
    await world.bob.update("vendors", made["id"], city="Leiden")
    assert (await world.sync(VENDOR)).counts["updated"] == 1
    assert (await world.bob.row("vendors", made["id"]))["phoneNumber"] == "555-0199"
    assert (await account(world, "Litware"))["address1_city"] == "Leiden"
    await world.quiet(VENDOR)


@pytest.mark.rule("VEND-02")
async def test_an_account_belongs_to_one_kind(world: World) -> None:
    await world.alice.create("accounts", {"name": "Seller", "customertypecode": 11})
    await world.alice.create("accounts", {"name": "Buyer", "customertypecode": 3})
    await world.sync("CUSTOMER", full=True)
    await world.sync(VENDOR, full=True)
    assert [row["displayName"] for row in await world.bob.rows("vendors")] == ["Seller"]
    assert [row["displayName"] for row in await world.bob.rows("customers")] == ["Buyer"]
    vendor = await world.bob.one("vendors", "displayName eq 'Seller'")
    relation = await world.bob.one("contactBusinessRelations", f"number eq '{vendor['number']}'")
    assert relation["linkToTable"] == "Vendor"
    await world.quiet("CUSTOMER", VENDOR)


@pytest.mark.rule("VEND-03")
async def test_an_inactive_account_blocks_no_vendor(world: World) -> None:
    made = await world.bob.create("vendors", {"displayName": "Litware"})
    await world.sync(VENDOR, full=True)
    await world.alice.update("accounts", (await account(world, "Litware"))["accountid"], statecode=1, statuscode=2)
    await world.sync(VENDOR)
    assert (await world.bob.row("vendors", made["id"]))["blocked"] == "_x0020_"


@pytest.mark.rule("VEND-02")
@pytest.mark.rule("CONT-05")
async def test_people_of_a_vendor_belong_to_its_account(world: World) -> None:
    made = await world.bob.create("vendors", {"displayName": "Litware"})
    relation = await world.bob.one("contactBusinessRelations", f"number eq '{made['number']}'")
    given = {"type": "Person", "firstName": "Lee", "surname": "Gu", "companyNumber": relation["contactNumber"]}
    await world.bob.create("contacts", given)
    await world.sync(VENDOR, full=True)
    result = await world.sync("CONTACT", full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    lee = await world.alice.one("contacts", "lastname eq 'Gu'")
    assert lee["_parentcustomerid_value"] == (await account(world, "Litware"))["accountid"]
    await world.quiet("CONTACT")
