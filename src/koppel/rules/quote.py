"""Active and won quotes of Dataverse become quotes of Business Central; a won one is linked to its order (QUOTE-…)."""

from __future__ import annotations

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, Parts, Succession, complete, compute, follow, refuse, succeed
from koppel.odata.records import Scalar
from koppel.rules.document import ORDER, QUOTE, in_units
from koppel.rules.new_order import TOTALS, columns_of, needs_of, new_documents, order_discount, written_of
from koppel.rules.note import QUOTES
from koppel.rules.order import SUBMITTED

WON = 2
"""Of ``statecode``."""
REVISED = 7
"""Of ``statuscode``."""
OPEN, RELEASED = "Open", "Released"
_VERSIONS = (
    Need(
        name="versions",
        side="dataverse",
        table="quote",
        columns=("quoteid", "quotenumber", "revisionnumber", "statuscode"),
        key="quotenumber",
        of=lambda batch: batch.column("quotenumber"),
    ),
    Need(
        name="coupled",
        couplings=QUOTES,
        key="dataverse_id",
        of=lambda batch: [row["quoteid"] for row in batch.table("versions")],
    ),
)
"""The other versions of quotes, and which of them are coupled."""


@refuse(
    side="dataverse",
    reads=("quotenumber", "revisionnumber"),
    needs=(
        *_VERSIONS,
        Need(
            name="there",
            table="salesQuotes",
            columns=("number", "yourReference"),
            key="yourReference",
            of=lambda batch: batch.column("quotenumber"),
        ),
    ),
    of="new",
)
def not_taken_over(batch: Batch) -> list[Refusal | None]:
    """No quote of Dataverse is made in Business Central twice (QUOTE-01), unless it is a revision of that one."""
    there = {row["yourReference"]: str(row["number"]) for row in batch.table("there")}
    earlier = _earlier(batch)
    return [
        None if record.id in earlier else _taken_over(str(number), there.get(number, ""))
        for record, number in zip(batch.records, batch.column("quotenumber"), strict=True)
    ]


def _earlier(batch: Batch) -> dict[str, Scalar]:
    """The coupled quote, which was revised since, of which each quote is a later version."""
    coupled = {row["dataverse_id"] for row in batch.table("coupled")}
    revised = {
        row["quotenumber"]: row
        for row in batch.table("versions")
        if row["quoteid"] in coupled and row["statuscode"] == REVISED
    }
    columns = zip(batch.records, batch.column("quotenumber"), batch.column("revisionnumber"), strict=True)
    return {
        record.id: revised[number]["quoteid"]
        for record, number, revision in columns
        if number in revised and int(revision or 0) > int(revised[number]["revisionnumber"] or 0)
    }


@succeed(
    side="dataverse",
    reads=("quotenumber", "revisionnumber"),
    needs=(
        *_VERSIONS,
        Need(
            name="revised",
            couplings=QUOTES,
            key="dataverse_id",
            of=lambda batch: _earlier(batch).values(),
        ),
        Need(
            name="archived",
            table="salesQuotes",
            columns=("id", "noOfArchivedVersions"),
            key="id",
            of=lambda batch: [row["business_central_id"] for row in batch.table("revised")],
        ),
    ),
    writes={"": ("noOfArchivedVersions", "status")},
)
def revision(batch: Batch) -> list[Succession | None]:
    """A revision takes the place of the earlier quote, a version of which is archived (QUOTE-02)."""
    versions = {row["id"]: int(row["noOfArchivedVersions"] or 0) for row in batch.table("archived")}
    partners = {row["dataverse_id"]: row["business_central_id"] for row in batch.table("revised")}
    earlier = _earlier(batch)
    return [
        Succession(
            of=str(earlier[record.id]),
            values={"noOfArchivedVersions": versions.get(partners.get(earlier[record.id]), 0) + 1, "status": OPEN},
            below={QUOTE.lines: "documentId", "recordNotes": "documentId"},
        )
        if record.id in earlier
        else None
        for record in batch.records
    ]


def _taken_over(number: str, other: str) -> Refusal | None:
    if not other:
        return None
    return Refusal(
        code="QUOTE-01",
        message=f"quote {other} in Business Central is of this quote already (Your Reference {number})",
        remedy=f"couple it with {other}, or clear the reference of {other} if that is of another one",
        field="quotenumber",
        value=number,
        kind="conflict",
    )


@complete(side="dataverse", reads=columns_of(QUOTE), needs=needs_of(QUOTE), writes=written_of(QUOTE))
def with_lines(batch: Batch) -> list[Parts | Refusal]:
    """The whole quote of Business Central, its lines included, or why it cannot be made (QUOTE-03, QUOTE-04)."""
    return new_documents(batch, QUOTE)


_IN_UNITS = in_units(QUOTE)


@complete(side="dataverse", reads=columns_of(QUOTE), needs=needs_of(_IN_UNITS), writes=written_of(_IN_UNITS))
def with_lines_in_units(batch: Batch) -> list[Parts | Refusal]:
    """The same, each line in its unit (UOM-14)."""
    return new_documents(batch, _IN_UNITS)


