"""Setting fields from a body: one by one, in the order in which they stand there."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from koppel.catalogue.pages import ZERO_GUID, Field, Page
from koppel.odata.literals import is_guid, parse_instant
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import LOGIC
from koppel.sandbox.business_central.store import shown_time
from koppel.sandbox.business_central.work import Work
from koppel.sandbox.tables import Row

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def assign(work: Work, page: Page, row: Row, body: dict[str, Any]) -> None:
    """Validate the values of ``body`` into ``row``. ``ServiceError`` for the first that does not fit."""
    fields = page.fields
    logic = LOGIC.get(page.set_name)
    hooks = logic.validate if logic is not None else {}
    relations = page.table.relations
    pairs = page.table.pairs
    agreed: dict[str, str] = {}
    for name, value in body.items():
        field = fields.get(name)
        if field is None:
            if "@" in name:
                _check_annotation(name)
                continue
            raise _unknown(page, name)
        if not field.editable:
            raise errors.read_only(name)
        stored = convert(field, value)
        before = row.get(name, field.empty)
        if name in pairs:
            before = row.get(pairs[name], "")
            _set_reference(work, page, row, name, stored, agreed)
            if pairs[name] in hooks:
                hooks[pairs[name]](work, row, before)
            continue
        if name in relations and stored != field.empty:
            stored = _related(work, page, row, field, stored)
        _store(row, field, stored)
        if name in relations:
            _set_pair(work, page, row, name, agreed)
        if name in hooks:
            hooks[name](work, row, before)


def _store(row: Row, field: Field, value: Any) -> None:
    if value == field.empty:
        row.pop(field.name, None)
    else:
        row[field.name] = value


def _unknown(page: Page, name: str) -> errors.ServiceError:
    if name in page.navigation:
        return errors.not_implemented(f"deep insert of {page.set_name}/{name}")
    return errors.no_property(name, page.type_name)


def _check_annotation(name: str) -> None:
    """An etag in the body says nothing; a bind is not how Business Central refers."""
    if name.endswith("@odata.bind"):
        raise errors.not_implemented("@odata.bind")


def _related(work: Work, page: Page, row: Row, field: Field, value: str) -> str:
    """The value to store: checked to be there, blank for the local currency."""
    table = page.table
    if field.name == table.local_currency and value == work.company.local_currency:
        return ""
    related = work.store(table.relations[field.name])
    if field.name not in page.unchecked and (value,) not in related.by_key:
        raise errors.no_related(field.caption, table.caption, value, related.info.caption)
    return value


def _set_pair(work: Work, page: Page, row: Row, name: str, agreed: dict[str, str]) -> None:
    """After a code: the id of the same reference."""
    table = page.table
    id_name = table.code_pairs.get(name)
    if id_name is None:
        return
    code = row.get(name, "")
    _agree(agreed, name, code, table.fields[name].caption)
    found = work.store(table.relations[name]).find(code) if code else None
    _store(row, table.fields[id_name], found["id"] if found else ZERO_GUID)


def _set_reference(work: Work, page: Page, row: Row, id_name: str, value: str, agreed: dict[str, str]) -> None:
    """After an id: the code of the same reference; the zero id clears it."""
    table = page.table
    name = table.pairs[id_name]
    related = work.store(table.relations[name])
    found = related.rows.get(value)
    if found is None and value != ZERO_GUID:
        raise errors.no_related(table.fields[id_name].caption, table.caption, value, related.info.caption)
    code = related.key_of(found)[0] if found else ""
    _agree(agreed, name, code, table.fields[name].caption)
    _store(row, table.fields[id_name], value)
    _store(row, table.fields[name], code)


def _agree(agreed: dict[str, str], name: str, code: str, caption: str) -> None:
    if agreed.setdefault(name, code) != code:
        raise errors.dialog(f"The {caption} values do not match: they name different records.")


def convert(field: Field, value: Any) -> Any:
    """A JSON value as it is stored. ``null`` is the empty value."""
    if value is None:
        return field.empty
    kind = field.kind
    if kind == "text" or kind == "code":
        if type(value) is not str:
            raise _wrong_type(field, value)
        if kind == "code":
            value = value.strip().upper()
        if field.max_length is not None and len(value) > field.max_length:
            raise errors.too_long(value, field.max_length)
        return value
    return _CONVERT[kind](field, value)


def _decimal(field: Field, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(field, value)
    return value


def _integer(field: Field, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(field, value)
    return value


def _boolean(field: Field, value: Any) -> Any:
    if not isinstance(value, bool):
        raise _wrong_type(field, value)
    return value


def _date(field: Field, value: Any) -> Any:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise _wrong_type(field, value)
    try:
        date.fromisoformat(value)
    except ValueError:
        raise _wrong_type(field, value) from None
    return value


def _datetime(field: Field, value: Any) -> Any:
    if not isinstance(value, str):
        raise _wrong_type(field, value)
    try:
        moment = parse_instant(value)
    except ValueError:
        raise _wrong_type(field, value) from None
    return shown_time((moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z", 0))


def _guid(field: Field, value: Any) -> Any:
    if not isinstance(value, str) or not is_guid(value):
        raise _wrong_type(field, value)
    return value.lower()


def _enum(field: Field, value: Any) -> Any:
    if not isinstance(value, str):
        raise _wrong_type(field, value)
    if value not in field.members:
        raise errors.cannot_evaluate(
            f"'{value}' is not an option. The existing options are: {', '.join(field.members)}. Field: {field.name}."
        )
    return value


_CONVERT = {
    "decimal": _decimal,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "guid": _guid,
    "enum": _enum,
}


def _wrong_type(field: Field, value: Any) -> errors.ServiceError:
    return errors.bad_request(
        f"Cannot convert the value '{value!s:.80}' of property '{field.name}' to the expected type '{field.type}'."
    )
