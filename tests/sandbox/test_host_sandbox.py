"""The sandbox in this process: the data is in both systems, and both answer through the one application."""

from __future__ import annotations

import msgspec
import pytest

from koppel.sandbox.business_central import BusinessCentral
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.server import Sandbox, build_sandbox
from koppel.sandbox.tokens import ALICE, BOB, KOPPEL, User
from koppel.systems.transport import AsgiTransport, Request


class Client:
    """Asks the sandbox in process, as somebody."""

    def __init__(self, sandbox: Sandbox, user: User) -> None:
        form = {"grant_type": "client_credentials", "client_id": user.client_id, "client_secret": user.secret}
        self._token = sandbox.tokens.issue(form | {"scope": "https://sandbox/.default"})
        self._transport = AsgiTransport(sandbox.app)

    async def send(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, list[dict[str, object]]]]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", "If-Match": "*"}
        content = b"" if body is None else msgspec.json.encode(body)
        answer = await self._transport.send(Request(method, f"http://sandbox{path}", headers, content))
        return answer.status, msgspec.json.decode(answer.body) if answer.body else {}


@pytest.fixture(scope="module")
def whole() -> Sandbox:
    return build_sandbox()


@pytest.fixture
def small() -> Sandbox:
    return build_sandbox(customers=30)


def rows(system: BusinessCentral, table: str) -> int:
    return len(system.companies[COMPANY].stores[table].rows)


def test_everything_is_there(whole: Sandbox) -> None:
    tables = ("customers", "contacts", "contactBusinessRelations", "salespeoplePurchasers", "currencies")
    assert [rows(whole.business_central, table) for table in tables] == [18_849, 19_706, 18_953, 18, 105]
    assert len(whole.dataverse.tables["account"].rows) == 300
    assert len(whole.dataverse.tables["systemuser"].rows) == 23
    assert [row["isocurrencycode"] for row in whole.dataverse.tables["transactioncurrency"].rows.values()] == ["USD"]


def test_nothing_was_written_by_the_connections_own_user(whole: Sandbox) -> None:
    accounts = whole.dataverse.tables["account"].rows.values()
    customers = whole.business_central.companies[COMPANY].stores["customers"].rows.values()
    assert {row["_modifiedby_value"] for row in accounts} == {ALICE.id}
    assert {row["systemModifiedBy"] for row in customers} == {BOB.id}


def test_an_empty_sandbox_has_a_company_an_organisation_and_users() -> None:
    sandbox = build_sandbox(data="empty")
    assert sandbox.business_central.companies[COMPANY].local_currency == "USD"
    assert rows(sandbox.business_central, "customers") == 0
    assert len(sandbox.dataverse.tables["systemuser"].rows) == 4
    assert sandbox.dataverse.base_currency != ""


@pytest.mark.rule("CUST-08")
async def test_a_new_customer_gets_a_company_contact_with_the_next_number(small: Sandbox) -> None:
    client = Client(small, BOB)
    path = f"/bc/v2.0/production/api/koppel/sync/v1.0/companies({small.business_central.companies[COMPANY].id})"
    status, _ = await client.send("POST", f"{path}/customers", {"displayName": "Brand New Bikes"})
    _, found = await client.send("GET", f"{path}/contacts?$filter=displayName%20eq%20'Brand%20New%20Bikes'")
    [contact] = found["value"]
    assert status == 201
    assert (contact["number"], contact["contactBusinessRelation"]) == ("CT3000001", "Customer")


async def test_a_person_at_a_store_shows_the_stores_relation(small: Sandbox) -> None:
    path = f"/bc/v2.0/production/api/koppel/sync/v1.0/companies({small.business_central.companies[COMPANY].id})"
    query = "$filter=type%20eq%20'Person'%20and%20companyName%20eq%20'A%20Bike%20Store'"
    _, found = await Client(small, KOPPEL).send("GET", f"{path}/contacts?{query}")
    [contact] = found["value"]
    assert contact["contactBusinessRelation"] == "Customer"
    assert (contact["firstName"], contact["surname"]) == ("Orlando", "")


async def test_dataverse_knows_who_writes(small: Sandbox) -> None:
    key = next(iter(small.dataverse.tables["account"].rows))
    for user in (KOPPEL, ALICE):
        path = f"/dataverse/api/data/v9.2/accounts({key})"
        status, _ = await Client(small, user).send("PATCH", path, {"fax": user.client_id})
        assert status == 204
        row = small.dataverse.tables["account"].rows[key]
        assert (row["fax"], row["_modifiedby_value"]) == (user.client_id, user.id)


async def test_the_clock_is_that_of_both_systems(small: Sandbox) -> None:
    small.clock.advance(86_400)
    today = small.clock().isoformat()[:10]
    status, _ = await Client(small, ALICE).send("POST", "/dataverse/api/data/v9.2/accounts", {"name": "Tomorrow"})
    path = f"/bc/v2.0/production/api/v2.0/companies({small.business_central.companies[COMPANY].id})/customers"
    made, customer = await Client(small, BOB).send("POST", path, {"displayName": "Tomorrow"})
    [account] = [row for row in small.dataverse.tables["account"].rows.values() if row["name"] == "Tomorrow"]
    assert (status, made) == (204, 201)
    assert account["createdon"].startswith(today)
    assert str(customer["lastModifiedDateTime"]).startswith(today)


async def test_posted_invoices_are_paid_and_cancelled(small: Sandbox) -> None:
    invoice = {"customerNumber": "AW00000001", "billToCustomerNumber": "AW00000001", "totalAmountIncludingTax": 50}
    system = small.business_central
    for index, number in enumerate(("PS-1", "PS-2"), start=1):
        row = {"number": number, "custLedgerEntryNumber": index, "remainingAmount": 50, **invoice}
        entry = {
            "entryNumber": index,
            "customerNumber": "AW00000001",
            "amount": 50,
            "remainingAmount": 50,
            "open": True,
        }
        system.load(COMPANY, "postedSalesInvoices", [row])
        system.load(COMPANY, "customerLedgerEntries", [entry | {"open": True}])
    client = Client(small, KOPPEL)
    path = "/sandbox/invoices"

    async def now(change: object) -> object:
        return (await client.send("POST", path, change))[1]

    assert await now({"pay": "PS-1", "amount": 20}) == {"open": 1, "partly": 1, "paid": 0, "cancelled": 0}
    assert await now({"pay": "PS-1"}) == {"open": 1, "partly": 0, "paid": 1, "cancelled": 0}
    assert await now({"unapply": "PS-1"}) == {"open": 2, "partly": 0, "paid": 0, "cancelled": 0}
    assert await now({"cancel": "PS-2"}) == {"open": 1, "partly": 0, "paid": 0, "cancelled": 1}
    for wrong in (
        {"cancel": "PS-2"},
        {"pay": "PS-9"},
        {"pay": "PS-1", "cancel": "PS-1"},
        {},
        {"refund": "PS-1"},
        {"prepay": "9"},
    ):
        status, said = await client.send("POST", path, wrong)
        assert status == 400
        assert said["error"]
    assert rows(system, "customerLedgerEntries") == 5
