"""Telling people what is wrong: each thing once, and once more when it is right again."""

from __future__ import annotations

import asyncio
import logging
import smtplib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from email.message import EmailMessage

import aiohttp
import msgspec
import psycopg

from koppel.config import Alerts, Mail
from koppel.errors import KoppelError, LockedError
from koppel.jobs.queues import Queue, unserved
from koppel.mapping.model import TableMapping
from koppel.store import alerts
from koppel.store.alerts import Alert
from koppel.store.database import Connection
from koppel.store.locks import mapping_lock

log = logging.getLogger("koppel.jobs")

LOCK = "alerts"
ATTEMPTS = 3
"""Failed runs in a row that people are told of."""
LOOK_SECONDS = 60.0
NAMED = 3
"""Mappings of a queue that people are told by name."""
PATIENCE_SECONDS = 30.0
SUBMISSION = 587
"""The port where mail is handed in; the connection is made private there before anything is said."""


async def tell(connection: Connection, target: Alerts, mappings: Mapping[str, TableMapping]) -> bool:
    """Tell what is new since the last time; whether there was anything. Nothing while another process is at it.

    What cannot be sent is tried again the next time.
    """
    try:
        async with mapping_lock(connection, LOCK):
            now = await alerts.wrong(connection, hours=target.hours, attempts=ATTEMPTS)
            now += map(_lonely, await unserved(connection, mappings))
            before = await alerts.told(connection)
            known, still = ({one.about for one in some} for some in (before, now))
            new = [one for one in now if one.about not in known]
            gone = [one for one in before if one.about not in still]
            if not (new or gone) or not await _sent(target, new, gone):
                return False
            await alerts.note(connection, new, gone)
            await connection.commit()
            return True
    except LockedError:
        return False


def _lonely(queue: Queue) -> Alert:
    first, others = ", ".join(queue.mappings[:NAMED]), len(queue.mappings) - NAMED
    waiting = f"{first} and {others} more" if others > 0 else first
    return Alert("", "unserved", f"has no living worker: {waiting} wait there", queue.queue)


async def keep_telling(
    connect: Callable[[], AbstractAsyncContextManager[Connection]],
    target: Alerts | None,
    mappings: Mapping[str, TableMapping],
) -> None:
    """Tell what is wrong again and again, by connections of its own; a database that is lost is waited for. Without a
    ``target`` nobody is told.

    Not at once: of several processes that are started together, some come later.
    """
    while target is not None:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            async with connect() as connection:
                await tell(connection, target, mappings)
        except (psycopg.Error, KoppelError) as error:
            log.warning("whether something is wrong cannot be told, it is tried again: %s", error)


async def _sent(target: Alerts, new: Sequence[Alert], gone: Sequence[Alert]) -> bool:
    """Whether every target took it."""
    text = "\n".join([*map(_line, new), *(f"right again: {_line(one)}" for one in gone)])
    try:
        if target.url:
            await _post(target.url, text, new, gone)
        if target.mail:
            await asyncio.to_thread(_mail, target.mail, text)
    except (aiohttp.ClientError, OSError, smtplib.SMTPException) as error:
        log.warning("alerts cannot be sent, they are tried again: %s", error)
        return False
    return True


def _line(alert: Alert) -> str:
    return f"{alert.mapping or f'queue {alert.queue}'} {alert.message}"


async def _post(url: str, text: str, new: Sequence[Alert], gone: Sequence[Alert]) -> None:
    """``text`` is what chat programs show; the rest is for programs."""
    body = {"text": text, "alerts": msgspec.to_builtins(new), "right_again": msgspec.to_builtins(gone)}
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json=body) as answer:
        answer.raise_for_status()


def _mail(mail: Mail, text: str) -> None:
    message = EmailMessage()
    message["Subject"] = f"Koppel: {text.partition(chr(10))[0]}"
    message["From"] = mail.sender
    message["To"] = ", ".join(mail.to)
    message.set_content(text)
    with smtplib.SMTP(mail.host, mail.port, timeout=PATIENCE_SECONDS) as server:
        if mail.port == SUBMISSION:
            server.starttls()
        if mail.user and mail.password:
            server.login(mail.user, mail.password.value())
        server.send_message(message)
