"""What becomes of an order that both sides have: posted, deleted, cancelled, taken back (SO-23 … SO-34)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from order_scenes import ORDER, act, here, lines_here, of_product, open_shop, order, stock, submitted, there, written_in
from world import World, new_world
from world_data import Row

from koppel.sandbox.business_central.work import Work
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import BOB
from koppel.store.database import Database
from koppel.sync.explain import explain
from koppel.sync.request import Request
from koppel.sync.run import plan

INVOICE = "POSTEDSALESINV-INV"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    return await open_shop(world)


async def state(world: World, made: Row) -> tuple[int, int]:
    row = await there(world, made)
    return row["statecode"], row["statuscode"]


@pytest.mark.rule("SO-30")
@pytest.mark.rule("INV-06")
@pytest.mark.rule("INV-07")
async def test_from_the_order_to_its_invoice(world: World, customer: Row) -> None:
    """Submitted, released, shipped in part, shipped and invoiced; then the invoice comes, and belongs to the order."""
    await stock(world)
    made = await order(world, customer, await of_product(world, "BIKE", 2), written_in("Painting"))
    await world.sync(ORDER)
    await act(world, made, "release")
    bike, _ = await lines_here(world)
    await world.bob.update("salesOrderLines", bike["id"], shipQuantity=1)
    await act(world, made, "ship")
    await world.sync(ORDER)
    shipped = await there(world, made)
    assert (shipped["datefulfilled"][:10], shipped["statecode"]) == (world.sandbox.clock().date().isoformat(), 1)
    await act(world, made, "shipAndInvoice")
    assert not await world.bob.rows("salesOrders")
    result = await world.sync(ORDER)
    assert (result.counts["uncoupled"], result.notices) == (1, [])
    assert await state(world, made) == (4, 100003)
    assert not await world.couplings(ORDER)
    await world.quiet(ORDER)

    await world.sync(INVOICE, full=True)
    (invoice,) = await world.alice.rows("invoices")
    assert (invoice["_salesorderid_value"], invoice["name"]) == (made["salesorderid"], "Bikes for Adatum")
    row = await there(world, made)
    assert (invoice["_customerid_value"], invoice["_ownerid_value"]) == (
        row["_customerid_value"],
        row["_ownerid_value"],
    )
    await world.quiet(ORDER, INVOICE)


@pytest.mark.rule("SO-02")
@pytest.mark.rule("SO-30")
async def test_an_order_that_was_posted_is_not_made_again(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    await act(world, made, "shipAndInvoice")
    await world.sync(ORDER)
    await world.alice.update("salesorders", made["salesorderid"], statecode=0, statuscode=2)
    await world.alice.update("salesorders", made["salesorderid"], lastbackofficesubmit=None)
    await submitted(world, made)
    await world.sync(ORDER)
    (failure,) = await world.failures(ORDER)
    assert failure.message.startswith("posted invoice ")
    assert not await world.bob.rows("salesOrders")


def change_lines(world: World, made: Row, **values: Any) -> None:
    """What posting an invoice of its own leaves on the lines of an order."""
    system = world.sandbox.business_central
    company = system.companies[COMPANY]
    found = next(row for row in company.stores["salesOrders"].rows.values() if row["yourReference"] == "ORD-1")
    for line in company.stores["salesOrderLines"].having("documentId", found["id"]):
        Work(system, company, BOB.id).change("salesOrderLines", line["id"], values)


@pytest.mark.rule("SO-23")
@pytest.mark.rule("SO-31")
async def test_an_order_that_is_invoiced_otherwise(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting", quantity=2))
    await world.sync(ORDER)
    await act(world, made, "release")
    await world.sync(ORDER)
    await act(world, made, "ship")
    await world.sync(ORDER)
    assert await state(world, made) == (1, 3)
    change_lines(world, made, invoicedQuantity=1, qtyShippedNotInvoiced=1)
    await world.sync(ORDER)
    assert await state(world, made) == (1, 3)
    change_lines(world, made, invoicedQuantity=2, qtyShippedNotInvoiced=0)
    await world.sync(ORDER)
    assert await state(world, made) == (4, 100003)
    assert len(await world.couplings(ORDER)) == 1
    await world.quiet(ORDER)


@pytest.mark.rule("SO-32")
async def test_a_deleted_order_may_be_submitted_again(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    await world.bob.delete("salesOrders", (await here(world))["id"])
    shown = [action async for action in plan(world.session, ORDER, Request(full=True))]
    assert [(action.kind, [write.values for write in action.before]) for action in shown] == [
        ("uncouple", [{"lastbackofficesubmit": None, "statecode": 0, "statuscode": 2}])
    ]
    result = await world.sync(ORDER, full=True)
    assert (result.counts["uncoupled"], result.counts["created"]) == (1, 0)
    row = await there(world, made)
    assert (row["statecode"], row["statuscode"], row["lastbackofficesubmit"]) == (0, 2, None)
    await world.quiet(ORDER)
    await submitted(world, made)
    assert (await world.sync(ORDER)).counts["created"] == 1
    assert (await there(world, made))["lastbackofficesubmit"]
    await world.quiet(ORDER)


@pytest.mark.rule("SO-32")
async def test_a_run_in_one_direction_leaves_what_the_other_one_is_to_do(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    await world.bob.delete("salesOrders", (await here(world))["id"])
    result = await world.sync(ORDER, full=True, direction="from_dataverse")
    assert result.counts["uncoupled"] == 0
    assert await state(world, made) == (1, 3)
    assert (await world.sync(ORDER, full=True)).counts["uncoupled"] == 1
    assert await state(world, made) == (0, 2)


@pytest.mark.rule("SO-33")
async def test_a_deleted_order_of_dataverse(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    await world.alice.delete("salesorders", made["salesorderid"])
    result = await world.sync(ORDER)
    assert result.counts["uncoupled"] == 1
    assert len(await lines_here(world)) == 1
    assert (await world.sync(ORDER, full=True)).counts["created"] == 0
    await act(world, made, "shipAndInvoice")
    await world.quiet(ORDER)


@pytest.mark.rule("SO-34")
async def test_a_cancelled_order_is_left_alone_and_told(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    bound = {"salesorderid@odata.bind": f"/salesorders({made['salesorderid']})"}
    await world.alice.create("CancelSalesOrder", {"OrderClose": bound, "Status": 4})
    await act(world, made, "release")
    result = await world.sync(ORDER)
    assert result.counts["updated"] == 0
    told = "it was cancelled in Dataverse, and its order in Business Central is there still"
    assert any(told in notice for notice in result.notices)
    assert await state(world, made) == (2, 4)
    await act(world, made, "shipAndInvoice")
    await world.sync(ORDER)
    assert await state(world, made) == (4, 100003)


@pytest.mark.rule("SO-21")
async def test_an_order_that_somebody_opened_is_submitted_again(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    await act(world, made, "release")
    await world.sync(ORDER)
    await world.alice.update("salesorders", made["salesorderid"], statecode=0, statuscode=2)
    await world.sync(ORDER)
    assert await state(world, made) == (1, 3)


async def test_a_plan_shows_the_lines(world: World, customer: Row) -> None:
    await order(world, customer, written_in("Painting"), freightamount=25)
    (action,) = [action async for action in plan(world.session, ORDER, Request())]
    assert (action.kind, action.side, action.to_business_central["yourReference"]) == (
        "create",
        "business_central",
        "ORD-1",
    )
    assert [line["lineObjectNumber"] for line in action.nested["salesOrderLines"]] == ["WRITE-IN", "6110"]
    assert not await world.bob.rows("salesOrders")


@pytest.mark.rule("SO-22")
async def test_explained(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    draft = await order(world, customer, written_in("Painting"), submit=False, ordernumber="ORD-2")
    await world.sync(ORDER)
    found = await explain(world.session, ORDER, made["salesorderid"])
    assert found.answer.startswith("outside the mapping's filter in Business Central (status is 'Open')")
    found = await explain(world.session, ORDER, draft["salesorderid"])
    assert found.answer.startswith(
        "not coupled, and left alone unless statecode eq 1 and (lastbackofficesubmit eq null"
    )


@pytest.mark.rule("AVAIL-01")
async def test_stock_that_moved_arrives_although_nobody_touched_the_item(world: World, customer: Row) -> None:
    await stock(world)
    bike = await world.bob.one("items", "number eq 'BIKE'")
    row = world.sandbox.business_central.companies[COMPANY].stores["items"].rows[bike["id"]]
    world.sandbox.business_central.load(COMPANY, "items", [{**row, "inventory": 10}])
    await world.sync("ITEM-PRODUCT")
    made = await order(world, customer, await of_product(world, "BIKE", 3))
    await world.sync(ORDER)
    await act(world, made, "release")
    touched = (await world.bob.row("items", bike["id"]))["lastModifiedDateTime"]
    await act(world, made, "ship")
    after = await world.bob.row("items", bike["id"])
    assert (after["inventory"], after["lastModifiedDateTime"]) == (7, touched)
    result = await world.sync("ITEM-PRODUCT")
    assert result.counts["updated"] == 1
    assert (await world.alice.one("products", "productnumber eq 'BIKE'"))["quantityonhand"] == 7
    await world.quiet("ITEM-PRODUCT")
