"""``koppel companion`` as an administrator types it: with the standard mappings, with a koppel.yaml, with mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

KOPPEL = str(Path(sys.executable).with_name("koppel"))
MAPPING = """\
mapping: OPPORTUNITY
overrides: standard
enabled: false
business_central: {table: opportunities, key: number}
dataverse: {table: opportunity, key: name}
fields:
  - {business_central: description, dataverse: name}
"""


def type_it(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "KOPPEL_CONFIG"}
    return subprocess.run([KOPPEL, *words], cwd=folder, env=environment, capture_output=True, text=True)


def test_without_a_configuration_the_standard_mappings_count(tmp_path: Path) -> None:
    first = type_it(tmp_path, "companion", "--out", "extension")
    assert (first.returncode, first.stderr) == (0, ""), first.stderr
    assert "left out" not in first.stdout
    assert "wrote extension, version" in first.stdout
    assert (tmp_path / "extension" / "src" / "KoppelCustomers.Page.al").is_file()
    assert not (tmp_path / ".koppel").exists()
    again = type_it(tmp_path, "companion", "--out", "extension", "--json")
    told = json.loads(again.stdout)
    assert (told["written"], told["removed"], told["left_out"]) == ([], [], [])
    assert "faxNo" in told["pages"]["customers"]


def test_the_mappings_of_a_configuration_count(tmp_path: Path) -> None:
    assert type_it(tmp_path, "init").returncode == 0
    config = tmp_path / "koppel.yaml"
    config.write_text(config.read_text("utf-8").replace("mappings: []", "mappings: [mine]"), "utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "opportunity.yaml").write_text(MAPPING, "utf-8")
    told = json.loads(type_it(tmp_path, "companion", "--out", "extension", "--json").stdout)
    assert "opportunities" not in told["pages"]
    assert "contacts" in told["pages"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.json").write_text("{}", "utf-8")
    refused = type_it(tmp_path, "companion", "--out", ".")
    assert refused.returncode == 2
    assert "error: .: the folder holds something else than the companion" in refused.stderr
    assert "Name a new or empty folder" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["app.json"]


def test_a_configuration_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    refused = type_it(tmp_path, "companion", "--out", "extension", "--config", "other.yaml")
    assert refused.returncode == 1
    assert "other.yaml" in refused.stderr
    assert not (tmp_path / "extension").exists()
