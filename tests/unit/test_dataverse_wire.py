from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from koppel.errors import CursorError, DataError
from koppel.odata.filter import compile_filter
from koppel.systems.dataverse_schema import read_options, read_schema, read_sets, schema_urls
from koppel.systems.dataverse_wire import (
    annotations_for,
    body_of,
    check_cursor,
    column_of,
    filters_of_keys,
    prefer,
    select_of,
)
from koppel.systems.rows import LOOKUP_TABLE

SETS = {"account": "accounts", "contact": "contacts", "systemuser": "systemusers", "team": "teams", "order": "orders"}
GUID = "0d1e0001-0000-4000-8000-00000000000a"


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def attribute(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"LogicalName": name, "AttributeType": kind, **more}


def relation(column: str, target: str, navigation: str) -> dict[str, str]:
    return {
        "ReferencingAttribute": column,
        "ReferencedEntity": target,
        "ReferencingEntityNavigationPropertyName": navigation,
    }


def label(text: str) -> dict[str, Any]:
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}], "UserLocalizedLabel": {"Label": text}}


STATE = {
    "LogicalName": "statecode",
    "OptionSet": {"Options": [{"Value": 0, "Label": label("Active")}, {"Value": 1, "Label": label("Inactive")}]},
}


def contact_answers() -> list[bytes]:
    facets = {
        "String": [{"LogicalName": "fullname", "MaxLength": 160}],
        "Decimal": [{"LogicalName": "rate", "Precision": 4}],
        "DateTime": [{"LogicalName": "birthdate", "DateTimeBehavior": {"Value": "DateOnly"}}],
        "State": [STATE],
    }
    attributes = [
        attribute("contactid", "Uniqueidentifier", IsValidForUpdate=False, RequiredLevel={"Value": "SystemRequired"}),
        attribute("fullname", "String", IsValidForCreate=False, IsValidForUpdate=False),
        attribute("lastname", "String", RequiredLevel={"Value": "SystemRequired"}),
        attribute("nickname", "String", RequiredLevel={"Value": "ApplicationRequired"}),
        attribute("parentcustomerid", "Customer"),
        attribute("parentcustomeridname", "String", AttributeOf="parentcustomerid"),
        attribute("ownerid", "Owner"),
        attribute("linkedorder", "Lookup"),
        attribute("modifiedon", "DateTime"),
        attribute("modifiedby", "Lookup", IsValidForCreate=False, IsValidForUpdate=False),
        attribute("birthdate", "DateTime"),
        attribute("rate", "Decimal"),
        attribute("statecode", "State"),
        attribute("tags", "Virtual", AttributeTypeName={"Value": "MultiSelectPicklistType"}),
        attribute("entityimage", "Virtual", AttributeTypeName={"Value": "ImageType"}),
        attribute("hidden", "String", IsValidForRead=False),
    ]
    relations = [
        relation("parentcustomerid", "account", "parentcustomerid_account"),
        relation("parentcustomerid", "contact", "parentcustomerid_contact"),
        relation("ownerid", "owner", "ownerid"),
        relation("linkedorder", "order", "LinkedOrder"),
        relation("modifiedby", "systemuser", "modifiedby"),
    ]
    entity = {
        "LogicalName": "contact",
        "EntitySetName": "contacts",
        "PrimaryIdAttribute": "contactid",
        "ChangeTrackingEnabled": True,
    }
    lists: list[object] = [{"value": attributes}, {"value": relations}, {"value": [{"sdkmessagefilterid": GUID}]}]
    kinds = [url.split("CRM.")[1].split("Attribute")[0] for url in schema_urls("contact")[4:]]
    return [encode(item) for item in [entity, *lists, *({"value": facets.get(kind, [])} for kind in kinds)]]


CONTACT = read_schema(contact_answers(), SETS)


def test_a_schema_tells_names_and_abilities() -> None:
    assert (CONTACT.name, CONTACT.set_name, CONTACT.id_column) == ("contact", "contacts", "contactid")
    assert (CONTACT.modified_at, CONTACT.modified_by) == ("modifiedon", "_modifiedby_value")
    assert CONTACT.tracks_changes
    assert CONTACT.takes_ids
    assert CONTACT.bulk == {"CreateMultiple"}


def test_a_table_without_bulk_and_audit_columns() -> None:
    answers = contact_answers()
    answers[1] = encode({"value": [attribute("contactid", "Uniqueidentifier")]})
    answers[3] = encode({"value": []})
    schema = read_schema(answers, SETS)
    assert (schema.modified_at, schema.modified_by, schema.bulk) == ("", "", frozenset())


def test_columns_have_kinds_lengths_and_options() -> None:
    columns = CONTACT.columns
    assert (columns["fullname"].kind, columns["fullname"].max_length) == ("text", 160)
    assert (columns["rate"].kind, columns["rate"].scale) == ("decimal", 4)
    assert columns["birthdate"].kind == "date"
    assert columns["modifiedon"].kind == "datetime"
    assert columns["statecode"].options == {0: "Active", 1: "Inactive"}
    assert columns["tags"].kind == "text"
    assert not columns.keys() & {"parentcustomeridname", "entityimage", "hidden", "parentcustomerid"}


