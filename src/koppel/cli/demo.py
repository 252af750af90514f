"""``koppel demo``: both systems with a real-looking company, synchronised, edited, synchronised again, and proved.

What happens is here; ``demo_edits`` knows what people do, ``demo_screen`` how it looks.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import aiohttp
import msgspec
import typer

from koppel.cli import demo_screen as screen
from koppel.cli.demo_edits import Edit, People, lost, make_edits
from koppel.cli.demo_orders import INVOICE, follow_an_order
from koppel.cli.output import Output
from koppel.cli.running import DONE, FAILED, AsJson, guarded, run_to_end
from koppel.config import Auth, BusinessCentral, Config, Dataverse, Secret, write_config
from koppel.engine.action import Action
from koppel.errors import UsageError
from koppel.mapping.load import in_dependency_order
from koppel.mapping.model import TableMapping
from koppel.sandbox.faults import Faults
from koppel.sandbox.limits import SystemLimits
from koppel.sandbox.process import SandboxProcess, start_sandbox
from koppel.sandbox.seed import INVOICES
from koppel.store import conflicts, couplings, failures
from koppel.sync.full import run_full
from koppel.sync.open import connect_business_central, connect_dataverse, known_mappings, open_session
from koppel.sync.request import Request, Result
from koppel.sync.run import plan, synchronise
from koppel.sync.session import Session, wholes
from koppel.sync.verify import Verification, verify

SECRETS = {"koppel": "koppel-sandbox-secret", "alice": "alice-sandbox-secret", "bob": "bob-sandbox-secret"}
ALL_INVOICES = 25_164
TENANT, COMPANY, ENVIRONMENT = "contoso", "AdventureWorks", "sandbox"

T = TypeVar("T")

Customers = Annotated[
    int | None, typer.Option("--customers", min=100, help="How many customers; the data is repeated.")
]
All = Annotated[bool, typer.Option("--all", help="All 25,164 orders as posted invoices, not only the latest 500.")]
KEPT = Path("koppel-demo")
Keep = Annotated[bool, typer.Option("--keep", help="Leave sandbox and database for playing on, until Ctrl-C.")]
LimitsFile = Annotated[
    Path | None,
    typer.Option(
        "--limits", exists=True, dir_okay=False, help="A JSON file of limits; {} turns on the published ones."
    ),
]
FaultsFile = Annotated[
    Path | None, typer.Option("--faults", exists=True, dir_okay=False, help="A JSON file of faults.")
]


GOING_ON = Request(create=True)
"""After a full synchronisation new records go on being created on the other side."""


class Report(msgspec.Struct, kw_only=True):
    """What the demo came to; the object that ``--json`` prints."""

    customers: int = 0
    full: dict[str, Any] = {}
    edits: list[dict[str, Any]] = []
    plan: list[dict[str, Any]] = []
    sync: dict[str, Any] = {}
    conflicts: list[dict[str, Any]] = []
    order: list[dict[str, Any]] = []
    second_run_write_requests: int = -1
    lost_edits: int = -1
    duplicates: int = -1
    verify: dict[str, Any] = {}
    seconds: float = 0.0

    @property
    def proved(self) -> bool:
        """Whether everything that the demo promises came true."""
        nothing = self.second_run_write_requests, self.lost_edits, self.duplicates, self.verify.get("differences")
        return nothing == (0, 0, 0, 0) and bool(self.order) and all(step["arrived"] for step in self.order)


def demo(
    customers: Customers = None,
    everything: All = False,
    keep: Keep = False,
    faults: FaultsFile = None,
    limits: LimitsFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the whole of Koppel on two simulated systems with Adventure Works: synchronise, edit, preview, prove."""
    with guarded(as_json) as output, _folder(keep) as folder:
        began = time.monotonic()
        trouble = _read(faults, Faults) if faults else None
        throttling = _read(limits, SystemLimits) if limits else SystemLimits()
        output.say(screen.heading(customers))
        invoices = ALL_INVOICES if everything else INVOICES
        with start_sandbox(customers=customers, invoices=invoices, faults=trouble) as sandbox:
            report = run_to_end(_show(sandbox, throttling, folder, output, began))
            told = msgspec.to_builtins(report) | {"proved": report.proved}
            output.show(told, screen.verdict(report.proved, report.seconds))
            if keep:
                _wait(sandbox, folder, output)
            else:
                output.say(screen.go_on())
    raise SystemExit(DONE if report.proved else FAILED)


