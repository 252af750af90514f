"""Business logic by table: what Business Central itself does when rows are written.

A table without an entry is just rows. Each function gets the ``Work`` of the request.
"""

from __future__ import annotations

from koppel.sandbox.business_central.logic import (
    contact,
    currency,
    customer,
    item,
    note,
    opportunity,
    order,
    order_line,
    price,
    price_list,
    relation,
    resource,
    sales_setup,
    unit,
    vendor,
)
from koppel.sandbox.business_central.logic.hooks import Logic

LOGIC: dict[str, Logic] = {
    "customers": customer.LOGIC,
    "contacts": contact.LOGIC,
    "contactBusinessRelations": relation.LOGIC,
    "currencies": currency.LOGIC,
    "customerPriceGroups": price.GROUP_LOGIC,
    "itemUnitsOfMeasure": unit.units_logic(unit.ITEM),
    "items": item.LOGIC,
    "opportunities": opportunity.LOGIC,
    "priceListHeaders": price_list.LOGIC,
    "priceListLines": price_list.LINE_LOGIC,
    "recordNotes": note.LOGIC,
    "resourceUnitsOfMeasure": unit.units_logic(unit.RESOURCE),
    "resources": resource.LOGIC,
    "salesOrderLines": order_line.LOGIC,
    "salesOrders": order.LOGIC,
    "salesQuoteLines": order_line.LOGIC,
    "salesQuotes": order.QUOTE_LOGIC,
    "salesPrices": price.LOGIC,
    "salesReceivablesSetup": sales_setup.LOGIC,
    "unitsOfMeasure": unit.LOGIC,
    "vendors": vendor.LOGIC,
}
