from __future__ import annotations

import msgspec
import pytest

from koppel.errors import DataError
from koppel.odata.records import Record
from koppel.systems.rows import LOOKUP_TABLE, Decoder, Wanted

ID = "AAAAAAAA-0000-4000-8000-000000000001"
ROW = {
    "@odata.etag": 'W/"7"',
    "accountid": ID,
    "name": "A",
    "revenue": 1.5,
    "modifiedon": "2023-01-01T00:00:00Z",
    "_modifiedby_value": "me",
    "not asked": 1,
}


def body(*rows: object, **links: str) -> bytes:
    return msgspec.json.encode({"value": rows, **{f"@odata.{name}": value for name, value in links.items()}})


def test_values_stand_in_the_order_asked_for() -> None:
    wanted = [Wanted("revenue"), Wanted(""), Wanted("name"), Wanted("missing"), Wanted("name")]
    decoder = Decoder(wanted, "accountid", "modifiedon", "_modifiedby_value")
    page = decoder.page(body(ROW, nextLink="more"))
    assert page.records == [Record(ID.lower(), 'W/"7"', (1.5, None, "A", None, "A"), "2023-01-01T00:00:00Z", "me")]
    assert (page.next_link, page.delta_link) == ("more", "")


@pytest.mark.parametrize(("names", "values"), [([], ()), (["name"], ("A",)), (["name", "revenue"], ("A", 1.5))])
def test_any_number_of_columns(names: list[str], values: tuple[object, ...]) -> None:
    record = Decoder([Wanted(name) for name in names], "accountid").record(msgspec.json.encode(ROW))
    assert record == Record(ID.lower(), 'W/"7"', values)  # type: ignore[arg-type]


def test_deleted_rows_are_told_apart() -> None:
    removed = {"@odata.context": "x/$metadata#accounts/$deletedEntity", "id": ID, "reason": "deleted"}
    page = Decoder([Wanted("name")], "accountid").changes(body(ROW, removed, deltaLink="next"))
    assert [record.values for record in page.records] == [("A",)]
    assert page.deleted == [ID.lower()]
    assert page.delta_link == "next"


def test_a_lookup_that_points_to_another_table_is_empty() -> None:
    wanted = [Wanted("_customerid_value", "account"), Wanted("_customerid_value", "contact")]
    rows = [
        {"accountid": ID, "_customerid_value": "x", f"_customerid_value@{LOOKUP_TABLE}": "contact"},
        {"accountid": ID, "_customerid_value": None},
    ]
    page = Decoder(wanted, "accountid").page(body(*rows))
    assert [record.values for record in page.records] == [(None, "x"), (None, None)]


@pytest.mark.parametrize("text", [b"<html>", b"{}", b'{"value": 3}'])
def test_something_else_than_a_page_is_an_error(text: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Decoder([], "id").page(text)