def test_what_may_be_written() -> None:
    columns = CONTACT.columns
    assert (columns["fullname"].creatable, columns["fullname"].updatable) == (False, False)
    assert (columns["contactid"].creatable, columns["contactid"].updatable) == (True, False)
    assert [name for name, column in columns.items() if column.required] == ["lastname"]


def test_lookups_are_named_by_navigation_property() -> None:
    columns = CONTACT.columns
    assert columns["parentcustomerid_account"].targets == ("accounts",)
    assert columns["parentcustomerid_account"].read_name == "_parentcustomerid_value"
    assert columns["ownerid"].targets == ("systemusers", "teams")
    assert columns["linkedorder"] is columns["LinkedOrder"]
    assert columns["linkedorder"].name == "LinkedOrder"


def test_sets_and_options() -> None:
    entities = [{"LogicalName": "account", "EntitySetName": "accounts"}, {"LogicalName": "x", "EntitySetName": None}]
    assert read_sets(encode({"value": entities})) == {"account": "accounts"}
    assert read_options(encode(STATE)) == {0: "Active", 1: "Inactive"}


def test_metadata_that_is_none_is_an_error() -> None:
    with pytest.raises(DataError, match="metadata"):
        read_sets(b"<html>")


def test_values_on_the_wire() -> None:
    values = {"lastname": "A", "parentcustomerid_account": GUID, "ownerid": None, "linkedorder": GUID}
    assert body_of(CONTACT, values) == {
        "lastname": "A",
        "parentcustomerid_account@odata.bind": f"/accounts({GUID})",
        "ownerid@odata.bind": None,
        "LinkedOrder@odata.bind": f"/orders({GUID})",
    }
    assert body_of(CONTACT, {"ownerid": f"teams({GUID})"}) == {"ownerid@odata.bind": f"/teams({GUID})"}


def test_an_unknown_column_names_the_right_ones() -> None:
    with pytest.raises(DataError, match="parentcustomerid_account or parentcustomerid_contact") as caught:
        column_of(CONTACT, "parentcustomerid")
    assert caught.value.field == "parentcustomerid"
    with pytest.raises(DataError, match="no column nope"):
        select_of(CONTACT, ("nope",))


def test_select_and_annotations() -> None:
    columns = ("lastname", "", "parentcustomerid_account", "parentcustomerid_contact", "lastname")
    assert select_of(CONTACT, columns) == "lastname,_parentcustomerid_value,modifiedon,_modifiedby_value"
    assert LOOKUP_TABLE in annotations_for(CONTACT, columns)
    assert annotations_for(CONTACT, ("lastname", "linkedorder")) == ""
    assert prefer("a", "", "b") == {"Prefer": "a,b"}


@pytest.mark.parametrize("cursor", ["contacts?$select=lastname,nickname&$deltatoken=1", "accounts?$deltatoken=1"])
def test_a_cursor_for_other_columns_has_expired(cursor: str) -> None:
    with pytest.raises(CursorError, match="other columns"):
        check_cursor(cursor, CONTACT, "lastname")


@pytest.mark.parametrize(
    "cursor", ["contacts?$select=b,a&$deltatoken=1", "contacts?%24select=a%2cb&$deltatoken=1", "contacts?$deltatoken=1"]
)
def test_a_cursor_for_the_same_columns_is_good(cursor: str) -> None:
    check_cursor(cursor, CONTACT, "a,b")


KEYS = ["A", "O'Hara", 'say "x"', "both ' and \"", "a&b=c/d?", "", "é"]


def test_filters_of_keys_select_just_these() -> None:
    filters = [unquote(text) for text in filters_of_keys("name", [*KEYS, None, "A"], 100)]
    tests = [compile_filter(text) for text in filters]
    assert len(filters) == 2
    for key in KEYS:
        assert any(test({"name": key}) for test in tests), key
    assert not any(test({"name": other}) for test in tests for other in ("B", "O", None))


def test_filters_of_keys_stay_short() -> None:
    ids = [f"{number:08x}-0000-4000-8000-00000000000a" for number in range(5000)]
    filters = list(filters_of_keys("accountid", ids, 200))
    assert all(len(text) <= 30_000 for text in filters)
    assert len(filters) < 8
    selected = [key for text in filters for key in ids if key in text]
    assert selected == ids


def test_no_keys_no_filters() -> None:
    assert list(filters_of_keys("name", [None], 0)) == []


@pytest.mark.parametrize("key", [5, 1.5, True])
def test_keys_that_are_not_texts(key: int | float | bool) -> None:
    (text,) = filters_of_keys("x", [key], 0)
    assert compile_filter(unquote(text))({"x": key})
