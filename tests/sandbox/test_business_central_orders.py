"""Sales orders: what comes with the customer and the item, amounts, VAT, discounts, release."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, Answer
from business_central_sales import Sales, item

from koppel.sandbox.business_central.errors import ServiceError
from koppel.sandbox.business_central.logic import dates


@pytest.fixture
def sales() -> Sales:
    return Sales()


def _is(row: dict[str, Any], **values: Any) -> None:
    assert {name: row[name] for name in values} == values


def _refused(answer: Answer, *words: str, code: str = "Application_DialogException") -> None:
    assert (answer.status, answer.code) == (400, code)
    for word in words:
        assert word in answer.json["error"]["message"]


async def test_an_order_takes_what_its_customer_brings(sales: Sales) -> None:
    order = await sales.order()
    for prefix in ("sellTo", "billTo", "shipTo"):
        _is(order, **{f"{prefix}AddressLine1": "1 Main St", f"{prefix}City": "Ede", f"{prefix}PostCode": "6711"})
    _is(order, customerName="Adatum", billToName="Adatum", shipToName="Adatum", sellToContact="Jo")
    _is(order, shipmentMethodCode="EXW", shippingAgentCode="DHL", salesperson="JO", email="jo@adatum.example")
    _is(order, orderDate="2026-03-01", postingDate="2026-03-01", dueDate="2026-04-01", pmtDiscountDate="2026-03-09")
    _is(order, paymentDiscountPercent=2, currencyCode="USD", currencyFactor=0, partialShipping=True, status="Open")
    terms = (await sales.get("paymentTerms?$filter=code eq '1M(8D)'")).values[0]
    _is(order, paymentTermsCode="1M(8D)", paymentTermsId=terms["id"])


async def test_who_is_billed_may_be_another_customer(sales: Sales) -> None:
    order = await sales.order("40000")
    _is(order, customerName="Branch", sellToCity="", billToName="Adatum", billToCity="Ede", salesperson="JO")
    changed = (await sales.change(order, billToCustomerNumber="20000")).json
    _is(changed, customerName="Branch", billToName="Trey", currencyCode="EUR", salesperson="", paymentTermsCode="")


async def test_what_is_given_after_the_customer_stands(sales: Sales) -> None:
    order = await sales.order(shipToName="Dock 4", shippingAgentCode="", yourReference="ORD-1", billToCity="Goes")
    _is(order, shipToName="Dock 4", shippingAgentCode="", yourReference="ORD-1", billToCity="Goes", sellToCity="Ede")
    overwritten = await sales.made("salesOrders", {"shipToName": "Dock 4", "customerNumber": "10000"})
    assert overwritten["shipToName"] == "Adatum"


async def test_the_customer_may_be_named_by_id(sales: Sales) -> None:
    customer = (await sales.get("customers?$filter=number eq '10000'")).values[0]
    order = await sales.made("salesOrders", {"customerId": customer["id"]})
    _is(order, customerNumber="10000", customerName="Adatum", sellToCity="Ede")


async def test_an_order_needs_a_customer_who_may_buy(sales: Sales) -> None:
    _refused(await sales.post("salesOrders", {}), 'A "customerNumber" or a "customerId" must be provided.')
    blocked = await sales.post("salesOrders", {"customerNumber": "50000"})
    _refused(blocked, "You cannot create this type of document when Customer 50000 is blocked with type All")
    assert (await sales.get("salesOrders")).values == []


async def test_the_rate_of_the_posting_date_counts(sales: Sales) -> None:
    order = await sales.order("20000")
    _is(order, currencyCode="EUR", currencyFactor=0.8)
    assert (await sales.change(order, postingDate="2026-01-15")).json["currencyFactor"] == 0.9
    _refused(await sales.change(order, postingDate="2025-12-31"), "EUR", code="Internal_DataNotFoundFilter")


async def test_due_dates_follow_the_terms(sales: Sales) -> None:
    order = await sales.order()
    assert (await sales.change(order, orderDate="2026-01-31")).json["dueDate"] == "2026-02-28"
    _is((await sales.change(order, paymentTermsCode="COD")).json, dueDate="2026-01-31", paymentDiscountPercent=0)


@pytest.mark.parametrize(
    ("formula", "date"),
    [
        ("", "2026-01-31"),
        ("14D", "2026-02-14"),
        ("2W", "2026-02-14"),
        ("1M", "2026-02-28"),
        ("1Q", "2026-04-30"),
        ("1Y", "2027-01-31"),
        ("CM", "2026-01-31"),
        ("CM + 15D", "2026-02-15"),
        ("1M+CM", "2026-02-28"),
        ("CQ", "2026-03-31"),
        ("CW", "2026-02-01"),
        ("-CY", "2026-01-01"),
        ("-1D", "2026-01-30"),
    ],
)
def test_date_formulas(formula: str, date: str) -> None:
    assert dates.after("2026-01-31", formula) == date


def test_a_formula_that_is_none() -> None:
    with pytest.raises(ServiceError, match="can't be evaluated into type DateFormula"):
        dates.after("2026-01-31", "soon")


async def test_lines_take_what_the_item_brings(sales: Sales) -> None:
    order = await sales.order("10000", item(quantity=3))
    (line,) = order["salesOrderLines"]
    _is(line, description="Bicycle", unitOfMeasureCode="PCS", unitPrice=100, taxPercent=21, sequence=10000)
    _is(line, lineAmount=300, netAmount=300, netTaxAmount=63, netAmountIncludingTax=363, outstandingQuantity=3)
    _is(line, shipQuantity=3, invoiceQuantity=3, documentNumber=order["number"], customerNumber="10000")
    _is(line, shipmentDate="2026-03-01", outstandingAmount=363)
    _is(order, totalAmountExcludingTax=300, totalTaxAmount=63, totalAmountIncludingTax=363, fullyShipped=False)


async def test_lines_may_be_of_resources_accounts_and_texts(sales: Sales) -> None:
    order = await sales.order(
        "10000",
        {"lineType": "Resource", "lineObjectNumber": "LIFT", "quantity": 2},
        {"lineType": "Account", "lineObjectNumber": "6110", "quantity": 1, "unitPrice": 7.5},
        {"description": "as agreed on the phone", "attachedToLineNumber": 10000},
    )
    lift, freight, text = order["salesOrderLines"]
    _is(lift, description="Lift", unitPrice=50, unitOfMeasureCode="HOUR", allowInvoiceDisc=True, lineAmount=100)
    _is(freight, description="Freight", lineAmount=7.5, allowInvoiceDisc=False, netTaxAmount=1.58)
    _is(text, lineType="Comment", lineObjectNumber="", quantity=0, attachedToLineNumber=10000, lineAmount=0)
    assert order["totalAmountIncludingTax"] == 130.08


async def test_lines_may_be_named_by_id(sales: Sales) -> None:
    bicycle = (await sales.get("items?$filter=number eq '1000'")).values[0]
    order = await sales.order("10000", {"itemId": bicycle["id"], "quantity": 1})
    _is(order["salesOrderLines"][0], lineType="Item", lineObjectNumber="1000", unitPrice=100)
    both = {"documentId": order["id"], "itemId": bicycle["id"], "accountId": bicycle["id"]}
    _refused(await sales.post("salesOrderLines", both), 'Both "itemId" and "accountId" are specified.')


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"lineType": "Item", "lineObjectNumber": "1002"}, "Application_FieldValidationException"),
        ({"lineType": "Item", "lineObjectNumber": "9"}, "Internal_InvalidTableRelation"),
        ({"lineType": "Account", "lineObjectNumber": "6999"}, "Application_FieldValidationException"),
        ({"lineObjectNumber": "1000"}, "Internal_InvalidTableRelation"),
        ({"quantity": 2}, "Application_FieldValidationException"),
        ({"lineType": "Item", "quantity": 2}, "Application_FieldValidationException"),
        (item(discountPercent=101), "Application_DialogException"),
        (item(discountAmount=101), "Application_DialogException"),
        (item(shipQuantity=2), "Application_DialogException"),
        (item(unitOfMeasureCode="HOUR"), "Internal_InvalidTableRelation"),
    ],
)
async def test_a_bad_line_leaves_no_order(sales: Sales, line: dict[str, Any], code: str) -> None:
    before = sales.company.series["S-ORD"].last
    answer = await sales.post("salesOrders", {"customerNumber": "10000", "salesOrderLines": [item(), line]})
    assert (answer.status, answer.code) == (400, code), answer.content
    assert (await sales.get("salesOrders")).values == []
    assert (await sales.get("salesOrderLines", COMPANION)).values == []
    assert sales.company.series["S-ORD"].last == before


async def test_what_is_not_simulated_is_said(sales: Sales) -> None:
    order = await sales.order("10000", item())
    line = {"documentId": order["id"], "lineType": "Charge"}
    answers = [
        await sales.post("salesOrderLines", line),
        await sales.change(order, customerNumber="20000"),
        await sales.change(order, currencyCode="EUR"),
        await sales.change(order, shortcutDimension1Code="SALES"),
        await sales.post(f"salesOrders({order['id']})/Microsoft.NAV.release", None),
        await sales.post("salesOrders", {"customerNumber": "10000", "attachments": []}),
    ]
    assert [answer.status for answer in answers] == [501] * len(answers)


async def test_discounts_of_a_line(sales: Sales) -> None:
    order = await sales.order("10000", item(quantity=4, discountPercent=12.5))
    (line,) = order["salesOrderLines"]
    _is(line, discountAmount=50, lineAmount=350)
    _is((await sales.change_line(line, discountAmount=9)).json, discountPercent=2.25, lineAmount=391)
    _is((await sales.change_line(line, quantity=8)).json, discountAmount=18, lineAmount=782)
    assert (await sales.again(order))["totalAmountExcludingTax"] == 782


async def test_a_line_with_both_discounts(sales: Sales) -> None:
    order = await sales.order("10000", item(quantity=10, discountAmount=60), discountAmount=40)
    _is(order["salesOrderLines"][0], netAmount=900, netTaxAmount=189, invDiscountAmount=40, discountAmount=60)


async def test_the_invoice_discount_is_spread_over_the_lines_that_allow_it(sales: Sales) -> None:
    freight = {"lineType": "Account", "lineObjectNumber": "6110", "quantity": 1, "unitPrice": 100}
    order = await sales.order("10000", item(quantity=1), item("1001", 10), freight, discountAmount=10)
    first, second, third = order["salesOrderLines"]
    assert [line["invDiscountAmount"] for line in (first, second, third)] == [3.33, 6.67, 0]
    _is(order, discountAmount=10, totalAmountExcludingTax=390)
    assert order["totalTaxAmount"] == 20.3 + 17.4 + 21
    assert (await sales.change(order, discountAmount=0)).json["totalAmountExcludingTax"] == 400
    _refused(await sales.change(order, discountAmount=300.01), "300.01")
    only_freight = await sales.order("10000", freight)
    _refused(await sales.change(only_freight, discountAmount=1), "allows an invoice discount")


async def test_vat_is_rounded_over_the_document(sales: Sales) -> None:
    order = await sales.order("10000", *[item(unitPrice=0.07)] * 3)
    assert [line["netTaxAmount"] for line in order["salesOrderLines"]] == [0.01, 0.02, 0.01]
    assert order["totalTaxAmount"] == 0.04


async def test_prices_that_include_vat(sales: Sales) -> None:
    order = await sales.order("30000", item(), item(unitPrice=10, quantity=3), item("1003"))
    bicycle, three, bell = order["salesOrderLines"]
    _is(bicycle, unitPrice=121, netAmount=100, netTaxAmount=21)
    _is(three, netAmountIncludingTax=30, netAmount=24.79)
    _is(bell, unitPrice=121, netAmount=100)
    without = await sales.order("10000", item("1003"))
    _is(without["salesOrderLines"][0], unitPrice=100, netAmountIncludingTax=121)


async def test_prices_in_another_currency_and_unit(sales: Sales) -> None:
    order = await sales.order("20000", item(), item(unitOfMeasureCode="BOX"))
    one, box = order["salesOrderLines"]
    _is(one, unitPrice=80, netTaxAmount=0, currencyCode="EUR")
    _is(box, unitPrice=960, unitOfMeasureCode="BOX")


async def test_the_lowest_price_that_holds_is_taken(sales: Sales) -> None:
    prices = [
        {"salesType": "All_x0020_Customers", "unitPrice": 95},
        {"salesType": "Customer", "salesCode": "10000", "minimumQuantity": 5, "unitPrice": 70},
        {"salesType": "Customer", "salesCode": "20000", "unitPrice": 1},
        {"salesType": "All_x0020_Customers", "startingDate": "2026-04-01", "unitPrice": 2},
        {"salesType": "All_x0020_Customers", "startingDate": "2026-01-01", "endingDate": "2026-02-28", "unitPrice": 3},
    ]
    sales.system.load("CRONUS", "salesPrices", [{"itemNo": "1000", **price} for price in prices])
    order = await sales.order("10000", item(), item(quantity=5), item(quantity=5, unitPrice=71))
    assert [line["unitPrice"] for line in order["salesOrderLines"]] == [95, 70, 71]


async def test_an_order_is_released_and_reopened(sales: Sales) -> None:
    empty = await sales.order("10000", {"description": "nothing to sell"})
    number = empty["number"]
    text = f"There is nothing to release for the document of type Order with the number {number}."
    _refused(await sales.act(empty, "release"), text)
    order = await sales.order("10000", item())
    sales.clock.advance(minutes=1)
    answer = await sales.act(order, "RELEASE")
    assert (answer.status, answer.content) == (204, b"")
    released = await sales.again(order)
    assert released["status"] == "Released"
    assert released["lastModifiedDateTime"] > order["lastModifiedDateTime"]
    assert (await sales.get(f"salesOrders({order['id']})")).json["status"] == "Open"
    assert (await sales.act(order, "release")).status == 204
    assert await sales.again(order) == released
    assert (await sales.act(order, "reopen")).status == 204
    assert (await sales.again(order))["status"] == "Open"


async def test_a_released_order_stays_as_it_is(sales: Sales) -> None:
    order = await sales.order("10000", item())
    (line,) = order["salesOrderLines"]
    await sales.act(order, "release")
    for answer in (
        await sales.change(order, requestedDeliveryDate="2026-04-01"),
        await sales.change(order, billToCustomerNumber="20000"),
        await sales.change(order, discountAmount=1),
        await sales.change_line(line, quantity=2),
        await sales.change_line(line, unitPrice=2),
        await sales.post("salesOrderLines", {"documentId": order["id"], "description": "more"}, COMPANION),
        await sales.delete(f"salesOrderLines({line['id']})", COMPANION),
    ):
        words = f"Status must be equal to 'Open' in Sales Header: Document Type=Order, No.={order['number']}."
        _refused(answer, words, "'Released'", code="Application_FieldValidationException")
    assert (await sales.change(order, yourReference="R")).status == 200
    assert (await sales.change_line(line, shipQuantity=0)).status == 200


async def test_the_time_of_an_order_moves_with_lines_that_count(sales: Sales) -> None:
    order = await sales.order("10000", item())
    (line,) = order["salesOrderLines"]

    async def moves(answer: Answer) -> bool:
        assert answer.status < 300, answer.content
        before, now = order["lastModifiedDateTime"], (await sales.again(order))["lastModifiedDateTime"]
        order["lastModifiedDateTime"] = now
        sales.clock.advance(seconds=1)
        return bool(now > before)

    sales.clock.advance(seconds=1)
    assert not await moves(await sales.change_line(line, description="A bicycle"))
    assert not await moves(await sales.change_line(line, shipmentDate="2026-04-01"))
    assert await moves(await sales.change_line(line, quantity=2))
    assert await moves(await sales.post("salesOrderLines", {"documentId": order["id"], "description": "x"}))
    lines = (await sales.again(order))["salesOrderLines"]
    assert await moves(await sales.delete(f"salesOrderLines({lines[1]['id']})"))


async def test_dates_of_the_order_go_to_its_lines(sales: Sales) -> None:
    order = await sales.order("10000", item(), requestedDeliveryDate="2026-05-01")
    assert order["salesOrderLines"][0]["requestedDeliveryDate"] == "2026-05-01"
    await sales.change(order, requestedDeliveryDate="2026-06-01")
    assert (await sales.again(order))["salesOrderLines"][0]["requestedDeliveryDate"] == "2026-06-01"


async def test_a_line_keeps_what_it_is_of(sales: Sales) -> None:
    order = await sales.order("10000", item())
    (line,) = order["salesOrderLines"]
    other = await sales.order()
    _refused(await sales.change_line(line, lineObjectNumber="1001"), "lineObjectNumber")
    _refused(await sales.change_line(line, sequence=5), "sequence")
    _refused(await sales.change_line(line, documentId=other["id"]), "documentId")
    cleared = (await sales.change_line(line, lineType="Resource")).json
    _is(cleared, lineObjectNumber="", quantity=0, unitPrice=0, description="", sequence=10000)
    _is((await sales.change_line(line, lineObjectNumber="LIFT", quantity=1)).json, description="Lift", netAmount=50)


async def test_texts_go_with_the_line_they_are_attached_to(sales: Sales) -> None:
    order = await sales.order("10000", item(), {"description": "red", "attachedToLineNumber": 10000}, item("1001"))
    await sales.delete(f"salesOrderLines({order['salesOrderLines'][0]['id']})")
    left = await sales.again(order)
    assert [line["description"] for line in left["salesOrderLines"]] == ["Book"]
    assert left["totalAmountExcludingTax"] == 20


async def test_a_customer_with_an_order_stays(sales: Sales) -> None:
    await sales.order("10000", item())
    customer = (await sales.get("customers?$filter=number eq '10000'")).values[0]
    _refused(await sales.delete(f"customers({customer['id']})"), "at least one outstanding Sales Order")
