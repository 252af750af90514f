"""What tests of sales quotes share: quotes that Alice activates, revises and wins in Dataverse."""

from __future__ import annotations

from typing import Any

from order_scenes import in_currency, submitted
from world import World
from world_data import Row

QUOTE, NOTES = "SALESQUOTE-QUOTE", "SALES QUOTE NOTES"


def switch_on(world: World) -> None:
    """As an administrator does who wants quotes."""
    for name in (QUOTE, NOTES):
        world.change(name, enabled=True)


async def quote(world: World, customer: Row | None, *lines: Row, activate: bool = True, **values: Any) -> Row:
    """A quote for a customer's account in Dataverse, in US dollars, active unless it is not to be."""
    header = {"name": "Bikes for Adatum", "quotenumber": "QUO-1", **await in_currency(world, "USD"), **values}
    if customer is not None:
        header["customerid_account@odata.bind"] = f"/accounts({(await world.account_of(customer))['accountid']})"
    made = await world.alice.create("quotes", header)
    await add(world, made, *lines)
    if activate:
        await activated(world, made)
    return made


async def add(world: World, made: Row, *lines: Row) -> None:
    """Lines of a quote that is a draft still."""
    for line in lines:
        await world.alice.create("quotedetails", {"quoteid@odata.bind": f"/quotes({made['quoteid']})", **line})


async def activated(world: World, made: Row) -> None:
    """Activate a draft."""
    await world.alice.update("quotes", made["quoteid"], statecode=1, statuscode=3)


async def won(world: World, made: Row) -> None:
    """Win an active quote."""
    closing = {"@odata.type": "Microsoft.Dynamics.CRM.quoteclose", "subject": "Won"}
    bound = {"quoteid@odata.bind": f"/quotes({made['quoteid']})"}
    await world.alice.create("WinQuote", {"Status": 4, "QuoteClose": {**closing, **bound}})


async def revised(world: World, made: Row, *lines: Row, activate: bool = True, **values: Any) -> Row:
    """Close an active quote as revised; the new version has more lines and other values, and is active."""
    closing = {"@odata.type": "Microsoft.Dynamics.CRM.quoteclose", "subject": "Revised"}
    bound = {"quoteid@odata.bind": f"/quotes({made['quoteid']})"}
    await world.alice.create("CloseQuote", {"Status": 7, "QuoteClose": {**closing, **bound}})
    everything = {"QuoteId": made["quoteid"], "ColumnSet": {"AllColumns": True}}
    later = await world.alice.create("ReviseQuote", everything)
    await add(world, later, *lines)
    if values:
        await world.alice.update("quotes", later["quoteid"], values)
    if activate:
        await activated(world, later)
    return later


async def ordered(world: World, made: Row, *, submit: bool = True) -> Row:
    """The order of a won quote, submitted unless it is not to be."""
    everything = {"QuoteId": made["quoteid"], "ColumnSet": {"AllColumns": True}}
    order = await world.alice.create("ConvertQuoteToSalesOrder", everything)
    if submit:
        await submitted(world, order)
    return order


async def here(world: World, number: str = "QUO-1") -> Row:
    """The only quote of Business Central that was made of Dataverse's quote of this number."""
    return await world.bob.one("salesQuotes", f"yourReference eq '{number}'")


async def lines_here(world: World, number: str = "QUO-1") -> list[Row]:
    """Its lines."""
    found = await here(world, number)
    rows = await world.bob.rows("salesQuoteLines", f"documentId eq {found['id']}")
    return sorted(rows, key=lambda row: row["sequence"])


async def note(world: World, made: Row, text: str, **values: Any) -> Row:
    """A note that Alice types on a quote."""
    bound = {"objectid_quote@odata.bind": f"/quotes({made['quoteid']})"}
    return await world.alice.create("annotations", {"subject": "Call", "notetext": text, **bound, **values})
