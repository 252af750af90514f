"""Failed records rest until a try is worth while: what that costs, and what wakes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from world import World, new_world
from world_data import PAM, Row

from koppel.store import couplings, failures
from koppel.store.couplings import Coupling
from koppel.store.database import Connection, Database
from koppel.store.failures import Failure
from koppel.systems.transport import Request, Response, Transport
from wrong_clock import clock_off

TWO_READS = {"business_central": 1, "dataverse": 1}
LATE = "UPDATE failure SET next_try = now() - interval '1 second'"
AGENCY = {"fullname": "Agency", "internalemailaddress": "agency@example.com", "isdisabled": False, "islicensed": True}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def held(world: World, *, coupled: bool) -> Row:
    """A customer whose salesperson is not coupled, new or with its account, tried once."""
    customer = await world.bob.create("customers", displayName="Adatum", salespersonCode="JO" if coupled else "EXT")
    await world.sync(create=True)
    if coupled:
        await world.bob.update("customers", customer["id"], salespersonCode="EXT")
        await world.sync()
    assert [(f.via, f.reference) for f in await world.failures()] == [("SALESPEOPLE", "EXT")]
    return customer


@pytest.mark.parametrize("coupled", [False, True])
async def test_a_record_that_waits_costs_no_request(world: World, coupled: bool) -> None:
    await held(world, coupled=coupled)
    before = (await world.failures())[0]
    for full in (False, False, True):
        result = await world.sync(full=full)
        assert (result.counts["failed"], result.write_requests) == (0, 0)
        assert full or result.requests == TWO_READS
    assert (await world.failures())[0].last_at == before.last_at


@pytest.mark.parametrize("coupled", [False, True])
async def test_the_coupling_of_its_reference_wakes_it(world: World, coupled: bool) -> None:
    customer = await held(world, coupled=coupled)
    world.sandbox.dataverse.load("systemuser", [AGENCY])
    await world.sync("SALESPEOPLE", full=True)
    world.sandbox.clock.advance(600)
    await world.sync()
    owner = (await world.account_of(customer))["_ownerid_value"]
    assert (await world.alice.row("systemusers", owner))["internalemailaddress"] == "agency@example.com"
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("coupled", [False, True])
async def test_its_own_edit_wakes_it(world: World, coupled: bool) -> None:
    customer = await held(world, coupled=coupled)
    await world.bob.update("customers", customer["id"], salespersonCode="PAM")
    await world.sync(create=True)
    assert (await world.account_of(customer))["_ownerid_value"] == PAM
    assert await world.failures() == []


async def test_asking_for_it_or_changing_the_mapping_wakes_it(world: World) -> None:
    customer = await held(world, coupled=False)
    assert (await world.sync(records=(customer["number"],), create=True)).counts["failed"] == 1
    await failures.retry(world.session.connection, mapping="CUSTOMER")
    await world.session.connection.commit()
    assert (await world.sync()).counts["failed"] == 1
    world.change_field("salespersonCode", enabled=False)
    await world.reopen()
    await world.sync(create=True)
    assert (await world.account_of(customer))["name"] == "Adatum"
    assert await world.failures() == []


async def test_an_option_that_must_be_there_wakes_it_too(world: World) -> None:
    world.change_field("paymentTermsCode", on_missing="fail")
    await world.reopen()
    customer = await world.bob.create("customers", displayName="Adatum", paymentTermsCode="COD")
    await world.sync(create=True)
    assert (await world.sync()).counts["failed"] == 0
    await world.sync("PAYMENT TERMS")
    await world.sync()
    account = await world.account_of(customer)
    assert await world.label("paymenttermscode", account["paymenttermscode"]) == "COD"


async def test_a_reference_by_rule_wakes_it_with_any_new_coupling(connection: Connection) -> None:
    waits = failed(kind="dependency", via="CUSTOMER", refers_by="rule", reference="CT1")
    await failures.record(connection, [waits])
    await connection.commit()
    assert await failures.due(connection, "CONTACT") == []
    await couplings.save(connection, "CUSTOMER", [Coupling(waits.record_id, waits.record_id)])
    assert [one.reference for one in await failures.due(connection, "CONTACT")] == ["CT1"]


async def test_an_error_that_may_pass_is_tried_less_and_less_often(connection: Connection) -> None:
    pauses = []
    for _ in range(8):
        await failures.record(connection, [failed(kind="transient")])
        await connection.commit()
        [found] = await failures.find(connection)
        assert found.state == "active"
        assert found.last_at is not None
        pauses.append(found.next_try and (found.next_try - found.last_at).total_seconds() / 60)
        due = await failures.due(connection, "CONTACT")
        assert bool(due) is (found.next_try is None)
        assert len(await failures.due(connection, "CONTACT", early=True)) == 1
    assert pauses == [None, 1, 2, 4, 8, 15, 15, 15]
    await connection.execute(LATE)
    assert len(await failures.due(connection, "CONTACT")) == 1
    await failures.record(connection, [failed(kind="transient", code="another")])
    assert (await failures.find(connection))[0].next_try is None


class Busy:
    """A Business Central that is too busy for the first part of a batch that writes, for 40 seconds."""

    def __init__(self, line: Transport) -> None:
        self._line = line

    async def send(self, request: Request) -> Response:
        if not (request.url.endswith("/$batch") and b'"PATCH"' in request.body):
            return await self._line.send(request)
        first, *others = msgspec.json.decode(request.body)["requests"]
        rest = await self._line.send(msgspec.structs.replace(request, body=msgspec.json.encode({"requests": others})))
        error = {"error": {"code": "Application_TooManyRequests", "message": "too many requests"}}
        busy = {"id": first["id"], "status": 429, "headers": {"Retry-After": "40"}, "body": error}
        answers = [busy, *msgspec.json.decode(rest.body)["responses"]]
        return msgspec.structs.replace(rest, body=msgspec.json.encode({"responses": answers}))

    async def close(self) -> None:
        await self._line.close()


@pytest.mark.parametrize("seconds", [-300, 300])
async def test_what_a_system_asked_for_is_waited_by_the_clock_of_the_database(world: World, seconds: float) -> None:
    customers = [await world.bob.create("customers", displayName=name) for name in ("Adatum", "Contoso")]
    await world.sync(create=True)
    for customer in customers:
        account = await world.account_of(customer)
        await world.alice.update("accounts", account["accountid"], telephone1="5")
    world.line.inner = Busy(world.line.inner)
    with clock_off(seconds):
        await world.sync()
    [failure] = await world.failures()
    assert failure.next_try is not None
    assert failure.last_at is not None
    assert timedelta(seconds=35) < failure.next_try - failure.last_at < timedelta(seconds=45)


async def test_a_system_may_say_when(connection: Connection) -> None:
    at = datetime(2100, 1, 1, tzinfo=UTC)
    await failures.record(connection, [failed(kind="transient", next_try=at)])
    await failures.record(connection, [failed(kind="transient", next_try=at)])
    assert [one.next_try for one in await failures.find(connection)] == [at]
    assert await failures.due(connection, "CONTACT") == []
    await failures.retry(connection, mapping="CONTACT")
    assert len(await failures.due(connection, "CONTACT")) == 1


def failed(**values: object) -> Failure:
    usual = {"mapping": "CONTACT", "side": "business_central", "record_id": "10000000-0000-4000-8000-000000000001"}
    told = {"direction": "to_dataverse", "code": "503", "message": "not now"}
    return Failure(**{**usual, **told, **values})  # type: ignore[arg-type]