def _read(file: Path, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=shape)
    except msgspec.DecodeError as error:
        remedy = "write it as /sandbox/faults or /sandbox/limits of a running sandbox show it"
        raise UsageError(str(error), place=str(file), remedy=remedy) from error


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    if keep:
        try:
            KEPT.mkdir()
        except FileExistsError:
            remedy = f"rm -r {KEPT}, or work in another folder"
            raise UsageError("an earlier demo left its database here", place=str(KEPT), remedy=remedy) from None
        yield KEPT.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="koppel-demo-") as name:
        yield Path(name)


def _wait(sandbox: SandboxProcess, folder: Path, output: Output) -> None:
    """Leave both systems up until Ctrl-C, with a configuration to go on with."""
    path = folder / "koppel.yaml"
    write_config(
        path,
        business_central_url=_business_central_url(sandbox),
        company=COMPANY,
        dataverse_url=sandbox.dataverse_url,
        tenant=TENANT,
        client_id="koppel",
        authority=sandbox.base_url,
        ca_file=sandbox.ca_file,
    )
    output.say(screen.keep(path))
    try:
        sandbox.process.wait()
    except KeyboardInterrupt:
        output.note("stopped")


def _business_central_url(sandbox: SandboxProcess) -> str:
    return f"{sandbox.business_central_url}/v2.0/{ENVIRONMENT}"


def _config(sandbox: SandboxProcess, folder: Path, who: str) -> Config:
    variable = f"KOPPEL_DEMO_SECRET_{who.upper()}"
    os.environ[variable] = SECRETS[who]
    auth = Auth(tenant=TENANT, client_id=who, client_secret=Secret(env=variable), authority=sandbox.base_url)
    return Config(
        business_central=BusinessCentral(
            url=_business_central_url(sandbox), company=COMPANY, auth=auth, ca_file=sandbox.ca_file
        ),
        dataverse=Dataverse(url=sandbox.dataverse_url, auth=auth, ca_file=sandbox.ca_file),
        folder=folder / ".koppel",
    )


@asynccontextmanager
async def _people(sandbox: SandboxProcess, folder: Path) -> AsyncIterator[People]:
    people = People(
        bob=connect_business_central(_config(sandbox, folder, "bob")),
        alice=connect_dataverse(_config(sandbox, folder, "alice")),
        integration=connect_dataverse(_config(sandbox, folder, "koppel")),
    )
    try:
        yield people
    finally:
        await people.close()


async def _show(
    sandbox: SandboxProcess, throttling: SystemLimits, folder: Path, output: Output, began: float
) -> Report:
    await _throttle(sandbox, throttling)
    config = _config(sandbox, folder, "koppel")
    report = Report()
    async with _people(sandbox, folder) as people, open_session(config, _mappings(config)) as session:
        names = [mapping.name for mapping in in_dependency_order(session.mappings.values()) if mapping.enabled]
        report.customers = (await _state(sandbox))["business_central"]["rows"]["customers"]
        await _full(session, names, output, report)
        edits = await make_edits(session, people)
        report.edits = [msgspec.to_builtins(edit) for edit in edits]
        output.say(screen.edits(edits))
        await _plan(session, names, output, report)
        await _synchronise(session, names, output, report)
        await _follow_order(session, sandbox, people, names, output, report)
        await _prove(session, sandbox, people, names, edits, output, report)
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _mappings(config: Config) -> dict[str, TableMapping]:
    """The mappings; what old invoices sold and is discontinued goes as write-ins (INV-04)."""
    mappings = known_mappings(config)
    changed = {**mappings[INVOICE].parameters, "blocked": "write_in"}
    return {**mappings, INVOICE: msgspec.structs.replace(mappings[INVOICE], parameters=changed)}


async def _throttle(sandbox: SandboxProcess, limits: SystemLimits) -> None:
    body = msgspec.json.encode(limits)
    async with (
        aiohttp.ClientSession(trust_env=False) as http,
        http.put(f"{sandbox.base_url}/sandbox/limits", data=body) as answer,
    ):
        answer.raise_for_status()


async def _state(sandbox: SandboxProcess) -> dict[str, Any]:
    """What the sandbox itself counted: an independent witness."""
    async with aiohttp.ClientSession(trust_env=False) as http, http.get(f"{sandbox.base_url}/sandbox/state") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def _full(session: Session, names: list[str], output: Output, report: Report) -> None:
    results: dict[str, Result] = {}
    with output.progress() as session.progress:
        async for finished in run_full(session, names):
            if finished.error:
                raise finished.error
            assert finished.result is not None
            results[finished.mapping] = _together(results.get(finished.mapping), finished.result)
    report.full = {name: _line(result) for name, result in results.items()}
    output.say(
        screen.results("Full synchronisation", results), screen.refusals(await failures.find(session.connection))
    )
    await session.connection.rollback()


