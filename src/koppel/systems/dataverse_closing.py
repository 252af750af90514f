"""States of Dataverse's documents that no update sets, but an action (dataverse-web-api: FulfillSalesOrder)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from koppel.systems.schema import TableSchema
from koppel.systems.system import Update

_STATE = frozenset({"statecode", "statuscode"})
_BY_STATUS = -1
"""The status that goes with the state, whichever that is."""
_ACTIONS = {("salesorder", 3): ("FulfillSalesOrder", "OrderClose")}
"""By table and state: the action, and its parameter that names the document."""


class Closing(msgspec.Struct, frozen=True):
    """What closes a document, and the ``rest`` of its change, which has to come before."""

    action: str
    parameters: Mapping[str, object]
    rest: Update


def closing_of(schema: TableSchema, change: Update) -> Closing | None:
    """How a change is made that leads to a state which only an action sets; ``None`` for any other change."""
    action, parameter = _ACTIONS.get((schema.name, change.values.get("statecode")), ("", ""))  # type: ignore[arg-type]
    if not action:
        return None
    bound = {f"{schema.id_column}@odata.bind": f"/{schema.set_name}({change.id})"}
    status = change.values.get("statuscode")
    rest = {column: value for column, value in change.values.items() if column not in _STATE}
    return Closing(
        f"{schema.set_name}/Microsoft.Dynamics.CRM.{action}",
        {parameter: bound, "Status": _BY_STATUS if status is None else status},
        Update(change.id, change.version, rest),
    )
