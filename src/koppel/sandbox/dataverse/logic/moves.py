"""The states of sales documents: which moves an update may make, and what may be edited where.

Sources: Microsoft's page on read-only sales records, its error codes, and what administrators found out of the moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.errors import ServiceError, invalid_argument
from koppel.sandbox.dataverse.logic.faults import fault
from koppel.sandbox.dataverse.logic.kinds import OPEN, OPPORTUNITY, Kind
from koppel.sandbox.dataverse.schema import TARGET
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_MOVES = {
    "opportunity": frozenset({(0, 0), (1, 0), (1, 1), (2, 0), (2, 2)}),
    "quote": frozenset({(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 2), (3, 0), (3, 3)}),
    "salesorder": frozenset(
        {(0, 0), (0, 1), (0, 4), (1, 0), (1, 1), (1, 4), (2, 0), (2, 2), (3, 0), (3, 3), (3, 4), (4, 0), (4, 4)}
    ),
    "invoice": frozenset({(0, 0), (0, 2), (0, 3), (1, 0), (2, 0), (2, 3), (3, 0)}),
}
"""From which state to which an update of ``statecode`` and ``statuscode`` leads."""

_BY_MESSAGE = {
    ("opportunity", 1): "WinOpportunity",
    ("opportunity", 2): "LoseOpportunity",
    ("quote", 2): "WinQuote",
    ("quote", 3): "CloseQuote",
    ("salesorder", 2): "CancelSalesOrder",
    ("salesorder", 3): "FulfillSalesOrder",
}
_INVOICE_FAULTS = {1: "InvoiceCloseDeprecated", 2: "CannotPayNonActiveInvoice", 3: "CannotCancelInvoice"}
_ALWAYS = frozenset({"statecode", "statuscode", "_ownerid_value", "_ownerid_value" + TARGET})


def check_update(dataverse: Dataverse, kind: Kind, before: Row, row: Row, changed: Mapping[str, Any]) -> None:
    """Refuse an update that the state of a document does not allow.

    The platform writes all other columns first and then the state: what reopens a document cannot edit it as well.
    """
    if kind is not OPPORTUNITY and before["statecode"] != OPEN and not changed.keys() <= _ALWAYS:
        raise fault("CannotUpdateBecauseItIsReadOnly")
    if "statecode" in changed or "statuscode" in changed:
        move = before["statecode"], row["statecode"]
        if move not in _MOVES[kind.table]:
            raise _refusal(dataverse, kind, *move)


def _refusal(dataverse: Dataverse, kind: Kind, old: int, new: int) -> ServiceError:
    states = dataverse.option_sets[f"{kind.table}_statecode"].current
    message = _BY_MESSAGE.get((kind.table, new))
    if kind is OPPORTUNITY:
        return fault("CannotUseOpportunitySetStateMessage", states[new].label, message)
    if message is not None:
        return invalid_argument(
            f"This message can not be used to set the state of {kind.table} to {states[new].label}. In order to set "
            f"state of {kind.table} to {states[new].label}, use the {message} message instead."
        )
    if new in _INVOICE_FAULTS and kind.table == "invoice":
        return fault(_INVOICE_FAULTS[new])
    return invalid_argument(f"A {kind.table} cannot go from {states[old].label} to {states[new].label}.")


def check_editable(header: Row) -> None:
    """Refuse to touch a line of a document that is no longer open."""
    if header["statecode"] != OPEN:
        raise fault("ParentReadOnly")
