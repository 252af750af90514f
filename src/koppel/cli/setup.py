"""``koppel init``, ``check``, ``mappings``: a configuration, whether it works, and what it synchronises."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import RenderableType
from rich.text import Text

from koppel.cli.output import Output, spelled, table
from koppel.cli.running import DONE, FAILED, AsJson, ConfigPath, guarded, run_to_end
from koppel.config import ENTRA, FILE, Config, find_config, load_config, write_config
from koppel.mapping.model import FieldMapping, TableMapping
from koppel.mapping.names import mapping_named
from koppel.mapping.steps import name_of
from koppel.mapping.transforms import chain
from koppel.sync.check import Finding
from koppel.sync.check import check as look
from koppel.sync.open import known_mappings

SIGNS = {"ok": ("ok      ", "green"), "warning": ("warning ", "yellow"), "error": ("error   ", "bold red")}
ARROWS = {"both": "<->", "to_dataverse": "-->", "from_dataverse": "<--"}


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path(FILE),
    business_central_url: Annotated[str | None, typer.Option(help="Root of the environment, without /api.")] = None,
    company: Annotated[str | None, typer.Option(help="Name or id of the company.")] = None,
    dataverse_url: Annotated[str | None, typer.Option(help="Root of the environment, without /api.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant: its id or domain.")] = None,
    client_id: Annotated[str | None, typer.Option(help="Id of the app registration.")] = None,
    authority: Annotated[str, typer.Option(help="Who signs in.")] = ENTRA,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates to trust besides those of the system.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a koppel.yaml to start from; an existing file is kept."""
    given = {
        "business_central_url": business_central_url,
        "company": company,
        "dataverse_url": dataverse_url,
        "tenant": tenant,
        "client_id": client_id,
    }
    with guarded(as_json) as output:
        known = {name: value for name, value in given.items() if value is not None}
        write_config(path, **known, authority=authority, ca_file=ca_file)
        output.show(
            {"written": str(path)},
            f"wrote {path}",
            "Fill in the addresses, put the client secret into KOPPEL_CLIENT_SECRET, then test it with `koppel check`.",
        )


def check(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Test connections, permissions and mappings against both systems; writes nothing to them."""
    with guarded(as_json) as output:
        findings = run_to_end(_check(load_config(config or find_config()), output))
        errors = sum(finding.level == "error" for finding in findings)
        warnings = sum(finding.level == "warning" for finding in findings)
        output.show({"ok": not errors, "findings": msgspec.to_builtins(findings)}, _verdict(errors, warnings))
    raise SystemExit(FAILED if errors else DONE)


async def _check(config: Config, output: Output) -> list[Finding]:
    findings: list[Finding] = []
    async for finding in look(config):
        output.say(_finding(finding))
        findings.append(finding)
    return findings


def _finding(finding: Finding) -> Text:
    remedy = f"\n        {finding.remedy}" if finding.remedy else ""
    return Text.assemble(SIGNS[finding.level], (finding.place, "bold"), f": {finding.message}{remedy}")


def _verdict(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "everything fits"
    return f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"


def mappings(
    name: Annotated[str | None, typer.Argument(help="One mapping, with its fields.")] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Table mappings in the order of their dependencies, or one of them with its field mappings."""
    with guarded(as_json) as output:
        known = known_mappings(load_config(config or find_config()))
        if name is None:
            output.show({"mappings": msgspec.to_builtins(list(known.values()))}, _all(known.values()))
        else:
            one = known[mapping_named(known, name)]
            output.show(msgspec.to_builtins(one), *_one(one))


def _all(known: Iterable[TableMapping]) -> RenderableType:
    return table(
        ("mapping", "Business Central", "", "Dataverse", "fields", "creates", "from"),
        [
            (
                mapping.name,
                mapping.business_central.table,
                ARROWS[mapping.direction],
                _dataverse(mapping),
                sum(field.enabled for field in mapping.fields),
                _creates(mapping) if mapping.enabled else "off",
                mapping.file,
            )
            for mapping in known
        ],
    )


def _creates(mapping: TableMapping) -> str:
    return "coupled only" if mapping.only_coupled else "yes"


def _dataverse(mapping: TableMapping) -> str:
    end = mapping.dataverse
    return f"{end.table}.{end.column}" if end.column else end.table


def _one(mapping: TableMapping) -> list[RenderableType]:
    said = {
        "Business Central": f"{mapping.business_central.table}, by {mapping.business_central.key}",
        "  filter": mapping.business_central.filter,
        "Dataverse": f"{_dataverse(mapping)}, by {mapping.dataverse.key}",
        "  filter ": mapping.dataverse.filter,
        "direction": mapping.direction,
        "uncoupled records": "stay as they are" if mapping.only_coupled else "are created on the other side",
        "conflicts": mapping.conflicts,
        "deletions": mapping.deletions,
        "matched by": "; else ".join(_match(mapping)),
        "depends on": ", ".join(mapping.depends_on),
        "file": mapping.file,
    }
    lines = [Text(f"{label + ':':<19}{value}") for label, value in said.items() if value]
    return [Text(f"{mapping.name} ({mapping.caption})", "bold"), *lines, _fields(mapping)]


def _match(mapping: TableMapping) -> list[str]:
    return [" and ".join(f"{p.business_central or p.dataverse}" for p in group) for group in mapping.match]


def _fields(mapping: TableMapping) -> RenderableType:
    return table(
        ("Business Central", "", "Dataverse", "notes"),
        [
            (
                field.business_central,
                ARROWS[field.direction] if field.enabled else "off",
                field.dataverse,
                ", ".join(_notes(field)),
            )
            for field in mapping.fields
        ],
    )


def _notes(field: FieldMapping) -> list[str]:
    notes = [f"lookup {field.lookup.mapping}" + (", required" if field.lookup.required else "")] if field.lookup else []
    notes += [f"options {field.options}"] if field.options else []
    notes += [f"constant {spelled(field.constant)}"] if field.constant is not None else []
    notes += [f"rule {field.compute}"] if field.compute else []
    notes += [f"group {field.group}"] if field.group else []
    notes += ["a blank never overwrites"] if field.keep_blank else []
    notes += ["a blank holds the record"] if field.required else []
    chains = {"-->": chain(field, "business_central"), "<--": chain(field, "dataverse")}
    return notes + [f"{arrow} {' '.join(map(name_of, steps))}" for arrow, steps in chains.items() if steps]
