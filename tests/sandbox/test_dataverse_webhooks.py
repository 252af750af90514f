"""Webhooks of Dataverse: how they are registered, what is posted, and what becomes of a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from dataverse_org import ALICE, BUSINESS_UNIT, EURO, INTEGRATION, ORGANIZATION, Organisation

from koppel.jobs.webhooks import SECRET_HEADER, Tables, told_by_dataverse
from koppel.odata.batch import Part, encode_request
from koppel.odata.literals import parse_instant
from koppel.store.notices import Notice
from receiver import Receiver

CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
SECRET = '<settings><setting name="x-koppel-secret" value="a secret" /></settings>'


@pytest.fixture
async def org() -> AsyncIterator[Organisation]:
    org = Organisation()
    org.dataverse.webhooks.waits = (0.01, 0.01)
    yield org
    await org.dataverse.webhooks.close()


async def endpoint(org: Organisation, url: str, **more: Any) -> str:
    values = {"name": "Koppel", "url": url, "contract": 8, "authtype": 5, "authvalue": SECRET, **more}
    return await org.create("serviceendpoints", **values)


async def register(
    org: Organisation, url: str, message: str, table: str = "account", *, of: str = "", **more: Any
) -> str:
    """A step for a message of a table; its id."""
    [found] = (await org.get(f"sdkmessages?$select=sdkmessageid&$filter=name eq '{message}'")).rows
    query = f"primaryobjecttypecode eq '{table}' and _sdkmessageid_value eq {found['sdkmessageid']}"
    [of_table] = (await org.get(f"sdkmessagefilters?$select=sdkmessagefilterid&$filter={query}")).rows
    values = {
        "name": f"{message} of {table}",
        "mode": 1,
        "stage": 40,
        "rank": 1,
        "eventhandler_serviceendpoint@odata.bind": f"/serviceendpoints({of or await endpoint(org, url)})",
        "sdkmessageid@odata.bind": f"/sdkmessages({found['sdkmessageid']})",
        "sdkmessagefilterid@odata.bind": f"/sdkmessagefilters({of_table['sdkmessagefilterid']})",
    }
    return await org.create("sdkmessageprocessingsteps", **{**values, **more})


def target(post: dict[str, Any]) -> dict[str, Any]:
    [parameter] = post["InputParameters"]
    assert parameter["key"] == "Target"
    return dict(parameter["value"])


def attributes(post: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in target(post)["Attributes"]}


def told(receiver: Receiver) -> list[tuple[str, str]]:
    return [(post["MessageName"], post["PrimaryEntityId"]) for post in receiver.posts]


async def test_a_new_row_is_posted_with_the_headers_of_dataverse(org: Organisation, receiver: Receiver) -> None:
    step = await register(org, receiver.url, "Create")
    org.token = "alice"
    key = await org.create(
        "accounts",
        name="Adatum",
        revenue=12.5,
        **{"transactioncurrencyid@odata.bind": f"/transactioncurrencies({EURO})"},
    )
    await receiver.until(lambda: len(receiver.posts) == 1)
    headers, [post] = receiver.headers[0], receiver.posts
    assert headers["x-koppel-secret"] == "a secret"
    assert headers["x-ms-dynamics-organization"] == "test"
    assert headers["x-ms-dynamics-entity-name"] == "account"
    assert headers["x-ms-dynamics-request-name"] == "Create"
    assert headers["x-ms-correlation-request-id"] == post["CorrelationId"]
    assert "x-request-id" in headers
    assert "x-ms-dynamics-msg-size-exceeded" not in headers
    assert (post["MessageName"], post["PrimaryEntityName"], post["PrimaryEntityId"]) == ("Create", "account", key)
    assert (post["UserId"], post["InitiatingUserId"], post["BusinessUnitId"]) == (ALICE, ALICE, BUSINESS_UNIT)
    assert (post["OrganizationId"], post["OrganizationName"]) == (ORGANIZATION, "Test")
    assert (post["Stage"], post["Mode"], post["Depth"], post["IsInTransaction"]) == (40, 1, 1, False)
    assert post["OwningExtension"]["Id"] == step
    assert post["OutputParameters"] == [{"key": "id", "value": key}]
    assert target(post)["__type"] == f"Entity:{CONTRACTS}"
    assert (target(post)["Id"], target(post)["LogicalName"]) == (key, "account")
    values = attributes(post)
    assert values["name"] == "Adatum"
    assert values["revenue"] == {"__type": f"Money:{CONTRACTS}", "Value": 12.5}
    assert values["statecode"] == {"__type": f"OptionSetValue:{CONTRACTS}", "Value": 0}
    assert values["ownerid"]["LogicalName"] == "systemuser"
    assert values["transactioncurrencyid"]["__type"] == f"EntityReference:{CONTRACTS}"
    assert values["transactioncurrencyid"]["Id"] == EURO
    created = parse_instant(org.dataverse.tables["account"].rows[key]["createdon"])
    assert values["createdon"] == f"/Date({round(created.timestamp() * 1000)})/"
    [image] = post["PostEntityImages"]
    assert image["key"] == "AsynchronousStepPrimaryName"
    assert {pair["key"]: pair["value"] for pair in image["value"]["Attributes"]} == {"accountid": key, "name": "Adatum"}


async def test_koppel_understands_it_and_passes_over_what_it_did_itself(org: Organisation, receiver: Receiver) -> None:
    tables: Tables = {("dataverse", "account"): [("CUSTOMER", True)]}
    for message in ("Create", "Delete"):
        await register(org, receiver.url, message)
    key = await org.create("accounts", name="By Koppel")
    org.token = "alice"
    await org.delete(f"accounts({key})")
    await receiver.until(lambda: len(receiver.posts) == 2)
    told_of = [
        told_by_dataverse(orjson.dumps(post), headers[SECRET_HEADER], "a secret", frozenset([INTEGRATION]), tables)
        for post, headers in zip(receiver.posts, receiver.headers, strict=True)
    ]
    assert sorted(told_of) == [[], [Notice("CUSTOMER", "dataverse", key)]]


async def test_an_update_tells_what_was_written(org: Organisation, receiver: Receiver) -> None:
    await register(org, receiver.url, "Update")
    key = await org.create("accounts", name="Adatum", telephone1="1")
    await org.patch(f"accounts({key})", {"name": "Adatum", "telephone1": None})
    await receiver.until(lambda: len(receiver.posts) == 1)
    assert receiver.posts[0]["MessageName"] == "Update"
    values = attributes(receiver.posts[0])
    assert (values["name"], values["telephone1"], values["accountid"]) == ("Adatum", None, key)
    assert "telephone2" not in values


async def test_a_deletion_names_the_row(org: Organisation, receiver: Receiver) -> None:
    await register(org, receiver.url, "Delete")
    key = await org.create("accounts", name="Adatum")
    await org.delete(f"accounts({key})")
    await receiver.until(lambda: len(receiver.posts) == 1)
    [post] = receiver.posts
    assert told(receiver) == [("Delete", key)]
    assert target(post)["__type"] == f"EntityReference:{CONTRACTS}"
    assert (target(post)["Id"], target(post)["LogicalName"]) == (key, "account")
    assert (post["InitiatingUserId"], post["PostEntityImages"]) == (INTEGRATION, [])


async def test_only_updates_of_the_filtering_attributes_are_told(org: Organisation, receiver: Receiver) -> None:
    await register(org, receiver.url, "Update", filteringattributes="name, parentaccountid")
    first, second = await org.create("accounts", name="A"), await org.create("accounts", name="B")
    await org.patch(f"accounts({first})", {"telephone1": "1"})
    await org.patch(f"accounts({first})", {"name": "A"})  # written, though it stays
    bound = {"parentaccountid@odata.bind": f"/accounts({first})"}
    assert (await org.patch(f"accounts({second})", bound)).status == 204
    await receiver.until(lambda: len(receiver.posts) == 2)
    await org.dataverse.webhooks.told()
    assert sorted(told(receiver)) == sorted([("Update", first), ("Update", second)])


async def test_what_fails_is_not_told_and_leaves_nothing_behind(org: Organisation, receiver: Receiver) -> None:
    key = await org.create("accounts", name="A")
    await register(org, receiver.url, "Update", filteringattributes="name")
    org.dataverse.define_key("account", "number", "accountnumber")
    await org.create("accounts", name="B", accountnumber="1")
    other = await org.create("accounts", name="C")
    changes = {"accountid": key, "name": "D"}, {"accountid": other, "accountnumber": "1"}
    assert (await org.bulk("accounts", "UpdateMultiple", *changes)).status >= 400
    assert (await org.patch(f"accounts({key})", {"telephone1": "1"})).status == 204
    assert (await org.patch(f"accounts({key})", {"name": "E"})).status == 204
    await receiver.until(lambda: bool(receiver.posts))
    await org.dataverse.webhooks.told()
    assert [attributes(post)["name"] for post in receiver.posts] == ["E"]


async def test_each_row_of_a_bulk_write_and_of_a_batch_is_told(org: Organisation, receiver: Receiver) -> None:
    await register(org, receiver.url, "Create")
    made = (await org.bulk("accounts", "CreateMultiple", *({"name": str(n)} for n in range(30)))).json["Ids"]
    json = {"content-type": "application/json"}
    parts = [Part("POST", "accounts", json, b'{"name": "X"}', str(n)) for n in range(2)]
    body = encode_request([parts, Part("POST", "accounts", json, b'{"name": "Y"}')], "b")
    assert (await org.send("POST", "$batch", body, content_type="multipart/mixed; boundary=b")).status == 200
    await receiver.until(lambda: len(receiver.posts) == 33)
    assert set(made) <= {key for _, key in told(receiver)}
    assert len({key for _, key in told(receiver)}) == 33


async def test_a_receiver_that_is_not_there_is_asked_again(org: Organisation, receiver: Receiver) -> None:
    await register(org, receiver.url, "Create")
    receiver.status = 503
    await org.create("accounts", name="A")
    await receiver.until(lambda: len(receiver.posts) == 2)
    receiver.status = 200
    await receiver.until(lambda: len(receiver.posts) == 3)
    await org.dataverse.webhooks.told()
    assert org.dataverse.webhooks.failed == 0


@pytest.mark.parametrize(("status", "times"), [(500, 1), (429, 1), (401, 1), (502, 3), (504, 3)])
async def test_any_other_answer_ends_it(org: Organisation, receiver: Receiver, status: int, times: int) -> None:
    await register(org, receiver.url, "Create")
    receiver.status = status
    await org.create("accounts", name="A")
    await receiver.until(lambda: bool(receiver.posts))
    await org.dataverse.webhooks.told()
    assert (len(receiver.posts), org.dataverse.webhooks.failed) == (times, 1)


async def test_a_synchronous_step_is_told_before_the_answer(org: Organisation, receiver: Receiver) -> None:
    await register(org, receiver.url, "Create", mode=0)
    key = await org.create("accounts", name="A")
    assert told(receiver) == [("Create", key)]
    assert (receiver.posts[0]["IsInTransaction"], receiver.posts[0]["Mode"]) == (True, 0)
    assert receiver.posts[0]["PostEntityImages"] == []


async def test_its_refusal_takes_the_write_back(org: Organisation, receiver: Receiver) -> None:
    await register(org, receiver.url, "Create", mode=0)
    receiver.status = 500
    refused = await org.post("accounts", {"name": "A"})
    assert (refused.status, refused.code) == (400, "0x80040265")
    assert "500" in refused.message
    assert org.names("account") == []
    receiver.status = 200
    answers = await asyncio.gather(*(org.post("accounts", {"name": str(n)}) for n in range(5)))
    assert [answer.status for answer in answers] == [204] * 5
    assert sorted(org.names("account")) == ["0", "1", "2", "3", "4"]


async def test_secrets_travel_in_the_query_too(org: Organisation, receiver: Receiver) -> None:
    key = await endpoint(org, receiver.url, authtype=4, authvalue="a key")
    query = await endpoint(org, f"{receiver.url}?a=b", authtype=6, authvalue=SECRET)
    await register(org, receiver.url, "Create", of=key)
    await register(org, receiver.url, "Create", of=query)
    await org.create("accounts", name="A")
    await receiver.until(lambda: len(receiver.posts) == 2)
    assert {"code": "a key"} in receiver.queries
    assert {"a": "b", "x-koppel-secret": "a secret"} in receiver.queries


async def test_nobody_reads_the_secret(org: Organisation, receiver: Receiver) -> None:
    key = await endpoint(org, receiver.url)
    for address in (f"serviceendpoints({key})", "serviceendpoints", f"serviceendpoints({key})/authvalue"):
        assert b"a secret" not in (await org.get(address)).body
    row = await org.read(f"serviceendpoints({key})")
    assert (row["authvalue"], row["isauthvalueset"]) == (None, True)
    changed = SECRET.replace("a secret", "another")
    assert (await org.patch(f"serviceendpoints({key})", {"authvalue": changed})).status == 204
    await register(org, receiver.url, "Create", of=key)
    await org.create("accounts", name="A")
    await receiver.until(lambda: bool(receiver.posts))
    assert receiver.headers[0]["x-koppel-secret"] == "another"


async def test_too_large_a_body_goes_without_the_row(org: Organisation, receiver: Receiver) -> None:
    await register(org, receiver.url, "Create", "annotation")
    await org.create("annotations", subject="A", notetext="x" * 100_000)
    await org.create("annotations", subject="B", documentbody="QUFB" * 70_000, filename="a.txt")
    await receiver.until(lambda: len(receiver.posts) == 2)
    sizes = {"InputParameters" in post: headers for post, headers in zip(receiver.posts, receiver.headers, strict=True)}
    assert "x-ms-dynamics-msg-size-exceeded" not in sizes[True]
    assert "x-ms-dynamics-msg-size-exceeded" in sizes[False]


async def test_disabled_and_deleted_steps_are_told_nothing(org: Organisation, receiver: Receiver) -> None:
    at = await endpoint(org, receiver.url)
    first = await register(org, receiver.url, "Create", of=at)
    await org.patch(f"sdkmessageprocessingsteps({first})", {"statecode": 1})
    await org.create("accounts", name="A")
    await org.patch(f"sdkmessageprocessingsteps({first})", {"statecode": 0})
    second = await org.create("accounts", name="B")
    await receiver.until(lambda: bool(receiver.posts))
    assert (await org.delete(f"serviceendpoints({at})")).status == 204
    assert org.names("sdkmessageprocessingstep") == []
    await org.create("accounts", name="C")
    await org.dataverse.webhooks.told()
    assert told(receiver) == [("Create", second)]


async def test_what_the_sandbox_does_not_do_it_says(org: Organisation, receiver: Receiver) -> None:
    queue = {"name": "Q", "url": receiver.url, "contract": 2, "authtype": 2, "authvalue": "x"}
    assert (await org.post("serviceendpoints", queue)).status == 501
    hook = {"name": "H", "url": receiver.url, "contract": 8, "authtype": 5, "authvalue": "no settings"}
    assert (await org.post("serviceendpoints", hook)).status == 400
    assert (await org.post("serviceendpoints", {**hook, "authvalue": None})).status == 400
    assert (await org.post("serviceendpoints", {**hook, "authvalue": SECRET, "url": "nowhere"})).status == 400
    step = await register(org, receiver.url, "Create")
    early = await org.patch(f"sdkmessageprocessingsteps({step})", {"stage": 20})
    assert (early.status, "stages" in early.message) == (501, True)
