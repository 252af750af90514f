"""Notes of sales orders: which ones go, as what text, and what never does (NOTE-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from order_scenes import ORDER, act, here, open_shop, order, written_in
from world import World, new_world
from world_data import Row

from koppel.store import couplings
from koppel.store.couplings import Coupling
from koppel.store.database import Database

NOTES = "SALES ORDER NOTES"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    return await open_shop(world)


async def note(world: World, sold: Row, text: str, **values: Any) -> Row:
    """A note that Alice types on an order."""
    bound = {"objectid_salesorder@odata.bind": f"/salesorders({sold['salesorderid']})"}
    return await world.alice.create("annotations", {"subject": "Call", "notetext": text, **bound, **values})


async def texts(world: World) -> list[tuple[str, str]]:
    return sorted((row["description"], row["note"]) for row in await world.bob.rows("recordNotes"))


@pytest.mark.rule("NOTE-01")
@pytest.mark.rule("NOTE-04")
async def test_notes_come_along_with_their_order_and_attachments_never_do(world: World, customer: Row) -> None:
    sold = await order(world, customer, written_in("Painting"))
    draft = await order(world, customer, written_in("Painting"), submit=False, ordernumber="ORD-2")
    call = await note(world, sold, "<p>Ann &amp; Bob</p><p>at 5</p>")
    await note(world, draft, "Not yet")
    account = f"/accounts({(await world.account_of(customer))['accountid']})"
    await world.alice.create("annotations", {"notetext": "Of the account", "objectid_account@odata.bind": account})
    await note(world, sold, "A file", filename="a.txt", documentbody="aGVsbG8=", mimetype="text/plain")
    await world.sync(NOTES)
    assert await texts(world) == [], "no order is coupled yet"
    await world.sync(ORDER)
    result = await world.sync(NOTES)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    [made] = await world.bob.rows("recordNotes")
    assert (made["description"], made["note"], made["type"]) == ("Call", "Ann & Bob\nat 5", "Note")
    assert (made["documentId"], made["created"]) == ((await here(world))["id"], call["createdon"])
    await note(world, sold, "Later")
    await world.sync(NOTES)
    assert await texts(world) == [("Call", "Ann & Bob\nat 5"), ("Call", "Later")]
    await world.quiet(NOTES)


@pytest.mark.rule("NOTE-03")
@pytest.mark.rule("NOTE-04")
async def test_notes_of_an_order_that_is_coupled_by_hand_come_with_a_full_run(world: World, customer: Row) -> None:
    sold = await order(world, customer, written_in("Painting"))
    made = await world.bob.create("salesOrders", {"customerNumber": customer["number"]})
    await world.bob.create("recordNotes", {"documentId": made["id"], "description": "Here", "note": "One"})
    await note(world, sold, "Two")
    result = await world.sync(NOTES)
    assert (result.counts["skipped"], result.counts["failed"]) == (2, 0), result
    await couplings.save(world.session.connection, ORDER, [Coupling(made["id"], sold["salesorderid"], made["number"])])
    await world.session.connection.commit()
    world.sandbox.clock.advance(3600)
    await world.sync(NOTES, full=True)
    assert await texts(world) == [("Call", "Two"), ("Here", "One")]
    assert len(await world.alice.rows("annotations")) == 2
    await world.quiet(NOTES)


@pytest.mark.rule("NOTE-03")
@pytest.mark.rule("NOTE-07")
async def test_a_note_of_business_central_becomes_an_annotation_once(world: World, customer: Row) -> None:
    sold = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    made = await here(world)
    await world.bob.create("recordNotes", {"documentId": made["id"], "description": "Price", "note": "if a < 5 & b"})
    other = await world.bob.create("salesOrders", {"customerNumber": customer["number"]})
    await world.bob.create("recordNotes", {"documentId": other["id"], "description": "Own", "note": "Private"})
    result = await world.sync(NOTES)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    [found] = await world.alice.rows("annotations")
    assert (found["subject"], found["_objectid_value"]) == ("Price", sold["salesorderid"])
    assert (found["notetext"], found["isdocument"]) == ("<p>if a &lt; 5 &amp; b</p>", False)
    assert ("Price", "if a < 5 & b") in await texts(world)
    await world.quiet(NOTES)
    assert len(await world.couplings(NOTES)) == 1


@pytest.mark.rule("NOTE-05")
async def test_changed_text_comes_from_dataverse_only_and_nothing_is_deleted(world: World, customer: Row) -> None:
    sold = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    typed = await note(world, sold, "First")
    await world.sync(NOTES)
    await world.alice.update("annotations", typed["annotationid"], notetext="<p>Second</p>", subject="Other")
    await world.sync(NOTES)
    assert await texts(world) == [("Call", "Second")]
    [made] = await world.bob.rows("recordNotes")
    await world.bob.update("recordNotes", made["id"], note="Mine")
    await world.sync(NOTES)
    assert (await world.alice.row("annotations", typed["annotationid"]))["notetext"] == "<p>Second</p>"
    await world.alice.delete("annotations", typed["annotationid"])
    await world.sync(NOTES)
    assert await texts(world) == [("Call", "Mine")]
    await world.quiet(NOTES)


@pytest.mark.rule("NOTE-05")
async def test_deleted_notes_do_not_come_back(world: World, customer: Row) -> None:
    sold = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    gone_there = await note(world, sold, "Gone there")
    await note(world, sold, "Gone here")
    await world.sync(NOTES)
    await world.alice.delete("annotations", gone_there["annotationid"])
    gone_here = await world.bob.one("recordNotes", "note eq 'Gone here'")
    await world.bob.delete("recordNotes", gone_here["id"])
    for full in (False, True, True):
        result = await world.sync(NOTES, full=full)
        assert (result.counts["created"], result.counts["failed"]) == (0, 0), result
    assert await texts(world) == [("Call", "Gone there")]
    assert [row["notetext"] for row in await world.alice.rows("annotations")] == ["Gone here"]
    await world.sync(NOTES, records=(gone_here["id"],))
    assert ("Call", "Gone here") in await texts(world), "a person asked for it"
    await world.quiet(NOTES)


@pytest.mark.rule("NOTE-04")
@pytest.mark.rule("NOTE-05")
async def test_it_does_not_matter_who_wrote_a_note(world: World, customer: Row) -> None:
    sold = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    typed = await note(world, sold, "By Alice")
    await world.sync(NOTES)
    await world.robot.update("annotations", typed["annotationid"], notetext="By a flow")
    bound = {"objectid_salesorder@odata.bind": f"/salesorders({sold['salesorderid']})"}
    await world.robot.create("annotations", {"notetext": "By the same flow", **bound})
    await world.sync(NOTES)
    assert await texts(world) == [("", "By the same flow"), ("Call", "By a flow")]
    await world.quiet(NOTES)


@pytest.mark.rule("NOTE-05")
async def test_posted_orders_take_their_notes_out_of_step(world: World, customer: Row) -> None:
    sold = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    typed = await note(world, sold, "Before")
    await world.sync(NOTES)
    await act(world, sold, "shipAndInvoice")
    await world.sync(ORDER)
    await world.alice.update("annotations", typed["annotationid"], notetext="Changed")
    await note(world, sold, "After")
    for full in (False, True):
        result = await world.sync(NOTES, full=full)
        assert (result.counts["created"], result.counts["failed"]) == (0, 0), result
    assert await texts(world) == [("Call", "Before")], "the invoice keeps what the order had"
    await world.quiet(NOTES)


@pytest.mark.rule("NOTE-04")
async def test_a_deleted_order_stops_no_other_one(world: World, customer: Row) -> None:
    lost = await order(world, customer, written_in("Painting"))
    kept = await order(world, customer, written_in("Painting"), ordernumber="ORD-2")
    await world.sync(ORDER)
    await note(world, lost, "Of the lost one")
    await note(world, kept, "Of the kept one")
    await world.sync(NOTES)
    await world.alice.delete("salesorders", lost["salesorderid"])
    await note(world, kept, "And more")
    found = await here(world, "ORD-2")
    await world.bob.create("recordNotes", {"documentId": found["id"], "description": "Answer", "note": "Yes"})
    await world.sync(ORDER)
    result = await world.sync(NOTES)
    assert (result.counts["created"], result.counts["failed"]) == (2, 0), result
    assert [note for _, note in await texts(world)] == ["Yes", "And more", "Of the kept one", "Of the lost one"]
    assert len(await world.alice.rows("annotations", f"_objectid_value eq {kept['salesorderid']}")) == 3
    await world.quiet(NOTES)
