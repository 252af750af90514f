"""What tests of rules share: batches from columns, and needs fetched from tables in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from koppel.engine.rule import Batch, Found, Rule
from koppel.odata.records import Record, Scalar

Tables = Mapping[str, Sequence[Found]]
"""Rows by the table they are of, or by the mapping whose couplings they are."""


WORK_DATE = date(2024, 6, 1)


def batch_of(columns: Mapping[str, Sequence[Scalar]], **parameters: Scalar) -> Batch:
    """Records with these columns, one a position."""
    rows = zip(*columns.values(), strict=True)
    return Batch(
        columns={name: place for place, name in enumerate(columns)},
        records=[Record(id=f"r-{number}", version="1", values=tuple(row)) for number, row in enumerate(rows)],
        today=WORK_DATE,
        parameters=parameters,
    )


def fetched(rule: Rule, batch: Batch, tables: Tables) -> Batch:
    """The batch with what the rule needs: of tables and couplings only the rows and columns that it asks for."""
    for need in rule.needs:
        rows = tables[need.couplings or need.table]
        if need.of is not None:
            wanted = {value for value in need.of(batch) if value not in (None, "")}
            rows = [row for row in rows if row[need.key] in wanted]
        columns = {*need.columns, need.key, *(["inside"] if need.mapping else [])} - {""}
        kept = rows if need.couplings else [{name: row[name] for name in columns} for row in rows]
        batch = msgspec.structs.replace(batch, tables={**batch.tables, need.name: kept})
    return batch
