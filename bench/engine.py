"""The engine alone: decode pages of both sides, pair, merge what changed, plan what is new; no HTTP, no database.

``python -m bench.engine`` prints the figures, ``measure`` returns them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
from rich.console import Console

from bench.results import Row, judged, show
from koppel.engine.action import Action, Bases
from koppel.engine.fields import Field, FieldEnd, in_groups
from koppel.engine.glance import glance
from koppel.engine.pair import Pair, Table, merge_pair
from koppel.engine.plan import plan_creation
from koppel.engine.translate import AllReferences, References
from koppel.engine.values import ValueKind, canonical
from koppel.mapping.model import Endpoint, FieldMapping, Lookup, TableMapping
from koppel.odata.records import Record, Scalar
from koppel.systems.rows import Decoder, Wanted

PAIRS = 20_000
PAGE = 5_000
EVERY_CHANGED = 100
EVERY_NEW = 500
ROUNDS = 7
REFERENCES: AllReferences = {
    ("PEOPLE", "key"): References({"JR": "user-jr"}, {"user-jr": "JR"}),
    ("TERMS", "option"): References({"30D": 1}, {1: "30D"}),
}


class Coupled(NamedTuple):
    """What the store would hand over for a record of Business Central."""

    dataverse_id: str
    base: Bases


def customers() -> Table:
    """A mapping of 22 fields like CUSTOMER's: texts, an address, codes, an amount, references and options."""
    said = [FieldMapping(business_central=f"address{n}", dataverse=f"cr_address{n}", group="address") for n in range(6)]
    said += [FieldMapping(business_central=f"text{n}", dataverse=f"cr_text{n}") for n in range(10)]
    said += [FieldMapping(business_central="limit", dataverse="cr_limit", direction="to_dataverse")]
    for n in range(3):
        said.append(
            FieldMapping(business_central=f"person{n}", dataverse=f"cr_person{n}", lookup=Lookup(mapping="PEOPLE"))
        )
    said += [FieldMapping(business_central=f"terms{n}", dataverse=f"cr_terms{n}", options="TERMS") for n in range(2)]
    fields = tuple(_field(index, field) for index, field in enumerate(said))
    mapping = TableMapping(
        name="CUSTOMER",
        business_central=Endpoint(table="customers", key="text0"),
        dataverse=Endpoint(table="account", key="cr_text0"),
        fields=tuple(said),
    )
    return Table(mapping=mapping, fields=fields, groups=in_groups(fields, "ask"))


def _field(index: int, field: FieldMapping) -> Field:
    kinds: tuple[ValueKind, ValueKind] = ("text", "text")
    if field.lookup:
        kinds = ("code", "guid")
    elif field.options:
        kinds = ("code", "number")
    elif field.business_central == "limit":
        kinds = ("number", "number")
    ends = [
        FieldEnd(column=column, kind=kind, canonical=canonical(kind, length=100, scale=2), length=100)
        for column, kind in zip((field.business_central, field.dataverse), kinds, strict=True)
    ]
    return Field(index=index, mapping=field, business_central=ends[0], dataverse=ends[1])


def _values(number: int) -> Bases:
    texts = [f"Customer {number} text {n}" for n in range(9)]
    ours: list[Scalar] = [
        f"Main Street {number}",
        "",
        "1234 AB",
        "Delft",
        "NL",
        "",
        *texts,
        "",
        12.5,
        "JR",
        "JR",
        "",
        "30D",
        "",
    ]
    theirs: list[Scalar] = [f"Main Street {number}", None, "1234 AB", "Delft", "NL", None, *texts, None, 12.5]
    return tuple(ours), (*theirs, "user-jr", "user-jr", None, 1, None)


class Material(NamedTuple):
    """Pages of both sides as they come over the wire, and the couplings by the id in Business Central."""

    table: Table
    pages: list[bytes]
    their_pages: list[bytes]
    coupled: Mapping[str, Coupled]


