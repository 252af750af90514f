"""A simulated Business Central with one company, spoken to in process."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson
from starlette.types import Message

from koppel.sandbox.business_central import BusinessCentral, Company, business_central_app, create_business_central

USER = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
ROOT = "https://bc.example/bc/v2.0/sandbox/api"
STANDARD = f"{ROOT}/v2.0"
COMPANION = f"{ROOT}/koppel/sync/v1.0"
TABLES: dict[str, list[dict[str, Any]]] = {
    "currencies": [{"code": "EUR", "displayName": "Euro"}, {"code": "GBP", "displayName": "Pound"}],
    "paymentTerms": [{"code": "NET 30", "displayName": "Net 30 days"}, {"code": "COD"}],
    "shipmentMethods": [{"code": "EXW"}],
    "paymentMethods": [{"code": "BANK"}],
    "shippingAgents": [{"code": "DHL", "displayName": "DHL"}],
    "countriesRegions": [{"code": "US"}, {"code": "NL"}],
    "salespeoplePurchasers": [{"code": "JO", "displayName": "Jo Berry"}, {"code": "PS"}],
}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.content)

    @property
    def code(self) -> str:
        """The code of the error that this must be."""
        assert self.status >= 400, self.content
        return str(self.json["error"]["code"])

    @property
    def values(self) -> list[dict[str, Any]]:
        """The rows of the collection that this must be."""
        assert self.status == 200, self.content
        rows: list[dict[str, Any]] = self.json["value"]
        return rows


class World:
    """The simulated system, its clock, and whoever asks it."""

    def __init__(self) -> None:
        self.clock = Clock()
        tokens: dict[str | None, str] = {"Bearer one": USER, "Bearer two": OTHER}
        self.system: BusinessCentral = create_business_central(self.clock, caller=tokens.get)
        self.company: Company = self.system.add_company("CRONUS", local_currency="USD")
        for table, rows in TABLES.items():
            self.system.load("CRONUS", table, rows)
        self.app = business_central_app(self.system)

    def with_relations(self) -> World:
        """Marketing is set up: customers and vendors get company contacts, opportunities get numbers."""
        setup = {
            "businessRelationCodeForCustomers": "CUST",
            "businessRelationCodeForVendors": "VEND",
            "contactNumberSeries": "CONT",
            "opportunityNumberSeries": "OPP",
        }
        self.system.load("CRONUS", "marketingSetup", [setup])
        return self

    def url(self, path: str, root: str = STANDARD) -> str:
        return f"{root}/companies({self.company.id})/{path}"

    async def ask(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        token: str = "one",
    ) -> Answer:
        """Send a request to an absolute URL."""
        base = "https://bc.example"
        assert url.startswith(base), url
        path, _, query = url.removeprefix(base).partition("?")
        content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        given = {"Host": "bc.example", "Authorization": f"Bearer {token}", **(headers or {})}
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        scope = {
            "type": "http",
            "method": method,
            "scheme": "https",
            "root_path": "/bc",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], answered, sent[1]["body"])

    async def get(self, path: str, root: str = STANDARD, **kwargs: Any) -> Answer:
        return await self.ask("GET", self.url(path, root), **kwargs)

    async def post(self, path: str, body: Any, root: str = STANDARD, **kwargs: Any) -> Answer:
        return await self.ask("POST", self.url(path, root), body, **kwargs)

    async def patch(
        self, path: str, body: Any, root: str = STANDARD, *, match: str | None = "*", **kwargs: Any
    ) -> Answer:
        headers = {} if match is None else {"If-Match": match}
        return await self.ask("PATCH", self.url(path, root), body, headers=headers, **kwargs)

    async def delete(self, path: str, root: str = STANDARD, **kwargs: Any) -> Answer:
        return await self.ask("DELETE", self.url(path, root), **kwargs)

    async def made(self, set_name: str, body: Any, root: str = STANDARD) -> dict[str, Any]:
        """A new row as the answer shows it."""
        answer = await self.post(set_name, body, root)
        assert answer.status == 201, answer.content
        row: dict[str, Any] = answer.json
        return row

    async def batch(self, parts: list[dict[str, Any]], root: str = STANDARD, **headers: str) -> Answer:
        """A batch of parts whose urls are relative to the company."""
        numbered = [
            {
                "id": str(index),
                "headers": {"If-Match": "*"},
                **part,
                "url": f"companies({self.company.id})/{part['url']}",
            }
            for index, part in enumerate(parts)
        ]
        return await self.ask("POST", f"{root}/$batch", {"requests": numbered}, headers=headers)