@compute(side="dataverse", reads=TOTALS)
def discount(batch: Batch) -> list[Scalar | Refusal]:
    """Both discounts of the quote, as an amount (QUOTE-04)."""
    return [float(order_discount(row)) for row in batch.rows()]


@compute(side="dataverse", reads=("statecode",))
def status(batch: Batch) -> list[Scalar | Refusal]:
    """A won quote takes no more edits (QUOTE-08)."""
    return [RELEASED if state == WON else OPEN for state in batch.column("statecode")]


def _won(batch: Batch) -> list[str]:
    states = zip(batch.records, batch.column("statecode"), strict=True)
    return [record.id for record, state in states if state == WON]


_ORDERS = (
    Need(
        name="sold",
        side="dataverse",
        table="salesorder",
        columns=("quoteid", "ordernumber", "statecode"),
        key="quoteid",
        of=_won,
    ),
    Need(
        name="orders",
        table="salesOrders",
        columns=("id", "number", "yourReference", "quoteNumber"),
        key="yourReference",
        of=lambda batch: [row["ordernumber"] for row in batch.table("sold")],
    ),
)
"""The orders of won quotes, in Dataverse and in Business Central."""


@refuse(side="dataverse", reads=("statecode",), needs=_ORDERS, of="coupled")
def order_is_there(batch: Batch) -> list[Refusal | None]:
    """A won quote has an order in Dataverse, which is here once it was submitted (QUOTE-07, QUOTE-08)."""
    won, there = set(_won(batch)), {row["yourReference"] for row in batch.table("orders")}
    sold: dict[Scalar, list[Found]] = {}
    for row in batch.table("sold"):
        sold.setdefault(row["quoteid"], []).append(row)
    return [_no_order(sold.get(record.id, []), there) if record.id in won else None for record in batch.records]


def _no_order(sold: list[Found], there: set[Scalar]) -> Refusal | None:
    if not sold:
        return Refusal(
            code="QUOTE-07",
            message="it was won, and there is no matching order in Dataverse",
            remedy="create the order of this quote there, then it goes through by itself",
        )
    missing = next((r for r in sold if r["statecode"] == SUBMITTED and r["ordernumber"] not in there), None)
    if missing is None:
        return None
    number = str(missing["ordernumber"])
    return Refusal(
        code="QUOTE-08",
        message=f"its order {number} is submitted and not in Business Central",
        remedy=f"synchronise order {number}, then this quote goes through by itself",
        value=number,
        kind="transient",
    )


_LINKED = (
    *_ORDERS,
    Need(
        name="quotes",
        table="salesQuotes",
        columns=("id", "number", "status", "noOfArchivedVersions"),
        key="id",
        of=lambda batch: batch.partners,
    ),
)


def _unlinked(batch: Batch) -> list[tuple[str, Found, Found]]:
    """Won quotes by id, each with Business Central's quote and an order of it that does not say so yet."""
    quotes = {row["id"]: row for row in batch.table("quotes") if row["status"] == RELEASED}
    orders = {row["yourReference"]: row for row in batch.table("orders")}
    partners = {record.id: quotes.get(id) for record, id in zip(batch.records, batch.partners, strict=True)}
    found = ((r["quoteid"], partners.get(str(r["quoteid"])), orders.get(r["ordernumber"])) for r in batch.table("sold"))
    return [(str(id), q, order) for id, q, order in found if q and order and order["quoteNumber"] != q["number"]]


@follow(side="dataverse", reads=("statecode",), needs=_LINKED, writes={QUOTE.headers: ("noOfArchivedVersions",)})
def archive(batch: Batch) -> list[FollowUp]:
    """A version of the quote as it was won is archived; the quote itself stays (QUOTE-09)."""
    return [archived(record, quote, order) for record, quote, order in _unlinked(batch)]


@follow(side="dataverse", reads=("statecode",), needs=_LINKED, writes={ORDER.headers: ("quoteNumber",)})
def link(batch: Batch) -> list[FollowUp]:
    """The order says which quote it comes from, last of all: then nothing is left to do (SO-16, QUOTE-09)."""
    return [linked(record, quote, order) for record, quote, order in _unlinked(batch)]


def archived(record: str, quote: Found, order: Found) -> FollowUp:
    """A version of Business Central's quote that ``order`` was made of is archived."""
    return FollowUp(
        side="business_central",
        table=QUOTE.headers,
        id=str(quote["id"]),
        values={"noOfArchivedVersions": int(quote["noOfArchivedVersions"] or 0) + 1},
        record=record,
        name=str(quote["number"]),
        reason=f"order {order['number']} was made of it (QUOTE-09)",
    )


def linked(record: str, quote: Found, order: Found) -> FollowUp:
    """Business Central's order names its quote."""
    return FollowUp(
        side="business_central",
        table=ORDER.headers,
        id=str(order["id"]),
        values={"quoteNumber": quote["number"]},
        record=record,
        name=str(order["number"]),
        reason="the quote that it comes from (QUOTE-09)",
    )
