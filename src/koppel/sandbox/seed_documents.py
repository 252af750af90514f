"""What people have sold in Dataverse before anything was synchronised: opportunities, and two orders of write-ins.

Products come with the first synchronisation, so nothing here names one.
"""

from __future__ import annotations

from collections.abc import Sequence

from koppel.sandbox.adventureworks import record_id
from koppel.sandbox.dataverse.schema import TARGET
from koppel.sandbox.dataverse.service import Caller, Dataverse
from koppel.sandbox.seed_dataverse import CURRENCY_ID
from koppel.sandbox.tables import Row
from koppel.sandbox.tokens import ALICE

PRICE_LIST_ID = record_id("pricelevel", "Web shop")
_SUBMITTED = {"statecode": 1, "statuscode": 3}

_OPPORTUNITIES = (
    ("Ten bikes for the spring", 14_500, "2026-04-15"),
    ("Touring fleet of a travel agency", 62_000, "2026-06-30"),
    ("Helmets for a cycling school", 1_750, "2026-03-10"),
    ("Yearly service contract", 4_800, "2026-12-31"),
    ("Second shop, first stock", 98_000, "2026-09-01"),
)
"""Name, estimated value, estimated day."""

_Words = tuple[str, int, float]
_ORDERS: tuple[tuple[str, Row, tuple[_Words, ...], bool], ...] = (
    (
        "Web order 1001",
        {"discountpercentage": 5.0, "freightamount": 12.5, "requestdeliveryby": "2026-02-20T00:00:00Z"},
        (("Assembly on site", 2, 85.0), ("Gift wrapping", 1, 7.5)),
        True,
    ),
    (
        "Web order 1002",
        {"description": "Customer calls back about the colour"},
        (("Custom paint job", 1, 349.0),),
        False,
    ),
)
"""Name, columns, lines (words, quantity, price) and whether the order was submitted."""


def seed_documents(dataverse: Dataverse, accounts: Sequence[str]) -> None:
    """Opportunities and orders of the first accounts; nothing without accounts."""
    if not accounts:
        return
    dataverse.load("pricelevel", [{"pricelevelid": PRICE_LIST_ID, "name": "Web shop", **_MONEY}])
    for number, (name, value, day) in enumerate(_OPPORTUNITIES):
        row: Row = {"opportunityid": record_id("opportunity", name), "name": name, "estimatedvalue": value}
        customer = _customer(accounts[number % len(accounts)])
        dataverse.load("opportunity", [{**row, "estimatedclosedate": day, **customer, **_MONEY, **_OWNER}])
    for number, (name, columns, lines, submitted) in enumerate(_ORDERS):
        key = _place_order(dataverse, name, {**columns, **_customer(accounts[number % len(accounts)])}, lines)
        if submitted:
            dataverse.update("salesorder", key, _SUBMITTED, _BY)


def _place_order(dataverse: Dataverse, name: str, columns: Row, lines: Sequence[_Words]) -> str:
    key = record_id("salesorder", name)
    order: Row = {"salesorderid": key, "name": name, "ordernumber": name.replace("Web order ", "WEB-"), **columns}
    dataverse.create("salesorder", {**order, "_pricelevelid_value": PRICE_LIST_ID, **_MONEY, **_OWNER}, _BY)
    for words, quantity, price in lines:
        line: Row = {"salesorderdetailid": record_id("salesorderdetail", f"{name}/{words}"), "_salesorderid_value": key}
        line |= {"isproductoverridden": True, "productdescription": words, "quantity": quantity, "priceperunit": price}
        dataverse.create("salesorderdetail", line, _BY)
    return key


def _customer(account: str) -> Row:
    return {"_customerid_value": account, "_customerid_value" + TARGET: "account"}


_BY = Caller(ALICE.id)
_MONEY = {"_transactioncurrencyid_value": CURRENCY_ID}
_OWNER = {"_ownerid_value": ALICE.id, "_createdby_value": ALICE.id, "_modifiedby_value": ALICE.id}
