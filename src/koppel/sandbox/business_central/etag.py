"""Tags of rows: a hash of what a page shows, so that two reads of an untouched row agree and two pages do not."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from koppel.catalogue.pages import Page
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.company import Company
from koppel.sandbox.tables import Row

_SHAPE = re.compile(r'W/"[A-Za-z0-9+/]+={0,2}"')


def tag_reader(company: Company, page: Page) -> Callable[[Row], str]:
    """What gives a row's tag on a page; computed once for each version of the row."""
    known = company.tags.setdefault(page, {})
    salt = f"{page.route}/{page.set_name}".encode()
    parts = shown_parts(page, None)
    currency_place = page.names.index(page.table.local_currency) if page.table.local_currency in page.names else None
    currency = company.local_currency

    def tag(row: Row) -> str:
        entry = known.get(row["id"])
        if entry is not None and entry[0] is row:
            return entry[1]
        get = row.get
        shown = [get(source, empty) for _, source, empty in parts]
        if currency_place is not None:
            shown[currency_place] = shown[currency_place] or currency
        made = _shaped(blake2b(orjson.dumps(shown), digest_size=8, key=salt).digest())
        known[row["id"]] = (row, made)
        return made

    return tag


@lru_cache(maxsize=512)
def shown_parts(page: Page, select: tuple[str, ...] | None) -> list[tuple[str, str, Any]]:
    """What a page shows: names, names in the row, empty values. The key comes even when it is not selected."""
    fields = [page.fields[name] for name in page.names if select is None or name in select or name == page.key]
    return [(field.name, field.source, field.empty) for field in fields]


def check_tag(given: str | None, current: str) -> None:
    """``ServiceError`` unless the If-Match header is ``*`` or the row's tag."""
    if given is None or (given != "*" and not _SHAPE.fullmatch(given)):
        raise errors.invalid_token()
    if given not in ("*", current):
        raise errors.entity_changed()


def _shaped(digest: bytes) -> str:
    number = str(int.from_bytes(digest) | 1 << 63)
    text = f"'{len(number)};{number}1;00;'"
    return f'W/"{b64encode(text.encode()).decode()}"'
