"""Number series."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def give_number(work: Work, table: str, row: Row, series_code: str) -> None:
    """The next free number of the series where the row has none; a number of its own must be allowed."""
    series = work.company.series.get(series_code)
    if row.get("number"):
        if series is not None and not series.manual:
            raise errors.dialog(
                f"You may not enter numbers manually: Manual Nos. is not activated in number series {series_code}."
            )
        return
    if series is None:
        raise errors.dialog(f"The number series '{series_code}' does not exist.")
    work.journal.note_series(series)
    store = work.store(table)
    series.last = incremented(series.last)
    while (series.last,) in store.by_key:
        series.last = incremented(series.last)
    row["number"] = series.last


def incremented(number: str) -> str:
    """The number after this one: its last run of digits, one more. ``ServiceError`` when it has no digits."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", number)
    if found is None:
        raise errors.dialog(f"The value '{number}' has no number in it.")
    head, digits, tail = found.groups()
    return f"{head}{int(digits) + 1:0{len(digits)}d}{tail}"
