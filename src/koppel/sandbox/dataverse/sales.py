"""Actions that close, copy and lock the documents of a sale.

A closing sets state and status where an update may not, and leaves an activity that tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from koppel.odata.literals import is_guid
from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.logic.faults import fault
from koppel.sandbox.dataverse.logic.kinds import INVOICE, OPEN, QUOTE, SALES_ORDER, Kind
from koppel.sandbox.dataverse.logic.money import settle
from koppel.sandbox.dataverse.messages import Request, Response, json_response
from koppel.sandbox.dataverse.privileges import require
from koppel.sandbox.dataverse.schema import TARGET, TableSchema
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

Action = Callable[["Dataverse", Request], Response]

_DEFAULT_STATUS = -1
_COMPLETED = {"statecode": 1, "statuscode": 2}
_WON = 2
_ACTIVE_QUOTE, _CLOSED_QUOTE = 1, 3


class Closing(msgspec.Struct, frozen=True):
    """What an action closes: the document's table, the activity, the state afterwards, and those it comes from."""

    table: str
    activity: str
    parameter: str
    state: int
    begins: frozenset[int]


CLOSINGS = {
    "WinOpportunity": Closing("opportunity", "opportunityclose", "OpportunityClose", 1, frozenset({0})),
    "LoseOpportunity": Closing("opportunity", "opportunityclose", "OpportunityClose", 2, frozenset({0})),
    "WinQuote": Closing("quote", "quoteclose", "QuoteClose", 2, frozenset({1})),
    "CloseQuote": Closing("quote", "quoteclose", "QuoteClose", 3, frozenset({1})),
    "CancelSalesOrder": Closing("salesorder", "orderclose", "OrderClose", 2, frozenset({0, 1})),
    "FulfillSalesOrder": Closing("salesorder", "orderclose", "OrderClose", 3, frozenset({0, 1})),
}


def _closing(name: str) -> Action:
    def act(dataverse: Dataverse, request: Request) -> Response:
        closing = CLOSINGS[name]
        require(dataverse, request.caller, "Write", closing.table)
        body = _object(request)
        reader = dataverse.bodies[closing.activity]
        values = reader.read(body.get(closing.parameter), request.references, creating=True).values
        key = values.get(f"_{closing.table}id_value")
        if key is None:
            raise errors.bad_body(f"'{closing.parameter}' needs '{closing.table}id@odata.bind'.")
        with dataverse.transaction():
            _close(dataverse, closing, key, body.get("Status"), values, request)
        return Response(204)

    return act


def _close(
    dataverse: Dataverse, closing: Closing, key: str, status: object, values: dict[str, Any], request: Request
) -> None:
    before = dataverse.tables[closing.table].rows[key]
    if before["statecode"] not in closing.begins:
        label = dataverse.option_sets[f"{closing.table}_statecode"].current[before["statecode"]].label
        raise errors.invalid_argument(f"A {closing.table} that is {label} cannot be closed this way.")
    row = {**before, "statecode": closing.state, "statuscode": _status(dataverse, closing, key, status)}
    values["actualend"] = values.get("actualend") or dataverse.now()
    if closing.table == "quote":
        row["closedon"] = values["actualend"][:10]
    if closing.table == "opportunity":
        _close_opportunity(dataverse, row, values, request)
    values["activitytypecode"] = closing.activity
    activity = dataverse.create(closing.activity, values, request.caller)
    dataverse.update(closing.activity, activity, _COMPLETED, request.caller)
    dataverse.touch(closing.table, row, request.caller)


def _close_opportunity(dataverse: Dataverse, row: Row, values: dict[str, Any], request: Request) -> None:
    """Revenue and date of the closing become those of the opportunity."""
    if values.get("actualrevenue") is None:
        values["actualrevenue"] = row.get("estimatedvalue") or 0
    values |= {"opportunitystatecode": row["statecode"], "opportunitystatuscode": row["statuscode"]}
    values.setdefault("_transactioncurrencyid_value", row.get("_transactioncurrencyid_value"))
    actual = {"actualvalue": values["actualrevenue"], "actualclosedate": values["actualend"][:10]}
    row |= actual
    settle(dataverse, "opportunity", row, actual, request.caller)


def _status(dataverse: Dataverse, closing: Closing, key: str, status: object) -> int:
    statuses = dataverse.option_sets[f"{closing.table}_statuscode"]
    wanted = statuses.default_status(closing.state) if status in (None, _DEFAULT_STATUS) else status
    choice = statuses.current.get(wanted) if type(wanted) is int else None
    if choice is None or choice.state != closing.state:
        raise errors.wrong_status(closing.table, key, status, closing.state)
    return choice.value


def lock(dataverse: Dataverse, key: str, request: Request, kind: Kind) -> Response:
    """``Lock…Pricing``: amounts stay as they are from now on."""
    return _set_lock(dataverse, kind, key, request, locked=True)


def _unlocking(kind: Kind, parameter: str) -> Action:
    def act(dataverse: Dataverse, request: Request) -> Response:
        require(dataverse, request.caller, "Write", kind.table)
        return _set_lock(dataverse, kind, _id(dataverse, kind, request, parameter), request, locked=False)

    return act


