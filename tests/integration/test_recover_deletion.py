"""What becomes of deletions that nobody answered: they are told, and taken back, like any other write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable

import pytest
from test_undo import take_back
from world import CrashError, World, new_world
from world_data import Row

from koppel.errors import TransientError
from koppel.store import history, intents
from koppel.store.database import Database
from koppel.store.history import Entry
from koppel.systems.transport import Request, no_answer


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        world.change(deletions="delete")
        yield world


async def in_step(world: World, name: str = "Adatum") -> Row:
    customer = await world.bob.create("customers", displayName=name, phoneNumber="1", city="Delft")
    await world.sync(full=True)
    return customer


async def its_account_goes(world: World) -> Row:
    """A customer that is to be deleted, because its account is."""
    customer = await in_step(world)
    await world.alice.delete("accounts", customer["id"])
    return customer


def deletes(request: Request) -> bool:
    return request.method == "POST" and b"DELETE" in request.body


async def died(world: World, when: str, run: Awaitable[object]) -> int:
    """A run that ends before or after it has sent a deletion; its job."""

    async def die(number: int, request: Request) -> None:
        if deletes(request):
            world.crash()

    setattr(world.line, when, die)
    with pytest.raises(CrashError):
        await run
    job = world.session.job
    await world.revive()
    return job


def lose_answers(world: World) -> None:
    """No deletion is answered any more."""

    async def lose(number: int, request: Request) -> None:
        if deletes(request):
            raise no_answer(request, "lost by a test")

    world.line.after = lose


async def deletions(world: World) -> list[Entry]:
    """What history tells of deletions, the latest first."""
    found = await history.find(world.session.connection)
    await world.session.connection.commit()
    return [entry for entry in found if entry.action == "delete"]


async def assert_recorded(world: World, customer: Row, job: int, *kept: str) -> None:
    """The job deleted the customer, and all that it left behind is in order."""
    assert await world.bob.rows("customers") == []
    [entry] = await deletions(world)
    assert (entry.job, entry.side, entry.record_id) == (job, "business_central", customer["id"])
    assert (entry.record_name, entry.why) == (customer["number"], "deleted in Dataverse, without an answer")
    assert isinstance(entry.old, dict)
    assert (entry.old["displayName"], entry.old["phoneNumber"], entry.old["city"]) == ("Adatum", "1", "Delft")
    assert (await world.couplings(), await world.failures()) == ([], [])
    assert await intents.unsettled(world.session.connection, "CUSTOMER") == []
    await world.quiet("CUSTOMER")
    undone, left = await take_back(world, job)
    assert (undone.counts["created"], left) == (1, list(kept))
    back = await world.bob.row("customers", customer["id"])
    assert (back["displayName"], back["phoneNumber"], back["city"]) == ("Adatum", "1", "Delft")


async def test_a_crash_behind_a_deletion(world: World) -> None:
    customer = await its_account_goes(world)
    job = await died(world, "after", world.sync())
    await world.sync()
    await assert_recorded(world, customer, job)


async def test_an_answer_that_never_comes(world: World) -> None:
    customer = await its_account_goes(world)
    lose_answers(world)
    with pytest.raises(TransientError):
        await world.sync()
    job = world.session.job
    world.line.after = None
    await world.sync()
    await assert_recorded(world, customer, job)


async def test_an_answer_that_never_comes_among_others_that_do(world: World) -> None:
    other, customer = await in_step(world, "Fabrikam"), await its_account_goes(world)
    await world.alice.update("accounts", other["id"], telephone1="2")
    lose_answers(world)
    result = await world.sync()
    assert (await world.bob.row("customers", other["id"]))["phoneNumber"] == "2"
    world.line.after = None
    await world.bob.delete("customers", other["id"])
    await world.alice.delete("accounts", other["id"])
    await world.sync(full=True)
    await assert_recorded(world, customer, result.job, "phoneNumber: it is not coupled, or a rule wrote it")


async def test_a_crash_in_front_of_a_deletion(world: World) -> None:
    await its_account_goes(world)
    await died(world, "before", world.sync())
    assert len(await world.bob.rows("customers")) == 1
    result = await world.sync()
    assert (await world.bob.rows("customers"), result.counts["deleted"]) == ([], 1)
    [entry] = await deletions(world)
    assert (entry.job, entry.why) == (result.job, "deleted in Dataverse")
    await world.quiet("CUSTOMER")


async def test_what_was_not_deleted_is_planned_anew(world: World) -> None:
    """Somebody edited it before the next run: then it is not deleted at all."""
    customer = await its_account_goes(world)
    await died(world, "before", world.sync())
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "2"
    assert await deletions(world) == []
    assert await intents.unsettled(world.session.connection, "CUSTOMER") == []


async def test_a_preview_settles_nothing(world: World) -> None:
    customer = await its_account_goes(world)
    job = await died(world, "after", world.sync())
    await world.planned()
    assert len(await intents.unsettled(world.session.connection, "CUSTOMER")) == 1
    await world.sync()
    await assert_recorded(world, customer, job)


# creations that are taken back are deletions


async def created(world: World) -> tuple[Row, int]:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", city="Delft")
    return customer, (await world.sync(create=True)).job


async def assert_told(world: World, customer: Row, job: int, made: int) -> None:
    assert await world.alice.rows("accounts") == []
    [entry] = await deletions(world)
    assert (entry.job, entry.side, entry.record_id) == (job, "dataverse", customer["id"])
    assert (await world.couplings(), entry.why) == ([], f"job {made} created it, without an answer")
    again, left = await take_back(world, job)
    assert (again.counts["created"], left) == (1, [])
    account = await world.account_of(customer)
    assert (account["name"], account["telephone1"], account["address1_city"]) == ("Adatum", "1", "Delft")
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("then", ["undo", "sync"])
async def test_a_crash_behind_an_undo(world: World, then: str) -> None:
    customer, made = await created(world)
    job = await died(world, "after", take_back(world, made))
    if then == "undo":
        result, left = await take_back(world, made)
        assert (result.counts["deleted"], left) == (0, [])
    else:
        world.change(only_coupled=True)
        await world.sync()
    await assert_told(world, customer, job, made)


async def test_an_undo_that_nobody_answers(world: World) -> None:
    customer, made = await created(world)
    lose_answers(world)
    with pytest.raises(TransientError):
        await take_back(world, made)
    job = world.session.job
    world.line.after = None
    await take_back(world, made)
    await assert_told(world, customer, job, made)


async def test_a_crash_in_front_of_an_undo(world: World) -> None:
    customer, made = await created(world)
    await died(world, "before", take_back(world, made))
    assert len(await world.alice.rows("accounts")) == 1
    result, _ = await take_back(world, made)
    assert (await world.alice.rows("accounts"), result.counts["deleted"]) == ([], 1)
    [entry] = await deletions(world)
    assert (entry.job, entry.record_id, entry.why) == (result.job, customer["id"], f"job {made} created it")
