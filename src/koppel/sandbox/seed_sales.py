"""Posted sales invoices made from the orders of Adventure Works, with their lines and the customers' ledger."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from functools import cache, partial
from itertools import groupby
from operator import itemgetter

import msgspec

from koppel.sandbox.adventureworks import Line, line_stream, record_id
from koppel.sandbox.business_central.logic import amounts, dates
from koppel.sandbox.business_central.logic.amounts import HUNDRED, ONE, Terms, exact, plain, rounded
from koppel.sandbox.business_central.logic.documents import BILL_TO, SELL_TO, SHIP_TO
from koppel.sandbox.business_central.logic.exchange import currency_factor
from koppel.sandbox.business_central.work import Work
from koppel.sandbox.seed_vat import PERCENT, STANDARD
from koppel.sandbox.tables import Row

_SAME = (
    "currencyCode",
    "currencyId",
    "paymentTermsCode",
    "paymentTermsId",
    "shipmentMethodCode",
    "shipmentMethodId",
)
_LAST_RATE = "2014-05-31"
"""All orders are later than that."""


class InvoiceRows(msgspec.Struct, frozen=True):
    """All rows that one invoice brings. ``entries``: its own in the ledger, and its payment's."""

    invoice: Row
    lines: list[Row]
    entries: list[Row]


def invoice_rows(work: Work, number: int) -> Iterator[InvoiceRows]:
    """The last ``number`` orders of the customers that are there, as invoices. ``work`` is only looked into."""
    orders = groupby(line_stream("order_lines.csv.gz"), itemgetter("order_number"))
    factor = cache(partial(currency_factor, work))
    entries = 0
    for index, parts, customer in deque(_known(work, orders), maxlen=number):
        code = customer.get("currencyCode", "")
        rows = _Maker(work, customer, parts, index, factor(code, _LAST_RATE)).rows(entries)
        entries += len(rows.entries)
        yield rows


def _known(work: Work, orders: Iterator[tuple[str, Iterator[Line]]]) -> Iterator[tuple[int, list[Line], Row]]:
    find = work.store("customers").find
    for index, (_, lines) in enumerate(orders):
        parts = list(lines)
        customer = find(parts[0]["customer_number"])
        if customer is not None:
            yield index, parts, customer


