"""Settings of a mapping that contradict each other, and what is said of them, with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from koppel.errors import MappingError
from koppel.mapping.load import load_mappings
from koppel.mapping.model import Limits, TableMapping, Template

DEALER = """\
mapping: DEALER
business_central: {table: vendors, key: number, filter: blocked eq '_x0020_'%(business_central)s}
dataverse: {table: account, key: name, filter: customertypecode eq 11%(dataverse)s}
%(more)s
fields:
  - {business_central: displayName, dataverse: name}
  - {business_central: city, dataverse: address1_city%(city)s}
"""


def vendor(path: Path, more: str = "", business_central: str = "", dataverse: str = "", city: str = "") -> TableMapping:
    values = {"more": more, "business_central": business_central, "dataverse": dataverse, "city": city}
    (path / "vendor.yaml").write_text(DEALER % values, "utf-8")
    return load_mappings([path])["DEALER"]


def mistake(path: Path, **parts: str) -> str:
    with pytest.raises(MappingError) as caught:
        vendor(path, **parts)
    return str(caught.value).replace(f"{path}/", "")


DEACTIVATE = ", deactivate: {statecode: 1, statuscode: 2}"
EVERY = "templates: [{values: {a: 1}}, {values: {a: 2}, filter: city eq 'Rome'}]"


@pytest.mark.parametrize(
    ("parts", "line", "said"),
    [
        ({"more": "direction: to_dataverse\nconflicts: newest"}, 5, "a mapping to_dataverse has no conflicts"),
        ({"more": "direction: to_dataverse\ninitial: dataverse"}, 5, "Dataverse cannot win"),
        (
            {"more": "direction: to_dataverse", "business_central": ", create: {a: 1}"},
            2,
            "nothing is written to Business Central: the mapping runs to_dataverse",
        ),
        (
            {"more": "direction: from_dataverse", "dataverse": ", templates: [{values: {a: 1}}]"},
            3,
            "nothing is written to Dataverse",
        ),
        ({"more": "left_filter: carry"}, 4, "there is nothing to carry: no filter asks for a mapped column"),
        ({"more": "left_filter: deactivate"}, 4, "neither side says how a record is deactivated"),
        ({"dataverse": DEACTIVATE}, 3, "nothing is ever deactivated"),
        ({"dataverse": ", templates: [{values: {}}]"}, 3, "the template has no values"),
        ({"dataverse": ", templates: [{values: {a: 1}, filter: city eq}]"}, 3, "the filter cannot be read"),
        ({"dataverse": f", {EVERY}"}, 3, "the template is never used: the one in line 3 takes every record before"),
        (
            {"business_central": ", watch: [{table: a, key: number}]"},
            2,
            "`key` without `column`: nothing says whose record a row of a belongs to",
        ),
        (
            {"dataverse": ", watch: [{table: a, column: b}, {table: a, column: b}]"},
            3,
            "a is watched for every record, or for the same ones, in line 3 too",
        ),
        (
            {"dataverse": ", watch: [{table: a, column: b}, {table: a}]"},
            3,
            "a is watched for every record, or for the same ones, in line 3 too",
        ),
        ({"more": "schedule: {queue: 'a,b'}"}, 4, "`a,b` is no name of a queue"),
        ({"more": "brakes: {deletions: -1}"}, 4, "`deletions` cannot be negative"),
        ({"more": "brakes: {changes_percent: 101}"}, 4, "`changes_percent` must be from 0 to 100"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, parts: dict[str, str], line: int, said: str) -> None:
    found = mistake(tmp_path, **parts)
    assert found.startswith(f"vendor.yaml:{line}")
    assert said in found


def test_contradictions_inside_a_group_are_refused_with_both_lines(tmp_path: Path) -> None:
    found = mistake(
        tmp_path,
        city=", group: g, policy: dataverse}\n  - {business_central: x, dataverse: y, group: g, policy: newest",
    )
    assert "vendor.yaml:8" in found
    assert "the fields of group `g` differ in policy, see line 7" in found


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("initial: dataverse", "a mapping of options knows no `initial`"),
        ("left_filter: uncouple", "a mapping of options knows no `left_filter`"),
        ("conflicts: newest", "a mapping of options knows no `conflicts`"),
        ("deletions: delete", "codes and options know no `delete`"),
        ("deletions: delete_edited", "codes and options know no `delete_edited`"),
        ("deletions: leave", "codes and options know no `leave`"),
        ("", "a mapping of options knows no `watch`"),
    ],
)
def test_options_know_no_settings_of_records(tmp_path: Path, key: str, said: str) -> None:
    text = "mapping: TERMS\nkind: options\nbusiness_central: {table: paymentTerms, key: code%s}\n"
    text %= "" if key else ", watch: [{table: a}]"
    text += f"dataverse: {{table: account, column: paymenttermscode}}\ndirection: to_dataverse\n{key}\n"
    (tmp_path / "terms.yaml").write_text(text, "utf-8")
    with pytest.raises(MappingError, match=said):
        load_mappings([tmp_path])


def test_there_is_no_filter_to_leave(tmp_path: Path) -> None:
    text = "mapping: DEALER\nbusiness_central: {table: vendors, key: number}\nleft_filter: uncouple\n"
    text += "dataverse: {table: account, key: name}\nfields: [{business_central: displayName, dataverse: name}]\n"
    (tmp_path / "vendor.yaml").write_text(text, "utf-8")
    with pytest.raises(MappingError, match="the mapping has no filter to leave") as caught:
        load_mappings([tmp_path])
    assert caught.value.place.endswith("vendor.yaml:3")


def test_what_can_be_meant_is_read(tmp_path: Path) -> None:
    found = vendor(
        tmp_path,
        more="left_filter: deactivate\nenabled: false\nbrakes: {deletions: 3}",
        dataverse=f"{DEACTIVATE}, templates: [{{values: {{a: 1}}, filter: city eq 'Rome', priority: 2}}]",
    )
    assert (found.left_filter, found.enabled, found.brakes) == ("deactivate", False, Limits(deletions=3))
    assert found.dataverse.deactivate == {"statecode": 1, "statuscode": 2}
    assert found.dataverse.templates == (Template(values={"a": 1}, filter="city eq 'Rome'", priority=2, line=3),)


def test_what_does_not_matter_to_values_changes_no_digest(tmp_path: Path) -> None:
    one = vendor(tmp_path)
    two = vendor(
        tmp_path,
        more="# a comment\ncaption: Vendors\nconflicts: newest\ndeletions: uncouple\nbrakes: {deletions: 1}",
        dataverse=", templates: [{values: {a: 1}}]",
    )
    assert one.digest == two.digest
    assert vendor(tmp_path, more="left_filter: uncouple").digest != one.digest
    assert vendor(tmp_path, more="parameters: {days: 3}").digest != one.digest


def test_only_parts_are_sent_in_an_order(tmp_path: Path) -> None:
    said = mistake(tmp_path, more="left_filter: deactivate", dataverse=f"{DEACTIVATE}, order: name")
    assert said == "vendor.yaml:3: only parts of a record are sent in an order\n  Leave `order` out."
