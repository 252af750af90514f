"""Options that other tables know too: a document carries the same numbers as its account (OPT-05, OPT-07)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import cast

import msgspec

from koppel.engine.action import Action, Refusal
from koppel.errors import RemoteError
from koppel.store import options
from koppel.store.options import Option
from koppel.sync.prepare import Ready
from koppel.sync.session import Session
from koppel.systems.dataverse import Dataverse


async def share_options(
    session: Session, ready: Ready, fresh: Sequence[Option], *, apply: bool
) -> AsyncIterator[Action]:
    """Add the coupled options that a column of the mapping's ``also`` lacks, with the same number and label.

    ``fresh``: those that this run coupled or renamed; they are renamed there, too. Yields what would be done; what is
    done counts as done with the option itself.
    """
    dataverse = cast(Dataverse, session.systems["dataverse"])
    columns = [(table, column) for table, _, column in (name.partition(".") for name in ready.mapping.dataverse.also)]
    coupled = await options.every(session.connection, ready.mapping.name)
    await session.connection.commit()
    renamed = {option.value for option in fresh}
    for (table, column), there in zip(columns, await dataverse.option_sets(columns), strict=True):
        missing = [option for option in coupled if option.value not in there]
        other = [o for o in coupled if o.value in renamed and there.get(o.value, o.label) != o.label]
        for option in (*missing, *other):
            if not apply:
                yield _told(ready, option, f"{table}.{column}", new=option in missing)
            else:
                try:
                    await _share(dataverse, table, column, option, new=option in missing)
                except RemoteError as error:
                    yield _held(ready, option, f"{table}.{column}", error)
        if apply and (missing or other):
            await dataverse.publish(table)


async def _share(dataverse: Dataverse, table: str, column: str, option: Option, *, new: bool) -> None:
    if not new:
        await dataverse.update_option(table, column, option.value, option.label)
        return
    try:
        await dataverse.insert_option(table, column, option.label, option.value)
    except RemoteError:  # it may be there all the same: added by an earlier try, of which no answer came
        await dataverse.publish(table)
        if option.value not in await dataverse.options(table, column):
            raise


def _held(ready: Ready, option: Option, column: str, error: RemoteError) -> Action:
    refusal = Refusal(message=error.message, remedy=error.remedy, code=error.code, kind=error.kind)
    told = _told(ready, option, column, new=True)
    return msgspec.structs.replace(told, kind="hold", reason=error.message, refusal=refusal)


def _told(ready: Ready, option: Option, column: str, *, new: bool) -> Action:
    return Action(
        kind="create" if new else "update",
        mapping=ready.mapping.name,
        name=f"{option.code} in {column}",
        side="dataverse",
        reason="other tables know the same options (OPT-07)",
        business_central_id=option.business_central_id,
        to_dataverse={"value": option.value, "label": option.label},
    )
