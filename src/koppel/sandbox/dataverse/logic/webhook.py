"""Webhooks as they are registered: what they must have, and that nobody reads their secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from koppel.sandbox.dataverse.errors import invalid_argument, not_implemented
from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

SECRET = "authvalue@secret"
"""Beside the columns: what was written to ``authvalue``, which reads as empty."""
WEBHOOK_KEY, HTTP_HEADER, QUERY_STRING = 4, 5, 6
CREATE, UPDATE, DELETE = "Create", "Update", "Delete"
_CONTRACT = 8
_POST_OPERATION = 40


def _endpoint_before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    if row.get("contract") != _CONTRACT or row.get("authtype") not in (WEBHOOK_KEY, HTTP_HEADER, QUERY_STRING):
        raise not_implemented("service endpoints other than webhooks (contract 8, authtype 4, 5 or 6)")
    if not str(row.get("url")).startswith(("https://", "http://")):
        raise invalid_argument("The url of a webhook must be an absolute http or https address.")
    if row.get("authvalue") is not None:
        row[SECRET] = row.pop("authvalue")
    row["isauthvalueset"] = row.get(SECRET) is not None
    if not row["isauthvalueset"]:
        raise invalid_argument("The authvalue of a webhook cannot be empty.")
    settings(row)


def _endpoint_before_update(
    dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller
) -> None:
    _endpoint_before_create(dataverse, row, caller)


def settings(endpoint: Row) -> dict[str, str]:
    """What a webhook sends to show who it is: names and values of headers, or of the query. 400 when it is no XML."""
    if endpoint["authtype"] == WEBHOOK_KEY:
        return {"code": endpoint[SECRET]}
    try:
        return {one.attrib["name"]: one.attrib["value"] for one in ElementTree.fromstring(endpoint[SECRET])}
    except (ElementTree.ParseError, KeyError):
        text = 'The authvalue must be <settings><setting name="..." value="..." /></settings>.'
        raise invalid_argument(text) from None


def _step_before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    row.setdefault("rank", 1)
    row.setdefault("supporteddeployment", 0)
    message = dataverse.row("sdkmessage", row.get("_sdkmessageid_value")) or {}
    if message.get("name") not in (CREATE, UPDATE, DELETE):
        raise not_implemented(f"steps of the message {message.get('name')}")
    if row.get("stage") != _POST_OPERATION:
        raise not_implemented("webhooks in other stages than 40")
    of = dataverse.row("sdkmessagefilter", row.get("_sdkmessagefilterid_value"))
    if of is not None and of["_sdkmessageid_value"] != message["sdkmessageid"]:
        raise invalid_argument("The sdkmessagefilter of a step must be one of its sdkmessage.")


def _step_before_update(
    dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller
) -> None:
    _step_before_create(dataverse, row, caller)


ENDPOINT = TableLogic(before_create=_endpoint_before_create, before_update=_endpoint_before_update)
STEP = TableLogic(before_create=_step_before_create, before_update=_step_before_update)
