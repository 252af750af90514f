"""The folder of the extension: written once, brought up to date, never anything else's."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from koppel.companion import Extension, extension_for, write_extension
from koppel.companion.used import Use
from koppel.errors import UsageError
from koppel.mapping.model import Endpoint, TableMapping

MINE = TableMapping(name="MINE", business_central=Endpoint(table=""), dataverse=Endpoint(table=""))
RELEASE = version("koppel")


def extension(*tables: str) -> Extension:
    return extension_for([Use(table, "id", MINE) for table in tables])


def app(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "app.json").read_text("utf-8"))
    return found


def test_a_new_folder_gets_everything(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    written = write_extension(extension("currencies"), folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"app.json", "README.md", "src/KoppelCurrencies.Page.al", "src/KoppelSync.PermissionSet.al"}
    assert (set(written.written), written.removed, written.version) == (files, (), f"{RELEASE}.0")
    assert app(folder)["version"] == f"{RELEASE}.0"
    assert app(folder)["idRanges"] == [{"from": 79100, "to": 79199}]


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert write_extension(extension("currencies"), tmp_path).written


def test_nothing_is_written_twice(tmp_path: Path) -> None:
    write_extension(extension("currencies"), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = write_extension(extension("currencies"), tmp_path)
    assert (again.written, again.removed, again.version) == ((), (), f"{RELEASE}.0")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_changed_mappings_change_files_and_count_the_version_up(tmp_path: Path) -> None:
    write_extension(extension("currencies", "shippingAgents"), tmp_path)
    written = write_extension(extension("currencies", "customers"), tmp_path)
    assert written.version == app(tmp_path)["version"] == f"{RELEASE}.1"
    assert written.removed == ("src/KoppelShippingAgents.Page.al",)
    assert set(written.written) == {
        "app.json",
        "README.md",
        "src/KoppelCustomers.Page.al",
        "src/KoppelSync.PermissionSet.al",
    }
    assert not (tmp_path / "src/KoppelShippingAgents.Page.al").exists()


def test_a_new_release_begins_anew(tmp_path: Path) -> None:
    write_extension(extension("currencies"), tmp_path)
    (tmp_path / "app.json").write_text(json.dumps({**app(tmp_path), "version": "0.0.9.7"}), "utf-8")
    assert write_extension(extension("customers"), tmp_path).version == f"{RELEASE}.0"


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    write_extension(extension("currencies"), tmp_path)
    own = [tmp_path / "src" / "Mine.Page.al", tmp_path / ".vscode" / "launch.json"]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine", "utf-8")
    assert write_extension(extension("customers"), tmp_path).removed == ("src/KoppelCurrencies.Page.al",)
    assert [path.read_text("utf-8") for path in own] == ["mine", "mine"]


def test_what_was_edited_or_lost_comes_back(tmp_path: Path) -> None:
    write_extension(extension("currencies"), tmp_path)
    (tmp_path / "README.md").unlink()
    (tmp_path / "src/KoppelCurrencies.Page.al").write_bytes(b"\xff")
    assert set(write_extension(extension("currencies"), tmp_path).written) == {
        "app.json",
        "README.md",
        "src/KoppelCurrencies.Page.al",
    }


@pytest.mark.parametrize("text", ["{}", "[]", "not JSON", '{"id": "another"}', "\x00"])
def test_another_folder_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "app.json").write_text(text, "utf-8")
    with pytest.raises(UsageError, match="something else than the companion") as caught:
        write_extension(extension("currencies"), tmp_path)
    assert caught.value.place == str(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["app.json"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    for path in ("file", "file/below"):
        with pytest.raises(UsageError):
            write_extension(extension("currencies"), tmp_path / path)


def test_the_page_for_administrators_tells_what_is_exposed(tmp_path: Path) -> None:
    write_extension(extension("currencies", "customerLedgerEntries", "salesOrders"), tmp_path)
    text = (tmp_path / "README.md").read_text("utf-8")
    columns = "id, lastModifiedDateTime, systemCreatedAt, systemModifiedBy, systemRowVersion"
    assert f"| `currencies` | Currency | read, insert, modify, delete | {columns} |" in text
    assert f"| `customerLedgerEntries` | Cust. Ledger Entry | read | {columns} |" in text
    assert "insert, modify, delete, release, reopen, ship, invoice, shipAndInvoice |" in text
    assert "**Koppel Sync**" in text
    assert "{" not in text
