"""Business logic by table: what Business Central itself does when rows are written.

A table without an entry is just rows. Each function gets the ``Work`` of the request.
"""

from __future__ import annotations

from koppel.sandbox.business_central.logic import contact, currency, customer, note, order, order_line, relation, vendor
from koppel.sandbox.business_central.logic.hooks import Logic

LOGIC: dict[str, Logic] = {
    "customers": customer.LOGIC,
    "contacts": contact.LOGIC,
    "contactBusinessRelations": relation.LOGIC,
    "currencies": currency.LOGIC,
    "vendors": vendor.LOGIC,
    "recordNotes": note.LOGIC,
    "salesOrderLines": order_line.LOGIC,
    "salesOrders": order.LOGIC,
}
