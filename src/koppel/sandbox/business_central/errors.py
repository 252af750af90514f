"""What Business Central says when it refuses: status, code and text.

Codes and statuses are those of the service; every text ends with a correlation id, after two spaces.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4


class ServiceError(Exception):
    """A request that is not carried out: HTTP status, error code, text, and headers that go with it."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"error": {"code": self.code, "message": f"{self.message}  CorrelationId:  {uuid4()}."}}


def not_implemented(feature: str) -> ServiceError:
    """What the sandbox does not do: never an approximation."""
    return ServiceError(501, "BadRequest_MethodNotImplemented", f"The sandbox does not support {feature}.")


def bad_request(message: str) -> ServiceError:
    """A body or query that cannot be understood."""
    return ServiceError(400, "BadRequest", message)


def bad_key(text: str) -> ServiceError:
    """A key in the address that is none."""
    return ServiceError(404, "BadRequest_NotFound", f"Bad Request - Error in query syntax. '{text}' is not a key.")


def no_segment(segment: str) -> ServiceError:
    """An address that leads nowhere."""
    return ServiceError(404, "BadRequest_ResourceNotFound", f"Resource not found for the segment '{segment}'.")


def no_property(name: str, type_name: str) -> ServiceError:
    """A field that the page does not have."""
    return bad_request(f"The property '{name}' does not exist on type '{type_name}'.")


def not_found(caption: str, fields: str, status: int = 404) -> ServiceError:
    """A single row that is not there; ``fields`` as ``No.='10000'``. Status 400 when the business logic missed it."""
    return ServiceError(
        status, "Internal_RecordNotFound", f"The {caption} does not exist. Identification fields and values: {fields}"
    )


def exists(caption: str, fields: str) -> ServiceError:
    """A second row with the same key."""
    return ServiceError(
        400,
        "Internal_EntityWithSameKeyExists",
        f"The record in table {caption} already exists. Identification fields and values: {fields}",
    )


def no_related(field: str, table: str, value: str, related: str) -> ServiceError:
    """A value that the related table does not hold; all but ``value`` are captions."""
    return ServiceError(
        400,
        "Internal_InvalidTableRelation",
        f"The field {field} of table {table} contains a value ({value}) that cannot be found in the related table "
        f"({related}).",
    )


def method_not_allowed(verb: str, set_name: str) -> ServiceError:
    """A verb that the page does not take."""
    return ServiceError(
        405, "BadRequest_MethodNotAllowed", f"The entity set '{set_name}' does not allow the method {verb}."
    )


def read_only(name: str) -> ServiceError:
    """A field of the body that cannot be written."""
    return ServiceError(400, "BadRequest_InvalidOperation", f"Control '{name}' is read-only.")


def must_not_be_blank(name: str) -> ServiceError:
    """A key field left blank."""
    return ServiceError(400, "BadRequest_RequiredParamNotProvided", f"The field '{name}' must not be blank.")


def too_long(value: str, limit: int) -> ServiceError:
    """A text over the field's length: never cut."""
    return ServiceError(
        400,
        "Application_StringExceededLength",
        f"The length of the string is {len(value)}, but it must be less than or equal to {limit} characters. "
        f"Value: {value}",
    )


def dialog(message: str) -> ServiceError:
    """An ``ERROR()`` of the business logic."""
    return ServiceError(400, "Application_DialogException", message)


def must_have_value(field: str, caption: str) -> ServiceError:
    """A ``TESTFIELD`` of the business logic."""
    return ServiceError(
        400, "Application_FieldValidationException", f"{field} must have a value in {caption}. It cannot be empty."
    )


def must_be(field: str, wanted: str, record: str, current: str) -> ServiceError:
    """A ``TESTFIELD`` for a certain value; ``record`` as ``Item: No.=1000``."""
    return ServiceError(
        400,
        "Application_FieldValidationException",
        f"{field} must be equal to '{wanted}' in {record}. Current value is '{current}'.",
    )


def field_error(message: str) -> ServiceError:
    """A ``FIELDERROR`` of the business logic."""
    return ServiceError(400, "Application_FieldValidationException", message)


def cannot_evaluate(message: str) -> ServiceError:
    """A value that cannot be converted, such as an unknown enum member."""
    return ServiceError(400, "Application_EvaluateException", message)


def invalid_token() -> ServiceError:
    """If-Match missing or malformed."""
    return ServiceError(
        400,
        "BadRequest_InvalidToken",
        "Could not validate the client concurrency token required by the service. Please provide a valid token in the "
        "client request.",
    )


def entity_changed() -> ServiceError:
    """If-Match is not the current tag."""
    return ServiceError(409, "Request_EntityChanged", "Another user has already changed the record.")


def no_company(name: str) -> ServiceError:
    """No or an unknown company; ``name`` may be empty."""
    if not name:
        return ServiceError(
            400, "Internal_CompanyNotFound", "A company is needed: companies({id}), ?company= or a header."
        )
    return ServiceError(404, "Internal_CompanyNotFound", f"Cannot find the company '{name}'.")


def unauthenticated() -> ServiceError:
    """Wrong or missing credentials."""
    return ServiceError(
        401,
        "Authentication_InvalidCredentials",
        "The server has rejected the client credentials.",
        {"www-authenticate": "Bearer"},
    )


def no_permission(caption: str, right: str) -> ServiceError:
    """A known user without the right on a table."""
    return ServiceError(
        403,
        "Authorization_RequestDenied",
        f"The current permissions prevented the action. (TableData {caption} {right.capitalize()})",
    )
