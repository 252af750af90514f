"""Writing: CRUD, tags, values and their refusals, references, keys, batches."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from business_central_company import COMPANION, OTHER, STANDARD, USER, World

from koppel.sandbox.business_central import NumberSeries

ZERO = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def world() -> World:
    return World()


async def customer(world: World, **values: Any) -> dict[str, Any]:
    return await world.made("customers", {"displayName": "Acme", **values}, COMPANION)


async def test_a_created_row_comes_back_with_its_address(world: World) -> None:
    answer = await world.post("customers", {"displayName": "Acme"})
    row = answer.json
    assert answer.status == 201
    assert answer.headers["location"] == world.url(f"customers({row['id']})")
    assert row["number"] == "C00001"
    assert row["lastModifiedDateTime"] == "2026-03-01T12:00:00Z"
    assert (await world.get(f"customers({row['id']})")).json == row


async def test_a_reply_without_body_or_with_selected_fields(world: World) -> None:
    for prefer in ("return-no-content", "return=minimal"):
        answer = await world.post("customers", {"displayName": "Acme"}, headers={"Prefer": prefer})
        assert (answer.status, answer.content) == (204, b"")
        assert answer.headers["location"].startswith(STANDARD)
    row = await world.made("customers?$select=number&$expand=currency", {"displayName": "Acme"})
    assert row.keys() == {"@odata.context", "@odata.etag", "id", "number", "currency"}


@pytest.mark.parametrize("match", [None, "", "abc", '"abc"', 'W/"???"'])
async def test_a_change_needs_a_tag(world: World, match: str | None) -> None:
    row = await customer(world)
    answer = await world.patch(f"customers({row['id']})", {"city": "Delft"}, match=match)
    assert (answer.status, answer.code) == (400, "BadRequest_InvalidToken")


async def test_a_stale_tag_is_refused_and_a_current_one_changes(world: World) -> None:
    row = await world.made("customers", {"displayName": "Acme"})
    path = f"customers({row['id']})"
    changed = await world.patch(path, {"city": "Delft"}, match=row["@odata.etag"])
    assert (changed.status, changed.json["city"]) == (200, "Delft")
    assert changed.json["@odata.etag"] != row["@odata.etag"]
    for refused in (
        await world.patch(path, {"city": "Gouda"}, match=row["@odata.etag"]),
        await world.patch(path, {"city": "Gouda"}, COMPANION, match=changed.json["@odata.etag"]),
        await world.delete(path, headers={"If-Match": row["@odata.etag"]}),
    ):
        assert (refused.status, refused.code) == (409, "Request_EntityChanged")
    assert (await world.patch(path, {"city": "Gouda"}, match="*")).status == 200


async def test_a_tag_in_the_body_is_ignored(world: World) -> None:
    row = await world.made("customers", {"displayName": "Acme", "@odata.etag": "nonsense"})
    assert (await world.patch(f"customers({row['id']})", {"@odata.etag": "x", "city": "A"})).json["city"] == "A"


async def test_rows_are_deleted_with_or_without_a_tag(world: World) -> None:
    for headers in ({}, {"If-Match": "*"}):
        row = await customer(world)
        answer = await world.delete(f"customers({row['id']})", headers=headers)
        assert (answer.status, answer.content) == (204, b"")
        assert (await world.get(f"customers({row['id']})")).status == 404
        assert (await world.patch(f"customers({row['id']})", {})).status == 404


async def test_time_moves_only_with_effective_changes(world: World) -> None:
    row = await customer(world)
    path = f"customers({row['id']})"
    world.clock.advance(milliseconds=1348)
    same = (await world.patch(path, {"displayName": "Acme"}, COMPANION)).json
    empty = (await world.patch(path, {}, COMPANION)).json
    assert row == same == empty
    changed = (await world.patch(path, {"displayName": "Ajax"}, COMPANION, token="two")).json
    assert changed["lastModifiedDateTime"] == "2026-03-01T12:00:01.347Z"
    assert changed["systemCreatedAt"] == row["systemCreatedAt"]
    assert (row["systemModifiedBy"], changed["systemModifiedBy"]) == (USER, OTHER)
    assert changed["systemRowVersion"] > row["systemRowVersion"]


async def test_times_never_go_back(world: World) -> None:
    first = await customer(world)
    world.clock.advance(seconds=-5)
    second = await customer(world)
    assert second["lastModifiedDateTime"] == first["lastModifiedDateTime"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"displayName": "x" * 101}, "Application_StringExceededLength"),
        ({"lastModifiedDateTime": "2026-01-01T00:00:00Z"}, "BadRequest_InvalidOperation"),
        ({"balanceDue": 1}, "BadRequest_InvalidOperation"),
        ({"town": "Delft"}, "BadRequest"),
        ({"city": 5}, "BadRequest"),
        ({"creditLimit": "5"}, "BadRequest"),
        ({"creditLimit": True}, "BadRequest"),
        ({"taxLiable": "true"}, "BadRequest"),
        ({"paymentTermsId": "x"}, "BadRequest"),
        ({"blocked": "all"}, "Application_EvaluateException"),
        ({"displayName": ""}, "Application_DialogException"),
        ({"salespersonCode": "NOBODY"}, "Internal_InvalidTableRelation"),
        ({"country": "XX"}, "Internal_InvalidTableRelation"),
        ({"currencyCode": "XXX"}, "Internal_InvalidTableRelation"),
        ({"paymentTermsId": str(uuid4())}, "Internal_InvalidTableRelation"),
    ],
)
async def test_refused_values_change_nothing(world: World, body: dict[str, Any], code: str) -> None:
    row = await world.made("customers", {"displayName": "Acme"})
    path = f"customers({row['id']})"
    answer = await world.patch(path, {"city": "Delft", **body})
    assert (answer.status, answer.code) == (400, code)
    assert (await world.get(path)).json == row
    assert (await world.post("customers", {"displayName": "Ajax", **body})).code == code
    assert len((await world.get("customers")).values) == 1


async def test_what_the_standard_route_does_not_simulate(world: World) -> None:
    row = await customer(world)
    bodies: list[dict[str, Any]] = [
        {"taxAreaId": str(uuid4())},
        {"picture": {}},
        {"currency@odata.bind": "currencies(1)"},
    ]
    for body in bodies:
        assert (await world.patch(f"customers({row['id']})", body)).status == 501


async def test_malformed_bodies(world: World) -> None:
    assert (await world.post("customers", b"{")).code == "BadRequest"
    assert (await world.post("customers", [])).code == "BadRequest"
    xml = await world.post("customers", b"<a/>", headers={"Content-Type": "application/xml"})
    assert xml.status == 415
    intent = {"Data-Access-Intent": "ReadOnly"}
    assert (await world.post("customers", {"displayName": "A"}, headers=intent)).status == 400
    assert (await world.get("customers", headers=intent)).values == []


async def test_codes_are_trimmed_and_upper_cased_and_null_clears(world: World) -> None:
    row = await customer(world, salespersonCode=" jo ", city=" Delft", creditLimit=5, blocked="All")
    assert (row["salespersonCode"], row["city"]) == ("JO", " Delft")
    nothing = {"salespersonCode": None, "city": None, "creditLimit": None, "blocked": None}
    cleared = (await world.patch(f"customers({row['id']})", nothing)).json
    assert [cleared[name] for name in nothing] == ["", "", 0, "_x0020_"]


@pytest.mark.rule("CUST-05")
async def test_the_companion_page_copies_the_country_as_it_is(world: World) -> None:
    assert (await customer(world, country="zz"))["country"] == "ZZ"


@pytest.mark.parametrize("mode", ["refuse", "ignore", "take"])
async def test_a_chosen_id_on_the_standard_route(world: World, mode: Any) -> None:
    world.system.settings.client_ids = mode
    chosen = str(uuid4())
    answer = await world.post("customers", {"id": chosen, "displayName": "Acme"})
    if mode == "refuse":
        assert (answer.status, answer.code) == (400, "BadRequest_InvalidOperation")
    else:
        assert (answer.json["id"] == chosen) is (mode == "take")


async def test_a_chosen_id_on_the_companion_route_is_kept_and_taken_once(world: World) -> None:
    chosen = str(uuid4())
    assert (await customer(world, id=chosen.upper()))["id"] == chosen
    again = await world.post("customers", {"id": chosen, "displayName": "Acme"}, COMPANION)
    assert (again.status, again.code) == (400, "Internal_EntityWithSameKeyExists")
    assert (await world.patch(f"customers({chosen})", {"id": chosen}, COMPANION)).code == "BadRequest_InvalidOperation"


async def test_number_series(world: World) -> None:
    world.company.series["CUST"] = NumberSeries("K09", manual=False)
    assert [(await customer(world))["number"] for _ in range(2)] == ["K10", "K11"]
    manual = await world.post("customers", {"displayName": "A", "number": "X1"})
    assert manual.code == "Application_DialogException"
    world.company.series["CUST"].manual = True
    await customer(world, number="k12")
    assert (await customer(world))["number"] == "K13"
    assert (
        await world.post("customers", {"displayName": "A", "number": "K12"})
    ).code == "Internal_EntityWithSameKeyExists"


async def test_ids_and_codes_of_references_agree(world: World) -> None:
    terms = {row["code"]: row["id"] for row in (await world.get("paymentTerms")).values}
    row = await customer(world, paymentTermsCode="cod")
    assert row["paymentTermsId"] == terms["COD"]
    path = f"customers({row['id']})"
    by_id = (await world.patch(path, {"paymentTermsId": terms["NET 30"]}, COMPANION)).json
    assert by_id["paymentTermsCode"] == "NET 30"
    cleared = (await world.patch(path, {"paymentTermsId": ZERO}, COMPANION)).json
    assert (cleared["paymentTermsId"], cleared["paymentTermsCode"]) == (ZERO, "")
    for first, second in (("paymentTermsId", "paymentTermsCode"), ("paymentTermsCode", "paymentTermsId")):
        values = {"paymentTermsId": terms["COD"], "paymentTermsCode": "NET 30"}
        answer = await world.patch(path, {first: values[first], second: values[second]}, COMPANION)
        assert answer.code == "Application_DialogException"
        assert "do not match" in answer.json["error"]["message"]
    agreed = {"paymentTermsId": terms["COD"], "paymentTermsCode": "COD"}
    assert (await world.patch(path, agreed, COMPANION)).status == 200


async def test_the_local_currency_is_stored_blank(world: World) -> None:
    row = await customer(world, currencyCode="EUR")
    assert row["currencyId"] != ZERO
    local = (await world.patch(f"customers({row['id']})", {"currencyCode": "usd"})).json
    assert (local["currencyCode"], local["currencyId"]) == ("USD", ZERO)
    world.system.load("CRONUS", "generalLedgerSetup", [{"localCurrencyCode": "SEK"}])
    after = (await world.get(f"customers({row['id']})")).json
    assert after["currencyCode"] == "SEK"
    assert after["@odata.etag"] != local["@odata.etag"]


async def test_a_rename_keeps_the_id_and_follows_into_references(world: World) -> None:
    row = await customer(world, salespersonCode="JO", currencyCode="EUR", shippingAgentCode="DHL")
    tables = {"salespeoplePurchasers": "JO", "currencies": "EUR", "shippingAgents": "DHL"}
    for table, code in tables.items():
        (found,) = (await world.get(f"{table}?$filter=code%20eq%20'{code}'", COMPANION)).values
        renamed = await world.patch(f"{table}({found['id']})", {"code": f"new {code}"}, COMPANION)
        assert renamed.json["id"] == found["id"]
    after = (await world.get(f"customers({row['id']})", COMPANION)).json
    assert (after["salespersonCode"], after["currencyCode"], after["shippingAgentCode"]) == (
        "NEW JO",
        "NEW EUR",
        "NEW DHL",
    )
    taken = (await world.get("salespeoplePurchasers?$filter=code%20eq%20'PS'")).values[0]
    refused = await world.patch(f"salespeoplePurchasers({taken['id']})", {"code": "NEW JO"})
    assert refused.code == "Internal_EntityWithSameKeyExists"


@pytest.mark.parametrize(
    "table",
    ["salespeoplePurchasers", "currencies", "unitsOfMeasure", "paymentTerms", "shipmentMethods", "countriesRegions"],
)
async def test_tables_with_codes(world: World, table: str) -> None:
    row = await world.made(table, {"code": "abc", "displayName": "Some name"})
    assert row["code"] == "ABC"
    assert (await world.post(table, {"code": "ABC"})).code == "Internal_EntityWithSameKeyExists"
    assert (await world.post(table, {"displayName": "x"})).code == "BadRequest_RequiredParamNotProvided"
    assert (await world.patch(f"{table}({row['id']})", {"displayName": "Other"})).json["displayName"] == "Other"
    assert (await world.delete(f"{table}({row['id']})")).status == 204


async def test_a_new_currency_has_its_decimals(world: World) -> None:
    row = await world.made("currencies", {"code": "CHF"})
    assert (row["amountDecimalPlaces"], row["amountRoundingPrecision"]) == ("2:2", 0.01)


async def test_exchange_rates_are_written_on_the_companion_page_only(world: World) -> None:
    rate = {
        "currencyCode": "EUR",
        "startingDate": "2026-01-01",
        "exchangeRateAmount": 0.9,
        "relationalExchangeRateAmount": 1,
    }
    refused = await world.post("currencyExchangeRates", rate)
    assert (refused.status, refused.code) == (405, "BadRequest_MethodNotAllowed")
    row = await world.made("currencyExchangeRates", rate, COMPANION)
    assert (await world.get(f"currencyExchangeRates({row['id']})")).json["exchangeRateAmount"] == 0.9
    assert (await world.post("currencyExchangeRates", rate, COMPANION)).code == "Internal_EntityWithSameKeyExists"
    bad = {**rate, "startingDate": "2026-13-01"}
    assert (await world.post("currencyExchangeRates", bad, COMPANION)).code == "BadRequest"
    assert (await world.post("currencyExchangeRates", {**rate, "currencyCode": ""}, COMPANION)).status == 400
    euro = (await world.get("currencies?$filter=code%20eq%20'EUR'")).values[0]
    await world.delete(f"currencies({euro['id']})")
    assert (await world.get("currencyExchangeRates")).values == []


@pytest.mark.parametrize("method", ["PUT", "POST", "OPTIONS"])
async def test_verbs_that_a_row_does_not_take(world: World, method: str) -> None:
    row = await customer(world)
    answer = await world.ask(method, world.url(f"customers({row['id']})"), {})
    assert (answer.status, answer.code) == (405, "BadRequest_MethodNotAllowed")


async def test_setup_tables_have_one_row_to_change(world: World) -> None:
    (setup,) = (await world.get("marketingSetup", COMPANION)).values
    changed = await world.patch(f"marketingSetup({setup['id']})", {"contactNumberSeries": "cont"}, COMPANION)
    assert changed.json["contactNumberSeries"] == "CONT"
    assert (await world.post("marketingSetup", {}, COMPANION)).status == 405
    assert (await world.get("marketingSetup")).status == 404


def parts(*names: str) -> list[dict[str, Any]]:
    return [{"method": "POST", "url": "customers", "body": {"displayName": name}} for name in names]


async def test_a_batch_stops_at_the_first_error(world: World) -> None:
    answer = await world.batch(parts("A", "", "C"))
    replies = answer.json["responses"]
    assert (answer.status, [reply["status"] for reply in replies]) == (200, [201, 400])
    assert replies[0]["id"] == "0"
    assert replies[0]["body"]["displayName"] == "A"
    assert replies[0]["headers"]["location"].endswith(f"customers({replies[0]['body']['id']})")
    assert replies[1]["body"]["error"]["code"] == "Application_DialogException"
    assert len((await world.get("customers")).values) == 1


async def test_a_batch_goes_on_when_asked(world: World) -> None:
    answer = await world.batch(parts("A", "", "C"), Prefer="odata.continue-on-error")
    assert [reply["status"] for reply in answer.json["responses"]] == [201, 400, 201]
    assert len((await world.get("customers")).values) == 2


async def test_a_snapshot_is_undone_whatever_its_replies_say(world: World) -> None:
    kept = await customer(world, city="Delft")
    change = {"method": "PATCH", "url": f"customers({kept['id']})", "body": {"city": "Gouda"}}
    remove = {"method": "DELETE", "url": f"customers({kept['id']})"}
    answer = await world.batch([*parts("A"), change, remove, *parts("")], Isolation="snapshot")
    assert [reply["status"] for reply in answer.json["responses"]] == [201, 200, 204, 400]
    lost = answer.json["responses"][0]["body"]
    assert (await world.get(f"customers({lost['id']})")).status == 404
    assert (await world.get("customers", COMPANION)).values == [
        {k: v for k, v in kept.items() if k != "@odata.context"}
    ]
    assert (await customer(world))["number"] == lost["number"]
    fine = await world.batch(parts("A", "B"), Isolation="snapshot")
    assert [reply["status"] for reply in fine.json["responses"]] == [201, 201]
    assert len((await world.get("customers")).values) == 4


async def test_a_batch_holds_a_hundred_parts(world: World) -> None:
    assert len((await world.batch(parts(*"A" * 100))).json["responses"]) == 100
    answer = await world.batch(parts(*"A" * 101))
    assert answer.status == 500
    assert len((await world.get("customers")).values) == 100


async def test_parts_of_all_kinds(world: World) -> None:
    row = await customer(world)
    company = f"companies({world.company.id})"
    requests = [
        {"method": "get", "url": f"{company}/customers?$filter=number%20eq%20'{row['number']}'"},
        {"id": "b", "method": "GET", "url": f"/{company}/customers/$count"},
        {"id": "c", "method": "GET", "url": "customers", "headers": {"Company": "CRONUS"}, "dependsOn": ["b"]},
        {"id": "d", "method": "PATCH", "url": f"{STANDARD}/{company}/customers({row['id']})", "body": {}},
        {"id": "e", "method": "DELETE", "url": f"{company}/customers({row['id']})", "dependsOn": ["d"]},
    ]
    headers = {"Prefer": "odata.continue-on-error"}
    answer = await world.ask("POST", f"{STANDARD}/$batch", {"requests": requests}, headers=headers)
    replies = answer.json["responses"]
    assert [reply["status"] for reply in replies] == [200, 200, 200, 400, 424]
    assert [reply["id"] for reply in replies] == [None, "b", "c", "d", "e"]
    assert replies[0]["body"]["value"] == replies[2]["body"]["value"]
    assert replies[1]["body"] == "1"


async def test_batches_that_are_none(world: World) -> None:
    assert (await world.ask("POST", f"{STANDARD}/$batch", {"requests": 1})).status == 400
    assert (await world.ask("POST", f"{STANDARD}/$batch", {"requests": [{}]})).json["responses"][0]["status"] == 400
    multipart = {"Content-Type": "multipart/mixed; boundary=x"}
    assert (await world.ask("POST", f"{STANDARD}/$batch", b"--x--", headers=multipart)).status == 501


async def test_loading_takes_times_as_they_are_given(world: World) -> None:
    unset = "0001-01-01T00:00:00Z"
    world.system.load(
        "CRONUS", "customers", [{"number": "OLD", "displayName": "Copied", "lastModifiedDateTime": unset}]
    )
    await customer(world)
    (row,) = (await world.get(f"customers?$filter=lastModifiedDateTime%20le%20{unset}")).values
    assert row["number"] == "OLD"
    with pytest.raises(ValueError, match="town"):
        world.system.load("CRONUS", "customers", [{"town": "Delft"}])
