"""The simulated Dataverse: ``$batch`` and change sets."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import orjson
import pytest
from dataverse_org import ALICE, BASE, ROOT, Organisation
from dataverse_org import Answer as HttpAnswer

from koppel.odata.batch import Answer, Part, decode_answer, encode_request

JSON = {"Content-Type": "application/json; type=entry"}


@pytest.fixture
def org() -> Organisation:
    return Organisation()


async def send(org: Organisation, *items: Part | Sequence[Part], **headers: str) -> HttpAnswer:
    body = encode_request(items, "batch_1")
    return await org.send("POST", "$batch", body, content_type='multipart/mixed; boundary="batch_1"', **headers)


def parts(answer: HttpAnswer) -> list[Answer | list[Answer]]:
    assert answer.headers["content-type"].startswith("multipart/mixed; boundary=batchresponse_")
    return decode_answer(answer.body, answer.headers["content-type"])


def single(answer: Answer | list[Answer]) -> Answer:
    assert isinstance(answer, Answer)
    return answer


def statuses(answer: HttpAnswer) -> list[object]:
    return [item.status if isinstance(item, Answer) else [part.status for part in item] for item in parts(answer)]


def post(set_name: str, body: object, content_id: str = "", **headers: str) -> Part:
    return Part("POST", f"{ROOT}{set_name}", {**JSON, **headers}, orjson.dumps(body), content_id)


async def test_requests_are_answered_in_order(org: Organisation) -> None:
    key = await org.create("accounts", name="A")
    answer = await send(
        org,
        Part("GET", f"{BASE}accounts({key})?$select=name"),
        post("accounts", {"name": "B"}),
        Part("PATCH", f"accounts({key})", {**JSON, "If-Match": "*"}, b'{"name":"C"}'),
        Part("GET", f"{ROOT}accounts?$select=name&$filter=name eq 'C'".replace(" ", "%20")),
        Part("DELETE", f"{BASE}accounts({key})"),
    )
    assert answer.status == 200
    assert statuses(answer) == [200, 204, 204, 200, 204]
    first, second, _, fourth, _ = map(single, parts(answer))
    assert orjson.loads(first.body)["name"] == "A"
    assert second.headers["location"] == second.headers["odata-entityid"]
    assert second.headers["odata-entityid"].startswith(f"{BASE}accounts(")
    assert [row["accountid"] for row in orjson.loads(fourth.body)["value"]] == [key]
    assert org.names("account") == ["B"]


async def test_preferences_and_conditions_belong_to_the_inner_requests(org: Organisation) -> None:
    key = await org.create("accounts", name="A")
    answer = await send(
        org,
        post("accounts?$select=name", {"name": "B"}, Prefer="return=representation"),
        Part("PATCH", f"accounts({key})", {**JSON, "If-Match": 'W/"1"'}, b'{"name":"C"}'),
    )
    assert answer.status == 412
    assert statuses(answer) == [201, 412]


async def test_the_first_failure_ends_a_batch(org: Organisation) -> None:
    answer = await send(
        org, post("accounts", {"name": "A"}), post("accounts", {"nmae": "B"}), post("accounts", {"name": "C"})
    )
    assert answer.status == 400
    assert statuses(answer) == [204, 400]
    failed = single(parts(answer)[1])
    assert orjson.loads(failed.body)["error"]["code"] == "0x80048d19"
    assert failed.headers["req_id"]
    assert org.names("account") == ["A"]


async def test_a_batch_goes_on_when_told_to(org: Organisation) -> None:
    items = [post("accounts", {"name": "A"}), post("accounts", {"nmae": "B"}), post("accounts", {"name": "C"})]
    answer = await send(org, *items, prefer="odata.continue-on-error")
    assert (answer.status, answer.headers["preference-applied"]) == (200, "odata.continue-on-error")
    assert statuses(answer) == [204, 400, 204]
    assert org.names("account") == ["A", "C"]


async def test_a_change_set_refers_to_its_earlier_parts(org: Organisation) -> None:
    answer = await send(
        org,
        [
            post("contacts", {"lastname": "C"}, "1"),
            post("accounts", {"name": "A", "primarycontactid@odata.bind": "$1"}, "2"),
            Part("PATCH", "$1", JSON, b'{"firstname":"F"}', "3"),
            Part("PUT", "$2/telephone1", JSON, b'{"value":"7"}', "4"),
            Part("PUT", "$1/parentcustomerid_account/$ref", JSON, b'{"@odata.id":"$2"}', "5"),
        ],
    )
    assert answer.status == 200
    assert statuses(answer) == [[204] * 5]
    answers = parts(answer)[0]
    assert isinstance(answers, list)
    assert [part.content_id for part in answers] == ["1", "2", "3", "4", "5"]
    account = (await org.get("accounts?$expand=primarycontactid($select=fullname)")).rows[0]
    assert (account["telephone1"], account["primarycontactid"]["fullname"]) == ("7", "F C")
    contact = (await org.get("contacts")).rows[0]
    assert contact["_parentcustomerid_value"] == account["accountid"]


async def test_a_change_set_happens_wholly_or_not_at_all(org: Organisation) -> None:
    kept = await org.create("accounts", name="kept")
    change_set = [
        post("accounts", {"name": "A"}, "1"),
        Part("PATCH", f"accounts({kept})", JSON, b'{"name":"changed"}', "2"),
        Part("DELETE", f"accounts({kept})", {}, b"", "3"),
        post("accounts", {"name": 5}, "4"),
    ]
    answer = await send(org, post("accounts", {"name": "before"}), change_set, post("accounts", {"name": "after"}))
    assert answer.status == 400
    assert statuses(answer) == [204, 400]
    assert sorted(org.names("account")) == ["before", "kept"]
    assert (await send(org, change_set, prefer="odata.continue-on-error")).status == 200
    assert sorted(org.names("account")) == ["before", "kept"]


@pytest.mark.parametrize(
    ("change_set", "said"),
    [
        ([Part("PATCH", "$1", JSON, b"{}", "1")], "Content-ID Reference: '$1' does not exist in the batch context."),
        (
            [
                post("accounts", {"primarycontactid@odata.bind": "$2"}, "1"),
                post("contacts", {"lastname": "C"}, "2"),
            ],
            "Content-ID Reference: '$2' does not exist in the batch context.",
        ),
        ([Part("GET", "accounts", {}, b"", "1")], "GET"),
        ([post("accounts", {})], "Content-ID"),
    ],
)
async def test_a_change_set_that_makes_no_sense_refuses_the_whole_request(
    org: Organisation, change_set: list[Part], said: str
) -> None:
    answer = await send(org, post("accounts", {"name": "A"}), change_set)
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("application/json")
    assert said in answer.message
    assert org.names("account") == []


async def test_a_batch_has_at_most_a_thousand_operations(org: Organisation) -> None:
    parts_ = [Part("GET", f"accounts({uuid4()})") for _ in range(1_001)]
    answer = await send(org, *parts_)
    assert answer.status == 400
    assert "1000" in answer.message
    assert len(parts(await send(org, *parts_[:1_000], prefer="odata.continue-on-error"))) == 1_000


async def test_what_is_no_batch_is_refused_in_json(org: Organisation) -> None:
    answer = await org.send("POST", "$batch", b"nonsense", content_type="multipart/mixed; boundary=b")
    assert (answer.status, answer.code) == (400, "0x80060888")
    assert (await org.send("POST", "$batch", b"", content_type="application/json")).status == 400
    inner = await send(org, Part("POST", f"{ROOT}$batch", {}, b""))
    assert statuses(inner) == [400]


async def test_who_acts_is_told_by_the_outer_request(org: Organisation) -> None:
    await send(org, post("accounts", {"name": "A"}, MSCRMCallerID=str(uuid4())), mscrmcallerid=ALICE)
    row = (await org.get("accounts")).rows[0]
    assert row["_createdby_value"] == ALICE


async def test_a_bulk_message_may_stand_in_a_batch(org: Organisation) -> None:
    targets = {"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.account", "name": "A"}]}
    answer = await send(org, post("accounts/Microsoft.Dynamics.CRM.CreateMultiple", targets))
    assert statuses(answer) == [200]
    assert len(orjson.loads(single(parts(answer)[0]).body)["Ids"]) == 1
