"""Microsoft's own Python client works against the simulated Dataverse as it is, over https.

It signs in at the sandbox's token endpoint; nothing of it is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError
from PowerPlatform.Dataverse.models.filters import col
from PowerPlatform.Dataverse.models.upsert import UpsertItem

from koppel.sandbox.process import SandboxProcess, start_sandbox
from koppel.sandbox.tokens import KOPPEL

LABEL = "@OData.Community.Display.V1.FormattedValue"


class ClientSecret:
    """A credential as the client wants it: asks for a token each time."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/tenant/oauth2/v2.0/token"

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        form = {"client_id": KOPPEL.client_id, "client_secret": KOPPEL.secret, "grant_type": "client_credentials"}
        answer = requests.post(self._url, {**form, "scope": scopes[0]}, timeout=10).json()
        return AccessToken(answer["access_token"], 0)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with start_sandbox(data="empty", https=True) as process, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(process.ca_file))
        yield process


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[Any]:
    with DataverseClient(sandbox.dataverse_url, ClientSecret(sandbox.base_url)) as client:
        yield client
        remaining = [record["accountid"] for record in client.records.list("account", select=["name"])]
        client.records.delete("account", remaining)


def names(records: Any) -> list[str]:
    return sorted(record["name"] for record in records)


def test_rows_are_created_read_changed_and_deleted(client: Any) -> None:
    key = client.records.create("account", {"name": "Contoso", "telephone1": "1"})
    client.records.update("account", key, {"Telephone1": "2"})
    record = client.records.retrieve("account", key, select=["name", "telephone1"])
    assert (record["name"], record["telephone1"]) == ("Contoso", "2")
    assert record.etag.startswith('W/"')
    client.records.delete("account", key)
    assert client.records.retrieve("account", key) is None
    with pytest.raises(HttpError, match="Does Not Exist"):
        client.records.update("account", key, {"name": "too late"})


def test_many_rows_are_created_changed_and_deleted(client: Any) -> None:
    keys = client.records.create("account", [{"name": f"A{number}"} for number in range(5)])
    assert len(set(keys)) == 5
    client.records.update("account", keys[:2], {"telephone1": "same"})
    client.records.update("account", keys[2:4], [{"name": "B2"}, {"name": "B3"}])
    rows = {record["accountid"]: record for record in client.records.list("account", select=["name", "telephone1"])}
    assert [rows[key]["name"] for key in keys] == ["A0", "A1", "B2", "B3", "A4"]
    assert [rows[key]["telephone1"] for key in keys] == ["same", "same", None, None, None]
    assert client.records.delete("account", keys[:3])
    client.records.delete("account", keys[3:], use_bulk_delete=False)
    assert list(client.records.list("account", select=["name"])) == []


def test_one_bad_row_of_many_is_refused_with_the_servers_words(client: Any) -> None:
    with pytest.raises(HttpError, match="maximum allowed length of '160'") as refused:
        client.records.create("account", [{"name": "A"}, {"name": "x" * 161}])
    assert (refused.value.status_code, refused.value.details["service_error_code"]) == (400, "0x80044331")
    assert list(client.records.list("account", select=["name"])) == []


def test_rows_are_upserted_by_alternate_key(client: Any) -> None:
    key = client.tables.create_alternate_key("account", "koppel_number", ["accountnumber"])
    assert client.tables.get_alternate_keys("account")[0].status == "Active"
    for name in ("first", "second"):
        client.records.upsert("account", [UpsertItem(alternate_key={"accountnumber": "O'1"}, record={"name": name})])
    items = [
        UpsertItem(alternate_key={"accountnumber": "O'1"}, record={"name": "third"}),
        UpsertItem(alternate_key={"accountnumber": "2"}, record={"name": "new"}),
    ]
    client.records.upsert("account", items)
    assert names(client.records.list("account", select=["name"])) == ["new", "third"]
    client.tables.delete_alternate_key("account", key.metadata_id)
    assert client.tables.get_alternate_keys("account") == []


def test_queries_filter_sort_and_page(client: Any) -> None:
    client.records.create("account", [{"name": f"A {number:02}", "revenue": number} for number in range(25)])
    query = client.query.builder("account").select("name", "revenue").where(col("revenue") >= 5)
    pages = list(query.where(col("name").contains("A ")).page_size(8).execute_pages())
    assert [len(page) for page in pages if len(page)] == [8, 8, 4]
    top = client.query.builder("account").select("name").where(col("name") != "A 24").order_by("name", True).top(2)
    assert [record["name"] for record in top.execute()] == ["A 23", "A 22"]
    listed = client.records.list("account", filter="name eq 'a 07'", select=["name", "accountid"])
    assert names(listed) == ["A 07"]


