"""What ``koppel serve`` serves: webhooks of both systems as they are posted, health, metrics."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import msgspec
import pytest
import requests
from world import World, new_world

from koppel.errors import StoreError, UsageError
from koppel.jobs import queue
from koppel.jobs.run import run_by_itself
from koppel.jobs.schedule import scheduled
from koppel.jobs.webhooks import SECRET_HEADER, Inbox
from koppel.store import notices, schedules, workers
from koppel.store.database import Database
from koppel.store.locks import PROCESS
from koppel.systems.transport import AsgiTransport, Request, Response
from koppel.web.app import LARGEST_POST, Said, Served, build_app
from koppel.web.serving import serving
from postgres_server import administer

SECRET = "a secret that both know"
BUSINESS_CENTRAL = "/webhooks/business-central"
DATAVERSE = "/webhooks/dataverse"


class Site:
    """The application, as the two systems and a monitor reach it."""

    def __init__(self, world: World, secret: str = SECRET) -> None:
        self.world = world
        self.said = Said(sent={side: system.counters for side, system in world.session.systems.items()})
        self._app = build_app(Served(database=world.database, mappings=world.mappings, secret=secret), self.said)
        self._transport = AsgiTransport(self._app)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """As long as it is served."""
        async with self._app.router.lifespan_context(self._app):
            yield self

    async def get(self, path: str) -> Response:
        return await self._transport.send(Request("GET", f"http://koppel{path}", {}, b""))

    async def post(self, path: str, body: Any = None, header: str = "") -> Response:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"content-type": "application/json", SECRET_HEADER: header, "content-length": str(len(content))}
        return await self._transport.send(Request("POST", f"http://koppel{path}", headers, content))

    async def waiting(self) -> set[tuple[str, str, str]]:
        """Mapping, side and record of what was told."""
        connection = self.world.session.connection
        found = [one for name in self.world.mappings for one in await notices.find(connection, name)]
        await connection.commit()
        return {(one.mapping, one.side, one.record) for one in found}


@pytest.fixture
async def site(database_aside: Database) -> AsyncIterator[Site]:
    async with new_world(database_aside) as world:
        await queue.install(world.session.connection)
        await schedules.ensure(world.session.connection, scheduled(world.mappings))
        async with Site(world).open() as site:
            yield site


def notification(resource: str, change: str = "updated", secret: str = SECRET) -> dict[str, Any]:
    """An entry as Business Central posts it."""
    return {
        "subscriptionId": "8c2e0c3a5b6f4b0d9a1e7f6d5c4b3a21",
        "clientState": secret,
        "expirationDateTime": "2026-11-28T10:00:00Z",
        "resource": f"api/koppel/sync/v1.0/companies(5f7f4f4e-0000-4000-8000-000000000001)/{resource}",
        "changeType": change,
        "lastModifiedDateTime": "2026-11-25T10:00:00.123Z",
    }


def context(table: str, id: str, *, user: str = "") -> dict[str, Any]:
    """What Dataverse posts, as far as it matters, and some of what does not."""
    return {
        "MessageName": "Update",
        "PrimaryEntityName": table,
        "PrimaryEntityId": id,
        "InitiatingUserId": user or str(uuid4()),
        "Depth": 1,
        "InputParameters": [{"key": "Target", "value": {"__type": "Entity:http://schemas.microsoft.com/xrm/2011/x"}}],
    }


async def test_the_handshake_is_answered_with_its_token(site: Site) -> None:
    for answer in (
        await site.post(f"{BUSINESS_CENTRAL}?validationToken=abc%20123", b""),
        await site.get(f"{BUSINESS_CENTRAL}?validationToken=abc%20123"),
    ):
        assert (answer.status, answer.body) == (200, b"abc 123")
        assert answer.headers["content-type"].startswith("text/plain")


async def test_changes_of_business_central_become_notices(site: Site) -> None:
    one, other = str(uuid4()), str(uuid4())
    value = [
        notification(f"customers({one})"),
        notification(f"customers({other.upper()})", "deleted"),
        notification(f"nobodysTable({one})"),
    ]
    assert (await site.post(BUSINESS_CENTRAL, {"value": value})).status == 204
    assert await site.waiting() == {("CUSTOMER", "business_central", one), ("CUSTOMER", "business_central", other)}


async def test_a_collection_is_some_record(site: Site) -> None:
    resource = "customers?$filter=lastModifiedDateTime%20gt%202026-11-25T10:00:00Z"
    await site.post(BUSINESS_CENTRAL, {"value": [notification(resource, "collection")]})
    assert await site.waiting() == {("CUSTOMER", "business_central", notices.ANY)}


async def test_rows_that_a_mapping_watches_and_lines_are_no_records_of_its_own(site: Site) -> None:
    value = [notification(f"{table}({uuid4()})") for table in ("itemLedgerEntries", "postedSalesInvoiceLines")]
    await site.post(BUSINESS_CENTRAL, {"value": value})
    assert {("ITEM-PRODUCT", notices.ANY), ("POSTEDSALESINV-INV", notices.ANY)} <= {
        (mapping, record) for mapping, _, record in await site.waiting()
    }


async def test_changes_of_dataverse_become_notices_of_every_mapping_of_the_table(site: Site) -> None:
    account = str(uuid4())
    assert (await site.post(DATAVERSE, context("account", account.upper()), SECRET)).status == 204
    assert await site.waiting() == {
        ("CUSTOMER", "dataverse", account),
        ("VENDOR", "dataverse", account),
    }


async def test_options_are_told_of_by_their_codes_alone(site: Site) -> None:
    account = str(uuid4())
    await site.post(DATAVERSE, context("account", account), SECRET)
    await site.post(BUSINESS_CENTRAL, {"value": [notification(f"paymentTerms({account})")]})
    assert {told for told in await site.waiting() if told[0] == "PAYMENT TERMS"} == {
        ("PAYMENT TERMS", "business_central", notices.ANY)
    }


async def test_what_koppel_did_itself_is_no_news(site: Site) -> None:
    me = next(iter(await site.world.session.systems["dataverse"].own_users()))
    one, other = str(uuid4()), str(uuid4())
    for account in (one, other):
        assert (await site.post(DATAVERSE, context("account", account, user=me.upper()), SECRET)).status == 204
        site.said.own_users = frozenset({me})
    assert {record for _, _, record in await site.waiting()} == {one}, "nobody had said who that is"


async def test_mappings_that_shall_not_be_woken_are_not(site: Site) -> None:
    site.world.change("CUSTOMER", wake_on_events=False)
    async with Site(site.world).open() as deaf:
        await deaf.post(BUSINESS_CENTRAL, {"value": [notification(f"customers({uuid4()})")]})
        assert await deaf.waiting() == set()


@pytest.mark.parametrize("secret", ["", "another", SECRET + "x"])
async def test_nobody_else_is_listened_to(site: Site, secret: str) -> None:
    good, bad = notification(f"customers({uuid4()})"), notification(f"customers({uuid4()})", secret=secret)
    assert (await site.post(BUSINESS_CENTRAL, {"value": [good, bad]})).status == 401
    assert (await site.post(DATAVERSE, context("account", str(uuid4())), secret)).status == 401
    assert await site.waiting() == set()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"value": 1}', b"\xff"])
async def test_what_is_no_notification_is_refused(site: Site, body: bytes) -> None:
    for path in (BUSINESS_CENTRAL, DATAVERSE):
        answer = await site.post(path, body, SECRET)
        assert answer.status == 400
        assert "no notification" in msgspec.json.decode(answer.body)["error"]


async def test_a_post_that_is_too_large_is_refused(site: Site) -> None:
    assert (await site.post(BUSINESS_CENTRAL, b" " * (LARGEST_POST + 1))).status == 400


async def test_without_a_secret_there_are_no_webhooks(site: Site) -> None:
    assert (await Site(site.world, secret="").post(DATAVERSE, context("account", str(uuid4())))).status == 404


async def test_a_post_is_answered_though_the_database_is_not_done(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("koppel.jobs.webhooks.ANSWER_SECONDS", 0.5)
    body = {"value": [notification(f"customers({uuid4()})")]}
    async with site.world.database.connect() as somebody:
        await somebody.execute("LOCK TABLE notice")
        answer = await site.post(BUSINESS_CENTRAL, body)
        assert (answer.status, "did not answer" in answer.body.decode()) == (503, True)
    assert (await site.post(BUSINESS_CENTRAL, body)).status == 204
    assert len(await site.waiting()) == 1


async def test_a_thousand_posts_at_once_are_there_when_they_are_answered(site: Site) -> None:
    ids = [str(uuid4()) for _ in range(1_000)]
    posts = [site.post(BUSINESS_CENTRAL, {"value": [notification(f"customers({id})")]}) for id in ids]
    assert {answer.status for answer in await asyncio.gather(*posts)} == {204}
    assert {record for _, _, record in await site.waiting()} == set(ids)


async def test_posts_share_a_connection_and_get_another_one_when_it_is_lost(site: Site) -> None:
    url, own = site.world.database.url, site.world.session.connection.pgconn.backend_pid
    others = f"FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN ({own}, pg_backend_pid())"
    ids = [str(uuid4()) for _ in range(3)]
    for id in ids:
        administer(url, f"SELECT pg_terminate_backend(pid, 5000) {others}" if id == ids[2] else "SELECT 1")
        assert (await site.post(DATAVERSE, context("account", id), SECRET)).status == 204
        assert administer(url, f"SELECT count(*) {others}") == 1
    assert {record for _, _, record in await site.waiting()} == set(ids)


async def test_a_database_that_does_not_answer_is_asked_for_many_posts_together(site: Site) -> None:
    asked: list[object] = []

    async def hang_up(reader: object, writer: asyncio.StreamWriter) -> None:
        asked.append(reader)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as nobody:
        inbox = Inbox(Database("postgresql://nobody@127.0.0.1:{1}/nothing".format(*nobody.sockets[0].getsockname())))
        posts = [inbox.take([notices.Notice("CUSTOMER", "dataverse", str(number))]) for number in range(100)]
        answers = await asyncio.gather(*posts, return_exceptions=True)
    assert {type(answer) for answer in answers} == {StoreError}
    assert 0 < len(asked) <= 8


async def test_eng_342_a_post_leads_to_a_run(site: Site) -> None:
    world = site.world
    for name in ("SALESPEOPLE", "CURRENCY"):
        await world.sync(name, full=True)
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    await world.session.connection.execute("UPDATE schedule SET next_run = clock_timestamp() + interval '1 hour'")
    await world.session.connection.commit()
    account = await world.account_of(customer)
    await world.alice.update("accounts", account["accountid"], telephone1="5")
    await site.post(DATAVERSE, context("account", account["accountid"]), SECRET)
    await run_by_itself(world.session, "CUSTOMER")
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "5"


async def test_health_and_readiness(site: Site) -> None:
    assert msgspec.json.decode((await site.get("/health")).body) == {"status": "ok"}
    assert (await site.get("/ready")).status == 200


async def test_it_is_ready_while_its_own_worker_lives_and_working_while_any_does(site: Site) -> None:
    connection = site.world.session.connection
    served = msgspec.structs.replace(served_by(site), worker=PROCESS)
    beside = AsgiTransport(build_app(served, Said()))

    async def answers() -> list[tuple[int, str]]:
        paths = [await beside.send(Request("GET", f"http://koppel/{path}", {}, b"")) for path in ("ready", "working")]
        return [(answer.status, msgspec.json.decode(answer.body)["status"]) for answer in paths]

    lonely = [(503, "its worker gives no sign of life"), (503, "a queue has no worker")]
    assert await answers() == lonely
    await workers.sign(connection, None, 4)
    await connection.commit()
    assert await answers() == [(200, "ready"), (200, "working")]
    await connection.execute("UPDATE worker SET process = process + 1")
    await connection.commit()
    assert await answers() == [lonely[0], (200, "working")]
    assert (await site.get("/ready")).status == 200, "no worker of its own is asked for"
    found = msgspec.json.decode((await site.get("/working")).body)["queues"]
    assert found == {"default": {"workers": 1, "mappings": len(scheduled(site.world.mappings)) - 1}}


async def test_without_its_database_it_is_alive_and_not_ready(site: Site) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing")
    served = Served(database=nowhere, mappings=site.world.mappings, secret=SECRET)
    transport = AsgiTransport(build_app(served, Said()))

    async def status(method: str, path: str, body: bytes = b"") -> int:
        headers = {SECRET_HEADER: SECRET, "content-length": str(len(body))}
        return (await transport.send(Request(method, f"http://koppel{path}", headers, body))).status

    assert [await status("GET", path) for path in ("/health", "/ready", "/metrics")] == [200, 503, 503]
    post = msgspec.json.encode(context("account", str(uuid4())))
    assert await status("POST", DATAVERSE, post) == 503, "the system tells it once more"


async def test_metrics(site: Site) -> None:
    world = site.world
    await world.sync("CURRENCY", full=True)
    await notices.add(world.session.connection, [notices.Notice("CUSTOMER", "dataverse", "one")])
    answer = await site.get("/metrics")
    lines = answer.body.decode().splitlines()
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'koppel_jobs_total{mapping="CURRENCY",status="done"} 1' in lines
    assert 'koppel_notices_waiting{mapping="CUSTOMER"} 1' in lines
    assert 'koppel_schedule_state{mapping="OPPORTUNITY",state="on hold"} 1' in lines
    assert 'koppel_workers{queue="default"} 0' in lines
    assert any(line.startswith('koppel_lag_seconds{mapping="CURRENCY"} ') for line in lines)
    assert any(line.startswith('koppel_process_requests_total{side="dataverse"} ') for line in lines)
    names = [line.split("{")[0] for line in lines if not line.startswith("#")]
    told = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert told == list(dict.fromkeys(names)), "each family once, with its samples together"


# in a process of its own


@asynccontextmanager
async def served_apart(site: Site) -> AsyncIterator[str]:
    async with serving(served_by(site), site.world.session.systems, "127.0.0.1", 0) as address:
        yield address


def served_by(site: Site) -> Served:
    return Served(database=site.world.database, mappings=site.world.mappings, secret=SECRET)


def posted(address: str, account: str, user: str = "") -> int:
    """The status of an answer that is waited for without doing anything else."""
    headers = {SECRET_HEADER: SECRET}
    return requests.post(address + DATAVERSE, json=context("account", account, user=user), headers=headers).status_code


def process_that_serves() -> int:
    """Its number."""
    children = " ".join(path.read_text() for path in Path(f"/proc/{os.getpid()}/task").glob("*/children"))
    (found,) = [one for one in children.split() if "koppel.web" in Path(f"/proc/{one}/cmdline").read_text()]
    return int(found)


async def test_no_answer_waits_for_what_the_worker_does(site: Site) -> None:
    account = str(uuid4())
    async with served_apart(site) as address:
        await asyncio.sleep(0.1)
        assert posted(address, account) == 204
    assert {record for _, _, record in await site.waiting()} == {account}


async def test_a_process_that_dies_is_replaced_and_what_is_posted_meanwhile_waits(site: Site) -> None:
    one, other = str(uuid4()), str(uuid4())
    async with served_apart(site) as address:
        assert await asyncio.to_thread(posted, address, one) == 204
        os.kill(process_that_serves(), signal.SIGKILL)
        assert await asyncio.to_thread(posted, address, other) == 204
    assert {record for _, _, record in await site.waiting()} == {one, other}
    with pytest.raises(requests.ConnectionError):
        posted(address, one)


async def test_the_worker_says_who_its_users_are_and_what_it_sent(site: Site) -> None:
    me = next(iter(await site.world.session.systems["dataverse"].own_users()))

    def is_passed_over(address: str) -> bool:
        assert posted(address, str(uuid4()), user=me) == 204
        return "koppel_notices_waiting" not in requests.get(f"{address}/metrics").text

    async with served_apart(site) as address, asyncio.timeout(30):
        while not await asyncio.to_thread(is_passed_over, address):
            await site.world.session.connection.execute("DELETE FROM notice")
            await site.world.session.connection.commit()
        page = await asyncio.to_thread(requests.get, f"{address}/metrics")
        assert 'koppel_process_requests_total{side="dataverse"}' in page.text


async def test_a_port_that_is_taken_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("koppel.web.serving.GRACE_SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="cannot listen"):
        async with serving(served_by(site), site.world.session.systems, "127.0.0.1", taken.getsockname()[1]):
            pass
