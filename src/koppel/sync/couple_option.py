"""Coupling a code and an option by hand."""

from __future__ import annotations

from collections import Counter
from typing import cast

from koppel.errors import UsageError
from koppel.odata.records import Record
from koppel.store import history, jobs
from koppel.store.options import Option
from koppel.sync.options import codes_of, option_entry
from koppel.sync.prepare import Ready
from koppel.sync.relink import keep_options
from koppel.sync.request import Result
from koppel.sync.session import Session
from koppel.systems.dataverse import Dataverse


async def couple_option(session: Session, ready: Ready, job: int, code: str, option: str) -> Result:
    """Couple a code with an option, given by label or value.

    ``UsageError`` when one of them is not there; ``StoreError`` when one has another partner already.
    """
    mapping = ready.mapping.name
    record = await _code(session, ready, code)
    value, label = await _option(session, ready, option)
    name = ready.business_central.name_of(record)
    await keep_options(session, mapping, [Option(record.id, name, value, label)])
    entry = option_entry(job, mapping, "couple", value, name, new=record.id, why="coupled by hand")
    await history.add(session.connection, [entry])
    await jobs.count(session.connection, job, {"coupled": 1})
    return Result(mapping=mapping, job=job, counts=Counter(coupled=1))


async def _code(session: Session, ready: Ready, code: str) -> Record:
    for record in await codes_of(session, ready):
        if ready.business_central.name_of(record).casefold() == code.strip().casefold():
            return record
    raise UsageError(f"there is no code {code!r} inside the filter", place=ready.mapping.name)


async def _option(session: Session, ready: Ready, option: str) -> tuple[int, str]:
    dataverse, end = cast(Dataverse, session.systems["dataverse"]), ready.mapping.dataverse
    labels = await dataverse.options(end.table, end.column)
    for value, label in labels.items():
        if option.strip().casefold() in (label.casefold(), str(value)):
            return value, label
    known = ", ".join(labels.values())
    raise UsageError(f"there is no option {option!r}", place=ready.mapping.name, remedy=f"Options: {known}.")