def test_labels_of_choices_stand_for_their_numbers(client: Any) -> None:
    key = client.records.create("account", {"name": "A", "paymenttermscode": "net 45", "customertypecode": "Customer"})
    query = (
        client.query.builder("account").select("paymenttermscode", "customertypecode").where(col("accountid") == key)
    )
    row = next(iter(query.include_formatted_values().execute()))
    assert (row["paymenttermscode"], row["customertypecode"]) == (3, 3)
    assert row[f"paymenttermscode{LABEL}"] == "Net 45"


def test_lookups_are_bound_and_expanded(client: Any) -> None:
    contact = client.records.create("contact", {"firstname": "Ada", "lastname": "Bel"})
    key = client.records.create("account", {"name": "A", "primarycontactid@odata.bind": f"/contacts({contact})"})
    record = client.records.retrieve("account", key, select=["name"], expand=["primarycontactid"])
    assert record["primarycontactid"]["fullname"] == "Ada Bel"


def test_a_batch_holds_single_requests_and_a_change_set(client: Any) -> None:
    kept = client.records.create("account", {"name": "kept"})
    batch = client.batch.new()
    batch.records.create("account", {"name": "single"})
    batch.records.create("account", [{"name": "bulk 1"}, {"name": "bulk 2"}])
    batch.records.update("account", kept, {"name": "changed"})
    batch.records.list("account", filter="name eq 'changed'", select=["name"])
    with batch.changeset() as changes:
        reference = changes.records.create("contact", {"lastname": "Ada"})
        changes.records.create("account", {"name": "bound", "primarycontactid@odata.bind": reference})
        changes.records.update("contact", reference, {"firstname": "Eve"})
    result = batch.execute()
    assert [item.status_code for item in result.responses] == [204, 200, 204, 200, 204, 204, 204]
    assert result.responses[3].data["value"][0]["accountid"] == kept
    assert len(result.entity_ids) == 5
    assert names(client.records.list("account", select=["name"])) == ["bound", "bulk 1", "bulk 2", "changed", "single"]


def test_a_batch_that_fails_says_where(client: Any) -> None:
    def batch() -> Any:
        batch = client.batch.new()
        batch.records.create("account", {"name": "A"})
        batch.records.create("account", {"nothing": "B"})
        batch.records.create("account", {"name": "C"})
        return batch

    stopped = batch().execute()
    assert [item.status_code for item in stopped.responses] == [204, 400]
    assert stopped.failed[0].error_code == "0x80048d19"
    assert [item.status_code for item in batch().execute(continue_on_error=True).responses] == [204, 400, 204]


def test_invoices_are_worked_out_and_closed(client: Any) -> None:
    [organization] = client.records.list("organization", select=["name"])
    client.records.update("organization", organization["organizationid"], {"issopintegrationenabled": False})
    account = client.records.create("account", {"name": "A"})
    prices = client.records.create("pricelevel", {"name": "Retail"})
    lookups = {"customerid_account@odata.bind": f"/accounts({account})"}
    lookups["pricelevelid@odata.bind"] = f"/pricelevels({prices})"
    invoice = client.records.create("invoice", {"name": "I", "freightamount": 5, **lookups})
    line = {"isproductoverridden": True, "productdescription": "Hours", "quantity": 3, "priceperunit": 20}
    line["invoiceid@odata.bind"] = f"/invoices({invoice})"
    client.records.create("invoicedetail", [line, line | {"tax": 12.6}])
    assert client.records.retrieve("invoice", invoice)["totalamount"] == 137.6
    client.records.update("invoice", invoice, {"statecode": 2, "statuscode": 100001})
    with pytest.raises(HttpError, match="cannot be updated because it is read-only"):
        client.records.update("invoice", invoice, {"description": "too late"})
    with pytest.raises(HttpError, match="parent is read only"):
        client.records.create("invoicedetail", line)


def test_tables_columns_and_relations_are_described(client: Any) -> None:
    table = client.tables.get("Account")
    assert (table.entity_set_name, table.primary_id_attribute) == ("accounts", "accountid")
    assert "SalesOrder" in {item["SchemaName"] for item in client.tables.list(select=["SchemaName"])}
    columns = client.tables.list_columns("account", filter="LogicalName eq 'creditlimit'")
    assert [column["AttributeType"] for column in columns] == ["Money"]
    relations = client.tables.list_relationships(filter="SchemaName eq 'account_primary_contact'")
    assert [relation["ReferencedEntity"] for relation in relations] == ["contact"]


def test_what_the_sandbox_does_not_do_is_named(client: Any) -> None:
    with pytest.raises(HttpError, match="does not support sql"):
        client.query.sql("SELECT name FROM account")
    with pytest.raises(HttpError, match="does not support CreateEntities"):
        client.tables.create("new_Thing", {"new_Name": "string"})
