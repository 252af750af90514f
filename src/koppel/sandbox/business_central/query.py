"""The query options of a read: parsed and checked once, against the page."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from koppel.catalogue.pages import Catalogue, Navigation, Page
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.calls import split_outside
from koppel.sandbox.business_central.filters import Filter, read_filter

_KNOWN = frozenset(
    {"$filter", "$select", "$expand", "$orderby", "$top", "$skip", "$count", "$skiptoken", "$schemaversion", "$format"}
)
_UNSUPPORTED = frozenset({"$search", "$compute", "$apply", "$deltatoken", "$index", "$levels"})
_INNER = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)


class Query(msgspec.Struct, frozen=True):
    """What a read asks for. ``order``: fields and whether descending; ``token``: where the page goes on."""

    select: tuple[str, ...] | None = None
    filter: Filter | None = None
    order: tuple[tuple[str, bool], ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    token: str | None = None
    expand: tuple[Expand, ...] = ()


class Expand(msgspec.Struct, frozen=True):
    """A navigation property shown within the row, and what is asked of its rows."""

    step: Navigation
    page: Page
    query: Query


def read_query(catalogue: Catalogue, page: Page, options: list[tuple[str, str]], currency: str) -> Query:
    """The query options; those without ``$`` are not looked at. ``ServiceError`` for what cannot be had."""
    given = {name: value for name, value in options if name.startswith("$")}
    if not given:
        return _PLAIN
    for name, value in given.items():
        _check_name(name, value)
    newer = given.get("$schemaversion") == "2.1"
    return Query(
        select=_select(page, given.get("$select")),
        filter=_filter(page, given.get("$filter"), newer, currency),
        order=_order(page, given.get("$orderby")),
        top=_number("$top", given.get("$top")),
        skip=_number("$skip", given.get("$skip")) or 0,
        count=_truth(given.get("$count", "false")),
        token=given.get("$skiptoken"),
        expand=_expand(catalogue, page, given.get("$expand"), newer, currency),
    )


_PLAIN = Query()


def _check_name(name: str, value: str) -> None:
    if name in _UNSUPPORTED:
        raise errors.not_implemented(f"the query option {name}")
    if name not in _KNOWN:
        raise errors.bad_request(f"The query parameter '{name}' is not supported.")
    if name == "$format" and value != "json":
        raise errors.bad_request(f"The format '{value}' is not supported.")
    if name == "$schemaversion" and value not in ("2.0", "2.1"):
        raise errors.not_implemented(f"schema version {value}")


def _select(page: Page, text: str | None) -> tuple[str, ...] | None:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if not names or "*" in names:
        return None
    for name in names:
        if name not in page.fields and name not in page.navigation:
            raise errors.no_property(name, page.type_name)
    return tuple(sorted(names))


def _filter(page: Page, text: str | None, newer: bool, currency: str) -> Filter | None:
    return read_filter(page, text, newer=newer, currency=currency) if text and text.strip() else None


def _order(page: Page, text: str | None) -> tuple[tuple[str, bool], ...]:
    return tuple(_order_part(page, part) for part in (text or "").split(",") if part.strip())


def _order_part(page: Page, text: str) -> tuple[str, bool]:
    words = text.split()
    if "/" in words[0]:
        raise errors.not_implemented("an order over a navigation property")
    if words[0] not in page.fields:
        raise errors.no_property(words[0], page.type_name)
    if len(words) > 2 or words[1:] not in ([], ["asc"], ["desc"]):
        raise errors.bad_request(f"Syntax error in $orderby: '{text}'.")
    return words[0], words[1:] == ["desc"]


def _number(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise errors.bad_request(f"Invalid value '{text}' for {name}: a non-negative integer was expected.")
    return int(text)


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise errors.bad_request(f"Invalid value '{text}' for $count.")
    return text == "true"


def _expand(catalogue: Catalogue, page: Page, text: str | None, newer: bool, currency: str) -> tuple[Expand, ...]:
    parts = [part.strip() for part in split_outside(text or "", ",") if part.strip()]
    return tuple(_expand_part(catalogue, page, part, newer, currency) for part in parts)


def _expand_part(catalogue: Catalogue, page: Page, text: str, newer: bool, currency: str) -> Expand:
    found = _INNER.fullmatch(text)
    if found is None:
        raise errors.bad_request(f"Syntax error in $expand: '{text}'.")
    step, target = navigate(catalogue, page, found[1])
    options: list[tuple[str, str]] = []
    for part in split_outside(found[2] or "", ";"):
        name, sign, value = part.strip().partition("=")
        if sign:
            options.append((name, value))
    if any(name == "$expand" for name, _ in options):
        raise errors.not_implemented("$expand within $expand")
    if schema := newer and [("$schemaversion", "2.1")]:
        options += schema
    query = read_query(catalogue, target, options, currency)
    if query.count or query.token:
        raise errors.not_implemented("$count and $skiptoken within $expand")
    return Expand(step, target, query)


def navigate(catalogue: Catalogue, page: Page, name: str) -> tuple[Navigation, Page]:
    """A navigation property and the page it leads to. ``ServiceError`` when there is none, or none that is served."""
    step: Any = page.navigation.get(name)
    if step is None:
        raise errors.no_property(name, page.type_name)
    target = catalogue.page_of_entity(page.route, step.entity)
    if target is None:
        raise errors.not_implemented(f"the navigation property {page.set_name}/{name}")
    return step, target
