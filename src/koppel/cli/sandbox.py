"""``koppel sandbox``: serve both simulated systems until told to stop."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from koppel.cli.output import Output
from koppel.cli.running import DONE, AsJson, guarded
from koppel.config import FILE, write_config
from koppel.errors import UsageError

ENVIRONMENT = "Production"
TENANT = "sandbox"
VARIABLE = "KOPPEL_CLIENT_SECRET"


def sandbox(
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8700,
    https: Annotated[bool, typer.Option("--https", help="Serve https with a throw-away certificate.")] = False,
    data: Annotated[str, typer.Option(metavar="adventureworks|empty", help="What is in them.")] = "adventureworks",
    customers: Annotated[int | None, typer.Option(help="How many customers (default: 18,849).", min=0)] = None,
    invoices: Annotated[int, typer.Option(help="How many posted sales invoices, of 25,164.", min=0)] = 500,
    tables: Annotated[Path | None, typer.Option(help="A YAML file of custom tables and pages, to add.")] = None,
    webhook_delay: Annotated[
        float, typer.Option(help="Seconds from a change to Business Central's notice of it.", min=0)
    ] = 30.0,
    faults: Annotated[Path | None, typer.Option(help="A JSON file of faults, as /sandbox/faults shows them.")] = None,
    init: Annotated[bool, typer.Option("--init", help="Write a koppel.yaml for it; an existing one is kept.")] = False,
    config: Annotated[Path, typer.Option("--config", metavar="PATH", help="With --init: which file.")] = Path(FILE),
    as_json: AsJson = False,
) -> None:
    """Serve a simulated Business Central and Dataverse, until Ctrl-C."""
    from koppel.sandbox.custom import CustomTables, read_tables
    from koppel.sandbox.faults import Faults
    from koppel.sandbox.seed import DATA
    from koppel.sandbox.serve import serve
    from koppel.sandbox.server import build_sandbox

    with guarded(as_json) as output, tempfile.TemporaryDirectory(prefix="koppel-sandbox-") as folder:
        if data not in DATA:
            raise UsageError(f"there is no data {data!r}", remedy=f"Write {' or '.join(DATA)}.")
        custom = read_tables(tables) if tables else CustomTables()
        built = build_sandbox(data=data, customers=customers, invoices=invoices, tables=custom)
        built.faults.set(_faults(faults, Faults) if faults else Faults())
        built.business_central.subscriptions.timing.delay = webhook_delay
        ca_file = Path(folder) / "ca.pem" if https else None
        serve(
            built.app,
            host="127.0.0.1",
            port=port,
            ca_file=ca_file,
            ready=lambda base: _tell(output, base, ca_file, config if init else None),
        )
    raise SystemExit(DONE)


def _faults(path: Path, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", place=str(path)) from None
    except msgspec.DecodeError as error:
        remedy = "`/sandbox/faults` of a running sandbox shows what it may hold."
        raise UsageError(f"the faults cannot be read: {error}", place=str(path), remedy=remedy) from None


def _tell(output: Output, base: str, ca_file: Path | None, config: Path | None) -> None:
    from koppel.sandbox.seed_business_central import COMPANY
    from koppel.sandbox.tokens import KOPPEL, USERS

    settings = {
        "business_central_url": f"{base}/bc/v2.0/{ENVIRONMENT}",
        "company": COMPANY,
        "dataverse_url": f"{base}/dataverse",
        "tenant": TENANT,
        "client_id": KOPPEL.client_id,
        "authority": base,
    }
    if config and config.exists():
        output.note(f"{config} exists already and is kept")
    elif config:
        write_config(config, **settings, ca_file=ca_file)
    users = {user.client_id: user.secret for user in USERS}
    told = {**settings, "ca_file": ca_file and str(ca_file), "client_secrets": users, "config": config and str(config)}
    output.show(
        told,
        *(f"{name.replace('_', ' '):<21}{value}" for name, value in settings.items()),
        *([f"{'ca file':<21}{ca_file}"] if ca_file else []),
        "",
        *(f"client {name:<14}secret {secret}" for name, secret in users.items()),
        "",
        _next_step(config, settings, ca_file),
    )


def _next_step(config: Path | None, settings: dict[str, str], ca_file: Path | None) -> str:
    from koppel.sandbox.tokens import KOPPEL

    words = ["koppel init", *(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())]
    words += [f"--ca-file {ca_file}"] if ca_file else []
    configured = f"  # {config} is for it" if config else "  " + " \\\n    ".join(words)
    return (
        f"in another terminal:\n{configured}\n  export {VARIABLE}={KOPPEL.secret}\n  koppel check\n\nCtrl-C stops it."
    )
