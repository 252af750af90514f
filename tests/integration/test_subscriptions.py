"""Koppel sees to it that both systems tell of changes, and go on telling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress

import pytest
from world import World, new_world

from koppel.jobs import subscriptions
from koppel.jobs.webhooks import SECRET_HEADER, concerned
from koppel.odata.records import Side
from koppel.sandbox.business_central.subscriptions import Subscription
from koppel.sandbox.tokens import KOPPEL
from koppel.store.database import Database
from koppel.systems.transport import Request, unreachable
from receiver import Receiver

DAY = 24 * 3600.0


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world
        await world.sandbox.business_central.subscriptions.close()


async def keep(world: World, receiver: Receiver) -> dict[str, str]:
    """What either system refuses."""
    tables = concerned(world.mappings)
    refused: dict[str, str] = {}
    for system in world.session.systems.values():
        refused |= await subscriptions.keep(world.database, system, tables, receiver.base, "a secret")
    return refused


def there(world: World) -> dict[str, Subscription]:
    """By page, who is told."""
    return {one.page.set_name: one for one in world.sandbox.business_central.subscriptions.all.values()}


async def test_every_table_of_a_mapping_is_subscribed_to_once(world: World, receiver: Receiver) -> None:
    refused = await keep(world, receiver)
    made = there(world)
    assert {"customers", "contacts", "items", "itemLedgerEntries", "salesOrders"} <= set(made)
    assert set(refused).isdisjoint(made)
    assert made["customers"].url == f"{receiver.base}/webhooks/business-central"
    assert await keep(world, receiver) == refused
    assert there(world) == made


async def test_it_is_renewed_in_time_and_made_anew_when_it_is_over(world: World, receiver: Receiver) -> None:
    await keep(world, receiver)
    first = there(world)["customers"]
    first.expires -= subscriptions.ENOUGH / 2
    soon = first.expires
    await keep(world, receiver)
    assert there(world)["customers"].id == first.id
    assert first.expires > soon
    world.sandbox.clock.advance(3 * DAY)
    await keep(world, receiver)
    live = [one for one in world.sandbox.business_central.subscriptions.all.values() if one.expires > first.expires]
    assert "customers" in {one.page.set_name for one in live}


async def test_what_nobody_needs_is_told_no_more(world: World, receiver: Receiver) -> None:
    await keep(world, receiver)
    world.change("ITEM-PRODUCT", enabled=False)
    await keep(world, receiver)
    assert "itemLedgerEntries" not in there(world)
    assert "customers" in there(world)


async def test_a_receiver_that_is_not_there_is_told(world: World, receiver: Receiver) -> None:
    receiver.shakes = False
    refused = await keep(world, receiver)
    assert "did not answer with the validation token" in refused["customers"]
    assert there(world) == {}


async def steps(world: World) -> set[tuple[str, str]]:
    """Table and message of every step that posts."""
    rows = await world.alice.rows("sdkmessageprocessingsteps")
    named = (str(row["name"]).removeprefix("Koppel: ").partition(" of ") for row in rows)
    return {(message, table) for message, _, table in named}


async def test_dataverse_tells_of_every_table_by_a_step_for_each_message(world: World, receiver: Receiver) -> None:
    await keep(world, receiver)
    found = await steps(world)
    assert {("Create", "account"), ("Update", "account"), ("Delete", "account"), ("Update", "contact")} <= found
    await keep(world, receiver)
    assert await steps(world) == found
    assert len(await world.alice.rows("sdkmessageprocessingsteps")) == len(found)
    assert len(await world.alice.rows("serviceendpoints")) == 1
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    await receiver.until(lambda: bool(receiver.posts))
    assert receiver.posts[0]["PrimaryEntityId"] == account["accountid"]
    assert receiver.headers[0][SECRET_HEADER] == "a secret"


async def test_steps_that_nobody_needs_are_taken_away(world: World, receiver: Receiver) -> None:
    await keep(world, receiver)
    world.change("CONTACT", enabled=False)
    await keep(world, receiver)
    assert not any(table == "contact" for _, table in await steps(world))
    assert ("Update", "account") in await steps(world)


async def test_who_may_not_register_is_told(world: World, receiver: Receiver) -> None:
    world.sandbox.dataverse.missing_privileges[KOPPEL.id] = {"prvCreateServiceEndpoint"}
    refused = await keep(world, receiver)
    assert "prvCreateServiceEndpoint" in refused["Dataverse"]
    assert "customers" in there(world)


def keep_on(
    world: World, receiver: Receiver, *sides: Side, sleep: Callable[[float], Awaitable[None]]
) -> Coroutine[None, None, None]:
    systems = {side: world.session.systems[side] for side in sides}
    tables = concerned(world.mappings)
    return subscriptions.keep_on(world.database, systems, tables, receiver.base, "a secret", sleep=sleep)


async def waits(world: World, receiver: Receiver, side: Side, *, looks: int) -> list[float]:
    """The seconds between so many looks; they take no time here. Before the last one everything comes in reach."""
    seconds: list[float] = []

    async def sleep(wait: float) -> None:
        seconds.append(wait)
        if len(seconds) == looks - 1:
            world.line.before, receiver.shakes = None, True
        if len(seconds) == looks:
            raise asyncio.CancelledError

    await keep_on(world, receiver, side, sleep=sleep)
    return seconds


async def is_told_of(world: World, side: Side) -> bool:
    return "customers" in there(world) if side == "business_central" else ("Update", "account") in await steps(world)


PLACES: dict[Side, str] = {"business_central": "/bc/", "dataverse": "/dataverse/"}


@pytest.mark.parametrize("side", PLACES)
async def test_a_system_that_is_out_of_reach_is_asked_again_soon(world: World, receiver: Receiver, side: Side) -> None:
    async def out_of_reach(number: int, request: Request) -> None:
        if PLACES[side] in request.url:
            raise unreachable(request, "nobody listens")

    world.line.before = out_of_reach
    found = await waits(world, receiver, side, looks=8)
    assert found[:7] == [2, 4, 8, 16, 32, 60, 60]
    assert await is_told_of(world, side)


@pytest.mark.parametrize("side", PLACES)
async def test_a_system_that_does_not_answer_delays_the_other_one_by_nothing(
    world: World, receiver: Receiver, side: Side
) -> None:
    async def wait(number: int, request: Request) -> None:
        if PLACES[side] in request.url:
            await asyncio.Event().wait()

    looked = asyncio.Event()

    async def sleep(seconds: float) -> None:
        looked.set()
        await asyncio.Event().wait()

    world.line.before = wait
    keeping = asyncio.create_task(keep_on(world, receiver, *PLACES, sleep=sleep))
    await asyncio.wait_for(looked.wait(), 20)
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    world.line.before = None
    assert [await is_told_of(world, other) for other in PLACES] == [other != side for other in PLACES]


async def test_who_does_not_answer_yet_is_subscribed_later_each_time(world: World, receiver: Receiver) -> None:
    receiver.shakes = False
    assert (await waits(world, receiver, "business_central", looks=4))[:3] == [2, 4, 8]
    assert "customers" in there(world)


async def test_an_error_that_nobody_expected_ends_nothing(world: World, receiver: Receiver) -> None:
    async def stumble(number: int, request: Request) -> None:
        raise ZeroDivisionError

    world.line.before = stumble
    assert (await waits(world, receiver, "business_central", looks=3))[:2] == [2, 4]
    assert "customers" in there(world)


async def test_where_everything_is_told_it_is_looked_at_each_hour(world: World, receiver: Receiver) -> None:
    assert await keep(world, receiver) == {}
    assert await waits(world, receiver, "business_central", looks=2) == [3600, 3600]
