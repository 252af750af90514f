from __future__ import annotations

from typing import Any

import pytest

from koppel.errors import FilterError
from koppel.odata.filter import (
    columns_of,
    compile_filter,
    equal_values,
    features_of,
    or_over_distinct_fields,
    parse_filter,
    replace_aliases,
)

ROW: dict[str, Any] = {
    "id": "0d1e0001-0000-4000-8000-00000000000a",
    "name": "Contoso Ltd",
    "city": "O'Fallon",
    "count": 5,
    "amount": 12.5,
    "active": True,
    "modified": "2023-04-07T21:59:01Z",
    "born": "1970-05-01",
    "any": "x",
    "allowance": 1,
    "tags": "1,7",
    "primarycontactid/fullname": "Ann",
}

TRUE = [
    "name eq 'contoso ltd'",
    "name ne 'x'",
    "missing ne 'x'",
    "missing eq null",
    "name ne null",
    "city eq 'O''Fallon'",
    "count eq 5",
    "count gt -5",
    "5 ge count",
    "amount lt 12.51",
    "active eq true",
    "active",
    "modified ge 2023-04-07T21:59:01Z",
    "modified eq 2023-04-07T23:59:01+02:00",
    "modified gt 2023-04-07",
    "modified lt 2023-04-07T21:59:01.003Z",
    "born eq 1970-05-01",
    "born gt 0001-01-01",
    "id eq 0D1E0001-0000-4000-8000-00000000000A",
    "id eq '0d1e0001-0000-4000-8000-00000000000a'",
    "not (name eq 'x')",
    "not(name eq 'x')",
    "not contains(name,'x')",
    "name in ('Contoso Ltd')",
    "count in (1, 5)",
    "contains(name,'TOSO')",
    "contains(name,'toso') eq true",
    "startswith(name, 'con') and endswith(name,'ltd')",
    "contains(tolower(name),'ltd')",
    "substring(name,0,3) eq 'con'",
    "length(name) eq 11",
    "count add 1 eq 6",
    "year(modified) eq 2023",
    "name eq 'x' or (count eq 5 and active eq true)",
    "name eq 'a' or name eq 'b' or name eq 'Contoso Ltd' or count eq 1",
    "primarycontactid/fullname eq 'ann'",
    "any eq 'x' and allowance eq 1",
    "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=[\"a\", 'contoso ltd'])",
    "Microsoft.Dynamics.CRM.In(PropertyName='count',PropertyValues=['5'])",
    "Microsoft.Dynamics.CRM.NotIn(PropertyName='name',PropertyValues=['a',\"O'Hara\"]) and count eq 5",
    "Microsoft.Dynamics.CRM.Between(PropertyName='count',PropertyValues=['5','9'])",
    "Microsoft.Dynamics.CRM.NotBetween(PropertyName='count',PropertyValues=['6','9'])",
    "Microsoft.Dynamics.CRM.On(PropertyName='modified',PropertyValue='2023-04-07')",
    "Microsoft.Dynamics.CRM.OnOrAfter(PropertyName='modified',PropertyValue='2023-04-07')",
    "Microsoft.Dynamics.CRM.OnOrBefore(PropertyName='modified',PropertyValue='2023-04-07')",
    "Microsoft.Dynamics.CRM.ContainValues(PropertyName='tags',PropertyValues=['7'])",
    "name eq Some.Type'Contoso Ltd'",
]
FALSE = [
    "name eq 'x'",
    "missing eq 'x'",
    "missing gt 1",
    "missing in ('x','y')",
    "contains(missing,'x')",
    "modified lt 2023-04-07",
    "count eq '5'",
    "not (count eq 5) or active eq false",
    "Microsoft.Dynamics.CRM.In(PropertyName='missing',PropertyValues=['None'])",
    "Microsoft.Dynamics.CRM.DoesNotContainValues(PropertyName='tags',PropertyValues=['1','2'])",
]


@pytest.mark.parametrize("text", TRUE)
def test_selects_the_row(text: str) -> None:
    assert compile_filter(text)(ROW) is True


@pytest.mark.parametrize("text", FALSE)
def test_leaves_the_row(text: str) -> None:
    assert compile_filter(text)(ROW) is False


