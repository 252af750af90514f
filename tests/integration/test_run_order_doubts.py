"""An order is made once and whole, whatever is refused, unanswered or edited on the way (SO-02, SO-03)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_scenes import ORDER, act, here, lines_here, of_product, open_shop, order, stock, there, written_in
from test_run_trouble import lose_answers, writes_to
from world import CrashError, World, new_world
from world_data import Row

from koppel.store.database import Database
from koppel.systems.transport import Request


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    return await open_shop(world)


async def die_once_made(world: World) -> None:
    """The order is made; then the process dies."""

    async def die(count: int, request: Request) -> None:
        if writes_to(world, request, "bc"):
            world.crash()

    world.line.after = die
    with pytest.raises(CrashError):
        await world.sync(ORDER)
    await world.revive()


async def orders(world: World) -> list[str]:
    return [row["number"] for row in await world.bob.rows("salesOrders")]


async def test_a_line_that_is_refused_leaves_nothing_behind(world: World, customer: Row) -> None:
    await stock(world)
    made = await order(world, customer, written_in("Painting"), await of_product(world, "BIKE"))
    item = await world.bob.one("items", "number eq 'BIKE'")
    await world.bob.update("items", item["id"], blocked=True)
    assert (await world.sync(ORDER)).counts["failed"] == 1
    (failure,) = await world.failures(ORDER)
    assert "Blocked must be equal to 'No'" in failure.message
    assert (await orders(world), await world.bob.rows("salesOrderLines")) == ([], [])
    assert (await there(world, made))["lastbackofficesubmit"] is None
    await world.bob.update("items", item["id"], blocked=False)
    assert (await world.sync(ORDER)).counts["created"] == 1
    assert len(await lines_here(world)) == 2


@pytest.mark.rule("SO-01")
async def test_one_that_fails_stops_no_other_one(world: World, customer: Row) -> None:
    await stock(world)
    await order(world, customer, await of_product(world, "BIKE"))
    await order(world, customer, written_in("Painting"), ordernumber="ORD-2")
    item = await world.bob.one("items", "number eq 'BIKE'")
    await world.bob.update("items", item["id"], blocked=True)
    result = await world.sync(ORDER)
    assert (result.counts["created"], result.counts["failed"]) == (1, 1)
    assert (await here(world, "ORD-2"))["status"] == "Open"


@pytest.mark.rule("SO-03")
async def test_an_order_without_an_answer_is_found_again(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"), discountamount=5)
    lose_answers(world, "bc")
    await world.sync(ORDER)
    world.line.after = None
    await world.sync(ORDER)
    assert len(await orders(world)) == 1
    assert (await here(world))["discountAmount"] == 5
    assert (await there(world, made))["lastbackofficesubmit"]
    await world.quiet(ORDER)


@pytest.mark.rule("SO-03")
async def test_an_order_is_found_again_whoever_edited_it_meanwhile(world: World, customer: Row) -> None:
    """By its reference alone; what people did to it stays theirs, since it is open."""
    made = await order(world, customer, written_in("Painting"), description="As it was sent")
    await die_once_made(world)
    other = await world.bob.create("salesOrders", customerNumber=customer["number"])
    values = {"shipToCity": "Ede", "externalDocumentNumber": "X", "workDescription": ""}
    await world.bob.update("salesOrders", (await here(world))["id"], values)
    result = await world.sync(ORDER)
    assert (result.counts["failed"], result.notices) == (0, [])
    assert len(await world.couplings(ORDER)) == 1
    assert {other["number"], (await here(world))["number"]} == set(await orders(world))
    row = await there(world, made)
    assert (row["shipto_city"], row["description"]) == (None, "As it was sent")
    assert row["lastbackofficesubmit"]
    await act(world, made, "release")
    await world.sync(ORDER)
    assert (await there(world, made))["shipto_city"] == "Ede"


@pytest.mark.rule("SO-02")
async def test_two_that_may_be_the_one_are_not_guessed(world: World, customer: Row) -> None:
    """Bob copies the order, reference and all, before Koppel comes back."""
    made = await order(world, customer, written_in("Painting"))
    await die_once_made(world)
    copy = await world.bob.create("salesOrders", customerNumber=customer["number"], yourReference="ORD-1")
    assert (await world.sync(ORDER)).counts["failed"] == 1
    (failure,) = await world.failures(ORDER)
    assert (failure.code, failure.record_name) == ("outcome-unknown", "ORD-1")
    assert len(await orders(world)) == 2
    await world.bob.delete("salesOrders", copy["id"])
    await world.sync(ORDER, full=True)
    assert len(await world.couplings(ORDER)) == 1
    assert (await there(world, made))["lastbackofficesubmit"]


@pytest.mark.rule("SO-02")
async def test_one_that_was_posted_meanwhile_is_not_made_again(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await die_once_made(world)
    await act(world, made, "shipAndInvoice")
    await world.sync(ORDER)
    (failure,) = await world.failures(ORDER)
    assert (failure.code, await orders(world)) == ("SO-02", [])


@pytest.mark.rule("SO-03")
async def test_one_that_was_deleted_meanwhile_is_made_again(world: World, customer: Row) -> None:
    await order(world, customer, written_in("Painting"))
    await die_once_made(world)
    await world.bob.delete("salesOrders", (await here(world))["id"])
    assert (await world.sync(ORDER)).counts["created"] == 1
    assert len(await orders(world)) == 1


@pytest.mark.rule("SO-03")
@pytest.mark.rule("SO-17")
async def test_a_forgotten_database_makes_no_second_order(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await die_once_made(world)
    await world.forget()
    await world.reopen()
    await world.sync("CURRENCY", full=True)
    await world.sync(ORDER)
    (failure,) = await world.failures(ORDER)
    assert (failure.code, len(await orders(world))) == ("SO-02", 1)
    assert (await there(world, made))["lastbackofficesubmit"] is None


@pytest.mark.rule("SO-03")
@pytest.mark.rule("SO-14")
async def test_an_order_is_handed_back_only_once_it_has_its_discount(world: World, customer: Row) -> None:
    """Bob releases the order before it has it: it waits until he reopens it."""
    made = await order(world, customer, written_in("Painting"), discountamount=5)
    await die_once_made(world)
    await act(world, made, "release")
    assert (await world.sync(ORDER)).counts["failed"] == 1
    (failure,) = await world.failures(ORDER)
    assert "Status must be equal to 'Open'" in failure.message
    assert (await there(world, made))["lastbackofficesubmit"] is None
    assert len(await world.couplings(ORDER)) == 1
    await act(world, made, "reopen")
    await world.sync(ORDER)
    assert (await here(world))["discountAmount"] == 5
    assert (await there(world, made))["lastbackofficesubmit"]
    assert not await world.failures(ORDER)
    await world.quiet(ORDER)


@pytest.mark.rule("SO-14")
async def test_a_discount_that_no_line_allows_is_known_beforehand(world: World, customer: Row) -> None:
    await order(world, customer, written_in("Painting"), discountamount=150)
    await world.sync(ORDER)
    (failure,) = await world.failures(ORDER)
    assert (failure.code, failure.message) == (
        "SO-14",
        "its discount of 150.0 is more than 100.00, what its lines that allow one come to",
    )
    assert await orders(world) == []
