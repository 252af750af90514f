"""What ``koppel explain`` says in each situation, as a person reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import StringIO

import pytest
from rich.console import Console
from world import World, new_world
from world_data import Row

from koppel.cli.explain import _explained
from koppel.store.database import Database
from koppel.sync.explain import explain

LONG = "A very long name " * 7


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def told(world: World, record: str, mapping: str = "CUSTOMER") -> str:
    """The first line of what the command prints; the rest has to be printable."""
    found = await explain(world.session, mapping, record)
    text = StringIO()
    console = Console(file=text, width=1000)
    for line in _explained(found):
        console.print(line)
    return text.getvalue().splitlines()[0].strip()


async def in_step(world: World, **values: object) -> Row:
    customer = await world.bob.create("customers", {"displayName": "Adatum", **values})
    await world.sync(create=True)
    return customer


async def test_never_seen(world: World) -> None:
    world.change(only_coupled=False)
    customer = await world.bob.create("customers", displayName="Adatum")
    assert await told(world, customer["number"]) == "never seen: no run of this mapping has come to its end yet"
    await world.sync()
    later = await world.bob.create("customers", displayName="Fabrikam")
    assert (await told(world, later["number"])).startswith("never seen: it was edited after the last run")


async def test_outside_the_filter(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", blocked="All")
    assert await told(world, customer["number"]) == (
        "outside the mapping's filter in Business Central (blocked is 'All'): left alone until it is inside"
    )


async def test_only_coupled_records(world: World) -> None:
    await world.sync()
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.alice.create("accounts", name="Adatum", customertypecode=3)
    answer = await told(world, customer["number"])
    assert answer.startswith("not coupled, and this mapping synchronises only coupled records. Similar there: Adatum (")
    assert f"koppel sync 'CUSTOMER' --record {customer['number']} --create" in answer


async def test_not_matched_with_candidates(world: World) -> None:
    world.change(only_coupled=False, create_unmatched=False)
    await world.sync()
    customer = await world.bob.create("customers", displayName="Adatum", postalCode="1000")
    account = await world.alice.create("accounts", name="Adatum", address1_postalcode="9999", customertypecode=3)
    answer = await told(world, customer["number"])
    assert answer.startswith("not matched by the fields of `match`, and this mapping creates no partners.")
    assert f"Similar there: Adatum ({account['accountid']}): name" in answer


async def test_ambiguous(world: World) -> None:
    await world.sync()
    customer = await world.bob.create("customers", displayName="Adatum", postalCode="1000")
    for _ in range(2):
        await world.alice.create("accounts", name="Adatum", address1_postalcode="1000", customertypecode=3)
    answer = await told(world, customer["number"])
    assert answer.startswith("not coupled: matches more than one record")
    assert "koppel couple 'CUSTOMER'" in answer


async def test_a_field_that_waits(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    company = await world.company_contact(customer)
    person = await world.bob.create("contacts", type="Person", surname="Lee", companyNumber=company["number"])
    await world.bob.update("customers", customer["id"], primaryContactNo=person["number"])
    await world.sync(create=True)
    assert await told(world, customer["number"]) == (
        f"in step, but primaryContactNo, which waits until {person['number']} is coupled in CONTACT"
    )


async def test_a_record_that_waits(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", salespersonCode="EXT")
    await world.sync(create=True)
    answer = await told(world, customer["number"])
    assert answer.startswith("waits since 20")
    assert answer.endswith(
        ": salespersonCode EXT is not coupled in SALESPEOPLE; it is tried again when that is coupled"
    )


async def test_failed_last_time_and_then_skipped(world: World) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], name=LONG)
    job = (await world.sync()).job
    answer = await told(world, customer["number"])
    assert answer.startswith(f"failed in job {job}, since 20")
    assert "displayName has 118 characters" in answer
    assert answer.endswith(f"tried again in the next run, or by `koppel retry 'CUSTOMER' {customer['id']}`")
    await world.sync()
    answer = await told(world, customer["number"])
    assert answer.startswith("skipped since 20")
    assert "after the same error 2 times: displayName has 118 characters" in answer
    assert answer.endswith("has it tried again")


async def test_a_conflict_that_is_held(world: World) -> None:
    customer = await in_step(world, phoneNumber="1")
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", customer["id"], telephone1="3")
    await world.sync()
    (conflict,) = await world.conflicts()
    assert await told(world, customer["number"]) == (
        f"both sides changed phoneNumber: held until somebody decides (koppel resolve {conflict.id} --use SIDE)"
    )


async def test_the_connections_own_change(world: World) -> None:
    customer = await in_step(world, phoneNumber="1")
    await world.robot.update("accounts", customer["id"], telephone1="3")
    await world.sync()
    answer = await told(world, customer["number"])
    assert answer.startswith("changed by the connection's own user, otherwise than by Koppel: left alone")


async def test_changed_and_then_in_step(world: World) -> None:
    customer = await in_step(world, phoneNumber="1")
    assert await told(world, customer["number"]) == "in step: both sides hold what was agreed on"
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    assert await told(world, customer["id"]) == (
        "changed since the last run, and the next one carries it over: phoneNumber"
    )
    await world.sync()
    assert await told(world, customer["id"]) == "in step: both sides hold what was agreed on"


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ("none", "the pair waits for a person"),
        ("uncouple", "a run that sees it uncouples the pair"),
        ("leave", "a run that sees it uncouples the pair, and leaves the record that is there alone"),
        ("restore", "a run that sees it creates the partner again"),
        ("delete", "a run that sees it deletes the record in Business Central too, unless it was edited there"),
        ("delete_edited", "a run that sees it deletes the record in Business Central too"),
    ],
)
async def test_a_deleted_partner(world: World, policy: str, what: str) -> None:
    world.change(deletions=policy)
    customer = await in_step(world)
    await world.alice.delete("accounts", customer["id"])
    assert (await told(world, customer["number"])).startswith(f"its partner in Dataverse is deleted; {what}")
    await world.bob.delete("customers", customer["id"])
    assert (await told(world, customer["number"])).startswith("deleted on both sides")


async def test_the_mapping_is_off(world: World) -> None:
    customer = await in_step(world)
    world.change(enabled=False)
    assert (await told(world, customer["number"])).startswith("the mapping is off: no run looks at it until")
