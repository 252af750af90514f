"""Documents and long price lists over HTTP: all orders of Adventure Works as invoices with their lines."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.koppel_run import Finished, run_koppel
from bench.places import Place, sandbox
from bench.results import Row, judged
from koppel.sandbox.tokens import BOB
from koppel.sync.open import connect_business_central
from koppel.systems.system import Create

INVOICES = 25_164
PRICES = 10_000
TYPE = "Customer_x0020_Price_x0020_Group"
ITEMS = 400
"""Items that may be sold: each price group has a price of each."""


def measure(folder: Path, invoices: int = INVOICES, prices: int = PRICES) -> list[Row]:
    """Invoices with their lines, and price lists with theirs."""
    for name in ("invoices", "prices"):
        (folder / name).mkdir()
    return [*_invoices(folder / "invoices", invoices), *_prices(folder / "prices", prices)]


def _invoices(folder: Path, invoices: int) -> list[Row]:
    with sandbox(None, invoices) as place:
        steps = run_koppel(place, folder, ["setup", "full", "sync"], "POSTEDSALESINV-INV", {"blocked": "write_in"})
    return _whole("invoices with their lines", *steps)


def _prices(folder: Path, prices: int) -> list[Row]:
    with sandbox(100) as place:
        asyncio.run(_price_groups(place, folder, prices // ITEMS))
        steps = run_koppel(place, folder, ["setup", "full", "sync"], "SALESPRC-PRODPRICE")
    return _whole("lines of price lists", *steps)


def _whole(what: str, full: Finished, again: Finished | None = None) -> list[Row]:
    """Records a second, requests for 1,000 of them, and a run that finds nothing changed."""
    wholes, parts = full.counts.get("created", 0), sum(part.get("created", 0) for part in full.parts.values())
    rate = sum(full.requests.values()) * 1000 / max(1, wholes + parts)
    told = f"{wholes + parts:,} in {full.seconds:.1f} s, {full.cpu:.1f} s of them processor time of Koppel"
    speed, named = f"{(wholes + parts) / full.seconds:,.0f}", f"{wholes:,} {what}" + (f" ({parts:,})" if parts else "")
    rows = [
        Row(what=f"{named}: records a second", measured=speed, how=told),
        judged(f"{named}: requests for 1,000 records", rate, f"{rate:.1f}", most=22),
    ]
    if again is not None:
        written = again.write_requests
        rows.append(judged(f"{what}, nothing changed: write requests", written, str(written), most=0))
    return rows


async def _price_groups(place: Place, folder: Path, groups: int) -> None:
    """More price groups, each with a price of every item."""
    client = connect_business_central(place.config(folder, BOB))
    try:
        items = [
            record.values[0]
            async for page in client.query("items", ("number",), filter="blocked eq false")
            for record in page.records
        ][:ITEMS]
        codes = [f"GROUP{number:03}" for number in range(groups)]
        await client.create("customerPriceGroups", [Create("", {"code": code}) for code in codes], ("code",))
        rows = [
            Create(
                "",
                {
                    "salesType": "Customer_x0020_Price_x0020_Group",
                    "salesCode": code,
                    "itemNo": item,
                    "unitPrice": 10 + place_,
                },
            )
            for code in codes
            for place_, item in enumerate(items)
        ]
        made = await client.create("salesPrices", rows, ("salesCode",))
        assert not any(one.error for one in made), next(one.error for one in made if one.error)
    finally:
        await client.close()
