"""What must hold once everything is in step, looked at without any of the engine's own eyes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from world import World
from world_data import Row

from koppel.odata.literals import is_guid
from koppel.odata.records import Side
from koppel.store.couplings import Coupling
from koppel.store.failures import Failure
from koppel.store.pending import Pending
from koppel.sync.prepare import SIDES
from koppel.sync.verify import verify

from .books import Books, read_books
from .desks import Cell, Desk
from .losses import Losses
from .people import OTHER, People, Place, is_seen


class BrokenError(AssertionError):
    """Something that must hold does not."""


class Checks:
    """The invariants of one world."""

    def __init__(self, world: World, people: People) -> None:
        self.world = world
        self.people = people
        self.office = people.office
        self.losses = Losses(people)
        self.books: dict[str, Books] = {}

    async def check(self) -> None:
        """Raise what is broken, all of it."""
        self.office.learn()
        self.books = {name: await read_books(self.world, name) for name in self.office.names}
        for name, books in self.books.items():
            self.losses.meet(name, books)
        wrong = [line for name in self.books for line in self._of_mapping(name)]
        wrong += await self._verified()
        if wrong:
            raise BrokenError("\n".join(wrong))
        for name, desk in self.office.desks.items():
            self.losses.note_agreed(name, self._agreed(desk))

    def _of_mapping(self, name: str) -> Iterator[str]:
        books = self.books[name]
        told: Iterable[str] = self._in_process(books)
        if desk := self.office.desks.get(name):
            told = (
                *told,
                *self._one_to_one(desk),
                *self._duplicates(desk),
                *self._differences(desk),
                *self._waits(desk),
                *self.losses.find(desk, books),
            )
        else:
            told = (*told, *self._options(name))
        for line in told:
            yield f"{name}: {line}"

    def _in_process(self, books: Books) -> Iterator[str]:
        if left := [id for id in books.unsettled if id not in books.undecided]:
            yield f"intents are left: {left}"
        if books.running:
            yield f"{books.running} jobs are said to run"

    def _one_to_one(self, desk: Desk) -> Iterator[str]:
        books = self.books[desk.name]
        for side in SIDES:
            ids = [_coupled(coupling, side) for coupling in books.couplings]
            if len(set(ids)) != len(ids):
                yield f"a record of {side} is coupled twice"
            rows = self.office.rows(desk.name, side)
            for coupling in books.couplings:
                if _coupled(coupling, side) not in rows and not self._is_told(desk, coupling):
                    yield f"coupled to nothing in {side}: {coupling.business_central_id} {coupling.dataverse_id}"

    def _is_told(self, desk: Desk, coupling: Coupling) -> bool:
        """Whether a pair that lost a record is listed, or what is left of it is outside the filter."""
        if {coupling.business_central_id, coupling.dataverse_id} & self.books[desk.name].troubled:
            return True
        left = {side: self.office.rows(desk.name, side).get(_coupled(coupling, side)) for side in SIDES}
        return not all(desk.is_inside(side, row) for side, row in left.items() if row is not None)

    def _duplicates(self, desk: Desk) -> Iterator[str]:
        """Every record that nobody typed is the partner of one that somebody did."""
        books = self.books[desk.name]
        for side, id, row in self.alone(desk, books):
            # Where it cannot be told what came of a creation, an edited record may be it: nobody could recognise it.
            if not books.undecided or not (id in books.undecided or self.people.was_edited((desk.name, side, id))):
                yield f"nobody typed {id} in {side}, and it is coupled to nothing: {row}"

    def alone(self, desk: Desk, books: Books) -> Iterator[tuple[Side, str, Row]]:
        """The records that nobody typed and that never had a partner."""
        for side in SIDES:
            for id, row in list(self.office.rows(desk.name, side).items()):
                place = desk.name, side, id
                known = id in books.partner[side] or self.people.was_there(place) or place in self.losses.partners
                if not known and is_seen(desk, side, row):
                    yield side, id, row

    # what both sides say

    def _pairs(self, desk: Desk) -> Iterator[tuple[str, str, Row, Row]]:
        """The coupled records that are to hold the same."""
        books = self.books[desk.name]
        ours, theirs = (self.office.rows(desk.name, side) for side in SIDES)
        for coupling in books.couplings:
            ids = coupling.business_central_id, coupling.dataverse_id
            one, two = ours.get(ids[0]), theirs.get(ids[1])
            if one is None or two is None or books.troubled & set(ids) or self._is_nobodys(desk, one):
                continue
            if desk.is_inside("business_central", one) and desk.is_inside("dataverse", two):
                yield *ids, one, two

    def _is_nobodys(self, desk: Desk, ours: Row) -> bool:
        """Whether it is a contact whose company is no customer (any more), which its rule holds back."""
        if desk.name != "CONTACT":
            return False
        customers = self.office.rows("CUSTOMER", "business_central").values()
        return str(ours.get("companyNumber")) not in map(self.office.company_of, customers)

    def _differences(self, desk: Desk) -> Iterator[str]:
        books = self.books[desk.name]
        for ours, theirs, one, two in self._pairs(desk):
            if self.losses.is_left_alone(desk, ours, theirs):
                continue
            for name, (_, group) in books.fields.items():
                cell = desk.cells.get(name)
                if cell is None or (ours, group.name) in books.contested or (ours, name) in books.waiting:
                    continue
                if not self._is_alike(desk, cell, ours, theirs, one, two):
                    yield f"{name} differs: {ours} {theirs} {self._told(cell, one, two)}"

    def _told(self, cell: Cell, one: Row, two: Row) -> tuple[str, str]:
        return self.office.value(cell, "business_central", one), self.office.value(cell, "dataverse", two)

    def _is_same(self, cell: Cell, one: Row, two: Row) -> bool:
        """Whether both sides say the same: of references, whether they lead to the two records of a pair."""
        ours, theirs = self._told(cell, one, two)
        if cell.kind != "reference" or not (ours and theirs):
            return ours == theirs
        return self.books[cell.to].partner["dataverse"].get(theirs) == self.office.target(
            cell, "business_central", ours
        )

    def _leads_nowhere(self, cell: Cell, ours: str, theirs: str) -> bool:
        """Whether Business Central names a record that was deleted, and either leads or has none to name instead."""
        lookup = cell.said.lookup
        if lookup is None or lookup.by not in ("key", "id") or not ours:
            return False
        target = self._bearer(cell.to, ours) if lookup.by == "key" else ours
        if target in self.office.rows(cell.to, "business_central"):
            return False
        return cell.said.direction == "to_dataverse" or theirs not in self.books[cell.to].partner["dataverse"]

    def _is_alike(self, desk: Desk, cell: Cell, ours: str, theirs: str, one: Row, two: Row) -> bool:
        told = self._told(cell, one, two)
        if self._is_same(cell, one, two) or self._leads_nowhere(cell, *told):
            return True
        if cell.said.keep_blank and "" in told:
            return True
        way = cell.said.direction
        if way == "both" or (cell.said.drift or desk.mapping.drift) == "overwrite":
            return False
        receiver: Side = "dataverse" if way == "to_dataverse" else "business_central"
        id = theirs if receiver == "dataverse" else ours
        leader: Place = desk.name, OTHER[receiver], ours if receiver == "dataverse" else theirs
        if self.losses.lost_its_leader(desk.name, receiver, id) or self.losses.has_nothing_to_say(leader, cell.name):
            return True  # what only a deleted record knew went with it; the next one has it no more
        return self.losses.was_typed(desk.name, receiver, id, cell.name, told[SIDES.index(receiver)])

    def _agreed(self, desk: Desk) -> Iterator[tuple[str, str]]:
        """(Business Central id, field) of all on which both sides agree."""
        for ours, _, one, two in self._pairs(desk):
            yield from ((ours, cell.name) for cell in desk.cells.values() if self._is_same(cell, one, two))

    # what waits

    def _waits(self, desk: Desk) -> Iterator[str]:
        """Nothing waits for what is there."""
        books = self.books[desk.name]
        inside = {ours for ours, *_ in self._pairs(desk)}
        for one in books.pending:
            if one.business_central_id in inside and self._is_coupled(one):
                yield f"{one} waits although it is coupled"
        for failure in books.failures:
            if failure.via and self._is_coupled(failure):
                yield f"{failure} waits although it is coupled"

    def _is_coupled(self, waiting: Pending | Failure) -> bool:
        """Whether what is waited for has a partner."""
        books, reference = self.books.get(waiting.via), waiting.reference
        if books is None:
            return False
        ours, theirs = (books.partner[side] for side in SIDES)
        if waiting.refers_by == "option":
            return reference in {option.code for option in books.options} | {str(o.value) for o in books.options}
        if waiting.refers_by == "key":
            return self._bearer(waiting.via, reference) in ours
        if waiting.refers_by == "rule":
            return self._has_company(ours, theirs, reference)
        return reference in (ours if waiting.refers_by == "business_central" else theirs)

    def _bearer(self, mapping: str, key: str) -> str:
        """The id of the record that has a key now; blank if none has."""
        column = self.world.mappings[mapping].business_central.key
        rows = self.office.rows(mapping, "business_central").items()
        return next((id for id, row in rows if row.get(column) == key), "")

    def _has_company(self, ours: Iterable[str], theirs: Mapping[str, str], reference: str) -> bool:
        """Whether a company contact, or the account of one, stands for a coupled customer."""
        rows = self.office.rows("CUSTOMER", "business_central")
        companies = {id: self.office.company_of(rows[id]) for id in ours if id in rows}
        if is_guid(reference):
            return bool(companies.get(theirs.get(reference, "")))
        return reference in companies.values()

    def _options(self, name: str) -> Iterator[str]:
        labels = [label.casefold() for label in self.office.choices(name).values()]
        codes = {str(row["code"]).casefold() for row in self.office.codes()}
        if len(set(labels)) != len(labels):
            yield f"two options have one label: {labels}"
        books = self.books[name]
        dropped = {code.casefold() for code in self.people.dropped}
        if books.ready.mapping.direction == "to_dataverse":
            missing = codes - set(labels)
        else:
            missing = {label for label in labels if len(label) <= CODE_LENGTH} - codes - dropped
        if missing:
            yield f"without a counterpart: {missing}"

    async def _verified(self) -> list[str]:
        found = await verify(self.world.session, list(self.books))
        await self.world.session.connection.commit()
        wrong: list[object] = [
            one
            for one in found.differences
            if not self._leads_nowhere(
                self.office.desks[one.mapping].cells[one.field], str(one.business_central), str(one.dataverse)
            )
        ]
        for orphan in found.orphans:
            desk = self.office.desks.get(orphan.mapping)
            told = desk and [
                c
                for c in self.books[desk.name].couplings
                if c.business_central_id == orphan.business_central_id and self._is_told(desk, c)
            ]
            if desk and not told:
                wrong.append(orphan)
        return [f"verify: {one}" for one in wrong]


CODE_LENGTH = 10


def _coupled(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id
