"""What Dataverse's error answers mean: by code, and by HTTP status where the code is empty."""

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

_EXISTS = frozenset({"0x80040237", "0x80060892", "0x80040333", "0x80043b06", "0x80043b08", "0x80048cf3"})
_VERSION = frozenset({"0x80060882"})
_NOT_FOUND = frozenset({"0x80040217", "0x80060891", "0x80041102"})
_PRIVILEGE = frozenset({"0x80040220", "0x80040231", "0x80048306"})

_REMEDIES = {
    "0x80048d19": "compare the mapping with the table: koppel check names columns that do not exist",
    "0x80060888": "compare the mapping with the table: koppel check names columns that do not exist",
    "0x80044331": "shorten the value, or the field mapping cuts it with a transformation",
    "0x8004431a": "couple the option, or correct the value",
    "0x80072491": "turn on change tracking for the table in Dataverse",
    "0x80040227": "delete or move the records that refer to this one first",
    "0x8004f995": "set the product to Draft or Under Revision first",
    "0x800422fe": "uncouple the product, renumber and retire it in Dataverse, then synchronise in full: it comes anew",
    "0x80100010": "give the record a price list",
    "0x80048cee": "give the record the currency of its price list",
    "0x80043b13": "give the product a unit group",
    "0x80043b14": "choose a unit of the product's own unit group",
}

_LENGTH = re.compile(r"length of the '(?P<field>[^']+)' attribute")
_PROPERTY = re.compile(r"property (?:named )?'(?P<field>[^']+)'")
_KEY = re.compile(r"same value for (?P<field>[^.]+?) already exists")
_RANGE = re.compile(r"value of '?(?P<value>[^' ]+)'? .*?attribute '?(?P<field>[\w]+)'?", re.IGNORECASE)
_RECORD = re.compile(r"With Ids? = (?P<value>[0-9a-fA-F-]{36})")


def dataverse_error(answer: Response) -> RemoteError:
    """The error of a refused request, with the field or value that its text tells."""
    code, message = _code_and_message(answer)
    kind = _kind(answer.status, code, message)
    if kind is TransientError:
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


_REMEDY_OF_KIND: dict[type[RemoteError], str] = {
    PrivilegeError: "give the connection's application user a security role that holds the privilege",
    AuthenticationError: "check that the application is registered as an application user in Dataverse",
}


def _kind(status: int, code: str, message: str) -> type[RemoteError]:
    if status == 401:
        return AuthenticationError
    if code in _PRIVILEGE or status == 403:
        return PrivilegeError
    if code in _VERSION:
        return VersionError
    if code in _EXISTS:
        return ExistsError
    if code in _NOT_FOUND or status == 404:
        return NotFoundError
    if status == 412:
        return ExistsError if "matching key" in message or "already exists" in message else VersionError
    if status in {408, 429} or (status >= 500 and status != 501):
        return TransientError
    return DataError


def _culprit(message: str) -> dict[str, str]:
    for pattern in (_LENGTH, _PROPERTY, _KEY, _RANGE, _RECORD):
        if found := pattern.search(message):
            return {name: value for name, value in found.groupdict().items() if value}
    return {}


def _code_and_message(answer: Response) -> tuple[str, str]:
    try:
        body: Any = msgspec.json.decode(answer.body)
        error = body["error"]
        message = " ".join(str(error.get("message") or "").split())
        return str(error.get("code") or "").lower(), message or f"HTTP status {answer.status}"
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return "", f"Dataverse answers HTTP status {answer.status}: {_excerpt(answer.body)}"


def _excerpt(body: bytes) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", body[:2000].decode(errors="replace")).split())[:200]
