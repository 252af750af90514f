"""``koppel jobs``: what ran, what for, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, cast, get_args

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from koppel.cli.options import Limit, one_of
from koppel.cli.output import Output, moment, table
from koppel.cli.running import DONE, AsJson, ConfigPath, run
from koppel.errors import UsageError
from koppel.mapping.names import mapping_named
from koppel.store import jobs as store
from koppel.store.jobs import Job, Message, Status, Type
from koppel.sync.session import Session

WATCH_SECONDS = 1.0
TOWARDS = {"both": "both", "to_dataverse": "Dataverse", "from_dataverse": "Business Central"}


def jobs(
    job: Annotated[int | None, typer.Argument(help="One job, with its log.")] = None,
    limit: Limit = 20,
    mapping: Annotated[str | None, typer.Option(help="Only those of this mapping.")] = None,
    status: Annotated[
        str | None, typer.Option(parser=one_of(get_args(Status)), metavar="STATUS", help="Only those that stand so.")
    ] = None,
    type: Annotated[
        str | None, typer.Option(parser=one_of(get_args(Type)), metavar="TYPE", help="Only those of this type.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it each second anew, until the job is done, or Ctrl-C.")
    ] = False,
    forget: Annotated[
        int | None, typer.Option("--forget", metavar="DAYS", help="Delete those that are older.", min=0)
    ] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """The latest jobs, or one with its log."""
    if (watch and as_json) or (forget is not None and (watch or job is not None)):
        raise typer.BadParameter("--watch is for people, and --forget stands alone.")

    wanted = _Wanted(job, mapping, cast("Status | None", status), cast("Type | None", type), limit)

    async def work(session: Session, output: Output) -> int:
        if watch:
            return await _watch(session, output, wanted)
        if forget is not None:
            gone = await store.forget(session.connection, forget)
            output.show({"forgotten": gone}, f"{gone:,} jobs deleted; what they changed stays in `koppel history`")
            return DONE
        found, log = await _found(session, wanted)
        told = msgspec.to_builtins(found)
        output.show(
            {"jobs": told} if job is None else {"job": told[0], "messages": msgspec.to_builtins(log)},
            *_lines(found, log),
        )
        return DONE

    run(work, config, as_json)


class _Wanted(msgspec.Struct, frozen=True):
    """Which jobs: one, or the latest of a mapping, a status, a type."""

    job: int | None
    mapping: str | None
    status: Status | None
    type: Type | None
    limit: int


async def _found(session: Session, wanted: _Wanted) -> tuple[list[Job], list[Message] | None]:
    """The jobs; of one its log as well."""
    if wanted.job is None:
        name = mapping_named(session.mappings, wanted.mapping) if wanted.mapping else None
        connection, limit = session.connection, wanted.limit
        return await store.recent(connection, mapping=name, status=wanted.status, type=wanted.type, limit=limit), None
    one = await store.get(session.connection, wanted.job)
    if one is None:
        raise UsageError(f"there is no job {wanted.job}", remedy="`koppel jobs` lists the latest ones.")
    return [one], await store.messages(session.connection, wanted.job)


async def _watch(session: Session, output: Output, wanted: _Wanted) -> int:
    """Counters move with each chunk that a job has recorded."""
    with Live(console=output.text, auto_refresh=False) as live:
        while True:
            found, log = await _found(session, wanted)
            await session.connection.commit()
            live.update(Group(*_lines(found, log)), refresh=True)
            if wanted.job is not None and found[0].finished:
                return DONE
            await asyncio.sleep(WATCH_SECONDS)


def _lines(found: Sequence[Job], log: Sequence[Message] | None) -> list[RenderableType]:
    if log is None:
        return [_jobs(found)]
    lines = [Text(f"{moment(m.at)}  {m.level:<8}{m.text}") for m in log]
    return [_jobs(found), *(Text(job.message) for job in found if job.message), *lines]


def _jobs(found: Sequence[Job]) -> RenderableType:
    return table(
        ("job", "type", "to", "mappings", "started", "seconds", "status", "requests", "workers", "did"),
        [
            (
                job.id,
                f"undo of {job.undoes}" if job.undoes else job.type,
                TOWARDS[job.direction],
                ", ".join(job.mappings),
                job.started,
                job.seconds,
                job.status,
                job.requests,
                ", ".join(job.workers),
                ", ".join(f"{number:,} {name}" for name, number in sorted(job.counters.items())) or job.message,
            )
            for job in found
        ],
    )
