"""What people do in the demo: edits on both sides, made through the systems' own interfaces under their own names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Literal
from uuid import uuid4

import msgspec

from koppel.errors import ExistsError, KoppelError
from koppel.odata.records import Record, Scalar, Side
from koppel.store import conflicts, couplings
from koppel.store.conflicts import Conflict
from koppel.sync.session import Session
from koppel.systems.business_central import BusinessCentral
from koppel.systems.dataverse import Dataverse
from koppel.systems.system import Create, Update, Written

Expected = Literal["carried", "agreed", "held", "left alone", "created"]

_COLUMNS: Mapping[Side, tuple[str, ...]] = {
    "business_central": ("number", "displayName", "phoneNumber", "website", "addressLine1", "city", "email"),
    "dataverse": (
        "accountnumber",
        "name",
        "telephone1",
        "websiteurl",
        "address1_line1",
        "address1_city",
        "emailaddress1",
    ),
}
_TABLES: Mapping[Side, str] = {"business_central": "customers", "dataverse": "account"}


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did: who, where, to which record, which values, and what must become of it.

    ``ids``: (Business Central, Dataverse); one is empty where the record is new.
    """

    what: str
    who: str
    side: Side
    ids: tuple[str, str]
    values: dict[str, Scalar]
    expected: Expected


class People(msgspec.Struct, frozen=True):
    """Clients of both systems under the names of those who edit."""

    bob: BusinessCentral
    alice: Dataverse
    integration: Dataverse

    async def close(self) -> None:
        """Give back connections."""
        for client in (self.bob, self.alice, self.integration):
            await client.close()


async def make_edits(session: Session, people: People) -> list[Edit]:
    """Edit coupled customers of either side, and create one on each."""
    pairs = await _some_pairs(session, 6)
    edits = [edit for make in (_of_one_record, _alike, _contested, _halves) for edit in make(pairs)]
    edits += [
        Edit(
            what="integration user's edit",
            who="koppel",
            side="dataverse",
            ids=pairs[4],
            values={"telephone1": "555-0199"},
            expected="left alone",
        )
    ]
    for edit in edits:
        await _carry_out(people, edit)
    return [*edits, await _new_customer(people), await _new_account(people)]


