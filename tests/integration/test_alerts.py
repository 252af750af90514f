"""People are told what is wrong, once, by a post and by mail; and when it is right again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from koppel.config import Alerts, Mail
from koppel.jobs import alerts
from koppel.store import alerts as store
from koppel.store import schedules, workers
from koppel.store.database import Connection, Database
from koppel.sync.open import known_mappings
from receiver import Receiver, receiving

LATE = "UPDATE schedule SET next_run = next_run - interval '25 hours', last_run = NULL WHERE mapping = 'CUSTOMER'"


@pytest.fixture
async def scheduled(connection: Connection) -> Connection:
    await schedules.ensure(connection, {"CUSTOMER": False, "CONTACT": False, "OPPORTUNITY": True})
    return connection


@pytest.fixture
async def posts() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


async def test_nothing_is_told_as_long_as_all_is_well(scheduled: Connection, posts: Receiver) -> None:
    assert not await alerts.tell(scheduled, Alerts(url=posts.url), {})
    assert posts.posts == []


async def test_def_14_a_mapping_that_has_not_run_is_told_once_and_when_it_ran(
    scheduled: Connection, posts: Receiver
) -> None:
    target = Alerts(url=posts.url)
    await scheduled.execute(LATE)
    assert await alerts.tell(scheduled, target, {})
    assert not await alerts.tell(scheduled, target, {})
    [body] = posts.posts
    assert body["text"].startswith("CUSTOMER has not run since ")
    assert [(one["mapping"], one["kind"]) for one in body["alerts"]] == [("CUSTOMER", "late")]
    await schedules.resume(scheduled, ["CUSTOMER"])
    assert await alerts.tell(scheduled, target, {})
    assert posts.posts[1]["text"].startswith("right again: CUSTOMER has not run since ")
    assert [one["mapping"] for one in posts.posts[1]["right_again"]] == ["CUSTOMER"]


async def test_what_is_on_hold_is_not_late(scheduled: Connection, posts: Receiver) -> None:
    await schedules.hold(scheduled, ["CUSTOMER"])
    await scheduled.execute(LATE)
    assert not await alerts.tell(scheduled, Alerts(url=posts.url), {})


async def test_repeated_failures_and_conflicts_are_told(scheduled: Connection, posts: Receiver) -> None:
    await scheduled.execute(
        "UPDATE schedule SET attempts = 3, message = 'no answer' || chr(10) || 'more' WHERE mapping = 'CONTACT'"
    )
    await scheduled.execute(
        "INSERT INTO conflict (mapping, business_central_id, dataverse_id, field)"
        " VALUES ('CUSTOMER', gen_random_uuid(), gen_random_uuid(), 'name')"
    )
    await alerts.tell(scheduled, Alerts(url=posts.url), {})
    told = "CONTACT failed 3 times: no answer\nCUSTOMER has conflicts that wait for a person: 1"
    assert posts.posts[0]["text"] == told


async def test_a_queue_without_a_living_worker_is_told_and_when_one_comes(
    scheduled: Connection, posts: Receiver
) -> None:
    """Until then nobody was told when every worker was gone."""
    mappings, target = known_mappings(), Alerts(url=posts.url)
    assert await alerts.tell(scheduled, target, mappings)
    assert not await alerts.tell(scheduled, target, mappings)
    [body] = posts.posts
    assert body["text"] == "queue default has no living worker: CONTACT, CUSTOMER wait there"
    assert [(one["queue"], one["mapping"], one["kind"]) for one in body["alerts"]] == [("default", "", "unserved")]
    await workers.sign(scheduled, ["other"], 1)
    assert not await alerts.tell(scheduled, target, mappings)
    await workers.gone(scheduled)
    await workers.sign(scheduled, ["default"], 1)
    assert await alerts.tell(scheduled, target, mappings)
    assert posts.posts[1]["text"].startswith("right again: queue default has no living worker")
    assert await store.told(scheduled) == []


async def test_it_is_looked_for_again_and_again_by_whoever_lives(
    database: Database, scheduled: Connection, posts: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "LOOK_SECONDS", 0.01)
    await scheduled.commit()
    posts.status = 500
    telling = asyncio.create_task(alerts.keep_telling(database.connect, Alerts(url=posts.url), known_mappings()))
    async with asyncio.timeout(20):
        while len(posts.posts) < 2:  # noqa: ASYNC110 (a post that is refused is not heard of)
            await asyncio.sleep(0.01)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)


async def test_what_cannot_be_sent_is_sent_the_next_time(scheduled: Connection, posts: Receiver) -> None:
    await scheduled.execute(LATE)
    posts.status = 500
    assert not await alerts.tell(scheduled, Alerts(url=posts.url), {})
    posts.status = 200
    assert await alerts.tell(scheduled, Alerts(url=posts.url), {})


async def test_it_is_told_by_mail(scheduled: Connection) -> None:
    async with mail_server() as (port, mails):
        mail = Mail(to=("a@example.com", "b@example.com"), sender="koppel@example.com", host="127.0.0.1", port=port)
        await scheduled.execute(LATE)
        assert await alerts.tell(scheduled, Alerts(mail=mail), {})
    [text] = mails
    assert "Subject: Koppel: CUSTOMER has not run since " in text
    assert "To: a@example.com, b@example.com" in text


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[int, list[str]]]:
    """Says what a mail server says, as far as a client needs it."""
    mails: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            if line.upper().startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            writer.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 well\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], mails
