"""``deletions: delete``: what is deleted on one side is deleted on the other, unless somebody edited it meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import Row

from koppel.engine.brakes import Brakes
from koppel.errors import BrakeError
from koppel.store import history
from koppel.store.database import Database
from koppel.systems.transport import Request


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        world.change(deletions="delete")
        yield world


async def customers_in_step(world: World, *names: str) -> list[Row]:
    made = [await world.bob.create("customers", displayName=name, phoneNumber="1") for name in names]
    await world.sync(full=True)
    return made


async def test_a_customer_goes_with_its_account(world: World) -> None:
    adatum, fabrikam = await customers_in_step(world, "Adatum", "Fabrikam")
    await world.alice.delete("accounts", adatum["id"])
    assert await world.planned() == ["delete"]
    result = await world.sync()
    assert (result.counts["deleted"], result.counts["failed"]) == (1, 0)
    assert [row["number"] for row in await world.bob.rows("customers")] == [fabrikam["number"]]
    assert [c.business_central_id for c in await world.couplings()] == [fabrikam["id"]]
    await world.quiet("CUSTOMER")


async def test_and_an_account_with_its_customer(world: World) -> None:
    adatum, _ = await customers_in_step(world, "Adatum", "Fabrikam")
    await world.bob.delete("customers", adatum["id"])
    assert (await world.sync(full=True)).counts["deleted"] == 1
    assert [row["name"] for row in await world.alice.rows("accounts")] == ["Fabrikam"]
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


async def test_the_history_keeps_what_was_deleted(world: World) -> None:
    [adatum] = await customers_in_step(world, "Adatum")
    await world.alice.delete("accounts", adatum["id"])
    result = await world.sync()
    entries = {e.action: e for e in await history.find(world.session.connection, job=result.job)}
    deleted = entries["delete"]
    assert (deleted.side, deleted.record_id, deleted.why) == ("business_central", adatum["id"], "deleted in Dataverse")
    assert isinstance(deleted.old, dict)
    assert (deleted.old["displayName"], deleted.old["phoneNumber"]) == ("Adatum", "1")
    assert (entries["uncouple"].record_id, entries["uncouple"].old) == (adatum["id"], adatum["id"])


async def test_an_edit_meanwhile_is_not_lost(world: World) -> None:
    [adatum] = await customers_in_step(world, "Adatum")
    await world.bob.update("customers", adatum["id"], phoneNumber="2")
    await world.alice.delete("accounts", adatum["id"])
    result = await world.sync()
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    [failure] = await world.failures()
    assert "deleted in Dataverse; phoneNumber changed in Business Central meanwhile" in failure.message
    assert any("phoneNumber changed" in line for line in result.notices)
    assert (await world.bob.row("customers", adatum["id"]))["phoneNumber"] == "2"
    await world.quiet("CUSTOMER")


async def test_nor_is_one_that_comes_between_reading_and_deleting(world: World) -> None:
    [adatum] = await customers_in_step(world, "Adatum")
    await world.alice.delete("accounts", adatum["id"])

    async def edit_first(number: int, request: object) -> None:
        if b"DELETE" in getattr(request, "body", b""):
            world.line.before = None
            await world.bob.update("customers", adatum["id"], phoneNumber="2")

    world.line.before = edit_first
    await world.sync()
    assert (await world.bob.row("customers", adatum["id"]))["phoneNumber"] == "2"
    await world.sync()
    [failure] = await world.failures()
    assert "phoneNumber changed in Business Central meanwhile" in failure.message
    await world.quiet("CUSTOMER")


async def test_a_one_way_mapping_never_deletes_where_it_does_not_write(world: World) -> None:
    world.change(direction="to_dataverse")
    [adatum] = await customers_in_step(world, "Adatum")
    await world.alice.delete("accounts", adatum["id"])
    result = await world.sync()
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    [failure] = await world.failures()
    assert "does not allow to delete anything in Business Central" in failure.message


async def test_nor_does_it_restore_there(world: World) -> None:
    world.change(direction="to_dataverse", deletions="restore")
    [adatum] = await customers_in_step(world, "Adatum")
    await world.bob.delete("customers", adatum["id"])
    result = await world.sync(full=True)
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    assert await world.bob.rows("customers") == []


async def test_a_run_towards_one_side_deletes_nothing_on_the_other(world: World) -> None:
    [adatum] = await customers_in_step(world, "Adatum")
    await world.alice.delete("accounts", adatum["id"])
    assert (await world.sync(direction="to_dataverse")).write_requests == 0
    assert len(await world.bob.rows("customers")) == 1


async def test_brakes_stop_a_run_that_would_delete_too_much(world: World) -> None:
    made = await customers_in_step(world, "Adatum", "Fabrikam", "Litware")
    world.session.brakes = Brakes(deletions=1)
    for customer in made[:2]:
        await world.alice.delete("accounts", customer["id"])
    with pytest.raises(BrakeError, match="would delete 2 records, 1 are allowed; nothing was written"):
        await world.sync()
    assert len(await world.bob.rows("customers")) == 3
    result = await world.sync(force=True)
    assert result.counts["deleted"] == 2
    assert len(await world.bob.rows("customers")) == 1


async def test_what_is_deleted_while_a_run_is_at_work_is_the_next_ones_business(world: World) -> None:
    """Whose brakes look at it before anything is written."""
    made = await customers_in_step(world, *(f"Customer {n}" for n in range(5)), "Edited")
    world.session.brakes = Brakes(deletions=2)
    await world.bob.update("customers", made[5]["id"], phoneNumber="2")

    async def delete(number: int, request: Request) -> None:
        if b"PATCH" in request.body:
            world.line.after = None
            for customer in made[:5]:
                await world.alice.delete("accounts", customer["id"])

    world.line.after = delete
    assert (await world.sync()).counts["updated"] == 1
    assert len(await world.bob.rows("customers")) == 6
    with pytest.raises(BrakeError, match="would delete 5 records"):
        await world.sync()
    assert (await world.sync(force=True)).counts["deleted"] == 5
    assert len(await world.bob.rows("customers")) == 1
    await world.quiet("CUSTOMER")
