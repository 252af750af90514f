"""The simulated Dataverse: who may come in, for whom they act, and how often."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from dataverse_org import ALICE, ALICE_IN_ENTRA, INTEGRATION, LEAVER, Organisation


@pytest.fixture
def org() -> Organisation:
    return Organisation()


async def test_without_a_token_nobody_comes_in(org: Organisation) -> None:
    org.token = "unknown"
    answer = await org.get("WhoAmI")
    assert (answer.status, answer.body) == (401, b"")
    challenge = answer.headers["www-authenticate"]
    assert challenge == (
        "Bearer authorization_uri=https://org.test/common/oauth2/authorize, resource_id=https://org.test/"
    )


async def test_a_token_of_somebody_else_does_not_help(org: Organisation) -> None:
    org.dataverse.users_by_token |= {"stranger": str(uuid4()), "leaver": LEAVER}
    for token, code in (("stranger", "0x80072560"), ("leaver", "0x80040225")):
        org.token = token
        answer = await org.get("WhoAmI")
        assert (answer.status, answer.code) == (403, code)


async def test_other_forms_of_metadata_are_not_supported(org: Organisation) -> None:
    assert (await org.get("WhoAmI", accept="application/json;odata.metadata=minimal")).status == 200
    assert (await org.get("WhoAmI", accept="application/json;odata.metadata=full")).status == 501


@pytest.mark.parametrize(
    ("verb", "method", "address", "body"),
    [
        ("Create", "POST", "accounts", {"name": "B"}),
        ("Create", "PATCH", "accounts(4a4c8d59-d6e6-4346-9042-b50fc87540ad)", {"name": "B"}),
        ("Read", "GET", "accounts", None),
        ("Read", "GET", "accounts({key})", None),
        ("Write", "PATCH", "accounts({key})", {"name": "B"}),
        ("Delete", "DELETE", "accounts({key})", None),
    ],
)
async def test_a_missing_privilege_is_named(
    org: Organisation, verb: str, method: str, address: str, body: object
) -> None:
    key = await org.create("accounts", name="A")
    org.dataverse.missing_privileges[INTEGRATION] = {f"prv{verb}Account"}
    answer = await org.send(method, address.replace("{key}", key), body)
    assert (answer.status, answer.code) == (403, "0x80040220")
    assert INTEGRATION in answer.message
    assert f"prv{verb}Account" in answer.message
    assert org.names("account") == ["A"]
    org.token = "alice"
    assert (await org.send(method, address.replace("{key}", key), body)).status < 400


@pytest.mark.parametrize("headers", [{"callerobjectid": ALICE_IN_ENTRA}, {"mscrmcallerid": ALICE}])
async def test_a_user_can_act_for_another(org: Organisation, headers: dict[str, str]) -> None:
    answer = await org.post("accounts", {"name": "A"}, **headers)
    row = await org.read(f"accounts({answer.id})")
    assert (row["_createdby_value"], row["_createdonbehalfby_value"]) == (ALICE, INTEGRATION)
    assert row["_ownerid_value"] == ALICE
    await org.patch(f"accounts({answer.id})", {"name": "B"})
    row = await org.read(f"accounts({answer.id})")
    assert (row["_modifiedby_value"], row["_modifiedonbehalfby_value"]) == (INTEGRATION, None)


async def test_acting_for_another_needs_both_rights_and_a_user(org: Organisation) -> None:
    unknown = await org.get("WhoAmI", mscrmcallerid=str(uuid4()))
    assert unknown.status == 403
    org.dataverse.missing_privileges[ALICE] = {"prvCreateAccount"}
    assert (await org.post("accounts", {"name": "A"}, mscrmcallerid=ALICE)).status == 403
    org.dataverse.missing_privileges = {INTEGRATION: {"prvActOnBehalfOfAnotherUser"}}
    refused = await org.get("WhoAmI", mscrmcallerid=ALICE)
    assert (refused.status, refused.code) == (403, "0x80040220")
    assert (await org.get("WhoAmI")).status == 200


async def test_answers_tell_what_is_left(org: Organisation) -> None:
    first, second = await org.get("WhoAmI"), await org.get("WhoAmI")
    remaining = "x-ms-ratelimit-burst-remaining-xrm-requests"
    assert (first.headers[remaining], second.headers[remaining]) == ("5999", "5998")
    assert first.headers["x-ms-ratelimit-time-remaining-xrm-requests"].startswith("1,")
    org.token = "alice"
    assert (await org.get("WhoAmI")).headers[remaining] == "5999"


async def test_limits_are_not_enforced_unless_wanted(org: Organisation) -> None:
    org.dataverse.limits.requests = 1
    assert [(await org.get("WhoAmI")).status for _ in range(3)] == [200, 200, 200]


async def test_too_many_requests(org: Organisation) -> None:
    org.dataverse.limits.enforced = True
    org.dataverse.limits.requests = 3
    for _ in range(3):
        assert (await org.get("WhoAmI")).status == 200
    org.clock.advance(100)
    refused = await org.get("WhoAmI")
    assert (refused.status, refused.code) == (429, "0x80072322")
    assert refused.message == "Number of requests exceeded the limit of 3 over time window of 300 seconds."
    waits = [int(refused.headers["retry-after"])] + [
        int((await org.get("WhoAmI")).headers["retry-after"]) for _ in range(3)
    ]
    assert waits[0] in (200, 201)
    assert waits == sorted(set(waits))
    org.token = "alice"
    assert (await org.get("WhoAmI")).status == 200
    org.token = "integration"
    org.clock.advance(waits[-1])
    assert (await org.get("WhoAmI")).status == 200


async def test_too_much_execution_time(org: Organisation) -> None:
    org.dataverse.limits.enforced = True
    org.dataverse.limits.execution_seconds = 0.02
    org.dataverse.limits.service_seconds = 0.015
    statuses = [(await org.get("WhoAmI")).status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    refused = await org.get("WhoAmI")
    assert refused.code == "0x80072321"
    assert refused.message.startswith("Combined execution time of incoming requests exceeded limit of 20 milliseconds")
    org.clock.advance(300)
    assert (await org.get("WhoAmI")).status == 200


async def test_too_many_requests_at_once(org: Organisation) -> None:
    org.dataverse.limits.enforced = True
    org.dataverse.limits.concurrent = 2
    org.dataverse.limits.service_seconds = 0.02
    answers = await asyncio.gather(*(org.get("WhoAmI") for _ in range(4)))
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) == 2
    assert {answer.code for answer in refused} == {"0x80072326"}
    assert refused[0].message == "Number of concurrent requests exceeded the limit of 2."
    assert (await org.get("WhoAmI")).status == 200


async def test_a_batch_and_a_bulk_message_count_once(org: Organisation) -> None:
    await org.bulk("accounts", "CreateMultiple", *({"name": str(number)} for number in range(10)))
    answer = await org.get("WhoAmI")
    assert answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "5998"


async def test_addresses_have_a_longest(org: Organisation) -> None:
    answer = await org.get(f"accounts?$filter=name eq '{'x' * 33_000}'")
    assert answer.status == 400
