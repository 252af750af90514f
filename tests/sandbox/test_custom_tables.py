"""Tables that a user adds to the sandbox: shown in the metadata, written and read like any other; mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import msgspec
import pytest

from koppel.errors import UsageError
from koppel.sandbox.custom import CustomTables, read_tables
from koppel.sandbox.server import Sandbox, build_sandbox
from koppel.sandbox.tokens import BOB
from koppel.systems.auth import Credentials, tokens_for
from koppel.systems.transport import AsgiTransport, Request

TABLES = """\
business_central:
  - {route: contoso/app/v1.0, table: machines, entity: machine, key: [number],
     columns: {number: {type: code}, hours: {type: decimal}, installedOn: {type: date}}}
dataverse:
  - {table: cr_machine, set: cr_machines, name: cr_name, caption: "Machine & Co",
     columns: {cr_name: {length: 10, required: true}, cr_account: {type: lookup, to: account},
               cr_grade: {type: choice, options: {1: New, 2: Used}}, cr_day: {type: date}}}
"""
PAGES = "/bc/v2.0/Production/api/contoso/app/v1.0"
ROWS = "/dataverse/api/data/v9.2"


def tables(path: Path, text: str = TABLES) -> CustomTables:
    (path / "tables.yaml").write_text(text, "utf-8")
    return read_tables(path / "tables.yaml")


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return build_sandbox(data="empty", tables=tables(tmp_path))


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    text: str

    def json(self) -> Any:
        """The body."""
        return msgspec.json.decode(self.text)


class Client:
    """Somebody who may do everything, on both systems."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.transport = AsgiTransport(sandbox.app)
        credentials = Credentials("common", BOB.client_id, BOB.secret, "http://sandbox/.default", "http://sandbox")
        self.tokens = tokens_for(credentials, self.transport)

    async def send(self, method: str, path: str, body: Any = None) -> Answer:
        """One request."""
        headers = {"Authorization": f"Bearer {await self.tokens.get()}", "Content-Type": "application/json"}
        headers |= {"Prefer": "return=representation"} | ({"If-Match": "*"} if method == "PATCH" else {})
        content = b"" if body is None else msgspec.json.encode(body)
        url = "http://sandbox" + quote(path, safe="/()$?=&")
        answer = await self.transport.send(Request(method, url, headers, content))
        return Answer(answer.status, answer.body.decode())

    async def get(self, path: str) -> Answer:
        """Read."""
        return await self.send("GET", path)

    async def post(self, path: str, body: Any) -> Answer:
        """Create."""
        return await self.send("POST", path, body)


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)


async def test_a_page_is_written_and_read_under_its_own_route(client: Client) -> None:
    company = (await client.get(f"{PAGES}/companies")).json()["value"][0]["id"]
    address = f"{PAGES}/companies({company})/machines"
    made = await client.post(address, {"number": "m-1", "hours": 2.5})
    assert (made.status, made.json()["number"], made.json()["installedOn"]) == (201, "M-1", "0001-01-01")
    changed = await client.send("PATCH", f"{address}({made.json()['id']})", {"hours": 3})
    assert changed.json()["hours"] == 3
    assert (await client.post(address, {"number": "M-1"})).status == 400
    assert (await client.post(address, {"number": "M-2", "id": made.json()["id"]})).status == 400
    assert [row["number"] for row in (await client.get(f"{address}?$filter=hours gt 2")).json()["value"]] == ["M-1"]
    assert (await client.get(f"/bc/v2.0/Production/api/v2.0/companies({company})/machines")).status == 404
    assert (await client.get("/bc/v2.0/Production/api/contoso/other/v1.0/companies")).status == 501


async def test_the_metadata_tells_of_them(client: Client) -> None:
    page = ElementTree.fromstring((await client.get(f"{PAGES}/$metadata")).text)
    assert [e.get("Name") for e in page.iter() if e.tag.endswith("EntitySet")] == ["companies", "machines"]
    whole = (await client.get(f"{ROWS}/$metadata")).text
    ElementTree.fromstring(whole)
    assert '<EntitySet Name="cr_machines"' in whole
    assert " x:" not in whole
    definition = (await client.get(f"{ROWS}/EntityDefinitions(LogicalName='cr_machine')")).json()
    assert definition["PrimaryIdAttribute"] == "cr_machineid"
    assert definition["DisplayName"]["UserLocalizedLabel"]["Label"] == "Machine & Co"


async def test_rows_of_a_custom_table(client: Client) -> None:
    account = (await client.post(f"{ROWS}/accounts", {"name": "Adatum"})).json()["accountid"]
    body = {"cr_name": "Lathe", "cr_grade": 2, "cr_account@odata.bind": f"/accounts({account})", "cr_day": "2024-01-31"}
    row = (await client.post(f"{ROWS}/cr_machines", body)).json()
    assert (row["statecode"], row["statuscode"], row["_cr_account_value"]) == (0, 1, account)
    assert (await client.post(f"{ROWS}/cr_machines", {"cr_grade": 1})).status == 400
    assert (await client.post(f"{ROWS}/cr_machines", {"cr_name": "much too long"})).status == 400
    assert (await client.post(f"{ROWS}/cr_machines", {"cr_name": "x", "cr_grade": 3})).status == 400
    assert (await client.send("DELETE", f"{ROWS}/accounts({account})")).status == 204
    assert (await client.get(f"{ROWS}/cr_machines({row['cr_machineid']})")).json()["_cr_account_value"] is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("type: decimal", "type: money", "Invalid enum value 'money'"),
        ("key: [number]", "key: [code]", "machines: its key code is no column"),
        ("contoso/app/v1.0", "contoso", "the route is publisher/group/version, not contoso"),
        ("to: account", "length: 3", "cr_machine.cr_account: a lookup says where it leads"),
        (", options: {1: New, 2: Used}", "", "cr_machine.cr_grade: a choice has options"),
        ("name: cr_name", "name: cr_nome", "cr_machine: cr_nome, which names a row, is no column of text"),
        ("cr_day: {type: date}", "cr_day: {type: code}", "cr_machine.cr_day: Dataverse knows no code"),
        ("hours: {type: decimal}", "hours: {type: choice}", "machines.hours: a page of Business Central has no choice"),
        ("entity: machine,", "", "missing required field `entity`"),
        ("business_central:", "business central:", "the tables cannot be read"),
        ("dataverse:", "dataverse: [", "the tables cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TABLES
    with pytest.raises(UsageError, match=r"tables cannot be read") as caught:
        tables(tmp_path, TABLES.replace(old, new, 1))
    assert said in str(caught.value)
    assert caught.value.place.endswith("tables.yaml")


@pytest.mark.parametrize(
    ("old", "new"),
    [("table: machines", "table: customers"), ("table: cr_machine", "table: account"), ("contoso/app", "koppel/sync")],
)
def test_what_is_there_already_is_refused(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(UsageError, match=r"already|companion pages"):
        build_sandbox(data="empty", tables=tables(tmp_path, TABLES.replace(old, new)))