def _together(first: Result | None, second: Result) -> Result:
    """A mapping's full run and the round that completed what had waited for others."""
    if first is None:
        return second
    counts = first.counts + second.counts
    counts["unchanged"] = first.counts["unchanged"]
    counts["skipped"], counts["failed"] = first.counts["skipped"], first.counts["failed"]
    return msgspec.structs.replace(
        first,
        counts=counts,
        seconds=first.seconds + second.seconds,
        requests={side: number + second.requests[side] for side, number in first.requests.items()},
        write_requests=first.write_requests + second.write_requests,
    )


_COUNTERS = ("created", "updated", "coupled", "unchanged", "skipped", "failed", "conflicts")


def _line(result: Result) -> dict[str, Any]:
    counts = {name: result.counts[name] for name in _COUNTERS}
    return {**counts, "seconds": round(result.seconds, 2), "requests": result.requests}


async def _plan(session: Session, names: list[str], output: Output, report: Report) -> None:
    actions: list[Action] = []
    for name in wholes(session.mappings, names):
        actions += [action async for action in plan(session, name, GOING_ON) if _is_news(action)]
    report.plan = [_told(action) for action in actions]
    output.say(screen.plan(actions))


def _is_news(action: Action) -> bool:
    """The plan without what the full synchronisation has said already."""
    return action.kind not in ("nothing", "hold") or bool(action.conflicts)


def _told(action: Action) -> dict[str, Any]:
    return {
        "mapping": action.mapping,
        "kind": action.kind,
        "name": action.name,
        "reason": action.reason,
        "changes": [msgspec.to_builtins(change) for change in action.changes],
        "conflicts": [conflict.group for conflict in action.conflicts],
    }


async def _synchronise(session: Session, names: list[str], output: Output, report: Report) -> None:
    results = {name: await synchronise(session, name, GOING_ON) for name in wholes(session.mappings, names)}
    report.sync = {name: _line(result) for name, result in results.items()}
    held = await conflicts.find(session.connection)
    await session.connection.rollback()
    report.conflicts = [msgspec.to_builtins(conflict) for conflict in held]
    output.say(screen.synchronised(results), screen.held(held))


async def _follow_order(
    session: Session, sandbox: SandboxProcess, people: People, names: list[str], output: Output, report: Report
) -> None:
    steps = await follow_an_order(session, people, sandbox.base_url)
    report.order = [msgspec.to_builtins(step) for step in steps]
    output.say(screen.order(steps))
    for name in wholes(session.mappings, names):  # stock and statistics that the order left behind
        await synchronise(session, name, GOING_ON)


async def _prove(
    session: Session,
    sandbox: SandboxProcess,
    people: People,
    names: list[str],
    edits: list[Edit],
    output: Output,
    report: Report,
) -> None:
    before = await _state(sandbox)
    for name in wholes(session.mappings, names):
        await synchronise(session, name, GOING_ON)
    after = await _state(sandbox)
    report.second_run_write_requests = _writes(after) - _writes(before)
    verified = await verify(session, names)
    report.verify = {
        "compared": verified.compared,
        "differences": len(verified.differences),
        "explained": dict(Counter(difference.explained for difference in verified.explained)),
        "unexplained": [msgspec.to_builtins(difference) for difference in verified.differences[:50]],
    }
    missing = await lost(session, people, edits)
    await session.connection.rollback()
    report.lost_edits = len(missing)
    report.duplicates = await _duplicates(session, people, verified)
    output.say(screen.proof(report.second_run_write_requests, verified, missing, report.duplicates))


def _writes(state: Mapping[str, Any]) -> int:
    return sum(int(state[system]["write_requests"]) for system in ("business_central", "dataverse"))


async def _duplicates(session: Session, people: People, verified: Verification) -> int:
    """What the comparison found, and what Koppel created in Dataverse (Dataverse says so) without coupling it."""
    own = await people.integration.own_users()
    orphans = 0
    for table in ("account", "contact", "product", "opportunity", "invoice"):
        names = [name for name, mapping in session.mappings.items() if mapping.dataverse.table == table]
        async for page in people.alice.query(table, ("createdby",)):
            made = [record.id for record in page.records if record.values[0] in own]
            for name in names:
                coupled = await couplings.by_ids(session.connection, name, "dataverse", made)
                made = [id for id in made if id not in coupled]
            orphans += len(made)
    return len(verified.duplicates) + orphans
