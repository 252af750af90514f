"""Sales documents: their pages, and what one reaches through them."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, World

INVOICE = "aaaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture
def world() -> World:
    world = World()
    world.system.load("CRONUS", "customers", [{"number": "10000", "displayName": "Adatum"}])
    world.system.load("CRONUS", "postedSalesInvoices", [{"id": INVOICE, "number": "PS-1", "customerNumber": "10000"}])
    lines = [{"documentId": INVOICE, "documentNumber": "PS-1", "sequence": number} for number in (20000, 10000)]
    world.system.load("CRONUS", "postedSalesInvoiceLines", lines)
    return world


async def _order(world: World, *lines: dict[str, Any]) -> dict[str, Any]:
    order = await world.made("salesOrders", {"customerNumber": "10000"})
    for line in lines:
        await world.made(f"salesOrders({order['id']})/salesOrderLines", line)
    return order


async def test_a_posted_invoice_has_its_lines(world: World) -> None:
    shown = (await world.get(f"postedSalesInvoices({INVOICE})?$expand=postedSalesInvoiceLines", COMPANION)).json
    assert (shown["number"], shown["currencyCode"]) == ("PS-1", "USD")
    assert [line["sequence"] for line in shown["postedSalesInvoiceLines"]] == [10000, 20000]
    path = f"postedSalesInvoiceLines?$filter=documentId eq {INVOICE}&$orderby=sequence desc"
    assert [line["sequence"] for line in (await world.get(path, COMPANION)).values] == [20000, 10000]


async def test_posted_documents_are_read_only(world: World) -> None:
    for answer in (
        await world.post("postedSalesInvoices", {}, COMPANION),
        await world.patch(f"postedSalesInvoices({INVOICE})", {}, COMPANION),
        await world.delete(f"postedSalesInvoices({INVOICE})", COMPANION),
        await world.post(f"postedSalesInvoices({INVOICE})/postedSalesInvoiceLines", {}, COMPANION),
    ):
        assert (answer.status, answer.code) == (405, "BadRequest_MethodNotAllowed")


async def test_posted_documents_are_no_pages_of_the_standard_api(world: World) -> None:
    assert (await world.get("postedSalesInvoices")).code == "BadRequest_ResourceNotFound"
    assert (await world.get("salesInvoices")).status == 501


async def test_an_order_and_its_lines_are_numbered(world: World) -> None:
    order = await _order(world, {"description": "one"}, {"description": "two"}, {"sequence": 15000})
    assert order["number"] == "S-ORD101001"
    lines = (await world.get(f"salesOrders({order['id']})/salesOrderLines")).values
    assert [(line["sequence"], line["documentId"]) for line in lines] == [
        (number, order["id"]) for number in (10000, 15000, 20000)
    ]


async def test_lines_of_orders_are_read_by_document(world: World) -> None:
    order = await _order(world, {"description": "one"})
    refused = await world.get("salesOrderLines")
    assert (refused.status, refused.code) == (400, "Application_DialogException")
    (line,) = (await world.get(f"salesOrderLines?$filter=documentId eq {order['id']}")).values
    (same,) = (await world.get(f"salesOrderLines?$filter=id eq {line['id']}")).values
    assert same == line
    assert len((await world.get("salesOrderLines", COMPANION)).values) == 1


async def test_a_line_may_be_addressed_through_its_order_only(world: World) -> None:
    one, other = await _order(world, {"description": "mine"}), await _order(world)
    (line,) = (await world.get(f"salesOrders({one['id']})/salesOrderLines")).values
    assert (await world.get(f"salesOrders({one['id']})/salesOrderLines({line['id']})")).json["description"] == "mine"
    assert (await world.get(f"salesOrders({other['id']})/salesOrderLines({line['id']})")).status == 404
    changed = await world.patch(f"salesOrders({one['id']})/salesOrderLines({line['id']})", {"description": "new"})
    assert changed.json["description"] == "new"
    assert (await world.delete(f"salesOrders({one['id']})/salesOrderLines({line['id']})")).status == 204


async def test_each_route_has_its_own_words_for_the_state_of_an_order(world: World) -> None:
    order = await _order(world)
    assert order["status"] == "Draft"
    assert (await world.get(f"salesOrders({order['id']})", COMPANION)).json["status"] == "Open"
    assert len((await world.get("salesOrders?$filter=status eq 'Draft'")).values) == 1
    assert len((await world.get("salesOrders?$filter=status eq 'Open'", COMPANION)).values) == 1
    assert (await world.get("salesOrders?$filter=status eq 'Released'")).status == 400


async def test_ids_of_orders_are_given_by_the_system(world: World) -> None:
    body = {"id": INVOICE, "customerNumber": "10000"}
    assert (await world.post("salesOrders", body, COMPANION)).code == "BadRequest_InvalidOperation"


async def test_notes_belong_to_an_order_and_go_with_it(world: World) -> None:
    order = await _order(world)
    body = {"documentId": order["id"], "description": "Call", "note": "before noon"}
    note = await world.made("recordNotes", body, COMPANION)
    assert (note["linkId"], note["company"], note["type"]) == (1, "CRONUS", "Note")
    changed = await world.patch(f"recordNotes({note['id']})", {"note": "after noon"}, COMPANION)
    assert changed.json["note"] == "after noon"
    refused = await world.post("recordNotes", {"documentId": INVOICE, "note": "nowhere"}, COMPANION)
    assert refused.code == "Internal_InvalidTableRelation"
    assert (await world.delete(f"salesOrders({order['id']})")).status == 204
    assert (await world.get("recordNotes", COMPANION)).values == []
