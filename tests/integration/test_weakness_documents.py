"""Weaknesses of the connector with documents, and what happens here instead (docs/weaknesses.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from test_run_invoices import INVOICE, LINES, invoice, line, lines, post
from world import World, new_world

from koppel.errors import UsageError
from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def test_def_07_a_message_names_the_record_that_is_missing(world: World) -> None:
    """The sell-to customer is not coupled, the bill-to customer is: the message is about the former."""
    payer = await world.bob.create("customers", {"displayName": "Payer"})
    await world.sync(full=True)
    buyer = await world.bob.create("customers", {"displayName": "Buyer"})
    post(world, "PS-1", buyer, line("Freight", 100), billToCustomerNumber=payer["number"])
    await world.sync(INVOICE, full=True)
    [failure] = await world.failures(INVOICE)
    assert (failure.field, failure.value) == ("customerNumber", buyer["number"])
    assert buyer["number"] in failure.message
    assert payer["number"] not in failure.message + failure.remedy


async def test_def_09_lines_wait_for_their_document(world: World) -> None:
    """Lines are never taken up without their invoice: asking for them says what to run, and one whose invoice is held
    keeps nothing else back."""
    good = await world.bob.create("customers", {"displayName": "Good"})
    await world.sync(full=True)
    late = await world.bob.create("customers", {"displayName": "Late"})
    post(world, "PS-1", late, line("Freight", 100))
    post(world, "PS-2", good, line("Freight", 100))
    with pytest.raises(UsageError, match=f"{LINES} never runs on its own: its records go with those of {INVOICE}"):
        await world.sync(LINES)
    result = await world.sync(INVOICE, full=True)
    assert [part.counts["created"] for part in result.parts if part.mapping == LINES] == [1]
    assert len(await lines(world, await invoice(world, "PS-2"))) == 1
    await world.sync(full=True)
    await world.sync(INVOICE)
    assert len(await lines(world, await invoice(world, "PS-1"))) == 1
