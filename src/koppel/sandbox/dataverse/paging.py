"""The links from page to page: a cookie that names the row a page ended with."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import msgspec

from koppel.sandbox.dataverse import errors

_NUMBER = re.compile(r'pagenumber="(\d+)"')
_INNER = re.compile(r'pagingcookie="([^"]*)"')
_LAST = re.compile(r'last="\{([^}]*)\}"')
_TRACKING = re.compile(r'istracking="True" version="(\d+)"')


class Cookie(msgspec.Struct, frozen=True):
    """Where the next page begins: its number, the id after which it starts, how many rows came before it.

    ``version``: the organisation's version when a tracked read began; None for others.
    """

    number: int = 1
    last: str = ""
    version: int | None = None


def write_cookie(cookie: Cookie, id_column: str, first: str) -> str:
    """The cookie as ``$skiptoken`` carries it, encoded for the address."""
    inner = f'<cookie page="{cookie.number - 1}"><{id_column} last="{{{cookie.last}}}" first="{{{first}}}" /></cookie>'
    twice = quote(quote(inner, safe=""), safe="")
    tracking = "False" if cookie.version is None else f'True" version="{cookie.version}'
    return quote(f'<cookie pagenumber="{cookie.number}" pagingcookie="{twice}" istracking="{tracking}" />', safe="")


def read_cookie(text: str | None) -> Cookie:
    """The cookie of a request; the first page without one. 400 when it is none of ours."""
    if text is None:
        return Cookie()
    number, inner, tracking = _NUMBER.search(text), _INNER.search(text), _TRACKING.search(text)
    last = None if inner is None else _LAST.search(unquote(unquote(inner[1])))
    if number is None or last is None:
        raise errors.bad_query("Malformed XML in the paging cookie.")
    return Cookie(int(number[1]), last[1], int(tracking[1]) if tracking else None)


def with_option(url: str, name: str, value: str) -> str:
    """The address with one option (an encoded value) in the place of paging and delta tokens."""
    address, _, query = url.partition("?")
    kept = [pair for pair in query.split("&") if pair and not re.match(r"(\$|%24)(skip|delta)token=", pair)]
    return f"{address}?{'&'.join([*kept, f'{name}={value}'])}"
