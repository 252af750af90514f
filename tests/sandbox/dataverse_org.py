"""A small organisation of the simulated Dataverse, and a client that talks to its application in process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import orjson

from koppel.sandbox.clock import Clock
from koppel.sandbox.dataverse import Dataverse, create_dataverse, dataverse_app

ORGANIZATION = "10000000-0000-0000-0000-000000000001"
BUSINESS_UNIT = "10000000-0000-0000-0000-000000000002"
EURO = "10000000-0000-0000-0000-0000000000e0"
DOLLAR = "10000000-0000-0000-0000-0000000000d0"
INTEGRATION = "20000000-0000-0000-0000-000000000001"
ALICE = "20000000-0000-0000-0000-00000000000a"
LEAVER = "20000000-0000-0000-0000-00000000000f"
TEAM = "30000000-0000-0000-0000-000000000001"
ALICE_IN_ENTRA = "40000000-0000-0000-0000-00000000000a"
ROOT = "/api/data/v9.2/"
BASE = f"https://org.test{ROOT}"

Row = dict[str, Any]


class Answer(msgspec.Struct, frozen=True):
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])

    @property
    def rows(self) -> list[Row]:
        return list(self.json["value"])

    @property
    def id(self) -> str:
        """The id in the header that a create answers with."""
        return self.headers["odata-entityid"].rpartition("(")[2].rstrip(")")


class Organisation:
    """``token`` goes with every request. Addresses are relative to the service root, or absolute; blanks may stand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.dataverse: Dataverse = create_dataverse(self.clock, own_user=INTEGRATION)
        self.token = "integration"
        self.app = dataverse_app(self.dataverse)
        _load(self.dataverse)

    async def send(
        self, method: str, address: str, body: object = None, *, root: str = ROOT, mount: str = "", **headers: str
    ) -> Answer:
        path, _, query = address.removeprefix(f"https://org.test{mount}").partition("?")
        if not path.startswith("/"):
            path = root + path
        sent = {"host": "org.test", "authorization": f"Bearer {self.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer: dict[str, Any] = {}

        async def receive() -> dict[str, Any]:
            content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
            return {"type": "http.request", "body": content, "more_body": False}

        async def receive_answer(message: Any) -> None:
            answer.update(message)

        scope = {
            "type": "http",
            "method": method,
            "scheme": "https",
            "server": ("org.test", 443),
            "root_path": mount,
            "path": mount + path,
            "raw_path": (mount + quote(path, safe="/()=',$%-._~")).encode(),
            "query_string": quote(query, safe="=&$%,'()/:;!@+*\"[]{}").encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        await self.app(scope, receive, receive_answer)
        return Answer(
            answer["status"], {name.decode(): value.decode() for name, value in answer["headers"]}, answer["body"]
        )

    async def get(self, address: str, **headers: str) -> Answer:
        return await self.send("GET", address, **headers)

    async def post(self, address: str, body: object, **headers: str) -> Answer:
        return await self.send("POST", address, body, **headers)

    async def patch(self, address: str, body: object, **headers: str) -> Answer:
        return await self.send("PATCH", address, body, **headers)

    async def delete(self, address: str, **headers: str) -> Answer:
        return await self.send("DELETE", address, **headers)

    async def create(self, set_name: str, **values: Any) -> str:
        """A new row; its id."""
        answer = await self.post(set_name, values)
        assert answer.status == 204, answer.body
        return answer.id

    async def read(self, address: str, **headers: str) -> Row:
        """A row, or whatever else an address answers with."""
        answer = await self.get(address, **headers)
        assert answer.status == 200, answer.body
        return dict(answer.json)

    async def bulk(self, set_name: str, message: str, *targets: Row) -> Answer:
        table = self.dataverse.schema.names_by_set[set_name]
        typed = [{"@odata.type": f"Microsoft.Dynamics.CRM.{table}", **target} for target in targets]
        return await self.post(f"{set_name}/Microsoft.Dynamics.CRM.{message}", {"Targets": typed})

    def names(self, table: str, column: str = "name") -> list[Any]:
        """The values of a column, in the order in which the rows came."""
        return [row.get(column) for row in self.dataverse.tables[table].rows.values()]


def _load(dataverse: Dataverse) -> None:
    dataverse.load(
        "organization",
        [
            {
                "organizationid": ORGANIZATION,
                "name": "Test",
                "_basecurrencyid_value": EURO,
                "currencydecimalprecision": 2,
                "pricingdecimalprecision": 4,
                "expirechangetrackingindays": 7,
            }
        ],
    )
    dataverse.load("businessunit", [{"businessunitid": BUSINESS_UNIT, "name": "Test"}])
    dataverse.load(
        "transactioncurrency",
        [
            _currency(EURO, "EUR", "Euro", "€", 1.0),
            _currency(DOLLAR, "USD", "US Dollar", "$", 1.25),
        ],
    )
    users = [
        _user(INTEGRATION, "Koppel", "Integration"),
        _user(ALICE, "Alice", "Ciccu") | {"azureactivedirectoryobjectid": ALICE_IN_ENTRA},
        _user(LEAVER, "Karen", "Berge") | {"isdisabled": True},
    ]
    dataverse.load("systemuser", users)
    dataverse.load("team", [{"teamid": TEAM, "name": "Sales", "_businessunitid_value": BUSINESS_UNIT}])
    dataverse.users_by_token |= {"integration": INTEGRATION, "alice": ALICE}


def _currency(key: str, code: str, name: str, symbol: str, rate: float) -> Row:
    return {
        "transactioncurrencyid": key,
        "isocurrencycode": code,
        "currencyname": name,
        "currencysymbol": symbol,
        "currencyprecision": 2,
        "exchangerate": rate,
    }


def _user(key: str, first: str, last: str) -> Row:
    return {"systemuserid": key, "firstname": first, "lastname": last, "_businessunitid_value": BUSINESS_UNIT}