def test_case_counts_when_asked() -> None:
    assert not compile_filter("name eq 'contoso ltd'", ignore_case=False)(ROW)
    assert not compile_filter("contains(name,'TOSO')", ignore_case=False)(ROW)


def test_columns_are_read_by_the_given_reader() -> None:
    asked: list[str] = []

    def read(path: str) -> Any:
        asked.append(path)
        return lambda row: row["nested"]["a"]

    assert compile_filter("nav/a eq 1", read=read)({"nested": {"a": 1}})
    assert asked == ["nav/a"]


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a%c", "xabbcx", True),
        ("a_c", "abbc", False),
        ("[a-c]x", "bx", True),
        ("[^a]x", "ax", False),
        ("5%", "5 m", True),
    ],
)
def test_wildcards_of_sql_when_asked(pattern: str, name: str, expected: bool) -> None:
    assert compile_filter(f"contains(name,'{pattern}')", wildcards=True)({"name": name}) is expected
    assert compile_filter(f"contains(name,'{pattern}')")({"name": name}) is False


def test_a_query_function_can_be_added() -> None:
    functions = {"EqualUserId": lambda get, values: lambda row: get(row) == "me"}
    test = compile_filter("Microsoft.Dynamics.CRM.EqualUserId(PropertyName='owner')", functions=functions)
    assert test({"owner": "me"})
    assert not test({"owner": "you"})


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("name eq", 7),
        ("name eq 'x", 8),
        ("name foo 'x'", 5),
        ("name eq guid'x'", 12),
        ("", 0),
        ("(a eq 1", 7),
        ("a eq 1)", 6),
    ],
)
def test_an_unreadable_filter_tells_where(text: str, position: int) -> None:
    with pytest.raises(FilterError, match=f"position {position}") as caught:
        parse_filter(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "text",
    [
        "lines/any(l:l/a eq 1)",
        "lines/all(l:l/a eq 1)",
        "Microsoft.Dynamics.CRM.Today(PropertyName='a')",
        "now() eq 1",
        "5",
    ],
)
def test_what_is_not_supported_is_named(text: str) -> None:
    with pytest.raises(FilterError, match="not supported: "):
        compile_filter(text)


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(FilterError, match="bar"):
        parse_filter("bar(name) eq 1")


def test_values_that_cannot_be_compared_are_an_error() -> None:
    with pytest.raises(FilterError, match="cannot compare 'x' with 5"):
        compile_filter("name gt 5")({"name": "x"})


def test_columns_and_features() -> None:
    tree = parse_filter(
        "not contains(tolower(a),'x') and b/c eq 1 or Microsoft.Dynamics.CRM.In(PropertyName='d',PropertyValues=['1'])"
    )
    assert columns_of(tree) == {"a", "b/c", "d"}
    assert features_of(tree) == {"not", "contains", "tolower", "and", "or", "eq", "In"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a eq 1 or a eq 2", False),
        ("a eq 1 or b eq 2", True),
        ("a eq 1 and b eq 2", False),
        ("c eq 3 and (a eq 1 or b eq 2)", True),
    ],
)
def test_or_over_distinct_fields(text: str, expected: bool) -> None:
    assert or_over_distinct_fields(parse_filter(text)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a eq 1", [1]),
        ("a eq 1 or a eq 2 or a in (3,4)", [1, 2, 3, 4]),
        ("a eq 0D1E0001-0000-4000-8000-00000000000A", ["0d1e0001-0000-4000-8000-00000000000a"]),
        ("Microsoft.Dynamics.CRM.In(PropertyName='a',PropertyValues=['x'])", ["x"]),
        ("a eq 1 or b eq 2", None),
        ("a eq 1 and a eq 2", None),
        ("a gt 1", None),
    ],
)
def test_equal_values(text: str, expected: list[Any] | None) -> None:
    assert equal_values(parse_filter(text), "a") == expected


def test_a_long_chain_of_alternatives_does_not_overflow() -> None:
    test = compile_filter(" or ".join(f"id eq {number}" for number in range(3000)))
    assert test({"id": 2999})
    assert not test({"id": 3000})


def test_aliases_are_replaced_outside_of_texts() -> None:
    text = replace_aliases("a eq @p1 and b eq '@p1' and c eq @p2", {"p1": "'x'"})
    assert text == "a eq 'x' and b eq '@p1' and c eq null"
