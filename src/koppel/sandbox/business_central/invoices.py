"""What the users of Business Central do to posted invoices, as far as no page here does it: pay, unapply, cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from koppel.sandbox.business_central.company import BusinessCentral
from koppel.sandbox.business_central.errors import ServiceError
from koppel.sandbox.business_central.logic import ledger, prepayment
from koppel.sandbox.business_central.work import Work
from koppel.sandbox.tables import Row


class Invoices:
    """The posted invoices of a company, changed by ``user``. ``ValueError`` for what Business Central refuses."""

    def __init__(self, system: BusinessCentral, company: str, user: str) -> None:
        self._system = system
        self._company = company
        self._user = user

    def pay(self, number: str, amount: float | None = None) -> None:
        """Pay an invoice: some of it, or all that is left."""
        self._do(ledger.pay, number, amount)

    def unapply(self, number: str) -> None:
        """Take the application of its payments back."""
        self._do(ledger.unapply, number)

    def cancel(self, number: str) -> None:
        """Cancel it by a credit memo."""
        self._do(ledger.cancel, number)

    def prepay(self, order: str) -> None:
        """Invoice the prepayments of an order, and pay them."""
        self._do(prepayment.invoice, order)

    def count(self) -> dict[str, int]:
        """How many there are of each kind."""
        counted = dict.fromkeys(("open", "partly", "paid", "cancelled"), 0)
        for row in self._system.companies[self._company].stores[ledger.INVOICES].rows.values():
            counted[kind_of(row)] += 1
        return counted

    def _do(self, change: Callable[..., None], *given: Any) -> None:
        work = Work(self._system, self._system.companies[self._company], self._user)
        try:
            change(work, *given)
        except ServiceError as refusal:
            work.journal.undo()
            raise ValueError(refusal.message) from refusal


def kind_of(row: Row) -> str:
    """What became of a posted invoice so far: open, partly (paid), paid, cancelled."""
    if row.get("cancelled"):
        return "cancelled"
    if row.get("closed"):
        return "paid"
    return "open" if row.get("remainingAmount") == row.get("totalAmountIncludingTax") else "partly"