async def _some_pairs(session: Session, number: int) -> list[tuple[str, str]]:
    async for chunk in couplings.stream(session.connection, "CUSTOMER", 5000):
        await session.connection.commit()
        step = max(1, len(chunk) // number)
        return [(c.business_central_id, c.dataverse_id) for c in chunk[::step][:number]]
    raise KoppelError("no customer is coupled", remedy="use at least 100 customers")


def _of_one_record(pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    return [
        _edit("two fields of one record", "bob", pairs[0], {"phoneNumber": "425-555-0100"}, "carried"),
        _edit("two fields of one record", "alice", pairs[0], {"emailaddress1": "buyer@example.com"}, "carried"),
    ]


def _alike(pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    return [
        _edit("one field, alike", "bob", pairs[1], {"website": "https://www.example.com"}, "agreed"),
        _edit("one field, alike", "alice", pairs[1], {"websiteurl": "https://www.example.com"}, "agreed"),
    ]


def _contested(pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    return [
        _edit("one field, differently", "bob", pairs[2], {"phoneNumber": "425-555-0111"}, "held"),
        _edit("one field, differently", "alice", pairs[2], {"telephone1": "425-555-0122"}, "held"),
    ]


def _halves(pairs: Sequence[tuple[str, str]]) -> list[Edit]:
    return [
        _edit("halves of an address", "bob", pairs[3], {"addressLine1": "1 Harbour Street"}, "held"),
        _edit("halves of an address", "alice", pairs[3], {"address1_city": "Tacoma"}, "held"),
    ]


def _edit(what: str, who: str, ids: tuple[str, str], values: dict[str, Scalar], expected: Expected) -> Edit:
    side: Side = "business_central" if who == "bob" else "dataverse"
    return Edit(what=what, who=who, side=side, ids=ids, values=values, expected=expected)


async def _carry_out(people: People, edit: Edit) -> None:
    system = people.bob if edit.who == "bob" else people.alice if edit.who == "alice" else people.integration
    id = edit.ids[0 if edit.side == "business_central" else 1]
    [written] = await system.update(_TABLES[edit.side], [Update(id, "*", edit.values)], tuple(edit.values))
    _check(written)


def _check(written: Written) -> str:
    if written.error:
        raise written.error
    return written.id


def _check_created(written: Written) -> None:
    """A creation whose answer got lost is told to exist when it is sent again."""
    if not isinstance(written.error, ExistsError):
        _check(written)


async def _new_customer(people: People) -> Edit:
    values: dict[str, Scalar] = {
        "displayName": "Harbour Cycles",
        "addressLine1": "12 Quay Road",
        "city": "Seattle",
        "postalCode": "98101",
        "phoneNumber": "206-555-0140",
    }
    id = str(uuid4())
    _check_created(*await people.bob.create("customers", [Create(id, values)], tuple(values)))
    ids = id, ""
    return Edit(what="new customer", who="bob", side="business_central", ids=ids, values=values, expected="created")


async def _new_account(people: People) -> Edit:
    values: dict[str, Scalar] = {
        "name": "Northwind Bikes",
        "customertypecode": 3,
        "address1_line1": "7 Orchard Lane",
        "address1_city": "Portland",
        "address1_postalcode": "97205",
        "emailaddress1": "hello@northwind.example.com",
    }
    id = str(uuid4())
    _check_created(*await people.alice.create("account", [Create(id, values)], tuple(values)))
    ids = "", id
    return Edit(what="new account", who="alice", side="dataverse", ids=ids, values=values, expected="created")


async def lost(session: Session, people: People, edits: Sequence[Edit]) -> list[str]:
    """The edits that are neither on both sides nor held for a person to decide, read with people's own clients."""
    held = {(c.business_central_id, name) for c in await conflicts.find(session.connection) for name in _fields(c)}
    return [f"{e.what} by {e.who}" for e in edits if not await _is_kept(session, people, e, held)]


async def _is_kept(session: Session, people: People, edit: Edit, held: Set[tuple[str, str]]) -> bool:
    if edit.expected == "left alone":
        return await _holds(people, edit.side, edit.ids, edit.values)
    if edit.expected == "held":
        ours = edit.side == "business_central"
        names = [name if ours else _partner_column(edit.side, name) for name in edit.values]
        return all((edit.ids[0], name) in held for name in names)
    return await _is_on_both(session, people, edit)


def _fields(conflict: Conflict) -> Iterable[str]:
    """The fields in conflict, under their Business Central names."""
    return conflict.business_central if isinstance(conflict.business_central, Mapping) else [conflict.field]


def _partner_column(side: Side, name: str) -> str:
    there: Side = "dataverse" if side == "business_central" else "business_central"
    return _COLUMNS[there][_COLUMNS[side].index(name)]


async def _is_on_both(session: Session, people: People, edit: Edit) -> bool:
    number = 0 if edit.side == "business_central" else 1
    coupled = await couplings.by_ids(session.connection, "CUSTOMER", edit.side, [edit.ids[number]])
    coupling = coupled.get(edit.ids[number])
    if coupling is None:
        return False
    there: Side = "dataverse" if edit.side == "business_central" else "business_central"
    known = {name: value for name, value in edit.values.items() if name in _COLUMNS[edit.side]}
    partner = {_partner_column(edit.side, name): value for name, value in known.items()}
    ids = coupling.business_central_id, coupling.dataverse_id
    return await _holds(people, edit.side, ids, known) and await _holds(people, there, ids, partner)


async def _holds(people: People, side: Side, ids: tuple[str, str], values: Mapping[str, Scalar]) -> bool:
    system = people.bob if side == "business_central" else people.alice
    id = ids[0 if side == "business_central" else 1]
    found: dict[str, Record] = await system.by_ids(_TABLES[side], tuple(values), [id])
    return id in found and found[id].values == tuple(values.values())
