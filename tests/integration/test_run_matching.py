"""Records that were there on both sides before anything was synchronised: found, coupled, or left to people."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import Row

from koppel.mapping.model import MatchPair
from koppel.store.database import Database
from koppel.sync import passes


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def account(world: World, **values: object) -> Row:
    return await world.alice.create("accounts", {"name": "Adatum", "customertypecode": 3, **values})


async def test_by_number_and_what_differs_is_as_business_central_has_it(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="adatum.example")
    there = await account(world, name="Old name", accountnumber=customer["number"].lower(), telephone1="2")
    result = await world.sync(full=True)
    assert (result.counts["coupled"], result.counts["created"]) == (1, 0)
    now = await world.account_of(customer)
    assert now["accountid"] == there["accountid"]
    assert (now["name"], now["telephone1"], now["websiteurl"]) == ("Adatum", "1", "adatum.example")
    await world.quiet("CUSTOMER")


async def test_the_initial_side_may_be_dataverse(world: World) -> None:
    world.change(initial="dataverse")
    await world.reopen()
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="adatum.example")
    await account(world, name="Corp", accountnumber=customer["number"], telephone1="2")
    await world.sync(full=True)
    now = await world.bob.row("customers", customer["id"])
    assert (now["displayName"], now["phoneNumber"], now["website"]) == ("Corp", "2", "")
    await world.quiet("CUSTOMER")


async def test_by_name_and_postal_code_where_the_number_does_not_tell(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", postalCode="1000 AA", city="Utrecht")
    await world.bob.create("customers", displayName="Adatum", postalCode="2000 BB", city="Leiden")
    there = await account(world, name=" ADATUM ", address1_postalcode="1000 AA")
    result = await world.sync(full=True)
    assert (result.counts["coupled"], result.counts["created"]) == (1, 1)
    assert (await world.account_of(customer))["accountid"] == there["accountid"]
    assert len(await world.alice.rows("accounts")) == 2
    await world.quiet("CUSTOMER")


async def test_a_name_without_postal_code_is_no_match(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum")
    await account(world)
    result = await world.sync(full=True)
    assert (result.counts["coupled"], result.counts["created"]) == (0, 2)


async def test_several_that_may_be_meant_are_left_to_people(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", postalCode="1000 AA")
    other = await world.bob.create("customers", displayName="Fabrikam")
    for _ in range(2):
        await account(world, address1_postalcode="1000 AA")
    result = await world.sync(full=True)
    assert result.counts["created"] == 1
    assert [c.business_central_id for c in await world.couplings()] == [other["id"]]
    assert any(customer["number"] in line and "matches more than one record" in line for line in result.notices)
    assert len(await world.bob.rows("customers")) == 2
    assert len(await world.alice.rows("accounts")) == 3


async def test_once_there_is_only_one_left_it_is_coupled(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", postalCode="1000 AA")
    twins = [await account(world, address1_postalcode="1000 AA") for _ in range(2)]
    await world.sync(full=True)
    await world.alice.delete("accounts", twins[0]["accountid"])
    await world.sync(full=True)
    assert (await world.account_of(customer))["accountid"] == twins[1]["accountid"]
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


async def test_a_run_that_creates_matches_first_even_if_it_is_not_a_full_one(world: World) -> None:
    await world.sync(full=True)
    customer = await world.bob.create("customers", displayName="Adatum", postalCode="1000 AA")
    there = await account(world, name="adatum", address1_postalcode="1000 AA")
    result = await world.sync(create=True)
    assert (result.counts["coupled"], result.counts["created"]) == (1, 0)
    assert (await world.account_of(customer))["accountid"] == there["accountid"]


async def test_unmatched_records_are_only_created_where_the_mapping_says_so(world: World) -> None:
    world.change(create_unmatched=False)
    await world.reopen()
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.bob.create("customers", displayName="Fabrikam")
    await account(world, accountnumber=customer["number"])
    result = await world.sync(full=True)
    assert (result.counts["coupled"], result.counts["created"]) == (1, 0)


async def test_other_columns_may_decide(world: World) -> None:
    world.change(match=((MatchPair("email", "emailaddress1"),),))
    await world.reopen()
    customer = await world.bob.create("customers", displayName="Adatum", email="info@adatum.example")
    await account(world, name="Different", emailaddress1="INFO@adatum.example")
    assert (await world.sync(full=True)).counts["coupled"] == 1
    assert (await world.account_of(customer))["name"] == "Adatum"


async def test_adventure_works(database: Database) -> None:
    """Three hundred customers and thirty accounts that people typed by hand."""
    async with new_world(database, customers=300) as world:
        typed = await world.alice.rows("accounts")
        numbered = {row["accountid"]: row["accountnumber"] for row in typed if row["accountnumber"]}
        assert (len(typed), len(numbered)) == (30, 15)
        results = await world.sync_all(full=True)
        coupled = {c.dataverse_id: c for c in await world.couplings()}
        by_number = {key: coupled[key].business_central_key for key in numbered if key in coupled}
        assert by_number.items() <= numbered.items()
        held = {failure.record_id for failure in await world.failures()}
        ambiguous = {row["accountid"] for row in typed if row["accountid"] in held}
        assert len(ambiguous) == 2
        assert results["CUSTOMER"].counts["coupled"] == 15 + 9
        customers = {row["number"] for row in await world.bob.rows("customers")}
        assert len(customers) == 300 + 4
        assert {c.business_central_key for c in coupled.values()} < customers
        for row in typed:
            if c := coupled.get(row["accountid"]):
                now = await world.alice.row("accounts", row["accountid"])
                customer = await world.bob.row("customers", c.business_central_id)
                assert now["name"].strip() == customer["displayName"]
        await world.sync_all()
        await world.quiet()


async def test_a_double_with_blanks_around_its_name_is_a_rival_in_a_second_try_too(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", postalCode="1000 AA")
    for name in ("Adatum", "Adatum "):
        await account(world, name=name, address1_postalcode="1000 AA")
    for _ in range(2):
        await world.sync(full=True)
        await world.sync(records=(customer["number"],), create=True)
    assert await world.couplings() == []


async def test_all_chunks_share_what_was_read_to_compare_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in other capitals cannot be searched for: everything uncoupled is read."""
    world.change(match=((MatchPair("displayName", "name"),),))
    for number in range(6):
        await world.bob.create("customers", displayName=f"Customer {number}")
        await account(world, name=f"CUSTOMER {number}")
    monkeypatch.setattr(passes, "CHUNK", 2)
    result = await world.sync(create=True)
    assert (result.counts["coupled"], result.counts["created"]) == (6, 0)
    compared = [r.url for r in world.line.requests if "$select=id,displayName,number," in r.url]
    assert len(compared) == 1
