"""A preview shows what a run will do with the lines of orders that go both ways (promise 1 of plans)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from both_ways_scenes import BOTH, LINES, details, entered, lines, of_item, only_there
from order_scenes import of_product, order, submitted, written_in
from world import World
from world_data import Row

from koppel.engine.action import Action
from koppel.store import conflicts
from koppel.sync.full import Finished
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.saved import SavedPlan, apply_plan, is_written, read_plan, save_plan, saved_action

Told = tuple[str, str, str]


async def planned(world: World, **request: Any) -> list[Action]:
    return [action async for action in plan(world.session, BOTH, Request(**request)) if is_written(action)]


def of_lines(actions: list[Action]) -> list[Told]:
    """What is planned for lines: what, where, and the quantity that is written."""
    found = []
    for action in actions:
        if action.mapping == LINES:
            side = "dataverse" if action.to_dataverse or action.side == "dataverse" else "business_central"
            values = action.to_dataverse or action.to_business_central
            found.append((action.kind, side, _number(values.get("quantity"))))
    return sorted(found)


def _number(value: Any) -> str:
    """A number, whichever system read it."""
    return "" if value is None else f"{value:g}"


async def edit_here(world: World, made: Row, line: Row, **values: Any) -> None:
    """Bob opens the order, edits a line, and releases it."""
    await world.bob.update("salesOrders", made["id"], status="Open")
    await world.bob.update("salesOrderLines", line["id"], **values)
    await world.bob.update("salesOrders", made["id"], status="Released")


async def edit_there(world: World, order: Row, line: Row, **values: Any) -> None:
    """Alice makes the order active, edits a line, and submits it."""
    await world.alice.update("salesorders", order["salesorderid"], statecode=0, statuscode=2)
    await world.alice.update("salesorderdetails", line["salesorderdetailid"], **values)
    await submitted(world, order)


async def written(world: World, job: int) -> list[Told]:
    """What history tells of lines that a job wrote, beside new ones the quantity only."""
    rows = await world.session.connection.execute(
        "SELECT action, side, new FROM history WHERE job = %s AND mapping = %s AND table_name = ''"
        " AND field IN ('quantity', '') AND action IN ('create', 'update', 'delete')",
        [job, LINES],
    )
    told = await rows.fetchall()
    found = [(a, s, _number(new["quantity"] if isinstance(new, dict) else new)) for a, s, new in told]
    await world.session.connection.commit()
    return sorted(found)


async def saved(world: World, folder: Path) -> SavedPlan:
    actions = [saved_action(action) for action in await planned(world)]
    save_plan(folder / "plan.json", world.session, [BOTH], Request(), actions)
    return read_plan(folder / "plan.json")


async def applied(world: World, plan: SavedPlan) -> list[Finished]:
    return [one async for one in apply_plan(world.session, plan)]


async def test_lines_that_change_on_either_side_are_planned_and_then_done(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2), of_item("LIFT", 1))
    await world.sync(BOTH)
    order = await only_there(world)
    bike, _ = await lines(world, made)
    _, lift = await details(world, order)
    await edit_here(world, made, bike, quantity=5)
    await edit_there(world, order, lift, quantity=4)
    told = await planned(world)
    assert of_lines(told) == [("update", "business_central", "4"), ("update", "dataverse", "5")]
    assert len(told) == 2, "the order itself is as it was"
    result = await world.sync(BOTH)
    assert await written(world, result.parts[0].job) == of_lines(told)
    assert await planned(world) == []
    await world.quiet(BOTH)


async def test_lines_that_come_and_go_are_planned(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2), of_item("LIFT", 1), of_item("BELL", 3))
    await world.sync(BOTH)
    order = await only_there(world)
    bike, _, _ = await lines(world, made)
    await world.bob.update("salesOrders", made["id"], status="Open")
    await world.bob.delete("salesOrderLines", bike["id"])
    await world.bob.create("salesOrderLines", documentId=made["id"], **of_item("BELL", 7))
    await world.bob.update("salesOrders", made["id"], status="Released")
    _, lift, _ = await details(world, order)
    await world.alice.update("salesorders", order["salesorderid"], statecode=0, statuscode=2)
    await world.alice.delete("salesorderdetails", lift["salesorderdetailid"])
    bound = {"salesorderid@odata.bind": f"/salesorders({order['salesorderid']})"}
    await world.alice.create("salesorderdetails", {**bound, **await of_product(world, "BIKE", 8)})
    await submitted(world, order)
    told = await planned(world)
    assert of_lines(told) == [
        ("create", "business_central", "8"),
        ("create", "dataverse", "7"),
        ("delete", "business_central", ""),
        ("delete", "dataverse", ""),
    ]
    result = await world.sync(BOTH)
    assert await written(world, result.parts[0].job) == of_lines(told)
    assert await planned(world) == []


async def test_a_new_order_is_planned_with_its_lines_on_either_side(world: World, customer: Row) -> None:
    await entered(world, customer, of_item("BIKE", 2), currencyCode="EUR")
    await order(world, customer, await of_product(world, "BELL", 3), written_in("Painting"))
    told = await planned(world)
    (first,) = [write.table for action in told if action.mapping == LINES for write in action.before]
    assert first == "productpricelevel", "the price list of euros has no bikes yet"
    assert of_lines(told) == [
        ("create", "business_central", "1"),
        ("create", "business_central", "3"),
        ("create", "dataverse", "2"),
    ]
    result = await world.sync(BOTH)
    assert await written(world, result.parts[0].job) == of_lines(told)


async def test_a_plan_of_lines_alone_is_saved_and_carried_out(world: World, customer: Row, tmp_path: Path) -> None:
    made = await entered(world, customer, of_item("BIKE", 2))
    await world.sync(BOTH)
    order = await only_there(world)
    (bike,) = await lines(world, made)
    await edit_here(world, made, bike, quantity=5)
    found = await saved(world, tmp_path)
    assert [(action.mapping, action.kind) for action in found.actions] == [(LINES, "update")]
    finished = await applied(world, found)
    assert [(one.mapping, one.result and one.result.counts["updated"]) for one in finished] == [(BOTH, 0), (LINES, 1)]
    assert [row["quantity"] for row in await details(world, order)] == [5]
    assert (await only_there(world))["statecode"] == 1
    await world.quiet(BOTH)


async def test_new_orders_are_saved_and_carried_out_with_their_lines(
    world: World, customer: Row, tmp_path: Path
) -> None:
    await entered(world, customer, of_item("BIKE", 2))
    await order(world, customer, await of_product(world, "BELL", 3))
    await applied(world, await saved(world, tmp_path))
    assert [row["status"] for row in await world.bob.rows("salesOrders")] == ["Released", "Released"]
    assert len(await world.bob.rows("salesOrderLines")) == 2
    assert len(await world.alice.rows("salesorderdetails")) == 2
    await world.quiet(BOTH)


async def test_a_decision_about_a_line_is_planned_and_carried_out_with_its_order(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2))
    await world.sync(BOTH)
    order = await only_there(world)
    (bike,), (theirs,) = await lines(world, made), await details(world, order)
    await edit_here(world, made, bike, quantity=5)
    await edit_there(world, order, theirs, quantity=4)
    assert of_lines(await planned(world)) == [("update", "dataverse", "")], "the VAT, and no side may lead the price"
    await world.sync(BOTH)
    (conflict,) = await world.conflicts(LINES)
    assert await planned(world) == []
    assert conflict.id is not None
    await conflicts.decide(world.session.connection, "dataverse", ids=[conflict.id])
    assert of_lines(await planned(world)) == [("update", "business_central", "4")]
    await world.bob.update("salesOrders", made["id"], status="Open")
    assert await planned(world) == []
    await world.sync(BOTH)
    assert [row["quantity"] for row in await lines(world, made)] == [5], "he is at work on it"
    await world.bob.update("salesOrders", made["id"], status="Released")
    assert of_lines(await planned(world)) == [("update", "business_central", "4")]
    await world.sync(BOTH)
    assert [row["quantity"] for row in await lines(world, made)] == [4]
    assert (await world.bob.row("salesOrders", made["id"]))["status"] == "Released"
    assert not await world.conflicts(LINES)
    await world.quiet(BOTH)


async def test_what_is_planned_for_a_chosen_order_is_of_its_lines_only(world: World, customer: Row) -> None:
    made = [await entered(world, customer, of_item("BIKE", 2)) for _ in range(2)]
    await world.sync(BOTH)
    for one, quantity in zip(made, (5, 6), strict=True):
        (bike,) = await lines(world, one)
        await edit_here(world, one, bike, quantity=quantity)
    told = await planned(world, records=(made[1]["number"],))
    assert of_lines(told) == [("update", "dataverse", "6")]
    result = await world.sync(BOTH, records=(made[1]["number"],))
    assert await written(world, result.parts[0].job) == of_lines(told)
