"""The quotes that two-way orders come from (SO-45)."""

from __future__ import annotations

from koppel.engine.action import FollowUp
from koppel.engine.rule import Batch, Found, Need, follow
from koppel.odata.records import Scalar
from koppel.rules.document import ORDER, QUOTE
from koppel.rules.note import QUOTES
from koppel.rules.quote import RELEASED, archived, linked


def _quotes(batch: Batch) -> list[Scalar]:
    return batch.column("quoteid")


_NEEDS = (
    Need(name="theirs", side="dataverse", table="quote", columns=("quoteid", "quotenumber"), key="quoteid", of=_quotes),
    Need(name="coupled", couplings=QUOTES, key="dataverse_id", of=_quotes),
    Need(
        name="quotes",
        table=QUOTE.headers,
        columns=("id", "number", "status", "yourReference", "noOfArchivedVersions"),
        key="yourReference",
        of=lambda batch: [row["quotenumber"] for row in batch.table("theirs")],
    ),
    Need(
        name="orders",
        table=ORDER.headers,
        columns=("id", "number", "quoteNumber"),
        key="id",
        of=lambda batch: [partner for partner, quote in zip(batch.partners, _quotes(batch), strict=True) if quote],
    ),
)


@follow(side="dataverse", reads=("quoteid",), needs=_NEEDS, writes={QUOTE.headers: ("noOfArchivedVersions",)})
def archive(batch: Batch) -> list[FollowUp]:
    """A version of the quote that an order was made of is archived (SO-45)."""
    return [archived(record, quote, order) for record, quote, order in _unlinked(batch)]


@follow(side="dataverse", reads=("quoteid",), needs=_NEEDS, writes={ORDER.headers: ("quoteNumber",)})
def link(batch: Batch) -> list[FollowUp]:
    """The order names it, last of all: then nothing is left to do (SO-45)."""
    return [linked(record, quote, order) for record, quote, order in _unlinked(batch)]


def _unlinked(batch: Batch) -> list[tuple[str, Found, Found]]:
    """Orders by their id in Dataverse, each with its quote and order in Business Central, if it names none.

    A quote is known by the number of Dataverse's in it. One that is coupled has to be released, as it was won, first.
    """
    coupled = {row["business_central_id"] for row in batch.table("coupled")}
    there = {r["yourReference"]: r for r in batch.table("quotes") if r["status"] == RELEASED or r["id"] not in coupled}
    quotes = {row["quoteid"]: there.get(row["quotenumber"]) for row in batch.table("theirs")}
    orders = {row["id"]: row for row in batch.table("orders") if not row["quoteNumber"]}
    found = zip(batch.records, batch.partners, _quotes(batch), strict=True)
    return [
        (record.id, quote, orders[partner])
        for record, partner, id in found
        if (quote := quotes.get(id)) and partner in orders
    ]
