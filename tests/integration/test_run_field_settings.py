"""What single fields are told: constants for blanks, blanks that hold a record or never overwrite, cleared references.

The ``eng`` tests show weaknesses of the connector inside Business Central that Koppel does not have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from test_run_pending import with_person
from test_run_transformations import map_field, pair
from world import World, new_world

from koppel.mapping.model import FieldMapping, Lookup
from koppel.mapping.steps import ParseDate, Substring
from koppel.store.database import Database
from koppel.sync.verify import verify


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def test_eng_334_a_constant_stands_in_for_a_blank_source(world: World) -> None:
    map_field(
        world, business_central="website", dataverse="websiteurl", direction="to_dataverse", constant="none.example"
    )
    customer, account = await pair(world)
    assert account["websiteurl"] == "none.example"
    await world.quiet("CUSTOMER")
    await world.bob.update("customers", customer["id"], website="adatum.example")
    await world.sync()
    assert (await world.account_of(customer))["websiteurl"] == "adatum.example"
    await world.bob.update("customers", customer["id"], website="")
    await world.sync()
    assert (await world.account_of(customer))["websiteurl"] == "none.example"
    await world.quiet("CUSTOMER")
    assert (await verify(world.session, ["CUSTOMER"])).sound


async def test_eng_334_a_constant_without_a_source_is_written_always(world: World) -> None:
    map_field(world, dataverse="websiteurl", direction="to_dataverse", constant="adatum.example")
    customer, account = await pair(world)
    await world.alice.update("accounts", account["accountid"], websiteurl="other.example")
    await world.sync()
    assert (await world.account_of(customer))["websiteurl"] == "adatum.example"
    await world.quiet("CUSTOMER")


async def test_eng_333_steps_concern_their_field_only_and_come_back(world: World) -> None:
    """The source stays as it is for the other fields that read it; steps of a disabled field do nothing."""
    map_field(world, business_central="website", dataverse="fax", direction="to_dataverse", to_dataverse=("upper",))
    fields = world.mappings["CUSTOMER"].fields
    plain = FieldMapping(business_central="website", dataverse="websiteurl", direction="to_dataverse")
    off = msgspec.structs.replace(plain, dataverse="telephone3", to_dataverse=("upper",), enabled=False)
    world.change(fields=(off, *fields, plain))
    customer, account = await pair(world, website="adatum.example")
    assert (account["fax"], account["websiteurl"], account["telephone3"]) == ("ADATUM.EXAMPLE", "adatum.example", None)
    assert (await world.bob.row("customers", customer["id"]))["website"] == "adatum.example"


async def test_a_required_blank_holds_the_record_and_names_the_field(world: World) -> None:
    map_field(world, business_central="website", dataverse="websiteurl", required=True)
    await world.bob.create("customers", {"displayName": "Blank"})
    customer = await world.bob.create("customers", {"displayName": "Filled", "website": "a.example"})
    result = await world.sync(full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 1)
    [failure] = await world.failures()
    assert (failure.code, failure.field, failure.kind) == ("required", "website", "data")
    assert failure.message == "website is blank, and is required"
    assert "give it a value in Business Central" in failure.remedy
    await world.bob.update("customers", customer["id"], website="", phoneNumber="7")
    assert (await world.sync()).counts["failed"] >= 1
    account = await world.account_of(customer)
    assert (account["websiteurl"], account["telephone1"]) == ("a.example", None)
    await world.bob.update("customers", customer["id"], website="b.example")
    await world.sync()
    account = await world.account_of(customer)
    assert (account["websiteurl"], account["telephone1"]) == ("b.example", "7")


async def test_a_required_field_that_comes_to_a_blank_holds_the_record(world: World) -> None:
    map_field(
        world,
        business_central="website",
        dataverse="websiteurl",
        direction="to_dataverse",
        required=True,
        to_dataverse=(Substring(after="//"),),
    )
    await world.bob.create("customers", {"displayName": "A", "website": "a.example"})
    assert (await world.sync(full=True)).counts["failed"] == 1
    [failure] = await world.failures()
    assert failure.message == "website comes to a blank from 'a.example', and is required"


async def test_a_value_that_comes_to_a_blank_does_not_overwrite(world: World) -> None:
    map_field(
        world,
        business_central="website",
        dataverse="websiteurl",
        direction="to_dataverse",
        keep_blank=True,
        to_dataverse=(Substring(after="//"),),
    )
    customer, account = await pair(world, website="https://a.example")
    assert account["websiteurl"] == "a.example"
    await world.bob.update("customers", customer["id"], website="b.example")
    await world.sync()
    assert (await world.account_of(customer))["websiteurl"] == "a.example"
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("clear", [True, False])
async def test_a_reference_that_is_not_coupled_clears_the_field_if_it_is_told_to(world: World, clear: bool) -> None:
    customer, _ = await with_person(world)
    map_field(
        world,
        business_central="primaryContactNo",
        dataverse="primarycontactid",
        code=True,
        lookup=Lookup(mapping="CONTACT", clear=clear),
    )
    await world.sync(full=True)
    account = await world.account_of(customer)
    other = await world.alice.create("contacts", {"lastname": "Elsewhere"})
    path = {"primarycontactid@odata.bind": f"/contacts({other['contactid']})"}
    await world.robot.update("accounts", account["accountid"], path)
    await world.bob.update("customers", customer["id"], phoneNumber="9")
    await world.sync()
    account = await world.account_of(customer)
    assert account["telephone1"] == "9"
    assert account["_primarycontactid_value"] == (None if clear else other["contactid"])
    await world.sync("CONTACT", full=True)
    await world.sync()
    customer = await world.bob.row("customers", customer["id"])
    contact = await world.bob.one("contacts", f"number eq '{customer['primaryContactNo']}'")
    assert (await world.account_of(customer))["_primarycontactid_value"] == contact["id"]


async def test_eng_332_a_date_that_is_none_is_told_and_not_passed_on(world: World) -> None:
    step = ParseDate(culture="en-US")
    map_field(world, business_central="website", dataverse="fax", direction="to_dataverse", to_dataverse=(step,))
    customer, account = await pair(world, website="1/31/2024")
    assert account["fax"] == "2024-01-31"
    await world.bob.update("customers", customer["id"], website="31/1/2024")
    assert (await world.sync()).counts["failed"] == 1
    [failure] = await world.failures()
    assert failure.message == "website '31/1/2024' is no day or time that there is"
    assert (await world.account_of(customer))["fax"] == "2024-01-31"
