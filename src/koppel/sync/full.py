"""Several mappings in the order of their dependencies, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec

from koppel.errors import AuthenticationError, KoppelError, StoppedError, StoreError, TransientError
from koppel.store import failures, formers, pending
from koppel.store.failures import Failure
from koppel.sync.along import runs
from koppel.sync.references import goes_through
from koppel.sync.request import Request, Result
from koppel.sync.run import synchronise
from koppel.sync.session import Session


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one mapping: a result, or the error that ended it. ``completing``: the second round."""

    mapping: str
    result: Result | None = None
    error: KoppelError | None = None
    completing: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What runs came to, in their order. ``failures``: records that failed in them and did not come through since."""

    finished: list[Finished]
    failures: list[Failure] = []

    @property
    def ok(self) -> bool:
        """Whether every record came through."""
        return not self.failures and all(one.error is None for one in self.finished)

    @property
    def counts(self) -> Counter[str]:
        """The counters of all runs together."""
        return sum((one.result.counts for one in self.finished if one.result), Counter())


async def outcome(session: Session, runs: AsyncIterator[Finished]) -> Outcome:
    """See runs through."""
    finished = [one async for one in runs]
    jobs = [one.result.job for one in finished if one.result]
    left = [failure for job in jobs for failure in await failures.find(session.connection, job=job)]
    return Outcome(finished=finished, failures=left)


async def run_in_order(
    session: Session, names: Sequence[str], request: Request = Request(), *, completing: bool = False
) -> AsyncIterator[Finished]:
    """Run mappings one by one, with what goes along with them. One that ends with an error does not keep the others
    from running, unless a system or the database is out of reach."""
    async for name, asked in runs(session, names, request):
        try:
            result = await synchronise(session, name, asked)
            for one in (result, *result.parts):
                yield Finished(mapping=one.mapping, result=one, completing=completing)
        except (AuthenticationError, TransientError, StoreError, StoppedError):
            raise
        except KoppelError as error:
            yield Finished(mapping=name, error=error, completing=completing)


async def run_full(session: Session, names: Sequence[str], *, force: bool = False) -> AsyncIterator[Finished]:
    """Full synchronisation of mappings given in the order of dependencies.

    At the end they are completed: a customer's primary contact exists only after the contacts do.
    """
    async for finished in run_in_order(session, names, Request(full=True, force=force)):
        yield finished
    async for finished in complete(session, names, force=force):
        yield finished


async def complete(session: Session, names: Sequence[str], *, force: bool = False) -> AsyncIterator[Finished]:
    """Run those mappings once more whose fields waited for something that is there now."""
    waited = [name for name in names if await _deserves_another(session, name)]
    async for finished in run_in_order(session, waited, Request(force=force), completing=True):
        yield finished


async def _deserves_another(session: Session, name: str) -> bool:
    found = await pending.ready(session.connection, name, through=goes_through(session.mappings[name]))
    due = await formers.due(session.connection, name)
    await session.connection.commit()
    return bool(found or due)
