"""The simulated Dataverse: states of sales documents, what they lock, and the actions on them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from dataverse_catalogue import LINES, Catalogue, bind, catalogue, write_in
from dataverse_org import Answer, Organisation

NAMESPACE = "Microsoft.Dynamics.CRM."
PAID = {"statecode": 2, "statuscode": 100001}
PARTLY_PAID = {"statecode": 2, "statuscode": 100002}
CANCELLED = {"statecode": 3, "statuscode": 100003}
BILLED = {"statecode": 0, "statuscode": 4}
SUBMITTED = {"statecode": 1, "statuscode": 3}
PENDING = {"statecode": 0, "statuscode": 2}
INVOICED = {"statecode": 4, "statuscode": 100003}


@pytest.fixture
def org() -> Organisation:
    return Organisation()


async def document(org: Organisation, set_name: str, **values: Any) -> tuple[Catalogue, str]:
    """A document with one write-in line."""
    shop = await catalogue(org)
    key = await shop.document(set_name, await shop.price_list(), **values)
    await org.create(LINES[set_name][0], **write_in(set_name, key, 10, 2))
    return shop, key


async def state(org: Organisation, address: str) -> tuple[int, int]:
    row = await org.read(f"{address}?$select=statecode,statuscode")
    return row["statecode"], row["statuscode"]


async def close(org: Organisation, name: str, key: str, status: int, **values: Any) -> Answer:
    """One of the actions that close a document."""
    kind, parameter, link = {
        "WinOpportunity": ("opportunityclose", "OpportunityClose", "opportunityid"),
        "LoseOpportunity": ("opportunityclose", "OpportunityClose", "opportunityid"),
        "WinQuote": ("quoteclose", "QuoteClose", "quoteid"),
        "CloseQuote": ("quoteclose", "QuoteClose", "quoteid"),
        "CancelSalesOrder": ("orderclose", "OrderClose", "salesorderid"),
        "FulfillSalesOrder": ("orderclose", "OrderClose", "salesorderid"),
    }[name]
    body = {"@odata.type": f"{NAMESPACE}{kind}", "subject": "Closed", **bind(**{link: key}), **values}
    address = f"salesorders/{NAMESPACE}{name}" if name == "FulfillSalesOrder" else name
    return await org.post(address, {"Status": status, parameter: body})


@pytest.mark.parametrize(
    ("steps", "move", "code"),
    [
        ([], PAID, None),
        ([], CANCELLED, None),
        ([], BILLED, None),
        ([], {"statecode": 1, "statuscode": 7}, "0x80043b25"),
        ([PAID], BILLED, None),
        ([PAID], CANCELLED, None),
        ([PARTLY_PAID], PAID, "0x80100000"),
        ([CANCELLED], PAID, "0x80100000"),
        ([CANCELLED], CANCELLED, "0x80100001"),
        ([CANCELLED], BILLED, None),
        ([PARTLY_PAID, BILLED], PAID, None),
        ([], {"statecode": 2, "statuscode": 4}, "0x80048408"),
    ],
)
async def test_an_invoice_is_paid_cancelled_and_reopened_by_update(
    org: Organisation, steps: list[dict[str, int]], move: dict[str, int], code: str | None
) -> None:
    _, key = await document(org, "invoices")
    for step in steps:
        assert (await org.patch(f"invoices({key})", step)).status == 204
    await check_move(org, f"invoices({key})", move, code)


@pytest.mark.parametrize(
    ("steps", "move", "code"),
    [
        ([], SUBMITTED, None),
        ([], INVOICED, None),
        ([SUBMITTED], PENDING, None),
        ([SUBMITTED], INVOICED, None),
        ([INVOICED], SUBMITTED, "0x80040203"),
        ([INVOICED], PENDING, None),
        ([], {"statecode": 2, "statuscode": 4}, "0x80040203"),
        ([SUBMITTED], {"statecode": 3, "statuscode": 100001}, "0x80040203"),
    ],
)
async def test_an_order_is_submitted_and_invoiced_by_update(
    org: Organisation, steps: list[dict[str, int]], move: dict[str, int], code: str | None
) -> None:
    _, key = await document(org, "salesorders")
    for step in steps:
        assert (await org.patch(f"salesorders({key})", step)).status == 204
    await check_move(org, f"salesorders({key})", move, code)


async def check_move(org: Organisation, address: str, move: dict[str, int], code: str | None) -> None:
    before = await state(org, address)
    answer = await org.patch(address, move)
    if code is None:
        assert answer.status == 204
        assert await state(org, address) == tuple(move.values())
    else:
        assert (answer.status, answer.code) == (400, code)
        assert await state(org, address) == before


@pytest.mark.parametrize(
    ("set_name", "closed", "opened"),
    [
        ("invoices", PAID, BILLED),
        ("invoices", CANCELLED, BILLED),
        ("salesorders", SUBMITTED, PENDING),
        ("salesorders", INVOICED, PENDING),
        ("quotes", {"statecode": 1, "statuscode": 3}, {"statecode": 0, "statuscode": 1}),
    ],
)
async def test_what_is_closed_is_read_only_until_it_is_opened_again(
    org: Organisation, set_name: str, closed: dict[str, int], opened: dict[str, int]
) -> None:
    _, key = await document(org, set_name)
    address, lines = f"{set_name}({key})", LINES[set_name][0]
    line = f"{lines}({next(iter(org.dataverse.tables[lines.removesuffix('s')].rows))})"
    assert (await org.patch(address, {"description": "before", **closed})).status == 204
    for body in ({"description": "X"}, {"description": "X", **opened}):
        refused = await org.patch(address, body)
        assert (refused.code, refused.message) == (
            "0x8004022e",
            "The object cannot be updated because it is read-only.",
        )
    parent = ("0x80043b09", "The parent is read only and cannot be edited.")
    for answer in (
        await org.post(lines, write_in(set_name, key, 1)),
        await org.patch(line, {"quantity": 5}),
        await org.delete(line),
    ):
        assert (answer.code, answer.message) == parent
    assert (await org.read(address))["description"] == "before"
    assert (await org.patch(address, opened)).status == 204
    assert (await org.patch(address, {"description": "after"})).status == 204
    assert (await org.patch(line, {"quantity": 5})).status == 204
    assert (await org.read(address))["totalamount"] == 50
    assert (await org.patch(address, closed)).status == 204
    assert (await org.delete(address)).status == 204
    assert (await org.get(line)).status == 404


async def test_documents_are_born_open(org: Organisation) -> None:
    _, key = await document(org, "invoices", statecode=2, statuscode=100001)
    assert await state(org, f"invoices({key})") == (0, 1)


@pytest.mark.parametrize(("action", "status", "closed"), [("WinOpportunity", 3, 1), ("LoseOpportunity", 5, 2)])
async def test_an_opportunity_is_won_and_lost_by_action(
    org: Organisation, action: str, status: int, closed: int
) -> None:
    _, key = await document(org, "opportunities", estimatedvalue=44)
    address = f"opportunities({key})"
    refused = await org.patch(address, {"statecode": closed, "statuscode": status})
    word = "Won" if closed == 1 else "Lost"
    assert (refused.code, refused.message) == (
        "0x80100005",
        f"This message can not be used to set the state of opportunity to {word}. In order to set state of opportunity "
        f"to {action}, use the {action} message instead.",
    )
    wrong = await close(org, action, key, 1)
    assert (wrong.status, wrong.code) == (400, "0x80048408")
    answer = await close(org, action, key, status, actualrevenue=40, actualend="2024-02-03T00:00:00Z")
    assert (answer.status, answer.body) == (204, b"")
    row = await org.read(address)
    assert (row["statecode"], row["statuscode"]) == (closed, status)
    assert (row["actualvalue"], row["actualvalue_base"], row["actualclosedate"]) == (40, 40, "2024-02-03")
    activity = (await org.get("opportunitycloses")).rows[0]
    assert (activity["_opportunityid_value"], activity["subject"]) == (key, "Closed")
    assert (activity["statecode"], activity["statuscode"], activity["opportunitystatecode"]) == (1, 2, closed)
    assert (await close(org, action, key, status)).status == 400
    assert (await org.post("opportunityproducts", write_in("opportunities", key, 1))).code == "0x80043b09"
    assert (await org.patch(address, {"description": "may still be edited"})).status == 204
    assert (await org.patch(address, {"statecode": 0, "statuscode": 1})).status == 204


async def test_closing_fills_in_what_is_not_said(org: Organisation) -> None:
    _, key = await document(org, "opportunities", estimatedvalue=44)
    assert (await close(org, "WinOpportunity", key, -1, actualend=None, actualrevenue=None)).status == 204
    row = await org.read(f"opportunities({key})")
    assert (row["statuscode"], row["actualvalue"], row["actualclosedate"]) == (3, 44, org.dataverse.now()[:10])


@pytest.mark.parametrize(("action", "status", "closed"), [("FulfillSalesOrder", 100001, 3), ("CancelSalesOrder", 4, 2)])
@pytest.mark.parametrize("begin", [PENDING, SUBMITTED])
async def test_an_order_is_fulfilled_and_cancelled_by_action(
    org: Organisation, action: str, status: int, closed: int, begin: dict[str, int]
) -> None:
    _, key = await document(org, "salesorders")
    await org.patch(f"salesorders({key})", begin)
    refused = await org.patch(f"salesorders({key})", {"statecode": closed, "statuscode": status})
    assert (refused.status, f"use the {action} message" in refused.message) == (400, True)
    assert (await close(org, action, key, status)).status == 204
    assert await state(org, f"salesorders({key})") == (closed, status)
    activity = (await org.get("ordercloses")).rows[0]
    assert (activity["_salesorderid_value"], activity["statecode"], activity["activitytypecode"]) == (
        key,
        1,
        "orderclose",
    )
    assert (await close(org, action, key, status)).status == 400
    if action == "FulfillSalesOrder":
        assert (await org.patch(f"salesorders({key})", INVOICED)).status == 204


async def test_an_action_that_closes_says_what_is_missing(org: Organisation) -> None:
    _, key = await document(org, "salesorders")
    assert (await org.post("CancelSalesOrder", {"Status": 4})).code == "0x80048d19"
    assert (await org.post("CancelSalesOrder", {"Status": 4, "OrderClose": {"subject": "X"}})).code == "0x80048d19"
    assert (await org.post("FulfillSalesOrder", {"Status": 4})).status == 404
    assert (await org.post(f"salesorders/{NAMESPACE}FulfillSalesOrder/x", {})).status == 404
    unknown = await close(org, "CancelSalesOrder", org.dataverse.base_currency, 4)
    assert (unknown.status, unknown.code) == (404, "0x80040217")
    assert await state(org, f"salesorders({key})") == (0, 1)
    org.dataverse.missing_privileges[org.dataverse.own_user] = {"prvWriteSalesOrder"}
    assert (await close(org, "CancelSalesOrder", key, 4)).status == 403


async def test_a_quote_is_activated_won_revised_and_made_an_order(org: Organisation) -> None:
    shop, key = await document(org, "quotes", freightamount=3)
    quote = f"quotes({key})"
    assert (await close(org, "WinQuote", key, 4)).status == 400
    assert (await org.patch(quote, {"statecode": 1, "statuscode": 3})).status == 204
    assert "use the WinQuote message" in (await org.patch(quote, {"statecode": 2, "statuscode": 4})).message
    everything = {"QuoteId": key, "ColumnSet": {"AllColumns": True}}
    assert (await org.post("ReviseQuote", everything)).code == "0x80048d00"
    assert (await close(org, "CloseQuote", key, 7)).status == 204
    assert await state(org, quote) == (3, 7)
    assert (await org.read(quote))["closedon"] == org.dataverse.now()[:10]
    revised = await org.post("ReviseQuote", everything)
    assert revised.status == 200
    second, number = revised.json, (await org.read(quote))["quotenumber"]
    assert (second["quotenumber"], second["revisionnumber"], second["statecode"]) == (number, 1, 0)
    assert (second["totalamount"], second["_customerid_value"]) == (23, shop.customer)
    assert (await org.post("ReviseQuote", everything)).code == "0x80048d00"
    key = second["quoteid"]
    everything = {"QuoteId": key, "ColumnSet": {"AllColumns": True}}
    assert (await org.post("ConvertQuoteToSalesOrder", everything)).status == 400
    await org.patch(f"quotes({key})", {"statecode": 1, "statuscode": 3})
    assert (await close(org, "WinQuote", key, -1)).status == 204
    assert (
        await org.post("ConvertQuoteToSalesOrder", {"QuoteId": key, "ColumnSet": {"Columns": ["name"]}})
    ).status == 501
    order = (await org.post("ConvertQuoteToSalesOrder", everything)).json
    assert (order["_quoteid_value"], order["totalamount"], order["freightamount"]) == (key, 23, 3)
    lines = (await org.get(f"salesorderdetails?$filter=_salesorderid_value eq {order['salesorderid']}")).rows
    assert [(line["productdescription"], line["extendedamount"]) for line in lines] == [("Write-in", 20)]
    assert lines[0]["_quotedetailid_value"] is not None
    activities = (await org.get("quotecloses")).rows
    assert sorted(activity["statecode"] for activity in activities) == [1, 1]


async def test_an_order_becomes_an_invoice_unless_another_system_makes_them(org: Organisation) -> None:
    _, key = await document(org, "salesorders")
    everything = {"SalesOrderId": key, "ColumnSet": {"AllColumns": True}}
    invoice = (await org.post("ConvertSalesOrderToInvoice", everything)).json
    assert (invoice["_salesorderid_value"], invoice["totalamount"], invoice["statecode"]) == (key, 20, 0)
    organization = f"organizations({org.dataverse.organization['organizationid']})"
    await org.patch(organization, {"issopintegrationenabled": True})
    assert (await org.post("ConvertSalesOrderToInvoice", everything)).status == 400


@pytest.mark.parametrize(
    ("set_name", "name", "parameter"),
    [("salesorders", "SalesOrder", "SalesOrderId"), ("invoices", "Invoice", "InvoiceId")],
)
async def test_locked_prices_stay(org: Organisation, set_name: str, name: str, parameter: str) -> None:
    shop = await catalogue(org)
    product, prices = await shop.product(), await shop.price_list()
    item = await shop.price(prices, product, 10)
    key = await shop.document(set_name, prices, ispricelocked=True)
    line = await shop.add(set_name, key, product, 2)
    address = f"{set_name}({key})"
    assert (await org.read(address))["ispricelocked"] is False
    lock = f"{address}/{NAMESPACE}Lock{name}Pricing"
    assert (await org.post(lock, {})).status == 204
    assert (await org.post(lock, {})).code == "0x80043b1d"
    lines = f"{LINES[set_name][0]}({line})"
    assert (await org.read(lines))[f"{set_name.removesuffix('s')}ispricelocked"] is True
    await org.patch(f"productpricelevels({item})", {"amount": 12})
    await org.patch(lines, {"description": "X"})
    await org.patch(address, {"freightamount": 5})
    assert (await org.read(address))["totalamount"] == 20
    unlock = {parameter: key}
    assert (await org.post(f"Unlock{name}Pricing", unlock)).status == 204
    assert (await org.read(address))["totalamount"] == 29
    assert (await org.post(f"Unlock{name}Pricing", unlock)).code == "0x80043b1e"
    assert (await org.post(f"Unlock{name}Pricing", {parameter: "x"})).code == "0x80048d19"
    assert (await org.post(f"Unlock{name}Pricing", {parameter: product})).status == 404


async def test_a_change_set_takes_lines_and_state_together(org: Organisation) -> None:
    _, key = await document(org, "invoices")
    address = f"invoices({key})"
    body = "\r\n".join(
        [
            "--batch_x",
            "Content-Type: multipart/mixed; boundary=changeset_y",
            "",
            *part(1, "POST", "invoicedetails", write_in("invoices", key, 7)),
            *part(2, "PATCH", address, PAID),
            "--changeset_y--",
            "--batch_x--",
            "",
        ]
    )
    answer = await org.send("POST", "$batch", body.encode(), content_type="multipart/mixed; boundary=batch_x")
    assert answer.status == 200
    row = await org.read(address)
    assert (row["totalamount"], row["statecode"]) == (27, 2)


def part(number: int, method: str, address: str, body: dict[str, Any]) -> list[str]:
    return [
        "--changeset_y",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        f"Content-ID: {number}",
        "",
        f"{method} /api/data/v9.2/{address} HTTP/1.1",
        "Content-Type: application/json; type=entry",
        "",
        orjson.dumps(body).decode(),
    ]
