"""Koppel in an event loop: thin over the functions of ``koppel.sync``, which the command line calls as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from koppel.config import Config, find_config, load_config
from koppel.engine.action import Action
from koppel.errors import UsageError
from koppel.mapping.model import Direction, TableMapping
from koppel.mapping.names import mapping_named, mappings_named
from koppel.odata.records import Side
from koppel.store import conflicts, failures, jobs
from koppel.store.failures import Failure
from koppel.store.history import Entry
from koppel.store.jobs import Job, Message
from koppel.store.reviews import Choice
from koppel.sync import couple, explain, partners, preview, retry, review, status, uncouple, undo, verify
from koppel.sync.along import plans
from koppel.sync.couple import Initial, Refused
from koppel.sync.explain import Explanation
from koppel.sync.full import Outcome, outcome, run_in_order
from koppel.sync.open import known_mappings, open_session
from koppel.sync.orphan import Orphan
from koppel.sync.people import OpenConflict, with_names
from koppel.sync.preview import Preview
from koppel.sync.request import Request, Result
from koppel.sync.retry import Winner
from koppel.sync.reverse import Left
from koppel.sync.review import Line
from koppel.sync.selection import choose
from koppel.sync.session import Session
from koppel.sync.status import Standing
from koppel.sync.verify import Verification

P = ParamSpec("P")
T = TypeVar("T")
Names = str | Sequence[str] | None
"""One name, several, or ``None`` for all. An empty list means none."""


class AsyncKoppel:
    """Koppel in an event loop: ``async with AsyncKoppel() as koppel: await koppel.sync("CUSTOMER")``.

    ``config``: a ``Config``, the path of a ``koppel.yaml``, or nothing for the one that ``koppel`` itself would use.
    Database and connections are opened by the first call that needs them and given back by ``close``. Calls of one
    object run one after another. Whatever goes wrong as a whole is a ``KoppelError``; what becomes of single records
    is in the results.
    """

    def __init__(self, config: Config | Path | str | None = None) -> None:
        self.config = config if isinstance(config, Config) else load_config(Path(config) if config else find_config())
        self.mappings: dict[str, TableMapping] = known_mappings(self.config)
        self._stack = AsyncExitStack()
        self._session: Session | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> AsyncKoppel:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back connections and database; the next call would open them again."""
        self._session = None
        await self._stack.aclose()

    async def settled(self) -> None:
        """Wait until what was called, or cancelled, has ended."""
        async with self._turn:
            pass

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Session]:
        """The session, nobody else's meanwhile, and no transaction left open in it."""
        async with self._turn:
            if self._session is not None and (self._session.connection.closed or self._session.connection.broken):
                await self.close()
            if self._session is None:
                self._session = await self._stack.enter_async_context(open_session(self.config, self.mappings))
            try:
                yield self._session
            finally:
                connection = self._session.connection
                if not (connection.closed or connection.broken):
                    await connection.rollback()

    def _named(self, names: Names) -> list[str]:
        return mappings_named(self.mappings, [names] if isinstance(names, str) else names)

    def _one(self, name: str | None) -> str | None:
        return None if name is None else mapping_named(self.mappings, name)

    async def sync(
        self,
        names: Names = None,
        *,
        records: Names = None,
        where: str = "",
        side: Side = "business_central",
        direction: Direction = "both",
        full: bool = False,
        unconditional: bool = False,
        create: bool = False,
        force: bool = False,
    ) -> Outcome:
        """Synchronise what changed, in these mappings or in all that are on, in the order of their dependencies.

        ``records``: only these of the one mapping named, by id of either side or Business Central key; an empty list
        selects nothing. ``where``: only those that fit an OData filter on the table of ``side``. ``direction``: write
        towards one side only. ``full``: compare everything, match, and create what is new; ``unconditional``:
        likewise, and every pair is merged anew. ``create``: create new records also where only coupled ones
        synchronise. ``force``: without brakes; conflicts and deletions are treated as ever.
        """
        chosen = self._named(names)
        async with self._open() as session:
            only = await choose(session, chosen, _tuple(records), where, side)
            request = Request(
                records=only,
                direction=direction,
                full=full or unconditional,
                unconditional=unconditional,
                create=create,
                force=force,
            )
            return await outcome(session, run_in_order(session, chosen, request))

    async def plan(
        self,
        names: Names = None,
        *,
        records: Names = None,
        where: str = "",
        side: Side = "business_central",
        direction: Direction = "both",
        full: bool = False,
        unconditional: bool = False,
        create: bool = False,
    ) -> list[Action]:
        """What ``sync`` would do with the same arguments, action by action; nothing is written."""
        chosen = self._named(names)
        async with self._open() as session:
            only = await choose(session, chosen, _tuple(records), where, side)
            request = Request(
                records=only,
                direction=direction,
                full=full or unconditional,
                unconditional=unconditional,
                create=create,
            )
            return [
                action
                async for _, planned in plans(session, chosen, request)
                async for action in planned
                if action.kind != "nothing"
            ]

    async def review(self, names: Names = None) -> list[Line]:
        """The full synchronisation review: what is best for each mapping, in the order of dependencies."""
        async with self._open() as session:
            return await review.recommend(session, self._named(names))

    async def full(
        self,
        names: Names = None,
        *,
        lines: Mapping[str, Choice] | None = None,
        keep_creating: bool | None = None,
        force: bool = False,
    ) -> Outcome:
        """Carry out the full synchronisation review, as recommended except for ``lines``.

        ``keep_creating``: whether later runs create what is new in these mappings, too; ``None``: as before.
        """
        async with self._open() as session:
            found = review.chosen(await review.recommend(session, self._named(names)), lines or {})
            done = await outcome(session, review.run_review(session, found, force=force))
            if keep_creating is not None:
                planned = [line.mapping for line in found if line.action != "nothing"]
                await review.keep_creating(session, planned, keep_creating)
        if keep_creating is not None:
            await self.close()
        return done

    async def full_again(self, names: Names = None, *, force: bool = False) -> Outcome:
        """Run these lines of the latest review again, or, for ``None``, those that are not done."""
        async with self._open() as session:
            wanted = None if names is None else self._named(names)
            return await outcome(session, review.go_on(session, wanted, force=force))

    async def match_preview(self, name: str) -> Preview:
        """What matching finds among the uncoupled records: unique, ambiguous, none. Nothing is coupled."""
        async with self._open() as session:
            return await preview.match_preview(session, mapping_named(self.mappings, name))

    async def match(self, name: str, *, sync: bool = True, initial: Initial = "", create: bool = False) -> Outcome:
        """Couple every unique match.

        ``sync``: synchronise the pairs at once; ``initial``: the side that wins where they differ, instead of the
        mapping's. ``create``: create partners for what nothing matches.
        """
        async with self._open() as session:
            found = await preview.match_preview(session, mapping_named(self.mappings, name))
            return await outcome(session, preview.match_now(session, found, sync=sync, initial=initial, create=create))

    async def couple(
        self, name: str, business_central: str, dataverse: str, *, sync: bool = True, initial: Initial = ""
    ) -> Result:
        """Couple two records, each by id or by what people call it; ``sync`` and ``initial`` as for ``match``.

        ``UsageError`` or ``StoreError`` says why they cannot be coupled.
        """
        async with self._open() as session:
            mapping = mapping_named(self.mappings, name)
            return await couple.couple(session, mapping, business_central, dataverse, sync=sync, initial=initial)

    async def couple_pairs(
        self, name: str, pairs: Sequence[tuple[str, str]], *, sync: bool = True, initial: Initial = ""
    ) -> tuple[Outcome, list[Refused]]:
        """Couple many pairs (Business Central, Dataverse); what cannot be coupled is told and keeps no other back."""
        wanted = [couple.Wanted(ours, theirs, number) for number, (ours, theirs) in enumerate(pairs, 1)]
        async with self._open() as session:
            found = await couple.examine(session, mapping_named(self.mappings, name), wanted)
            runs = couple.couple_pairs(session, found, sync=sync, initial=initial)
            return await outcome(session, runs), found.refused

    async def create(self, name: str, records: Names) -> Outcome:
        """Create the partners of these records of either side; what is coupled already is left as it is.

        ``UsageError`` for a record that is not there.
        """
        async with self._open() as session:
            found = await partners.without_partner(session, mapping_named(self.mappings, name), _tuple(records) or ())
            if found.unknown:
                raise UsageError(f"no record is called {', '.join(found.unknown)}", place=found.mapping)
            return await outcome(session, partners.create_partners(session, found))

    async def uncouple(self, name: str, records: Names = None) -> int:
        """Take couplings of these records apart, or every one of the mapping for ``None``; how many. Data stays."""
        async with self._open() as session:
            mapping = mapping_named(self.mappings, name)
            chosen = _tuple(records)
            return await uncouple.uncouple(session, mapping, chosen or (), everything=chosen is None)

    async def orphans(self, names: Names = None, *, remove: bool = False) -> list[Orphan]:
        """The couplings whose records are gone, on one side or both; ``remove``: take them apart."""
        found: list[Orphan] = []
        async with self._open() as session:
            for name in self._named(names):
                some = [one async for chunk in uncouple.orphans(session, name) for one in chunk]
                if some and remove:
                    await uncouple.remove_orphans(session, name, some)
                found += some
        return found

    async def status(self, names: Names = None) -> list[Standing]:
        """Where each mapping stands: couplings, what waits or failed, the last job, how far reading has got."""
        async with self._open() as session:
            return await status.standings(session, self._named(names))

    async def jobs(
        self,
        *,
        name: str | None = None,
        status: jobs.Status | None = None,
        type: jobs.Type | None = None,
        limit: int = 20,
    ) -> list[Job]:
        """The latest jobs, newest first: of a mapping, that ended or stand so, of a type."""
        async with self._open() as session:
            mapping = self._one(name)
            return await jobs.recent(session.connection, mapping=mapping, status=status, type=type, limit=limit)

    async def messages(self, job: int) -> list[Message]:
        """What a job has to say, in order."""
        async with self._open() as session:
            return await jobs.messages(session.connection, job)

    async def history(
        self,
        record: str | None = None,
        *,
        name: str | None = None,
        job: int | None = None,
        field: str | None = None,
        side: Side | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
    ) -> list[Entry]:
        """What was changed, when and why, the latest first: of a record (and its partner), a job, a field, or all."""
        async with self._open() as session:
            mapping = self._one(name)
            return await status.written(
                session,
                record,
                mapping=mapping,
                job=job,
                field=field,
                side=side,
                since=since,
                until=until,
                limit=limit,
            )

    async def undo(self, job: int, *, force: bool = False) -> tuple[Result, list[Left]]:
        """Take a job back, as far as nobody went on from it: what was done, and what stays as it is, with the reason.

        The next run compares everything and carries the same changes over again, unless they are changed back where
        they came from, or the mapping is off.
        """
        async with self._open() as session:
            return await undo.undo(session, await undo.job_to_undo(session, job), force=force)

    async def explain(self, name: str, record: str) -> Explanation:
        """Why a record did or did not synchronise."""
        async with self._open() as session:
            return await explain.explain(session, mapping_named(self.mappings, name), record)

    async def verify(self, names: Names = None) -> Verification:
        """Compare every coupled record on both sides, apart from the engine."""
        async with self._open() as session:
            return await verify.verify(session, self._named(names))

    async def errors(self, name: str | None = None) -> list[Failure]:
        """Records that failed, skipped ones among them (``state``), with cause and remedy."""
        async with self._open() as session:
            return await failures.find(session.connection, mapping=self._one(name))

    async def retry(self, name: str | None = None, records: Names = None) -> Outcome:
        """Try failed and skipped records again, at once: these of a mapping, those of a mapping, or all."""
        async with self._open() as session:
            return await outcome(session, retry.retry(session, self._one(name), _tuple(records)))

    async def conflicts(self, name: str | None = None) -> list[OpenConflict]:
        """Fields that both sides changed differently and that wait for a decision, with the names of who edited."""
        async with self._open() as session:
            return await with_names(session, await conflicts.find(session.connection, mapping=self._one(name)))

    async def resolve(self, numbers: Sequence[int], winner: Winner) -> Outcome:
        """Let a side, or whoever was last (``newest``), win these conflicts (``Conflict.id``) and synchronise them."""
        async with self._open() as session:
            return await outcome(session, retry.resolve(session, numbers, winner))


def _tuple(records: Names) -> tuple[str, ...] | None:
    return (records,) if isinstance(records, str) else None if records is None else tuple(records)