def _set_lock(dataverse: Dataverse, kind: Kind, key: str, request: Request, *, locked: bool) -> Response:
    if bool(dataverse.tables[kind.table].rows[key].get("ispricelocked")) == locked:
        raise fault("EntityIsLocked" if locked else "EntityIsUnlocked")
    dataverse.update(kind.table, key, {"ispricelocked": locked}, request.caller)
    return Response(204)


def _revise_quote(dataverse: Dataverse, request: Request) -> Response:
    """``ReviseQuote``: a draft with the next revision number beside a closed quote."""
    key = _id(dataverse, QUOTE, request, "QuoteId")
    row = dataverse.tables["quote"].rows[key]
    same = dataverse.store.index("quote", "quotenumber").find([row["quotenumber"]])
    versions = [dataverse.tables["quote"].rows[other] for other in same]
    if any(version["statecode"] in (OPEN, _ACTIVE_QUOTE) for version in versions):
        raise fault("QuoteReviseExistingActiveQuote")
    if row["statecode"] != _CLOSED_QUOTE:
        raise errors.invalid_argument("Only a closed quote can be revised.")
    revision = max(version["revisionnumber"] for version in versions) + 1
    given = {"quotenumber": row["quotenumber"], "revisionnumber": revision}
    return _copied(dataverse, QUOTE, key, QUOTE, given, request)


def _convert_quote(dataverse: Dataverse, request: Request) -> Response:
    """``ConvertQuoteToSalesOrder`` of a won quote."""
    key = _id(dataverse, QUOTE, request, "QuoteId")
    if dataverse.tables["quote"].rows[key]["statecode"] != _WON:
        raise errors.invalid_argument("Only a won quote becomes an order.")
    return _copied(dataverse, QUOTE, key, SALES_ORDER, {"_quoteid_value": key}, request)


def _convert_order(dataverse: Dataverse, request: Request) -> Response:
    """``ConvertSalesOrderToInvoice``; not while the order integration makes the invoices."""
    if dataverse.organization.get("issopintegrationenabled"):
        raise errors.invalid_argument("Invoices are made by the integrated order system.")
    key = _id(dataverse, SALES_ORDER, request, "SalesOrderId")
    return _copied(dataverse, SALES_ORDER, key, INVOICE, {"_salesorderid_value": key}, request)


def _copied(
    dataverse: Dataverse, source: Kind, key: str, target: Kind, given: Mapping[str, Any], request: Request
) -> Response:
    """A document made from another one, with its lines; the answer is the new one."""
    if _object(request).get("ColumnSet") != {"AllColumns": True}:
        raise errors.not_implemented("another ColumnSet than {'AllColumns': true}")
    require(dataverse, request.caller, "Create", target.table)
    tables = dataverse.schema.tables
    row = dataverse.tables[source.table].rows[key]
    with dataverse.transaction():
        with dataverse.together():
            made = dataverse.create(target.table, {**_fitting(tables[target.table], row), **given}, request.caller)
            for line in sorted(
                dataverse.children(source.line, source.link, key), key=lambda line: line["versionnumber"]
            ):
                values = _fitting(tables[target.line], line) | {target.link: made}
                if source is not target:
                    values[f"_{source.line}id_value"] = line[f"{source.line}id"]
                dataverse.create(target.line, values, request.caller)
        stored = dataverse.tables[target.table].rows[made]
    write = dataverse.writers.writer(tables[target.table], None, request.prefer)
    shown = {"@odata.context": request.context(f"{tables[target.table].set_name}/$entity"), **write(stored)}
    return json_response(200, shown)


def _fitting(table: TableSchema, row: Row) -> dict[str, Any]:
    """The values of a row that a new one of another table takes: no id, no state, no owner's trail."""
    left_out = {table.id_column, "statecode", "statuscode", "overriddencreatedon", "importsequencenumber"}
    names = {column.name for column in table.columns.values() if column.creatable} - left_out
    return {name: value for name, value in row.items() if name.removesuffix(TARGET) in names}


def _id(dataverse: Dataverse, kind: Kind, request: Request, parameter: str) -> str:
    key = _object(request).get(parameter)
    if not isinstance(key, str) or not is_guid(key):
        raise errors.bad_body(f"The body needs '{parameter}', an id.")
    if key.lower() not in dataverse.tables[kind.table].rows:
        raise errors.not_found(kind.table, key.lower())
    return key.lower()


def _object(request: Request) -> dict[str, Any]:
    body = request.json()
    if not isinstance(body, dict):
        raise errors.bad_body("The body must be a JSON object.")
    return body


UNBOUND: Mapping[str, Action] = {
    **{name: _closing(name) for name in CLOSINGS if name != "FulfillSalesOrder"},
    "ConvertQuoteToSalesOrder": _convert_quote,
    "ConvertSalesOrderToInvoice": _convert_order,
    "ReviseQuote": _revise_quote,
    "UnlockInvoicePricing": _unlocking(INVOICE, "InvoiceId"),
    "UnlockSalesOrderPricing": _unlocking(SALES_ORDER, "SalesOrderId"),
}
"""Called by their bare names."""

OF_SETS: Mapping[tuple[str, str], Action] = {("salesorder", "FulfillSalesOrder"): _closing("FulfillSalesOrder")}
"""Bound to all rows of a table, by table and name."""
