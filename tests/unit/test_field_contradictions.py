"""Settings of a field that contradict each other are refused at loading, with the line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from koppel.errors import MappingError
from koppel.mapping.load import load_mappings
from koppel.mapping.model import FieldMapping

HEAD = """\
mapping: DEALER
business_central: {table: vendors, key: number}
dataverse: {table: account, key: name}
fields:
  - {business_central: displayName, dataverse: name}
"""


def loaded(path: Path, field: str) -> FieldMapping:
    (path / "vendor.yaml").write_text(f"{HEAD}  - {{{field}}}\n", "utf-8")
    (path / "functions.py").write_text("def double(value):\n    return value * 2\n", "utf-8")
    return load_mappings([path], functions=path)["DEALER"].fields[1]


def said(path: Path, field: str) -> str:
    with pytest.raises(MappingError) as caught:
        loaded(path, field)
    return str(caught.value).replace(f"{path}/", "")


BOTH = "business_central: a, dataverse: b"
THERE = f"{BOTH}, direction: to_dataverse"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        # one value from several places
        ("dataverse: b, constant: 1, lookup: {mapping: CURRENCY}", "a constant needs no `lookup`"),
        ("dataverse: b, constant: 1, options: PAYMENT TERMS", "a constant needs no `options`"),
        ("dataverse: b, constant: 1, compute: unit.group_name", "a constant needs no `compute`"),
        ("dataverse: b, constant: x, to_dataverse: [upper]", "a constant needs no `to_dataverse`"),
        ("dataverse: b, constant: x, group: g", "a constant needs no `group`"),
        ("dataverse: b, constant: x, keep_blank: true", "a constant needs no `keep_blank`"),
        ("dataverse: b, constant: x, required: true", "a constant needs no `required`"),
        ("constant: x, direction: to_dataverse", "a constant goes to a column"),
        (f"{BOTH}, constant: x", "a constant goes to one side\n  Say by `direction`"),
        (f"{THERE}, constant: x, lookup: {{mapping: CURRENCY}}", "a constant needs no `lookup`"),
        (f"{THERE}, constant: x, options: PAYMENT TERMS", "a constant needs no `options`"),
        (f"{BOTH}, options: PAYMENT TERMS, lookup: {{mapping: CURRENCY}}", "a lookup or options, not both"),
        (f"{BOTH}, lookup: {{mapping: CURRENCY}}, to_dataverse: [upper], lossy: true", "translated by its couplings"),
        (f"{BOTH}, lookup: {{mapping: CURRENCY}}, from_dataverse: [upper], lossy: true", "translated by its couplings"),
        (f"{BOTH}, options: PAYMENT TERMS, to_dataverse: [upper], lossy: true", "translated by its mapping"),
        # what a blank does
        (f"{THERE}, constant: x, keep_blank: true", "`keep_blank` and `constant` contradict each other"),
        (f"{THERE}, constant: x, required: true", "`required` and `constant` contradict each other"),
        (f"{BOTH}, keep_blank: true, required: true", "`keep_blank` and `required` contradict each other"),
        # what a missing reference does
        (f"{BOTH}, lookup: {{mapping: CURRENCY, clear: true, required: true}}", "`clear` and `required` contradict"),
        (
            f"{BOTH}, keep_blank: true, lookup: {{mapping: CURRENCY, clear: true}}",
            "`clear` and `keep_blank` ",
        ),
        (
            f"{THERE}, lookup: {{mapping: CURRENCY, required: from_dataverse}}",
            "the reference is required from_dataverse, the field runs to_dataverse",
        ),
        (f"{BOTH}, on_missing: fail", "`on_missing` goes with `options`"),
        # directions
        (f"{THERE}, policy: newest", "only a field of direction both can conflict"),
        (f"{THERE}, from_dataverse: [upper]", "so nothing goes through these steps\n  Leave `from_dataverse` out."),
        (f"{BOTH}, direction: from_dataverse, to_dataverse: [trim]", "so nothing goes through these steps"),
        (f"{THERE}, to_dataverse: [upper], lossy: true", "`lossy` is for the steps of a field that goes both ways"),
        (f"{BOTH}, lossy: true", "`lossy` is for the steps of a field that goes both ways"),
        # the way back
        (f"{BOTH}, to_dataverse: [upper]", "`upper` loses something that the way back cannot bring\n  Give the field"),
        (f"{BOTH}, to_dataverse: [trim]", "`trim` loses something"),
        (f"{BOTH}, to_dataverse: [{{do: substring, start: 2}}]", "`substring` loses something"),
        (f"{BOTH}, from_dataverse: [{{do: round, precision: 0.1}}]", "`round` loses something"),
        (f"{BOTH}, to_dataverse: [{{do: extract, part: day}}]", "`extract` loses something"),
        (f"{BOTH}, to_dataverse: [upper], from_dataverse: [lower]", "`lower` loses something"),
        (f"{BOTH}, to_dataverse: [{{do: replace, find: a}}]", "undo `replace`\n  Add the steps of the way back, `from"),
        (f"{BOTH}, to_dataverse: [{{do: call, function: 'functions:double'}}]", "it is not known how to undo `call`"),
        (f"{BOTH}, to_dataverse: [{{do: parse_date, format: MM yyyy}}]", "it is not known how to undo `parse_date`"),
        (
            f"{BOTH}, to_dataverse: [{{do: parse_decimal, otherwise: keep}}]",
            "it is not known how to undo `parse_decimal`",
        ),
        # steps
        (f"{THERE}, to_dataverse: [uper]", "an entry of `to_dataverse` cannot be `uper`\n  Did you mean `upper`?"),
        (f"{THERE}, to_dataverse: [substring]", "`substring`\n  It has settings: `{do: substring, ...}`."),
        (f"{THERE}, to_dataverse: [{{do: upper}}]", "`do` cannot be `upper`\n  Write `upper` alone."),
        (f"{THERE}, to_dataverse: [{{do: repalce, find: a}}]", "`do` cannot be `repalce`\n  Did you mean `replace`"),
        (f"{THERE}, to_dataverse: [{{find: a}}]", "key `do` is missing\n  Known: call, extract,"),
        (f"{THERE}, to_dataverse: [[upper]]", "must be a word or keys, not a list"),
        (f"{THERE}, to_dataverse: upper", "`to_dataverse` must be a list, not text"),
        (f"{THERE}, to_dataverse: [{{do: replace}}]", "key `find` is missing\n  Add `find: ...` here."),
        (f"{THERE}, to_dataverse: [{{do: replace, find: a, whit: b}}]", "unknown key `whit`"),
        (f"{THERE}, to_dataverse: [{{do: match_pattern, pattern: '('}}]", "`(` is no regular expression"),
        (f"{THERE}, to_dataverse: [{{do: match_pattern, pattern: '(a+)+$'}}]", "may take for ever"),
        (f"{THERE}, to_dataverse: [{{do: title_case, culture: nl}}]", "there is no culture `nl`"),
        (f"{THERE}, to_dataverse: [{{do: round, precision: fine}}]", "`precision` must be a number, not text"),
        (f"{THERE}, to_dataverse: [{{do: call, function: 'functions:trible'}}]", "has no function `trible`"),
    ],
)
def test_a_contradiction_is_refused(tmp_path: Path, field: str, message: str) -> None:
    text = said(tmp_path, field)
    assert message in text
    assert text.startswith("vendor.yaml:6: ")


@pytest.mark.parametrize(
    "field",
    [
        "dataverse: b, constant: x",
        f"{THERE}, constant: x",
        f"{THERE}, constant: x, to_dataverse: [upper]",
        f"{BOTH}, required: true",
        f"{BOTH}, required: true, to_dataverse: [upper], lossy: true",
        f"{BOTH}, keep_blank: true, lookup: {{mapping: CURRENCY, required: true}}",
        f"{BOTH}, lookup: {{mapping: CURRENCY, clear: true}}",
        f"{THERE}, lookup: {{mapping: CURRENCY, required: to_dataverse}}",
        f"{THERE}, to_dataverse: [trim, upper, {{do: substring, start: 1, length: 3}}]",
        f"{BOTH}, to_dataverse: [{{do: parse_decimal, culture: da-DK}}]",
        f"{BOTH}, to_dataverse: [{{do: replace, find: a, by: b}}], from_dataverse: [{{do: replace, find: b, by: a}}]",
        f"{BOTH}, to_dataverse: [unix_time]",
    ],
)
def test_what_goes_together_is_taken(tmp_path: Path, field: str) -> None:
    assert loaded(tmp_path, field).line == 6


def test_a_group_goes_one_way_and_is_decided_once(tmp_path: Path) -> None:
    (tmp_path / "vendor.yaml").write_text(
        HEAD
        + "  - {business_central: a, dataverse: b, group: g}\n"
        + "  - {business_central: c, dataverse: d, group: g, direction: to_dataverse}\n",
        "utf-8",
    )
    with pytest.raises(MappingError, match=r"vendor\.yaml:7: the fields of group `g` differ in direction, see line 6"):
        load_mappings([tmp_path])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("{business_central: a, dataverse: b, enabled: false}", "runs both, and no enabled field goes to business_cen"),
        ("{business_central: a, dataverse: b, direction: to_dataverse}", "no enabled field goes to business_central"),
        ("{business_central: a, constant: 1}", "no enabled field goes to dataverse"),
    ],
)
def test_a_direction_without_fields_is_refused(tmp_path: Path, fields: str, message: str) -> None:
    head = HEAD.replace("  - {business_central: displayName, dataverse: name}\n", f"  - {fields}\n")
    (tmp_path / "vendor.yaml").write_text(head, "utf-8")
    with pytest.raises(MappingError, match=message) as caught:
        load_mappings([tmp_path])
    assert "Correct `direction`, or enable a field that goes there." in str(caught.value)


def test_steps_and_edited_functions_change_the_digest(tmp_path: Path) -> None:
    seen = set()
    for field in (THERE, f"{THERE}, to_dataverse: [upper]", f"{THERE}, to_dataverse: [lower]", f"{THERE}, constant: x"):
        loaded(tmp_path, field)
        seen.add(load_mappings([tmp_path], functions=tmp_path)["DEALER"].digest)
    calling = f"{THERE}, to_dataverse: [{{do: call, function: 'functions:double'}}]"
    loaded(tmp_path, calling)
    seen.add(load_mappings([tmp_path], functions=tmp_path)["DEALER"].digest)
    (tmp_path / "functions.py").write_text("def double(value):\n    return value + value\n", "utf-8")
    seen.add(load_mappings([tmp_path], functions=tmp_path)["DEALER"].digest)
    assert len(seen) == 6
