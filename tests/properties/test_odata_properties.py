"""Filters against a naive evaluator that walks a tree of tuples; batches and literals there and back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from koppel.odata.batch import Answer, Part, decode_answer, decode_request, encode_answer, encode_request
from koppel.odata.filter import columns_of, compile_filter, parse_filter
from koppel.odata.literals import quote

COLUMNS = ("name", "city", "anyone")
Tree = Any

texts = st.text(st.sampled_from("aAbB 'é(),/"), max_size=4)
rows = st.fixed_dictionaries(
    {}, optional={name: st.none() | texts for name in COLUMNS} | {"count": st.none() | st.integers(-9, 9)}
)
leaves: st.SearchStrategy[Tree] = st.one_of(
    st.tuples(st.sampled_from(["eq", "ne"]), st.sampled_from(COLUMNS), st.none() | texts),
    st.tuples(st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]), st.just("count"), st.integers(-9, 9)),
    st.tuples(st.sampled_from(["contains", "startswith", "endswith"]), st.sampled_from(COLUMNS), texts),
    st.tuples(st.just("in"), st.sampled_from(COLUMNS), st.lists(texts, min_size=1, max_size=3)),
    st.tuples(st.just("In"), st.sampled_from(COLUMNS), st.lists(texts, min_size=1, max_size=3)),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), inner, inner), st.tuples(st.just("not"), inner, st.none())
    ),
    max_leaves=8,
)


def written(tree: Tree) -> str:
    operator, first, second = tree
    match operator:
        case "and" | "or":
            return f"({written(first)}) {operator} ({written(second)})"
        case "not":
            return f"not ({written(first)})"
        case "contains" | "startswith" | "endswith":
            return f"{operator}({first},{quote(second)})"
        case "in":
            return f"{first} in ({','.join(map(quote, second))})"
        case "In":
            values = ",".join(f'"{value}"' for value in second)
            return f"Microsoft.Dynamics.CRM.In(PropertyName='{first}',PropertyValues=[{values}])"
    return f"{first} {operator} {quote(second)}"


def naive(tree: Tree, row: dict[str, Any]) -> bool:
    operator, first, second = tree
    match operator:
        case "and":
            return naive(first, row) and naive(second, row)
        case "or":
            return naive(first, row) or naive(second, row)
        case "not":
            return not naive(first, row)
    if operator == "ne":
        return not naive(("eq", first, second), row)
    return compared(operator, row.get(first), second)


def compared(operator: str, value: Any, wanted: Any) -> bool:
    if value is None or wanted is None:
        return operator == "eq" and value is None and wanted is None
    if isinstance(value, int):
        order = (value > wanted) - (value < wanted)
        return order in {"eq": [0], "gt": [1], "ge": [0, 1], "lt": [-1], "le": [-1, 0]}[operator]
    low = value.lower()
    if operator in {"in", "In"}:
        return low in [item.lower() for item in wanted]
    found = low.find(wanted.lower())
    match operator:
        case "contains":
            return bool(found >= 0)
        case "startswith":
            return bool(found == 0)
        case "endswith":
            return bool(low.rfind(wanted.lower()) == len(low) - len(wanted) >= 0)
    return bool(low == wanted.lower())


@given(trees, rows)
def test_a_compiled_filter_agrees_with_the_naive_one(tree: Tree, row: dict[str, Any]) -> None:
    assert compile_filter(written(tree))(row) is naive(tree, row)


@given(trees)
def test_columns_of_names_what_is_read(tree: Tree) -> None:
    read: set[str] = set()

    def reader(path: str) -> Any:
        read.add(path)
        return lambda row: None

    compile_filter(written(tree), read=reader)
    assert columns_of(parse_filter(written(tree))) == read


@given(st.text())
def test_a_quoted_text_reads_back(text: str) -> None:
    test = compile_filter(f"name eq {quote(text)}", ignore_case=False)
    assert test({"name": text})
    assert not test({"name": text + "x"})


headers = st.dictionaries(st.sampled_from(["content-type", "if-match", "prefer"]), st.sampled_from(["a", 'W/"1"']))
bodies = st.binary(max_size=30).map(lambda data: data.replace(b"\r", b"").replace(b"\n--", b""))
parts = st.builds(
    Part, st.sampled_from(["GET", "PATCH"]), st.just("/x(1)?$select=a"), headers, bodies, st.sampled_from(["", "1"])
)
answers = st.builds(Answer, st.sampled_from([200, 204, 412, 599]), headers, bodies, st.sampled_from(["", "2"]))


@given(st.lists(parts | st.lists(parts)))
def test_a_batch_request_reads_back(items: list[Part | list[Part]]) -> None:
    body = encode_request(items, "batch_7")
    assert decode_request(body, 'multipart/mixed; boundary="batch_7"') == items


@given(st.lists(answers | st.lists(answers)))
def test_a_batch_answer_reads_back(items: list[Answer | list[Answer]]) -> None:
    body = encode_answer(items, "batchresponse_7")
    assert decode_answer(body, "multipart/mixed;boundary=batchresponse_7") == items