def material() -> Material:
    """Pairs of which one in a hundred was edited in Business Central, and one in five hundred is new there."""
    table = customers()
    rows: list[list[dict[str, Scalar]]] = [[], []]
    coupled: dict[str, Coupled] = {}
    for number in range(PAIRS):
        base = _values(number)
        ids = f"{number:08x}-0000-0000-0000-00000000000b", f"{number:08x}-0000-0000-0000-00000000000d"
        if number % EVERY_NEW:
            coupled[ids[0]] = Coupled(ids[1], base)
        ours = base[0] if number % EVERY_CHANGED else (*base[0][:3], "Gouda", *base[0][4:])
        for side, (id, values) in enumerate(zip(ids, (ours, base[1]), strict=True)):
            columns = [(field.business_central, field.dataverse)[side].column for field in table.fields]
            head = {"@odata.etag": f'W/"{number}"', "id": id, "modified": "2024-05-01T10:00:00Z"}
            rows[side].append({**head, **dict(zip(columns, values, strict=True))})  # type: ignore[arg-type]
    return Material(table, _pages(rows[0]), _pages(rows[1]), coupled)


def _pages(rows: list[dict[str, Scalar]]) -> list[bytes]:
    return [msgspec.json.encode({"value": rows[start : start + PAGE]}) for start in range(0, len(rows), PAGE)]


class Engine:
    """Everything a run does with pages, apart from fetching them and asking the store."""

    def __init__(self, given: Material) -> None:
        self.given = given
        fields = given.table.fields
        self.ours = Decoder([Wanted(field.business_central.column) for field in fields], "id", "modified")
        self.theirs = Decoder([Wanted(field.dataverse.column) for field in fields], "id", "modified")

    def decode(self) -> tuple[list[Record], list[Record]]:
        """The records of both sides."""
        ours = [record for page in self.given.pages for record in self.ours.page(page).records]
        return ours, [record for page in self.given.their_pages for record in self.theirs.page(page).records]

    def run(self) -> list[Action]:
        """Decode, pair, merge, plan."""
        table, coupled = self.given.table, self.given.coupled
        look, look_there = glance(table, "business_central"), glance(table, "dataverse")
        ours, theirs = self.decode()
        by_id = {record.id: record for record in theirs}
        actions: list[Action] = []
        for record in ours:
            known = coupled.get(record.id)
            if known is None:
                actions.append(_create(table, record))
                continue
            dataverse_id, base = known
            partner = by_id[dataverse_id]
            if look(base, record.values) is None or look_there(base, partner.values) is None:
                pair = Pair(business_central=record, dataverse=partner, base=base)
                actions.append(merge_pair(table, pair, REFERENCES))
        return actions


def _create(table: Table, record: Record) -> Action:
    return plan_creation(table, "business_central", record, REFERENCES, id=record.id, name="", missing={})


def _best(*works: Callable[[], object]) -> list[float]:
    """Processor seconds of each work's quickest round, taking turns: the others measure what else the machine does."""
    best = [float("inf")] * len(works)
    for _ in range(ROUNDS):
        for place, work in enumerate(works):
            began = time.process_time()
            work()
            best[place] = min(best[place], time.process_time() - began)
    return best


def measure() -> list[Row]:
    """The figures of the engine alone."""
    given = material()
    engine = Engine(given)
    updates = [action for action in engine.run() if action.kind == "update"]
    news = [action for action in engine.run() if action.kind == "create"]
    assert len(updates) + len(news) == PAIRS // EVERY_CHANGED
    decoding, running = _best(engine.decode, engine.run)
    changed = [Pair(business_central=a.records[0], dataverse=a.records[1], base=a.base_before) for a in updates]  # type: ignore[arg-type]
    fresh = [action.records[0] for action in news if action.records[0] is not None]
    merging, planning = _best(
        lambda: [merge_pair(given.table, pair, REFERENCES) for pair in changed],
        lambda: [_create(given.table, record) for record in fresh],
    )
    merging, planning = merging / len(changed) * 1e6, planning / len(fresh) * 1e6
    rate, ratio = 2 * PAIRS / running, running / decoding
    how = f"{PAIRS:,} pairs of 22 fields, one in {EVERY_CHANGED} edited or new; both sides' pages and the bases given"
    rows = [
        judged("engine alone: records a second on one core", rate, f"{rate:,.0f}", least=100_000),
        judged("engine alone: time over that of decoding alone", ratio, f"{ratio:.2f}", most=1.5),
        judged("merging one edited pair, microseconds", merging, f"{merging:.0f}", most=60),
        judged("planning one creation, microseconds", planning, f"{planning:.0f}", most=60),
    ]
    return [msgspec.structs.replace(row, how=how) if place == 0 else row for place, row in enumerate(rows)]


if __name__ == "__main__":
    show(measure(), Console())
