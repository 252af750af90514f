"""Actions of the sales application that are bound to a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from koppel.sandbox.dataverse import sales
from koppel.sandbox.dataverse.logic.kinds import INVOICE, SALES_ORDER
from koppel.sandbox.dataverse.logic.product import publish_hierarchy
from koppel.sandbox.dataverse.messages import Request, Response

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse


def _publish_hierarchy(dataverse: Dataverse, key: str, request: Request) -> Response:
    """``PublishProductHierarchy`` of a product family."""
    with dataverse.transaction():
        publish_hierarchy(dataverse, key, request.caller)
    return Response(204)


OF_ROWS: Mapping[tuple[str, str], Callable[[Dataverse, str, Request], Response]] = {
    ("invoice", "LockInvoicePricing"): partial(sales.lock, kind=INVOICE),
    ("product", "PublishProductHierarchy"): _publish_hierarchy,
    ("salesorder", "LockSalesOrderPricing"): partial(sales.lock, kind=SALES_ORDER),
}
"""By table and name."""
