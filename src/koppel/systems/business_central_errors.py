"""What Business Central's error answers mean: by code first, as the statuses vary."""

from __future__ import annotations

import re
from typing import Any

import msgspec

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
from koppel.systems.sending import retry_after
from koppel.systems.transport import Response

_KINDS: dict[str, type[RemoteError]] = {
    "Request_EntityChanged": VersionError,
    "Internal_EntityWithSameKeyExists": ExistsError,
    "BadRequest_NotFound": NotFoundError,
    "BadRequest_ResourceNotFound": NotFoundError,
    "Internal_RecordNotFound": NotFoundError,
    "Internal_CompanyNotFound": NotFoundError,
    "Internal_TenantUnavailable": TransientError,
    "Internal_ServerError": TransientError,
    "Application_TooManyRequests": TransientError,
    "Authentication_InvalidCredentials": AuthenticationError,
}
_STATUSES: dict[int, type[RemoteError]] = {
    401: AuthenticationError,
    403: PrivilegeError,
    404: NotFoundError,
    408: TransientError,
    412: VersionError,
    429: TransientError,
    501: DataError,
}
_REMEDIES = {
    "Application_StringExceededLength": "shorten the value, or let the field mapping cut it with a transformation",
    "Internal_InvalidTableRelation": "create the value in the related table, or correct it",
    "Application_FieldValidationException": "fill in the field, or give the field mapping a constant",
    "BadRequest_RequiredParamNotProvided": "fill in the field, or give the field mapping a constant",
    "BadRequest_InvalidOperation": "leave the field out of the mapping's writes: the page shows it as read-only",
    "BadRequest_MethodNotAllowed": "use a route whose page allows this, such as koppel/sync/v1.0",
    "Application_CallbackNotAllowed": "the table's logic asks a question that nobody can answer here: change it there",
    "Application_DialogException": "do what the message says in Business Central, then retry",
}
_REMEDY_OF_KIND: dict[type[RemoteError], str] = {
    PrivilegeError: "give the application a permission set that allows it (page Microsoft Entra Applications)",
    AuthenticationError: "register and enable the application on page Microsoft Entra Applications",
}

_CORRELATION = re.compile(r"\s*CorrelationId:\s*[0-9a-fA-F-]*\.?\s*$")
_CULPRITS = [
    re.compile(r"field (?P<field>.+?) (?:of|in) table .+? contains a value \((?P<value>.*?)\) that cannot be found"),
    re.compile(r"Value: (?P<value>.*)$", re.DOTALL),
    re.compile(r"Control '(?P<field>[^']+)' is read-only"),
    re.compile(r"property named '(?P<field>[^']+)'"),
    re.compile(r"property '(?P<field>[^']+)'"),
    re.compile(r'"(?P<field>\w+)" (?:must be provided|is not allowed)'),
    re.compile(r"^(?P<field>[\w .%&/()-]+?) must (?:not )?(?:have a value|be)"),
    re.compile(r"Identification fields and values: (?P<field>[^=]+)='(?P<value>[^']*)'"),
]


def business_central_error(answer: Response) -> RemoteError:
    """The error of a refused request, with the field or value that its text tells."""
    code, message = _code_and_message(answer)
    kind = _kind(answer.status, code)
    if issubclass(kind, TransientError):
        return TransientError(message, retry_after=retry_after(answer), status=answer.status, code=code)
    culprit = _culprit(message)
    return kind(
        message,
        status=answer.status,
        code=code,
        field=culprit.get("field", ""),
        value=culprit.get("value", ""),
        remedy=_REMEDIES.get(code, _REMEDY_OF_KIND.get(kind, "")),
    )


def _kind(status: int, code: str) -> type[RemoteError]:
    if code == "Internal_RecordNotFound" and status != 404:
        return DataError  # business logic missed a related record; the one that was addressed is there
    if code in _KINDS:
        return _KINDS[code]
    if code.startswith("Authorization_"):
        return PrivilegeError
    return _STATUSES.get(status, TransientError if status >= 500 else DataError)


def _culprit(message: str) -> dict[str, str]:
    for pattern in _CULPRITS:
        if found := pattern.search(message):
            return {name: value.strip() for name, value in found.groupdict().items() if value}
    return {}


def _code_and_message(answer: Response) -> tuple[str, str]:
    try:
        body: Any = msgspec.json.decode(answer.body)
        error = body["error"]
        message = _CORRELATION.sub("", str(error.get("message") or "")).strip()
        return str(error.get("code") or ""), message or f"HTTP status {answer.status}"
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        text = " ".join(re.sub(r"<[^>]*>", " ", answer.body[:2000].decode(errors="replace")).split())[:200]
        return "", f"Business Central answers HTTP status {answer.status}: {text}"
