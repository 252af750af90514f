"""What two values of a field mapping come to when they are simply compared: for ``verify``, apart from the engine."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from koppel.engine.fields import Field, Stage
from koppel.engine.translate import References, through
from koppel.mapping.model import FieldMapping
from koppel.odata.literals import parse_instant
from koppel.odata.records import ZERO_GUID, Record, Scalar, Side
from koppel.sync.prepare import Ready
from koppel.systems.schema import Column

NOTHING = frozenset({None, "", "_x0020_", ZERO_GUID})
"""The ways in which the two systems say that there is no value, dates apart."""

Resolved = Mapping[tuple[str, str], References]


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How a value is spelled alike: by the kind of its column, its length and its precision."""

    kind: str
    code: bool
    length: int | None
    scale: int | None

    def of(self, value: object) -> Hashable:
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


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """One field mapping with the form of either column: one form for both, where they hold the same."""

    field: Field
    ours: Form
    theirs: Form
    reference: tuple[str, str] | None

    def form(self, side: Side, value: object) -> Hashable:
        """A value of ``side`` in the form in which it is compared."""
        return (self.ours if side == "business_central" else self.theirs).of(value)

    def alike(self, ours: Record, theirs: Record, resolved: Resolved) -> bool:
        """Whether both sides hold the same."""
        mine, other = ours.values[self.field.index], theirs.values[self.field.index]
        said = self.field.mapping
        if said.fixed:
            return self.theirs.of(other if said.dataverse else mine) == self.theirs.of(said.constant)
        if said.constant is not None and mine in NOTHING and said.direction == "to_dataverse":
            return self.theirs.of(other) == self.theirs.of(said.constant)
        if said.constant is not None and other in NOTHING and said.direction == "from_dataverse":
            return self.ours.of(mine) == self.ours.of(said.constant)
        if said.to_dataverse or said.from_dataverse:
            return self._becomes(mine, other, resolved)
        if self.reference is None:
            return self.ours.of(mine) == self.theirs.of(other)
        return self._leads_to(mine, other, resolved.get(self.reference, References()))

    def _becomes(self, mine: Scalar, other: Scalar, resolved: Resolved) -> bool:
        """Whether one of the two is what the other is transformed to."""
        field, direction = self.field, self.field.mapping.direction
        there = direction != "from_dataverse" and _is_led(self.theirs, field.to_dataverse, mine, other, resolved)
        return there or (
            direction != "to_dataverse" and _is_led(self.ours, field.to_business_central, other, mine, resolved)
        )

    def _leads_to(self, code: Scalar, other: Scalar, known: References) -> bool:
        if code in NOTHING or other in NOTHING:
            return code in NOTHING and other in NOTHING
        if self.field.mapping.direction == "from_dataverse":
            return _text(known.to_business_central.get(_text(other))) == _text(code)
        key = str(code).strip().upper() if self.ours.code else str(code)
        return _text(known.to_dataverse.get(key)) == _text(other)


def _is_led(form: Form, stages: Sequence[Stage], source: Scalar, target: Scalar, resolved: Resolved) -> bool:
    """Whether ``target``, in its form, is what the steps make of ``source``."""
    if source in NOTHING or str(source).startswith("0001-01-01"):
        return form.of(target) == form.of(None)
    try:
        return form.of(through(stages, source, resolved)) == form.of(target)
    except ValueError:
        return False


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
    transformed = mapping.to_dataverse or mapping.from_dataverse
    ours, theirs = ([column for column in (each,) if column] if transformed else there for each in columns)
    return Plain(
        field=field, ours=_form(ours, mapping), theirs=_form(theirs, mapping), reference=(via, by) if via else None
    )


def _form(columns: Sequence[Column], mapping: FieldMapping) -> Form:
    return Form(
        kind=columns[0].kind if columns else "text",
        code=mapping.code,
        length=_least(columns, "max_length"),
        scale=_least(columns, "scale"),
    )


def _least(columns: Sequence[Column], name: str) -> int | None:
    return min((limit for column in columns if (limit := getattr(column, name)) is not None), default=None)
