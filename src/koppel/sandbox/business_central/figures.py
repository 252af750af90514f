"""``customerStatistics``: customers, each with what it owes and has ordered, added up while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.company import Company
from koppel.sandbox.business_central.logic.amounts import CENT, ZERO, exact, plain, rounded
from koppel.sandbox.business_central.paging import Source, source_of
from koppel.sandbox.business_central.query import Query
from koppel.sandbox.tables import Row

STATISTICS = "customerStatistics"
ADDED = ("balanceLCY", "outstandingOrdersLCY", "shippedNotInvoicedLCY", "outstandingInvoicesLCY")
ADDED_SERVICE = ("outstandingServOrdersLCY", "servShippedNotInvoicedLCY", "outstandingServInvoicesLCY")
TAKEN_OFF = ("invoicesOfShipmentsLCY", "invoicedPrepaymentLCY", "returnsNotInvoicedLCY")
"""What the total consists of (STAT-03)."""
_NO_DATE = "0001-01-01"


class Figures(Mapping[str, Row]):
    """The customers of a company by id, with their figures on a day.

    What there are no documents of here (service, invoices that are not posted, prepayments, returns) is nothing, unless
    it was loaded into the table.
    """

    def __init__(self, company: Company, today: str) -> None:
        self._company = company
        self._today = today
        self._customers = company.stores["customers"].rows

    def __len__(self) -> int:
        return len(self._customers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._customers)

    def __getitem__(self, row_id: str) -> Row:
        customer = self._customers[row_id]
        stored = self._company.stores[STATISTICS].find(customer["number"]) or {}
        sums = self._from_ledger(customer["number"]) | self._from_orders(customer["number"])
        found = {name: exact(stored.get(name, 0)) for name in (*ADDED, *ADDED_SERVICE, *TAKEN_OFF)} | sums
        total = sum((found[name] for name in (*ADDED, *ADDED_SERVICE)), ZERO)
        found["totalAmountLCY"] = total - sum((found[name] for name in TAKEN_OFF), ZERO)
        return {**customer, **{name: plain(value) for name, value in found.items() if value}}

    def _from_ledger(self, number: str) -> dict[str, Decimal]:
        entries = self._company.stores["customerLedgerEntries"].having("customerNumber", number)
        overdue = [entry for entry in entries if _NO_DATE < entry.get("dueDate", _NO_DATE) < self._today]
        year = [entry for entry in entries if entry.get("postingDate", "")[:4] == self._today[:4]]
        return {
            "balanceLCY": _sum(entries, "amountLCY"),
            "overdueAmountLCY": _sum(overdue, "remainingAmtLCY"),
            "salesThisYearLCY": _sum(year, "salesLCY"),
        }

    def _from_orders(self, number: str) -> dict[str, Decimal]:
        lines = self._company.stores["salesOrderLines"].having("billToCustomerNumber", number)
        names = {"outstandingOrdersLCY": "outstandingAmount", "shippedNotInvoicedLCY": "shippedNotInvoiced"}
        return {
            figure: sum((self._local(line, exact(line.get(name, 0))) for line in lines), ZERO)
            for figure, name in names.items()
        }

    def _local(self, line: Row, amount: Decimal) -> Decimal:
        order = self._company.stores["salesOrders"].rows[line["documentId"]]
        factor = exact(order.get("currencyFactor", 0))
        return rounded(amount / factor, CENT) if factor else amount


def _sum(rows: list[Row], name: str) -> Decimal:
    return sum((exact(row.get(name, 0)) for row in rows), ZERO)


def source_with_figures(company: Company, today: str, query: Query) -> Source:
    """The customers that can satisfy a query, in its order. ``ServiceError`` for an order by figures."""
    customers = company.stores["customers"]
    if unknown := [name for name, _ in query.order if name not in customers.info.fields]:
        raise errors.not_implemented(f"an order by {unknown[0]}, which is added up")
    source = source_of(customers, query)
    return Source(Figures(company, today), source.ids, source.sort_key)
