"""Who works in Business Central, as the automation API tells it to read: names behind every ``systemModifiedBy``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from koppel.catalogue.pages import COMPANIES, SYSTEM_FIELDS, Catalogue, Page, TableInfo, catalogue, read_fields
from koppel.sandbox.tokens import User

ROUTE = "microsoft/automation/v2.0"
KEY = "userSecurityId"
_SHOWN: tuple[tuple[str, str, int], ...] = (
    (KEY, "Edm.Guid", 1),
    ("userName", "Edm.String", 2),
    ("displayName", "Edm.String", 3),
    ("state", "Edm.String", 4),
    ("expiryDate", "Edm.DateTimeOffset", 5),
    ("contactEmail", "Edm.String", 14),
)


@cache
def catalogue_with_users() -> Catalogue:
    """All tables and pages, and that of the users."""
    base = catalogue()
    fields = read_fields(
        {"name": name, "type": type, "editable": False, "field": [number, name]} for name, type, number in _SHOWN
    )
    shown = fields | {KEY: msgspec.structs.replace(fields[KEY], stored="id")}
    table = TableInfo(
        name="users",
        caption="User",
        key=("userName",),
        blank=frozenset(),
        relations={},
        pairs={},
        code_pairs={},
        initial={},
        indexes=(),
        local_currency="",
        fields={name: field for name, field in fields.items() if name != KEY} | read_fields(SYSTEM_FIELDS),
        computed=False,
    )
    page = Page(
        route=ROUTE,
        set_name="users",
        entity="user",
        table=table,
        key=KEY,
        fields=shown,
        names=tuple(shown),
        navigation={},
        insert=False,
        modify=False,
        delete=False,
    )
    companies = msgspec.structs.replace(base.pages["v2.0"][COMPANIES], route=ROUTE)
    pages = {**base.pages, ROUTE: {COMPANIES: companies, "users": page}}
    return msgspec.structs.replace(base, tables={**base.tables, "users": table}, pages=pages)


def login_rows(users: Iterable[User]) -> list[Mapping[str, Any]]:
    """The rows of those who may log in."""
    return [
        {
            "id": user.id,
            "userName": user.client_id.upper(),
            "displayName": user.name,
            "state": "Enabled",
            "contactEmail": user.email,
        }
        for user in users
    ]
