"""Functions and actions that are called by their bare names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.choices import Choice, OptionSet
from koppel.sandbox.dataverse.messages import Request, Response, json_response
from koppel.sandbox.dataverse.reading import total_record_count

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_ENTITY = re.compile(r"<entity>\s*([^<\s]+)\s*</entity>")
_OPTION_SET = re.compile(r"<optionset>\s*([^<\s]+)\s*</optionset>")
_OPTIONS_A_PREFIX = 10_000

KNOWN = frozenset(
    {
        "CalculatePrice",
        "CreateEntities",
        "GenerateInvoiceFromOpportunity",
        "GenerateQuoteFromOpportunity",
        "GenerateSalesOrderFromOpportunity",
        "GetInvoiceProductsFromOpportunity",
        "GetQuoteProductsFromOpportunity",
        "GetSalesOrderProductsFromOpportunity",
        "InitializeFrom",
        "Merge",
        "RetrieveCurrentOrganization",
        "RetrieveEntityChanges",
        "RetrieveMetadataChanges",
        "RetrieveVersion",
        "RevertProduct",
    }
)
"""Names that the platform has and the sandbox does not do."""


def who_am_i(dataverse: Dataverse, request: Request, arguments: Mapping[str, str]) -> Response:
    """``WhoAmI``."""
    user = dataverse.row("systemuser", request.caller.user) or {}
    return json_response(
        200,
        {
            "@odata.context": request.context("Microsoft.Dynamics.CRM.WhoAmIResponse"),
            "BusinessUnitId": user.get("_businessunitid_value"),
            "UserId": request.caller.user,
            "OrganizationId": dataverse.organization.get("organizationid"),
        },
    )


def _total_record_count(dataverse: Dataverse, request: Request, arguments: Mapping[str, str]) -> Response:
    try:
        names = orjson.loads(arguments.get("EntityNames", "").replace("'", '"'))
    except orjson.JSONDecodeError as error:
        raise errors.bad_query("EntityNames must be an array of table names.") from error
    return total_record_count(dataverse, names, request)


def _insert_option(dataverse: Dataverse, request: Request) -> Response:
    body = _object(request)
    options = _option_set(dataverse, body)
    if options.kind != "Picklist":
        raise errors.invalid_argument(f"InsertOptionValue does not take {options.kind} columns.")
    text = _label(body)
    if text is None:
        raise errors.invalid_argument("A new option needs a Label.")
    value = body.get("Value")
    if value is None:
        value = _next_value(options, dataverse.option_prefix)
    elif type(value) is not int:
        raise errors.wrong_type("Value", value, "Edm.Int32")
    if value in options.current:
        raise errors.ServiceError(400, "0x80048403", f"The option value {value} exists already in {options.name}.")
    options.current[value] = Choice(value, text, managed=False)
    context = request.context("Microsoft.Dynamics.CRM.InsertOptionValueResponse")
    return json_response(200, {"@odata.context": context, "NewOptionValue": value})


def _next_value(options: OptionSet, prefix: int) -> int:
    begin = prefix * _OPTIONS_A_PREFIX
    own = [value for value in options.current if begin <= value < begin + _OPTIONS_A_PREFIX]
    return max(own) + 1 if own else begin


def _update_option(dataverse: Dataverse, request: Request) -> Response:
    body = _object(request)
    options = _option_set(dataverse, body)
    choice = _choice(options, body)
    text = _label(body)
    if text is not None:
        options.current[choice.value] = Choice(choice.value, text, choice.state, choice.managed, choice.default_status)
    return Response(204)


def _delete_option(dataverse: Dataverse, request: Request) -> Response:
    body = _object(request)
    options = _option_set(dataverse, body)
    del options.current[_choice(options, body).value]
    return Response(204)


def _order_options(dataverse: Dataverse, request: Request) -> Response:
    body = _object(request)
    options = _option_set(dataverse, body)
    values = body.get("Values")
    if not isinstance(values, list) or sorted(values) != sorted(options.current):
        raise errors.invalid_argument("Values must hold every value of the option set once.")
    options.current = {value: options.current[value] for value in values}
    return Response(204)


def _publish(dataverse: Dataverse, request: Request) -> Response:
    text = str(_object(request).get("ParameterXml", ""))
    tables, names = set(_ENTITY.findall(text)), set(_OPTION_SET.findall(text))
    if not tables and not names:
        raise errors.invalid_argument("ParameterXml names neither an entity nor an option set.")
    for table in tables - dataverse.tables.keys():
        raise errors.ServiceError(400, "0x80041102", f"The entity with a name = '{table}' was not found.")
    for options in dataverse.option_sets.values():
        if options.table in tables or options.name in names:
            options.publish()
    return Response(204)


def _publish_all(dataverse: Dataverse, request: Request) -> Response:
    for options in dataverse.option_sets.values():
        options.publish()
    return Response(204)


FUNCTIONS: Mapping[str, Callable[[Dataverse, Request, Mapping[str, str]], Response]] = {
    "WhoAmI": who_am_i,
    "RetrieveTotalRecordCount": _total_record_count,
}
ACTIONS: Mapping[str, Callable[[Dataverse, Request], Response]] = {
    "InsertOptionValue": _insert_option,
    "UpdateOptionValue": _update_option,
    "DeleteOptionValue": _delete_option,
    "OrderOption": _order_options,
    "PublishXml": _publish,
    "PublishAllXml": _publish_all,
}


def call_function(dataverse: Dataverse, name: str, text: str | None, request: Request) -> Response:
    """``GET Name(Argument=…)``; arguments may be aliases."""
    arguments: dict[str, str] = {}
    for pair in re.split(r",(?=\s*\w+=)", text or ""):
        key, _, value = pair.partition("=")
        arguments[key.strip()] = request.options.get(value, value)
    return FUNCTIONS[name](dataverse, request, arguments)


def _object(request: Request) -> dict[str, Any]:
    body = request.json()
    if not isinstance(body, dict):
        raise errors.bad_body("The body must be a JSON object.")
    return body


def _option_set(dataverse: Dataverse, body: Mapping[str, Any]) -> OptionSet:
    """The option set that a body means: a global one by name, or that of a column."""
    name = body.get("OptionSetName")
    if name:
        found = dataverse.option_sets.get(str(name))
        if found is None or not found.is_global:
            raise errors.ServiceError(404, "0x80040217", f"Could not find an optionset with name {name}.")
        return found
    table = dataverse.schema.tables.get(str(body.get("EntityLogicalName")))
    if table is None:
        text = f"The entity with a name = '{body.get('EntityLogicalName')}' was not found."
        raise errors.ServiceError(400, "0x80041102", text)
    column = table.by_logical.get(str(body.get("AttributeLogicalName")))
    if column is None or not column.option_set:
        text = f"'{table.name}' has no choice column with name = '{body.get('AttributeLogicalName')}'."
        raise errors.ServiceError(400, "0x80041103", text)
    return dataverse.option_sets[column.option_set]


def _choice(options: OptionSet, body: Mapping[str, Any]) -> Choice:
    found = options.current.get(body.get("Value", -1))
    if found is None:
        raise errors.invalid_argument(f"{options.name} has no option with the value {body.get('Value')}.")
    return found


def _label(body: Mapping[str, Any]) -> str | None:
    """The text of a label: the user's language first."""
    label = body.get("Label")
    if not isinstance(label, Mapping):
        return None
    localized = label.get("UserLocalizedLabel") or next(iter(label.get("LocalizedLabels") or ()), None)
    return None if not isinstance(localized, Mapping) else localized.get("Label")
