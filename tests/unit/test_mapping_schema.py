"""The JSON Schema of mapping files says the same as the loader, as far as a schema can."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml

from koppel.mapping.schema import DESCRIPTIONS, mapping_schema

STANDARD = sorted((resources.files("koppel.mapping") / "standard").iterdir(), key=lambda entry: entry.name)


def sound() -> dict[str, Any]:
    text = next(entry for entry in STANDARD if entry.name == "customer.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def complaints(instance: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(mapping_schema()).iter_errors(instance)]


def test_the_stored_schema_is_the_generated_one() -> None:
    stored = (resources.files("koppel.mapping") / "koppel-mapping.schema.json").read_text("utf-8")
    assert json.loads(stored) == mapping_schema(), "python -m koppel.mapping.schema prints the new one"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(mapping_schema())


@pytest.mark.parametrize("entry", STANDARD, ids=lambda entry: entry.name)
def test_standard_files_fit(entry: Any) -> None:
    text = entry.read_text("utf-8")
    assert complaints(yaml.safe_load(text)) == []
    assert text.startswith("# yaml-language-server: $schema=../koppel-mapping.schema.json\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feilds": []}, "feilds"),
        ({"direction": "booth"}, "booth"),
        ({"only_coupled": "yes"}, "boolean"),
        ({"depends_on": "CURRENCY"}, "array"),
        ({"line": 3}, "line"),
        ({"file": "x"}, "file"),
        ({"dataverse": {"key": "name"}}, "table"),
        ({"fields": [{"business_central": "a", "dataverse": "b", "line": 3}]}, "line"),
        ({"fields": [{"business_central": "a", "dataverse": "b", "lookup": {"by": "key"}}]}, "under any of"),
        ({"match": [{"business_central": "a"}]}, "array"),
        ({"overrides": "mine"}, "mine"),
    ],
)
def test_broken_files_do_not(change: dict[str, Any], said: str) -> None:
    assert complaints(sound()) == []
    assert any(said in complaint for complaint in complaints(sound() | change))


def test_every_key_is_described() -> None:
    definitions = mapping_schema()["$defs"]
    keys = {f"{name}.{key}" for name, definition in definitions.items() for key in definition["properties"]}
    assert keys == set(DESCRIPTIONS)
