"""Mapping files: what they become, and what a mistake in them is called."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from textwrap import dedent
from typing import get_args

import msgspec
import pytest

import koppel.rules  # noqa: F401 - registers them
from koppel.engine.rule import RULES, RuleKind
from koppel.errors import MappingError
from koppel.mapping.load import ORDER, in_dependency_order, load_mappings
from koppel.mapping.model import Endpoint, MatchPair, TableMapping

STANDARD = [
    entry for entry in (resources.files("koppel.mapping") / "standard").iterdir() if entry.name.endswith(".yaml")
]
KNOWN_RULES = {kind: {rule.name for rule in RULES.values() if rule.kind == kind} for kind in get_args(RuleKind)}

SOUND = """\
mapping: DEALER
business_central: {table: vendors, key: number}
dataverse: {table: account, key: name, filter: customertypecode eq 11}
depends_on: [SALESPEOPLE]
fields:
  - {business_central: displayName, dataverse: name}
"""


def folder(path: Path, **files: str) -> Path:
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(dedent(text), "utf-8")
    return path


def vendor(path: Path, text: str) -> TableMapping:
    return load_mappings([folder(path, vendor=text)])["DEALER"]


def mistakes(path: Path, **files: str) -> list[str]:
    """The lines of the error, without the folder."""
    with pytest.raises(MappingError) as caught:
        load_mappings([folder(path, **files)], known_rules=KNOWN_RULES)
    return str(caught.value).replace(f"{path}/", "").split("\n")


def test_a_sound_file_becomes_a_mapping(tmp_path: Path) -> None:
    mapping = vendor(tmp_path, SOUND)
    assert mapping.business_central == Endpoint(table="vendors", key="number")
    assert mapping.dataverse.filter == "customertypecode eq 11"
    assert mapping.file == str(tmp_path / "vendor.yaml")
    assert [(field.name, field.direction, field.line) for field in mapping.fields] == [("displayName", "both", 6)]
    assert type(mapping) is TableMapping


def test_fields_go_where_the_mapping_goes(tmp_path: Path) -> None:
    mapping = vendor(tmp_path, SOUND + "direction: to_dataverse\n")
    assert [field.direction for field in mapping.fields] == ["to_dataverse"]


def test_a_constant_goes_to_the_side_it_names(tmp_path: Path) -> None:
    mapping = vendor(tmp_path, SOUND + "  - {business_central: type, constant: Person}\n")
    assert mapping.fields[1].direction == "from_dataverse"


def test_constants_keep_their_kind(tmp_path: Path) -> None:
    text = SOUND.replace("key: name", 'key: name, create: {a: 3, b: 1.5, c: true, d: "no", e: null}')
    assert vendor(tmp_path, text).dataverse.create == {"a": 3, "b": 1.5, "c": True, "d": "no", "e": None}


def test_match_groups(tmp_path: Path) -> None:
    text = SOUND + "match:\n  - - {business_central: email, dataverse: emailaddress1}\n"
    assert vendor(tmp_path, text).match == ((MatchPair("email", "emailaddress1"),),)


def test_without_folders_there_are_the_standard_mappings() -> None:
    assert len(load_mappings([])) == len(STANDARD)


def test_an_own_file_may_replace_a_standard_mapping(tmp_path: Path) -> None:
    text = SOUND.replace("DEALER", "CUSTOMER") + "overrides: standard\n"
    mappings = load_mappings([folder(tmp_path, mine=text)])
    assert mappings["CUSTOMER"].business_central.table == "vendors"
    assert len(mappings) == len(STANDARD)


def test_replacing_a_standard_mapping_has_to_be_said(tmp_path: Path) -> None:
    assert mistakes(tmp_path, mine=SOUND.replace("DEALER", "CUSTOMER")) == [
        "mine.yaml:1: mapping `CUSTOMER` is defined in standard/customer.yaml:2 too",
        "  Write `overrides: standard` if yours is to replace it.",
    ]


def test_replacing_what_is_not_there(tmp_path: Path) -> None:
    assert mistakes(tmp_path, mine=SOUND.replace("DEALER", "CUSTOMR") + "overrides: standard\n") == [
        "mine.yaml:7: there is no standard mapping `CUSTOMR`",
        "  Did you mean `CUSTOMER`?",
    ]


def test_two_own_files_with_one_name(tmp_path: Path) -> None:
    assert mistakes(tmp_path, a=SOUND, b="# again\n" + SOUND) == [
        "b.yaml:2: mapping `DEALER` is defined in a.yaml:1 too",
        "  Rename or delete one of them.",
    ]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"nowhere: there is no such folder of mappings\n  Create it"):
        load_mappings([tmp_path / "nowhere"])


def test_of_two_mappings_for_the_same_one_is_on(tmp_path: Path) -> None:
    text = SOUND + "instead_of: CUSTOMER\n"
    assert mistakes(tmp_path, dealer=text) == [
        "dealer.yaml:7: `CUSTOMER` is on, too, and only one of the two can be",
        "  Write `enabled: {CUSTOMER: false}` in koppel.yaml, or `enabled: false` here.",
    ]
    assert load_mappings([folder(tmp_path, dealer=text + "enabled: false\n")])["CUSTOMER"].enabled
    assert mistakes(tmp_path, dealer=text.replace("CUSTOMER", "CUSTOMR")) == [
        "dealer.yaml:7: there is no mapping `CUSTOMR`",
        "  Did you mean `CUSTOMER`?",
    ]


def test_what_is_on_depends_on_nothing_whose_stand_in_is_off_too(tmp_path: Path) -> None:
    off = "enabled: false\n"
    first = SOUND.replace("DEALER", "FIRST") + off
    other = SOUND.replace("DEALER", "OTHER") + off + "instead_of: FIRST\n"
    needing = SOUND.replace("[SALESPEOPLE]", "[FIRST, OTHER]")
    assert mistakes(tmp_path, first=first, other=other, needing=needing) == [
        "needing.yaml:4: neither `FIRST` nor `OTHER` is on",
        "  Write `enabled: {FIRST: true}` in koppel.yaml, or switch `DEALER` off, too.",
    ]
    for files in ({"first": SOUND.replace("DEALER", "FIRST")}, {"other": other.replace(off, "")}, {"needing": off}):
        sound = {"first": first, "other": other, "needing": needing}
        given = {name: text if text != off else needing + off for name, text in (sound | files).items()}
        assert load_mappings([folder(tmp_path, **given)])


def test_mappings_are_switched_on_and_off_by_name(tmp_path: Path) -> None:
    own = folder(tmp_path, dealer=SOUND, other=SOUND.replace("DEALER", "OTHER") + "enabled: false\n")
    mappings = load_mappings([own], enabled={"DEALER": False, "OTHER": True, "OPPORTUNITY": False})
    assert [mappings[name].enabled for name in ("DEALER", "OTHER", "OPPORTUNITY")] == [False, True, False]
    assert load_mappings()["OPPORTUNITY"].enabled
    with pytest.raises(MappingError, match=r"enabled: there is no mapping `VENDER`\n  Did you mean `VENDOR`\?"):
        load_mappings(enabled={"VENDER": True})


def test_what_is_on_has_its_parts_on() -> None:
    with pytest.raises(MappingError, match="its parts, `SOLINE-ORDERDETAIL`, are off") as caught:
        load_mappings(enabled={"SALESORDER-ORDER-TWO-WAY": True, "SALES ORDER NOTES-TWO-WAY": True})
    assert "Write `enabled: {SOLINE-ORDERDETAIL: true}` in koppel.yaml" in str(caught.value)


def test_what_is_different_while_another_mapping_is_on(tmp_path: Path) -> None:
    text = SOUND + dedent("""\
        rules: {refuse: [contact.is_company], follow: [price.default_line]}
        when_on:
          OTHER:
            rules: {follow: [unit_price.lines]}
            fields:
              - {business_central: number, dataverse: name}
        """)
    other = SOUND.replace("DEALER", "OTHER")
    alone = load_mappings([folder(tmp_path, dealer=text, other=other + "enabled: false\n")])["DEALER"]
    assert [field.business_central for field in alone.fields] == ["displayName"]
    assert alone.rules.follow == ("price.default_line",)
    together = load_mappings([folder(tmp_path, other=other)])["DEALER"]
    assert [(field.business_central, field.line) for field in together.fields] == [("number", 12)]
    assert (together.rules.refuse, together.rules.follow) == (("contact.is_company",), ("unit_price.lines",))
    assert together.digest != alone.digest


def test_mistakes_in_what_is_different(tmp_path: Path) -> None:
    text = SOUND + "when_on: {OTHR: {fields: [{business_central: number, dataverse: nickname}]}}\n"
    assert mistakes(tmp_path, dealer=text, other=SOUND.replace("DEALER", "OTHER"))[:4:2] == [
        "dealer.yaml:7: it takes the place of no field: none goes with `nickname` of Dataverse",
        "dealer.yaml:7: there is no mapping `OTHR`",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("depends_on:", "dependson:", ["4: unknown key `dependson`", "Did you mean `depends_on`?"]),
        ("key: name,", "kee: name,", ["3: unknown key `kee`", "Did you mean `key`?"]),
        ("[SALESPEOPLE]", "[SALESPEPLE]", ["4: there is no mapping `SALESPEPLE`", "Did you mean `SALESPEOPLE`?"]),
        ("[SALESPEOPLE]", "SALESPEOPLE", ["4: `depends_on` must be a list, not text"]),
        ("{table: vendors, key: number}", "vendors", ["2: `business_central` must have the keys `table`, `key`,"]),
        ("table: account, ", "", ["3: key `table` is missing", "Add `table: ...` here."]),
        ("key: name, ", "", ["3: key `key` is missing", "Name the column that tells records apart"]),
        ("fields:", "direction: booth\nfields:", ["5: `direction` cannot be `booth`", "Did you mean `both`?"]),
        ("fields:", "conflicts: me\nfields:", ["5: `conflicts` cannot be `me`", "Use: ask, business_central,"]),
        ("fields:", "only_coupled: no\nfields:", ["5: `only_coupled` must be true or false, not `no`", "Write false."]),
        ("fields:", "caption: no\nfields:", ["5: YAML reads `no` as true or false", 'put it in quotes: "no".']),
        ("DEALER", "010", ["1: YAML reads `010` as a number", 'put it in quotes: "010".']),
        ("DEALER", "2024-01-31", ["1: YAML reads `2024-01-31` as a date", "in quotes"]),
        ("DEALER", "", ["1: `mapping` must be text, not nothing"]),
        ("key: name", "key: name, create: {a: 0x1F}", ["3: YAML reads `0x1F` as a number", "in quotes"]),
        ("key: name", "key: name, create: {a: [1]}", ["3: `a` must be a single value, not a list"]),
        ("key: name", "key: name, key: name", ["3: key `key` stands here twice, first in line 3"]),
        ("fields:", "on: 1\nfields:", ["5: unknown key `on`"]),
        ("eq 11", "eqq 11", ["3:65: the filter cannot be read: "]),
        ("customertypecode eq 11", '"a eq 1 andd b eq 2"', ["3:56: the filter cannot be read: "]),
        ("key: name", "key: name, column: paymenttermscode", ["3: `column` belongs to the Dataverse side of mappings"]),
        ("fields:", "kind: options\nfields:", ["3: key `column` is missing", "1: a mapping of options runs one way"]),
        ("mapping: DEALER", "\tmapping: DEALER", ["1:1: this is not YAML: ", "Indent with blanks, not tabs"]),
    ],
)
def test_mistakes_name_line_and_remedy(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    assert old in SOUND
    text = "\n".join(mistakes(tmp_path, vendor=SOUND.replace(old, new, 1)))
    for part in said:
        assert part in text
    assert f"vendor.yaml:{said[0]}" in text


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("business_central: a", "7: the field has no column of dataverse\n  Add `dataverse: ...`, or give"),
        ("business_central: a, dataverse: name", "`name` of dataverse is written by the field in line 6 already"),
        ("business_central: displayName, dataverse: b", "`displayName` of business_central is written by the field in"),
        ("business_central: a, dataverse: b, constant: 1", "7: a constant goes to one side"),
        ("dataverse: b, constant: 1, direction: both", "the constant goes to dataverse, the field runs both"),
        ("dataverse: b, constant: 1, lookup: {mapping: CURRENCY}", "7: a constant needs no `lookup`"),
        ("dataverse: b, constant: 1, options: PAYMENT TERMS", "7: a constant needs no `options`"),
        (
            "dataverse: b, compute: unit.group_name",
            "7: a computed field of one column runs one way only\n  Say which by `direction`.",
        ),
        (
            "business_central: a, compute: unit.group_name, direction: to_dataverse",
            "7: the field runs to_dataverse and names no column of dataverse",
        ),
        (
            "dataverse: b, compute: unit.groupname, direction: to_dataverse",
            "7: there is no compute rule `unit.groupname`\n  Did you mean `unit.group_name`",
        ),
        (
            "business_central: a, dataverse: b, lookup: {mapping: CURRENCY, by: currency.kode}",
            "7: there is no references rule `currency.kode`\n  Did you mean `currency.code`?",
        ),
        (
            "business_central: a, dataverse: b, lookup: {mapping: CURRENCY, by: kee}",
            "7: `by` cannot be `kee`\n  Did you",
        ),
        (
            "business_central: a, dataverse: b, lookup: {mapping: CURENCY}",
            "7: there is no mapping `CURENCY`\n  Did you",
        ),
        ("business_central: a, dataverse: b, lookup: {mapping: PAYMENT TERMS}", "couples options, not records"),
        ("business_central: a, dataverse: b, options: PAYMENTTERMS", "there is no mapping `PAYMENTTERMS`\n  Did you"),
        ("business_central: a, dataverse: b, options: CURRENCY", "7: `CURRENCY` is not of kind options\n  Write `look"),
        (
            "business_central: a, dataverse: b, options: PAYMENT TERMS, lookup: {mapping: CURRENCY}",
            "7: a field has a lookup or options, not both",
        ),
        ("business_central: a, dataverse: b, on_missing: fail", "7: `on_missing` goes with `options`"),
        (
            "business_central: a, dataverse: b, direction: to_dataverse, policy: ask",
            "only a field of direction both can",
        ),
        ("business_central: a, dataverse: b, lookup: {mapping: CURRENCY, required: maybe}", "`required` must be"),
    ],
)
def test_mistakes_in_a_field(tmp_path: Path, field: str, said: str) -> None:
    text = "\n".join(mistakes(tmp_path, vendor=f"{SOUND}  - {{{field}}}\n"))
    assert said in text
    assert "vendor.yaml:7: " in text


def test_a_field_cannot_exceed_its_mapping(tmp_path: Path) -> None:
    text = SOUND.replace("dataverse: name}", "dataverse: name, direction: both}") + "direction: to_dataverse\n"
    assert mistakes(tmp_path, vendor=text) == [
        "vendor.yaml:6: the field runs both, the mapping to_dataverse",
        "  Leave `direction` out, or write `to_dataverse`.",
    ]


def test_two_one_way_fields_may_share_columns(tmp_path: Path) -> None:
    fields = """\
  - {business_central: a, dataverse: b, direction: to_dataverse}
  - {business_central: a, dataverse: b, direction: from_dataverse}
  - {business_central: c, dataverse: b, enabled: false}
