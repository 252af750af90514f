"""Subscriptions of Business Central: the handshake, how long they last, and what is posted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from business_central_company import COMPANION, ROOT, STANDARD, USER, Answer, World

from koppel.sandbox.business_central.subscriptions import Timing
from receiver import Receiver

SECRET = "a secret"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    world.system.subscriptions.timing = Timing(delay=0.05, minute=0.01)
    yield world
    await world.system.subscriptions.close()


def resource(world: World, table: str = "customers", route: str = "koppel/sync/v1.0") -> str:
    return f"/api/{route}/companies({world.company.id})/{table}"


async def subscribe(world: World, url: str, table: str = "customers", **more: Any) -> Answer:
    body = {"notificationUrl": url, "resource": resource(world, table), "clientState": SECRET, **more}
    return await world.ask("POST", f"{COMPANION}/subscriptions", body)


def customers(world: World) -> str:
    return f"{COMPANION}/companies({world.company.id})/customers"


async def create(world: World, name: str = "Adatum") -> str:
    made = await world.ask("POST", customers(world), {"displayName": name})
    assert made.status == 201, made.content
    return str(made.json["id"])


def entries(receiver: Receiver) -> list[dict[str, Any]]:
    return [entry for post in receiver.posts for entry in post["value"]]


def told(receiver: Receiver) -> list[tuple[str, str]]:
    """Change type and the end of the resource of all that was posted."""
    return [(entry["changeType"], entry["resource"].rpartition("/")[2]) for entry in entries(receiver)]


async def test_a_subscription_is_made_after_the_handshake(world: World, receiver: Receiver) -> None:
    made = await subscribe(world, receiver.url)
    assert made.status == 201, made.content
    assert made.json["notificationUrl"] == receiver.url
    assert made.json["userId"] == USER
    assert made.json["expirationDateTime"] == "2026-03-04T12:00:00.000Z"
    assert len(made.json["subscriptionId"]) == 32
    listed = (await world.ask("GET", f"{COMPANION}/subscriptions")).values
    assert [one["subscriptionId"] for one in listed] == [made.json["subscriptionId"]]
    one = await world.ask("GET", f"{COMPANION}/subscriptions('{made.json['subscriptionId']}')")
    assert one.json["resource"] == resource(world)


async def test_nor_without_it(world: World, receiver: Receiver) -> None:
    receiver.shakes = False
    assert (await subscribe(world, receiver.url)).status == 400
    assert (await subscribe(world, "http://127.0.0.1:1/nobody")).status == 400
    assert (await subscribe(world, "nowhere")).status == 400
    assert (await world.ask("GET", f"{COMPANION}/subscriptions")).values == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"resource": "customers"},
        {"resource": "/api/koppel/sync/v1.0/companies(00000000-0000-4000-8000-000000000000)/customers"},
        {"clientState": "x" * 2049},
    ],
)
async def test_what_cannot_be_subscribed_to(world: World, receiver: Receiver, wrong: dict[str, str]) -> None:
    assert (await subscribe(world, receiver.url, **wrong)).status == 400
    assert (await subscribe(world, receiver.url, "nobodysTable")).status == 400
    assert (await subscribe(world, receiver.url, resource=resource(world, route="v2.0"))).status == 400


async def test_it_is_renewed_and_deleted_by_those_who_know_its_version(world: World, receiver: Receiver) -> None:
    made = (await subscribe(world, receiver.url)).json
    place = f"{COMPANION}/subscriptions('{made['subscriptionId']}')"
    body = {"notificationUrl": receiver.url, "resource": resource(world), "clientState": "another"}
    assert (await world.ask("PATCH", place, body)).status >= 400
    assert (await world.ask("PATCH", place, body, headers={"If-Match": 'W/"old"'})).status >= 400
    world.clock.advance(days=2)
    renewed = await world.ask("PATCH", place, body, headers={"If-Match": made["@odata.etag"]})
    assert renewed.json["expirationDateTime"] == "2026-03-06T12:00:00.000Z"
    assert (await world.ask("DELETE", place, None, headers={"If-Match": made["@odata.etag"]})).status >= 400
    assert (await world.ask("DELETE", place, None, headers={"If-Match": renewed.json["@odata.etag"]})).status == 204
    assert (await world.ask("GET", place)).status == 404


async def test_what_a_renewal_leaves_out_stays(world: World, receiver: Receiver) -> None:
    made = (await subscribe(world, receiver.url)).json
    place = f"{COMPANION}/subscriptions('{made['subscriptionId']}')"
    world.clock.advance(days=1)
    renewed = await world.ask("PATCH", place, {}, headers={"If-Match": made["@odata.etag"]})
    assert (renewed.status, renewed.json["clientState"]) == (200, SECRET)
    assert renewed.json["systemCreatedAt"] == made["systemCreatedAt"] < renewed.json["systemModifiedAt"]


async def test_there_are_two_hundred_at_most(world: World, receiver: Receiver) -> None:
    for n in range(200):
        assert (await subscribe(world, f"{receiver.url}/{n}")).status == 201
    assert (await subscribe(world, receiver.url)).status == 400
    world.clock.advance(days=3)
    assert (await subscribe(world, receiver.url)).status == 201


async def test_one_can_ask_what_can_be_subscribed_to(world: World, receiver: Receiver) -> None:
    place = f"{ROOT}/microsoft/runtime/beta/companies({world.company.id})/webhookSupportedResources"
    standard = [one["resource"] for one in (await world.ask("GET", f"{place}?$filter=resource eq 'v2.0*'")).values]
    assert {"v2.0/customers", "v2.0/salesOrders", "v2.0/items"} <= set(standard)
    assert set(standard).isdisjoint({"v2.0/salesOrderLines", "v2.0/contactsInformation", "v2.0/companies"})
    every = [one["resource"] for one in (await world.ask("GET", place)).values]
    assert set(standard) < set(every)
    assert "koppel/sync/v1.0/resources" in every
    for name in every:
        route, _, table = name.rpartition("/")
        body = {"notificationUrl": receiver.url, "resource": resource(world, table, route)}
        assert (await world.ask("POST", f"{ROOT}/{route}/subscriptions", body)).status == 201
    assert (await world.ask("GET", f"{place}?$filter=contains(resource,'x')")).status == 501
    assert (await world.ask("GET", f"{place}?$top=1")).status == 501
    assert (await world.ask("GET", f"{ROOT}/microsoft/runtime/beta/companies")).status == 501
    assert (await world.ask("GET", f"{ROOT}/microsoft/runtime/beta")).status == 501


async def test_filters_of_subscriptions_are_refused(world: World, receiver: Receiver) -> None:
    filtered = f"{resource(world)}?$filter=blocked eq 'All'"
    assert (await subscribe(world, receiver.url, resource=filtered)).status == 501
    assert (await world.ask("GET", f"{COMPANION}/subscriptions?$top=1")).status == 501


async def test_it_is_over_after_three_days(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver.url)
    world.clock.advance(days=3)
    assert (await world.ask("GET", f"{COMPANION}/subscriptions")).values == []


async def test_changes_are_posted_together(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver.url)
    first, second = await create(world, "One"), await create(world, "Two")
    for phone in ("1", "2"):
        await world.ask("PATCH", f"{customers(world)}({first})", {"phoneNumber": phone}, headers={"If-Match": "*"})
    await world.ask("DELETE", f"{customers(world)}({second})", None, headers={"If-Match": "*"})
    await receiver.until(lambda: len(entries(receiver)) == 4)
    assert told(receiver) == [
        ("created", f"customers({first})"),
        ("created", f"customers({second})"),
        ("updated", f"customers({first})"),
        ("deleted", f"customers({second})"),
    ]
    assert {entry["clientState"] for entry in entries(receiver)} == {SECRET}
    assert len(receiver.posts) == 1


async def test_one_post_tells_an_address_of_all_it_asked_for(world: World, receiver: Receiver) -> None:
    made = [(await subscribe(world, receiver.url, table)).json["subscriptionId"] for table in ("customers", "items")]
    await subscribe(world, f"{receiver.base}/another", "items", clientState="other")
    first = await create(world)
    item = await world.ask("POST", f"{COMPANION}/companies({world.company.id})/items", {"number": "1000"})
    assert item.status == 201
    await receiver.until(lambda: len(receiver.posts) == 2)
    [own] = [post["value"] for post in receiver.posts if post["value"][0]["clientState"] == SECRET]
    assert [entry["subscriptionId"] for entry in own] == made
    assert [entry["resource"].rpartition("/")[2] for entry in own] == [
        f"customers({first})",
        f"items({item.json['id']})",
    ]


async def test_what_changes_nothing_or_fails_is_not_told(world: World, receiver: Receiver) -> None:
    first = await create(world)
    await subscribe(world, receiver.url)
    place = f"{customers(world)}({first})"
    await world.ask("PATCH", place, {"displayName": "Adatum"}, headers={"If-Match": "*"})
    assert (await world.ask("PATCH", place, {"currencyCode": "NONE"}, headers={"If-Match": "*"})).status >= 400
    await world.ask("PATCH", place, {"phoneNumber": "5"}, headers={"If-Match": "*"})
    await receiver.until(lambda: bool(receiver.posts))
    assert told(receiver) == [("updated", f"customers({first})")]


async def test_parts_of_a_batch_are_told(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver.url)
    parts = [
        {
            "id": str(n),
            "method": "POST",
            "url": f"companies({world.company.id})/customers",
            "headers": {"Content-Type": "application/json"},
            "body": {"displayName": f"Customer {n}"},
        }
        for n in range(3)
    ]
    for headers in ({}, {"Isolation": "snapshot"}):
        await world.ask("POST", f"{COMPANION}/$batch", {"requests": parts}, headers=headers)
    await receiver.until(lambda: len(entries(receiver)) == 6)
    assert {kind for kind, _ in told(receiver)} == {"created"}


async def test_more_changes_than_that_are_told_as_one(world: World, receiver: Receiver) -> None:
    world.system.subscriptions.timing = Timing(delay=0.05, most=2)
    await subscribe(world, receiver.url)
    made = [await create(world, f"Customer {n}") for n in range(3)]
    await receiver.until(lambda: bool(receiver.posts))
    [(kind, where)] = told(receiver)
    assert (kind, where.partition("?")[0]) == ("collection", "customers")
    assert "$filter=lastModifiedDateTime%20gt%202026-03-01T11:59:59.950Z" in where
    receiver.posts.clear()
    await create(world)
    for id in made[:2]:
        await world.ask("DELETE", f"{customers(world)}({id})", None, headers={"If-Match": "*"})
    await receiver.until(lambda: bool(receiver.posts))
    assert told(receiver) == [("collection", "customers")]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_busy_receiver_is_told_again(world: World, receiver: Receiver, status: int) -> None:
    await subscribe(world, receiver.url)
    receiver.status = status
    first = await create(world)
    await receiver.until(lambda: len(receiver.posts) >= 2)
    receiver.status, before = 200, len(receiver.posts)
    await receiver.until(lambda: len(receiver.posts) > before)
    assert set(told(receiver)) == {("created", f"customers({first})")}
    assert len((await world.ask("GET", f"{COMPANION}/subscriptions")).values) == 1


async def test_what_changes_while_a_post_is_under_way_is_told_too(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver.url)
    receiver.seconds = 0.2
    made = []
    for n in range(20):
        made.append(await create(world, f"Customer {n}"))
        await asyncio.sleep(0.03)
    await receiver.until(lambda: {entry["resource"][-37:-1] for entry in entries(receiver)} >= set(made))
    assert [id for _, id in told(receiver)] == [f"customers({id})" for id in made], "each once, in order"


async def test_who_answers_anything_else_is_told_no_more(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver.url)
    receiver.status = 404
    await create(world)
    await receiver.until(lambda: bool(receiver.posts))
    async with asyncio.timeout(10):
        while world.system.subscriptions.all:  # noqa: ASYNC110 (it is the answer that ends it)
            await asyncio.sleep(0.01)


async def test_pages_of_the_standard_route_are_subscribed_to_there(world: World, receiver: Receiver) -> None:
    body = {"notificationUrl": receiver.url, "resource": resource(world, route="v2.0")}
    assert (await world.ask("POST", f"{STANDARD}/subscriptions", body)).status == 201
    first = await create(world)
    await receiver.until(lambda: bool(receiver.posts))
    assert entries(receiver)[0]["resource"] == f"api/v2.0/companies({world.company.id})/customers({first})"
