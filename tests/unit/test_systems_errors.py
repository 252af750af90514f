from __future__ import annotations

import msgspec
import pytest

from koppel.errors import (
    AuthenticationError,
    DataError,
    ExistsError,
    NotFoundError,
    PrivilegeError,
    RemoteError,
    TransientError,
    VersionError,
)
from koppel.systems.business_central_errors import business_central_error
from koppel.systems.dataverse_errors import dataverse_error
from koppel.systems.transport import Response


def answer(status: int, code: str, message: str, **headers: str) -> Response:
    return Response(status, headers, msgspec.json.encode({"error": {"code": code, "message": message}}))


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (412, "0x80060882", "The version of the existing record doesn't match the RowVersion", VersionError),
        (412, "", "The version of the existing record doesn't match the RowVersion property provided.", VersionError),
        (412, "0x80040237", "A record with matching key values already exists.", ExistsError),
        (412, "", "A record with matching key values already exists.", ExistsError),
        (412, "0x80060892", "Entity Key k violated. A record with the same value for No already exists.", ExistsError),
        (400, "0x80043B06", "product number taken", ExistsError),
        (404, "0x80040217", "account With Id = x Does Not Exist", NotFoundError),
        (404, "", "gone", NotFoundError),
        (403, "0x80040220", "Principal user is missing prvCreateAccount privilege", PrivilegeError),
        (401, "", "", AuthenticationError),
        (400, "0x80048d19", "An undeclared property 'foo'", DataError),
        (405, "0x80040227", "CannotDeleteDueToAssociation", DataError),
        (501, "0x80040203", "not implemented", DataError),
        (500, "0x80040216", "unexpected", TransientError),
        (429, "0x80072322", "Number of requests exceeded", TransientError),
    ],
)
def test_kinds_of_dataverse_errors(status: int, code: str, message: str, kind: type[RemoteError]) -> None:
    error = dataverse_error(answer(status, code, message))
    assert type(error) is kind
    assert (error.status, error.code) == (status, code.lower())


def test_dataverse_names_field_and_remedy() -> None:
    text = (
        "A validation error occurred.  The length of the 'name' attribute of the 'account' entity exceeded the maximum "
        "allowed length of '160'."
    )
    error = dataverse_error(answer(400, "0x80044331", text))
    assert error.field == "name"
    assert "shorten" in error.remedy
    assert "  " not in error.message


def test_dataverse_names_the_row_that_is_not_there() -> None:
    key = "0d1e0001-0000-4000-8000-00000000000a"
    assert dataverse_error(answer(404, "0x80040217", f"account With Id = {key} Does Not Exist")).value == key


def test_dataverse_names_an_undeclared_property() -> None:
    text = "An undeclared property 'foo' which only has property annotations in the payload but no property value"
    assert dataverse_error(answer(400, "0x80048d19", text)).field == "foo"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (409, "Request_EntityChanged", VersionError),
        (412, "", VersionError),
        (400, "Internal_EntityWithSameKeyExists", ExistsError),
        (409, "Internal_EntityWithSameKeyExists", ExistsError),
        (404, "Internal_RecordNotFound", NotFoundError),
        (400, "Internal_RecordNotFound", DataError),
        (404, "BadRequest_ResourceNotFound", NotFoundError),
        (401, "Authentication_InvalidCredentials", AuthenticationError),
        (401, "Authorization_RequestDenied", PrivilegeError),
        (403, "", PrivilegeError),
        (400, "Application_StringExceededLength", DataError),
        (501, "BadRequest_MethodNotImplemented", DataError),
        (429, "Application_TooManyRequests", TransientError),
        (503, "Internal_TenantUnavailable", TransientError),
        (500, "Unknown", TransientError),
        (409, "Unknown", DataError),
    ],
)
def test_kinds_of_business_central_errors(status: int, code: str, kind: type[RemoteError]) -> None:
    assert type(business_central_error(answer(status, code, "x"))) is kind


@pytest.mark.parametrize(
    ("code", "message", "field", "value"),
    [
        (
            "Application_StringExceededLength",
            "The length of the string is 5, but it must be less than or equal to 3 characters. Value: ABCDE",
            "",
            "ABCDE",
        ),
        (
            "Internal_InvalidTableRelation",
            "The field Country/Region Code of table Customer contains a value (XX) that cannot be found in the related "
            "table (Country/Region).",
            "Country/Region Code",
            "XX",
        ),
        ("BadRequest_InvalidOperation", "Control 'balanceDue' is read-only.", "balanceDue", ""),
        ("BadRequest", "The property 'foo' does not exist on type 'Microsoft.NAV.customer'.", "foo", ""),
        (
            "Application_FieldValidationException",
            "Base Unit must have a value in Item. It cannot be empty.",
            "Base Unit",
            "",
        ),
        (
            "Internal_EntityWithSameKeyExists",
            "The record in table Customer already exists. Identification fields and values: No.='10000'",
            "No.",
            "10000",
        ),
    ],
)
def test_business_central_names_field_and_value(code: str, message: str, field: str, value: str) -> None:
    error = business_central_error(
        answer(400, code, f"{message}  CorrelationId:  0d1e0001-0000-4000-8000-00000000000a.")
    )
    assert (error.message, error.field, error.value) == (message, field, value)


def test_retry_after_is_kept() -> None:
    for make in (dataverse_error, business_central_error):
        error = make(answer(429, "", "x", **{"retry-after": "9"}))
        assert isinstance(error, TransientError)
        assert error.retry_after == 9


@pytest.mark.parametrize("body", [b"<html><h1>Bad Gateway</h1></html>", b"", b"[]", b'{"error":"x"}'])
def test_answers_without_an_error_object(body: bytes) -> None:
    for make in (dataverse_error, business_central_error):
        error = make(Response(400, {}, body))
        assert isinstance(error, DataError)
        assert "HTTP status 400" in error.message
        assert "<" not in error.message