"""
    assert len(vendor(tmp_path, SOUND + fields).fields) == 4


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ("direction: both", "direction: to_dataverse", "direction"),
        ("policy: newest", "policy: dataverse", "policy"),
    ],
)
def test_a_group_is_one_value(tmp_path: Path, first: str, second: str, key: str) -> None:
    fields = f"""\
  - {{business_central: a, dataverse: b, group: g, {first}}}
  - {{business_central: c, dataverse: d, group: g, {second}}}
"""
    assert mistakes(tmp_path, vendor=SOUND + fields) == [
        f"vendor.yaml:8: the fields of group `g` differ in {key}, see line 7",
        "  A group merges as one value.",
    ]


def test_a_match_needs_two_columns_or_a_computed_one(tmp_path: Path) -> None:
    computed = SOUND + "  - {dataverse: code, compute: unit.group_name, direction: to_dataverse}\n"
    assert vendor(tmp_path, computed + "match: [[{dataverse: code}]]\n").match == ((MatchPair("", "code"),),)
    assert mistakes(tmp_path, vendor=computed + "match: [[{dataverse: other}]]\n") == [
        "vendor.yaml:8: a match compares a column of each side",
        "  Name both, or only the column that a field mapping with `compute` fills.",
    ]


def test_unknown_rules_of_a_mapping(tmp_path: Path) -> None:
    assert mistakes(tmp_path, vendor=SOUND + "rules:\n  refuse: [currency.only_iso]\n  follow: [unit.rename]\n") == [
        "vendor.yaml:9: there is no follow rule `unit.rename`",
        "  Did you mean `unit.rename_unit`?",
    ]


def test_a_mapping_without_fields(tmp_path: Path) -> None:
    assert mistakes(tmp_path, vendor=SOUND.partition("fields:")[0]) == [
        "vendor.yaml:1: the mapping has no fields",
        "  List at least one under `fields`.",
    ]


def test_mappings_in_a_ring(tmp_path: Path) -> None:
    other = SOUND.replace("DEALER", "OTHER").replace("SALESPEOPLE", "DEALER")
    ring = SOUND.replace("[SALESPEOPLE]", "[SALESPEOPLE, OTHER]")
    assert mistakes(tmp_path, other=other, vendor=ring) == [
        "other.yaml:4: mappings depend on each other: OTHER -> DEALER -> OTHER",
        "  Take one of these out.",
    ]


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    broken = SOUND.replace("DEALER", "BROKEN").replace("depends_on", "depend_on")
    needy = SOUND.replace("SALESPEOPLE", "BROKEN, MISSING")
    found = mistakes(tmp_path, broken=broken, empty="", needy=needy)
    assert [line for line in found if not line.startswith("  ")] == [
        "broken.yaml:4: unknown key `depend_on`",
        "empty.yaml:1: the file is empty",
        "needy.yaml:4: there is no mapping `MISSING`",
    ]
    assert found[-1] == "  3 mistakes."


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"mapping: Z\xfcrich")
    assert mistakes(tmp_path) == ["latin.yaml:1: the file cannot be read: it is not UTF-8 text"]


def test_the_digest_tells_what_matters(tmp_path: Path) -> None:
    said = {}
    for name, text in {
        "plain": SOUND,
        "comment": "# a comment\n" + SOUND,
        "caption": SOUND + "caption: Vendors\n",
        "policy": SOUND.replace("dataverse: name", "dataverse: name, policy: newest"),
        "disabled": SOUND + "  - {business_central: a, dataverse: b, enabled: false}\n",
        "filter": SOUND.replace("eq 11", "eq 10"),
        "field": SOUND + "  - {business_central: a, dataverse: b}\n",
        "code": SOUND.replace("dataverse: name", "dataverse: name, code: true"),
        "direction": SOUND + "direction: to_dataverse\n",
        "table": SOUND.replace("vendors", "customers"),
        "watch": SOUND.replace("key: number", "key: number, watch: [{table: currencies}]"),
        "watched": SOUND.replace("key: number", "key: number, watch: [{table: currencies, column: code}]"),
    }.items():
        said[name] = vendor(tmp_path, text).digest
    assert said["plain"] == said["comment"] == said["caption"] == said["policy"] == said["disabled"]
    assert (
        len({said[name] for name in ("plain", "filter", "field", "code", "direction", "table", "watch", "watched")})
        == 8
    )


def test_dependency_order_is_stable() -> None:
    standard = load_mappings([])
    names = [name for name in ORDER if name in standard]
    assert list(standard) == names
    assert [mapping.name for mapping in in_dependency_order(reversed(standard.values()))] == names


def test_dependencies_come_before_the_standard_order() -> None:
    standard = load_mappings([])
    own = msgspec.structs.replace(standard["CUSTOMER"], name="OWN", depends_on=())
    currency = msgspec.structs.replace(standard["CURRENCY"], depends_on=("OWN",))
    assert [mapping.name for mapping in in_dependency_order([currency, own])] == ["OWN", "CURRENCY"]
    assert [mapping.name for mapping in in_dependency_order([currency])] == ["CURRENCY"]


def test_what_hangs_on_other_couplings_runs_after_them_and_one_way(tmp_path: Path) -> None:
    one_way = SOUND + "direction: to_dataverse\ncoupled_in: CUSTOMER\n"
    found = vendor(tmp_path, one_way)
    assert found.depends_on[-1] == "CUSTOMER"
    assert found.digest != vendor(tmp_path, SOUND + "direction: to_dataverse\n").digest
    for name, said in (
        ("NOBODY", "there is no mapping `NOBODY`"),
        ("DEALER", "records of this mapping are none of `DEALER`"),
        ("PAYMENT TERMS", "records of this mapping are none of `PAYMENT TERMS`"),
    ):
        assert any(said in line for line in mistakes(tmp_path, vendor=one_way.replace("CUSTOMER", name)))
    [told, *_] = mistakes(tmp_path, vendor=SOUND + "coupled_in: CUSTOMER\n")
    assert "is sent from Business Central to Dataverse only" in told


@pytest.mark.rule("PL-06")
def test_what_goes_along_refers_to_what_it_goes_with(tmp_path: Path) -> None:
    field = "  - {business_central: a, dataverse: b, code: true, lookup: {mapping: CURRENCY}}\n"
    assert vendor(tmp_path, SOUND + field + "goes_with: CURRENCY\n").goes_with == "CURRENCY"
    assert mistakes(tmp_path, vendor=SOUND + "goes_with: CURRENCY\n")[0] == (
        "vendor.yaml:7: it cannot be told which records go along with which"
    )
    assert "vendor.yaml:7: there is no mapping `NOBODY`" in mistakes(tmp_path, vendor=SOUND + "goes_with: NOBODY\n")
