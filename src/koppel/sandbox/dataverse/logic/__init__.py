"""What the application does by itself, table by table.

A module holds the functions of a few tables and declares them as ``TableLogic``; ``LOGIC`` says which table has which.
They change the row that is about to be stored, write other rows through ``dataverse``, or refuse with a
``ServiceError``; all of it happens in the transaction of the write. ``GENERAL`` runs before them for every table.
"""

from __future__ import annotations

from collections.abc import Mapping

from koppel.sandbox.dataverse.logic.address import compose
from koppel.sandbox.dataverse.logic.currency import CURRENCY
from koppel.sandbox.dataverse.logic.documents import DOCUMENTS
from koppel.sandbox.dataverse.logic.hooks import General, TableLogic
from koppel.sandbox.dataverse.logic.lines import LINES
from koppel.sandbox.dataverse.logic.money import settle
from koppel.sandbox.dataverse.logic.note import NOTE, POST
from koppel.sandbox.dataverse.logic.person import PERSON
from koppel.sandbox.dataverse.logic.price import PRICE, PRICE_LIST
from koppel.sandbox.dataverse.logic.product import PRODUCT
from koppel.sandbox.dataverse.logic.unit import UNIT, UNIT_GROUP
from koppel.sandbox.dataverse.logic.webhook import ENDPOINT, STEP

__all__ = ["GENERAL", "LOGIC", "TableLogic"]

GENERAL: tuple[General, ...] = (settle, compose)

LOGIC: Mapping[str, TableLogic] = {
    "annotation": NOTE,
    "post": POST,
    "contact": PERSON,
    "systemuser": PERSON,
    "transactioncurrency": CURRENCY,
    "uomschedule": UNIT_GROUP,
    "uom": UNIT,
    "product": PRODUCT,
    "pricelevel": PRICE_LIST,
    "productpricelevel": PRICE,
    "serviceendpoint": ENDPOINT,
    "sdkmessageprocessingstep": STEP,
    **DOCUMENTS,
    **LINES,
}
