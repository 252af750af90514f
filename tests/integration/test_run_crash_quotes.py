"""A run that dies while a quote is revised: after the next one it is as if nothing had happened (QUOTE-02)."""

from __future__ import annotations

import pytest
from order_scenes import open_shop, written_in
from quote_scenes import QUOTE, here, lines_here, quote, revised, switch_on
from test_run_crash import Fate
from world import CrashError, World, new_world
from world_data import Row

from koppel.store.database import Database

SOME = slice(1, None, 2)


async def begun(world: World, customer: Row, number: str) -> tuple[Row, Row]:
    """A released quote of Business Central, and the revision of Dataverse that is to take it over."""
    goods = [written_in("Painting", 1000), written_in("Glass", 10)]
    made = await quote(world, customer, *goods, discountamount=10, quotenumber=number)
    await world.sync(QUOTE)
    first = await here(world, number)
    await world.bob.update("salesQuotes", first["id"], status="Released")
    return first, await revised(world, made, written_in("Frame", 200), name="With a frame", discountamount=20)


async def revised_once(world: World, first: Row, later: Row, number: str) -> None:
    """The quote is the revision's by now, with its lines, and the earlier one archived."""
    found = await here(world, number)
    assert (found["id"], found["externalDocumentNumber"], found["status"]) == (first["id"], "WITH A FRAME", "Open")
    assert (found["discountAmount"], found["totalAmountExcludingTax"]) == (20, 1190)
    assert [line["description"] for line in await lines_here(world, number)] == ["Painting", "Glass", "Frame"]
    versions = await world.bob.rows("archivedSalesQuotes", f"number eq '{found['number']}'")
    told = [(one["externalDocumentNumber"], one["totalAmountExcludingTax"]) for one in versions]
    assert told == [("BIKES FOR ADATUM", 1000)]
    pairs = [(one.business_central_id, one.dataverse_id) for one in await world.couplings(QUOTE)]
    assert (first["id"], later["quoteid"]) in pairs


@pytest.mark.rule("QUOTE-02")
async def test_revisions(database: Database) -> None:
    async with new_world(database) as world:
        customer = await open_shop(world)
        switch_on(world)
        first, later = await begun(world, customer, "QUO-0")
        fate = Fate(world)
        await world.sync(QUOTE)
        world.line.before = world.line.after = None
        points = fate.points()
        assert len(points) > 12
        await revised_once(world, first, later, "QUO-0")
        for deadly in points[SOME]:
            first, later = await begun(world, customer, f"QUO-{deadly}")
            Fate(world, deadly)
            with pytest.raises(CrashError):
                await world.sync(QUOTE)
            await world.revive()
            await world.sync(QUOTE)
            assert not await world.failures(QUOTE)
            await revised_once(world, first, later, f"QUO-{deadly}")
        await world.quiet(QUOTE)
