"""What two values of a field mapping come to when they are simply compared: for ``verify``, apart from the engine."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from koppel.engine.fields import Field
from koppel.engine.translate import References
from koppel.odata.literals import parse_instant
from koppel.odata.records import ZERO_GUID, Record, Scalar
from koppel.sync.prepare import Ready
from koppel.systems.schema import Column

NOTHING = frozenset({None, "", "_x0020_", ZERO_GUID})
"""The ways in which the two systems say that there is no value, dates apart."""

Resolved = Mapping[tuple[str, str], References]


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """One field mapping with the kind, the shorter length and the coarser precision of its two columns."""

    field: Field
    kind: str
    code: bool
    length: int | None
    scale: int | None
    reference: tuple[str, str] | None

    def alike(self, ours: Record, theirs: Record, resolved: Resolved) -> bool:
        """Whether both sides hold the same."""
        mine, other = ours.values[self.field.index], theirs.values[self.field.index]
        constant = self.field.mapping.constant
        if constant is not None:
            return self.form(other if self.field.mapping.dataverse else mine) == self.form(constant)
        if self.reference is None:
            return self.form(mine) == self.form(other)
        return self._leads_to(mine, other, resolved.get(self.reference, References()))

    def _leads_to(self, code: Scalar, other: Scalar, known: References) -> bool:
        if code in NOTHING or other in NOTHING:
            return code in NOTHING and other in NOTHING
        if self.field.mapping.direction == "from_dataverse":
            return _text(known.to_business_central.get(_text(other))) == _text(code)
        key = str(code).strip().upper() if self.code else str(code)
        return _text(known.to_dataverse.get(key)) == _text(other)

    def form(self, value: object) -> Hashable:
        """The value in the one form in which it is compared; none for what means nothing."""
        if self.kind == "boolean":
            return bool(value)
        if value in NOTHING and self.kind in ("integer", "decimal", "money"):
            return Decimal(0)  # Business Central knows no null: its zero is all that a null number can be there
        if value in NOTHING or (self.kind in ("date", "datetime") and str(value).startswith("0001-01-01")):
            return None
        if self.kind in ("integer", "decimal", "money", "choice"):
            return _rounded(Decimal(str(value)), self.scale)
        if self.kind == "datetime":
            return parse_instant(str(value))
        if self.kind in ("date", "guid", "lookup"):
            return str(value).lower()
        text = str(value).strip().upper() if self.code else str(value)
        return text[: self.length].rstrip() or None


def _text(value: Scalar) -> Scalar:
    return value.lower() if isinstance(value, str) else value


def _rounded(number: Decimal, scale: int | None) -> Decimal:
    return number if scale is None else number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)


def plain_forms(ready: Ready) -> Sequence[Plain]:
    """How to compare each field of a mapping."""
    return [_plain(ready, field) for field in ready.table.fields]


def _plain(ready: Ready, field: Field) -> Plain:
    mapping = field.mapping
    columns = [
        ready.business_central.schema.columns.get(mapping.business_central),
        ready.dataverse.schema.columns.get(mapping.dataverse),
    ]
    there = [column for column in columns if column is not None]
    by = mapping.lookup.by if mapping.lookup else "option"
    via = mapping.lookup.mapping if mapping.lookup else mapping.options
    return Plain(
        field=field,
        kind=there[0].kind if there else "text",
        code=mapping.code,
        length=_least(there, "max_length"),
        scale=_least(there, "scale"),
        reference=(via, by) if via else None,
    )


def _least(columns: Sequence[Column], name: str) -> int | None:
    return min((limit for column in columns if (limit := getattr(column, name)) is not None), default=None)