class _Maker:
    """One order on its way to an invoice. ``index`` is its place in the file: from it follows what the files lack."""

    def __init__(self, work: Work, customer: Row, parts: list[Line], index: int, factor: float) -> None:
        self.work = work
        self.customer = customer
        self.parts = parts
        self.index = index
        self.number = f"PS-INV{100_001 + index}"
        self.factor = factor
        self.percent = PERCENT[customer["vatBusPostingGroup"]]
        self.terms = Terms(customer.get("pricesIncludingVAT", False))

    def rows(self, entries: int) -> InvoiceRows:
        """Everything; ``entries`` are in the ledger already."""
        invoice = self._header()
        lines = [self._line(invoice, part) for part in self.parts]
        found = amounts.amounts_of(lines, self._discounts(lines), self.terms)
        for line, values in zip(lines, found, strict=True):
            line |= {name: value for name, value in values.items() if value}
        invoice |= {name: value for name, value in amounts.totals(found).items() if value}
        return InvoiceRows(invoice, lines, self._entries(invoice, entries))

    def _header(self) -> Row:
        customer, date = self.customer, self.parts[0]["date"]
        terms = self.work.store("paymentTerms").find(customer.get("paymentTermsCode", "")) or {}
        row = {name: customer.get(own) for names in (SELL_TO, SHIP_TO, BILL_TO) for name, own in names.items()}
        row |= dict.fromkeys(("invoiceDate", "postingDate", "shipmentDate"), date)
        row |= dict.fromkeys(("customerId", "billToCustomerId"), customer["id"])
        row |= dict.fromkeys(("customerNumber", "billToCustomerNumber"), customer["number"])
        row |= {
            "id": record_id("postedSalesInvoices", self.number),
            "number": self.number,
            "orderNumber": self.parts[0]["order_number"],
            "dueDate": dates.after(date, terms.get("dueDateCalculation", "")),
            "paymentDiscountPercent": terms.get("discountPercent"),
            "currencyFactor": self.factor,
        }
        row |= {name: customer.get(name) for name in _SAME}
        return {name: value for name, value in row.items() if value}

    def _discounts(self, lines: list[Row]) -> list[Decimal]:
        """Every twentieth invoice is five per cent cheaper."""
        whole = sum(amounts.discountable(lines, self.terms), amounts.ZERO) if self.index % 20 == 5 else amounts.ZERO
        return amounts.spread_discount(lines, rounded(whole / 20), self.terms)

    def _line(self, invoice: Row, part: Line) -> Row:
        item = self.work.store("items").find(part["item_number"]) or {}
        row = {
            "id": record_id("postedSalesInvoiceLines", f"{self.number}/{part['line']}"),
            "documentId": invoice["id"],
            "documentNumber": self.number,
            "customerNumber": invoice["customerNumber"],
            "postingDate": invoice["postingDate"],
            "shipmentDate": invoice["postingDate"],
            "sequence": int(part["line"]) * 10_000,
            "lineType": "Item",
            "lineObjectNumber": part["item_number"],
            "itemId": item.get("id"),
            "description": item.get("displayName"),
            "unitOfMeasureCode": item.get("baseUnitOfMeasureCode"),
            "unitOfMeasureId": item.get("baseUnitOfMeasureId"),
            "quantity": int(part["quantity"]),
            "unitPrice": self._price(part["unit_price"]),
            "allowInvoiceDisc": True,
            "vatBusPostingGroup": invoice["vatBusPostingGroup"],
            "vatProdPostingGroup": STANDARD,
            "taxCode": STANDARD,
            "taxPercent": self.percent,
        }
        return {name: value for name, value in row.items() if value}

    def _price(self, text: str) -> float:
        """The price of the file is in the local currency and without VAT."""
        if not self.factor and not self.terms.including_tax:
            return float(text)
        price = Decimal(text) * exact(self.factor or 1)
        return plain(rounded(price * (ONE + exact(self.percent) / HUNDRED) if self.terms.including_tax else price))

    def _entries(self, invoice: Row, before: int) -> list[Row]:
        """Of ten invoices seven are paid, one is half paid, two are open."""
        total = exact(invoice.get("totalAmountIncludingTax", 0))
        paid = amounts.ZERO if self.index % 10 > 7 else rounded(total / 2) if self.index % 10 == 7 else total
        entry = self._entry(before + 1, "Invoice", invoice, total, total - paid)
        invoice |= {"custLedgerEntryNumber": before + 1}
        invoice |= {"remainingAmount": entry["remainingAmount"]} if entry["open"] else {"closed": True}
        if not paid:
            return [entry]
        payment = self._entry(before + 2, "Payment", invoice, -paid, amounts.ZERO)
        closed = {"closedAtDate": invoice["dueDate"]}
        if not entry["open"]:
            entry |= closed | {"closedByEntryNumber": before + 2}
        return [entry, payment | closed | {"closedByEntryNumber": before + 1}]

    def _entry(self, number: int, kind: str, invoice: Row, amount: Decimal, remaining: Decimal) -> Row:
        date = invoice["postingDate" if kind == "Invoice" else "dueDate"]
        return {
            "id": record_id("customerLedgerEntries", f"{self.number}/{kind}"),
            "entryNumber": number,
            "customerNumber": self.customer["number"],
            "currencyCode": self.customer.get("currencyCode", ""),
            "postingDate": date,
            "documentDate": date,
            "dueDate": invoice["dueDate"],
            "documentType": kind,
            "documentNumber": self.number if kind == "Invoice" else f"PMT-{self.number}",
            "description": f"Order {invoice['orderNumber']}",
            "open": bool(remaining),
            "amount": plain(amount),
            "amountLCY": self._local(amount),
            "salesLCY": self._local(exact(invoice.get("totalAmountExcludingTax", 0))) if kind == "Invoice" else 0,
            "remainingAmount": plain(remaining),
            "remainingAmtLCY": self._local(remaining),
        }

    def _local(self, amount: Decimal) -> float:
        return plain(rounded(amount / exact(self.factor)) if self.factor else amount)
