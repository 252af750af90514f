"""What the Web API says when it refuses: status, code and text, by the platform's names.

Codes and texts are those that Microsoft documents or that clients have seen; where only a name is known,
the text is ours.
"""

from __future__ import annotations

from collections.abc import Iterable


class ServiceError(Exception):
    """A refusal: HTTP status, hexadecimal code, text, and headers that go with it."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def not_implemented(feature: str) -> ServiceError:
    """What this simulation does not do: never an approximation."""
    return ServiceError(501, "0x80040203", f"The sandbox does not support {feature}.")


def no_segment(segment: str) -> ServiceError:
    """An address that leads nowhere."""
    return ServiceError(404, "0x80060888", f"Resource not found for the segment '{segment}'.")


def bad_query(message: str) -> ServiceError:
    """An address or query option that cannot be read."""
    return ServiceError(400, "0x80060888", message)


def no_property(name: str, table: str) -> ServiceError:
    """A column in the query that the table does not have."""
    return bad_query(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'.")


def undeclared(name: str, table: str) -> ServiceError:
    """A property in the body that the model does not have."""
    return bad_body(
        f"Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{table}'. An undeclared property "
        f"'{name}' which only has property annotations in the payload but no property value was found in the payload."
    )


def bad_body(message: str) -> ServiceError:
    """A body that does not fit the model."""
    return ServiceError(400, "0x80048d19", message)


def wrong_type(column: str, value: object, expected: str) -> ServiceError:
    """A JSON value of another type than the column's."""
    return bad_body(
        f"Cannot convert the value '{value!s:.80}' of property '{column}' to the expected type '{expected}'."
    )


def invalid_argument(message: str) -> ServiceError:
    """A request that the platform understands and does not accept."""
    return ServiceError(400, "0x80040203", message)


def webhook_failed(status: int) -> ServiceError:
    """A synchronous webhook that refuses or does not answer (status 0) ends the operation."""
    said = f"its receiver answered {status}" if status else "its receiver did not answer"
    return ServiceError(400, "0x80040265", f"The webhook call failed: {said}.")


def not_found(table: str, key: str) -> ServiceError:
    """No row with this id."""
    return ServiceError(404, "0x80040217", f"{table} With Id = {key} Does Not Exist")


def not_found_by_key(table: str) -> ServiceError:
    """No row with these values of an alternate key."""
    return ServiceError(404, "0x80060891", f"A record with the specified key values does not exist in {table} entity")


def not_a_key(table: str) -> ServiceError:
    """The parts in parentheses are those of no key."""
    return bad_query(
        f"The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{table}'. Ensure that the names "
        "and number of key properties match the declared or alternate key properties for the resource "
        f"'Microsoft.Dynamics.CRM.{table}'."
    )


def exists() -> ServiceError:
    """The primary key, or a unique index, is taken."""
    return ServiceError(412, "0x80040237", "A record with matching key values already exists.")


def key_violated(name: str, columns: Iterable[str]) -> ServiceError:
    """An alternate key is taken."""
    shown = ", ".join(columns)
    return ServiceError(
        412,
        "0x80060892",
        f"Entity Key {name} violated. A record with the same value for {shown} already exists. "
        "A duplicate record cannot be created. Select one or more unique values and try again.",
    )


def version_mismatch() -> ServiceError:
    """If-Match names another version."""
    return ServiceError(
        412, "0x80060882", "The version of the existing record doesn't match the RowVersion property provided."
    )


def missing_privilege(user: str, privilege: str, table: str) -> ServiceError:
    """The user's roles lack a privilege."""
    return ServiceError(
        403,
        "0x80040220",
        f"Principal user (Id={user}, type=8) is missing {privilege} privilege on entity '{table}'.",
    )


def too_long(table: str, column: str, limit: int) -> ServiceError:
    """A text that is longer than its column. The two blanks are the platform's."""
    return ServiceError(
        400,
        "0x80044331",
        f"A validation error occurred.  The length of the '{column}' attribute of the '{table}' entity exceeded the "
        f"maximum allowed length of '{limit}'.",
    )


def out_of_range(table: str, column: str, value: object, whole: bool) -> ServiceError:
    """A number below the column's minimum or above its maximum."""
    return ServiceError(
        400,
        "0x8004432f" if whole else "0x80044330",
        f"A validation error occurred for {table}.{column}. The value {value} is outside the valid range.",
    )


def not_an_option(table: str, column: str, value: object, accepted: Iterable[int]) -> ServiceError:
    """A choice that the option set does not have."""
    shown = ",".join(map(str, accepted))
    return ServiceError(
        400,
        "0x8004431A",
        f"A validation error occurred. The value {value} of '{column}' on record of type '{table}' is outside the "
        f"valid range. Accepted Values: {shown}",
    )


def wrong_status(table: str, key: str, status: object, state: object) -> ServiceError:
    """A status that does not belong to the state."""
    return ServiceError(
        400, "0x80048408", f"{status} is not a valid status code for state code {state} on {table} with Id {key}."
    )


def in_use(table: str, child: str) -> ServiceError:
    """A row that others refer to by a restricted relation."""
    return ServiceError(
        405,
        "0x80040227",
        f"The {table} record cannot be deleted because it is associated with a {child} record.",
    )


def missing_value(table: str, column: str) -> ServiceError:
    """A system-required column without a value."""
    return invalid_argument(f"Required field '{column}' is missing for entity '{table}'.")
