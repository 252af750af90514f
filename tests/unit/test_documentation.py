"""The pages about files say what the files may say, and their examples work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from koppel import config
from koppel.config import load_config
from koppel.mapping import schema, steps
from koppel.mapping.cultures import CULTURES
from koppel.mapping.functions import load_function
from koppel.mapping.load import ORDER, load_mappings
from koppel.sandbox.custom import read_tables

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def example(name: str) -> str:
    found = re.search(r"```yaml\n(.*?)```", page(name), re.DOTALL)
    assert found
    return found[1]


def test_the_example_of_a_mapping_loads(tmp_path: Path) -> None:
    (tmp_path / "vendor.yaml").write_text(example("mappings.md"), "utf-8")
    assert len(load_mappings([tmp_path])["DEALER"].fields) == 6


def test_the_example_of_a_configuration_loads(tmp_path: Path) -> None:
    (tmp_path / "koppel.yaml").write_text(example("configuration.md"), "utf-8")
    assert load_config(tmp_path / "koppel.yaml").mappings == (tmp_path / "mappings",)


def test_the_examples_of_steps_load(tmp_path: Path) -> None:
    text = page("mappings.md").partition("## Steps")[2]
    example_, function = re.findall(r"```(?:yaml|python)\n(.*?)```", text, re.DOTALL)
    head = "mapping: STEPS\nbusiness_central: {table: a, key: b}\ndataverse: {table: c, key: d}\n"
    (tmp_path / "steps.yaml").write_text(head + example_, "utf-8")
    assert [bool(field.to_dataverse) for field in load_mappings([tmp_path])["STEPS"].fields] == [True] * 3
    (tmp_path / "names.py").write_text(function, "utf-8")
    assert load_function("names:initials", str(tmp_path))("Jan van Dam") == "JvD"


def test_every_step_is_on_the_page() -> None:
    table = page("mappings.md").partition("## Steps")[2]
    tags = {name.partition(".")[0] for name in schema.STEPS}
    words = [*get_args(steps.Word), *(str(getattr(steps, tag).__struct_config__.tag) for tag in tags)]
    assert [word for word in words if f"`{word}`" not in table] == []
    assert [name for name in CULTURES if f"`{name}`" not in table] == []


def test_the_example_of_custom_tables_loads(tmp_path: Path) -> None:
    (tmp_path / "tables.yaml").write_text(example("sandbox.md"), "utf-8")
    found = read_tables(tmp_path / "tables.yaml")
    assert [page.table for page in found.business_central] == ["machines"]
    assert [table.table for table in found.dataverse] == ["cr_machine"]


@pytest.mark.parametrize(
    ("name", "descriptions"), [("mappings.md", schema.DESCRIPTIONS), ("configuration.md", config.DESCRIPTIONS)]
)
def test_every_key_is_on_the_page(name: str, descriptions: dict[str, str]) -> None:
    text = page(name)
    missing = {key for key in descriptions if not re.search(rf"`[{{]?{key.partition('.')[2]}\b", text)}
    assert missing == set()


def test_every_standard_mapping_has_a_page_of_rules() -> None:
    index = page("rules/README.md")
    for mapping in load_mappings([]):
        assert mapping in index
        assert mapping in ORDER
    for link in re.findall(r"\]\(([a-z-]+\.md)\)", index):
        assert (DOCS / "rules" / link).is_file()


@pytest.mark.parametrize("path", sorted((DOCS / "rules").glob("*.md")), ids=lambda path: path.name)
def test_a_rule_is_introduced_once(path: Path) -> None:
    rules = re.findall(r"\*\*([A-Z]+-\d\d)\*\*", path.read_text("utf-8"))
    assert rules
    assert len(rules) == len(set(rules))


def test_every_weakness_has_a_test_of_its_name_or_a_reason_why_not() -> None:
    rows = re.findall(r"^\| ((?:ENG|DEF)-\d+) \| [^|]+ \| ([^|]+) \|$", page("weaknesses.md"), re.MULTILINE)
    assert [id for id, _ in rows] == [f"ENG-{n}" for n in range(313, 350)] + [f"DEF-{n:02}" for n in range(1, 16)]
    tests = "".join(path.read_text("utf-8") for path in DOCS.parent.glob("tests/**/test_*.py"))
    for id, here in rows:
        tested = f"def test_{id.lower().replace('-', '_')}_" in tests
        assert tested != here.startswith("does not arise: "), id
