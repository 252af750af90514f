"""What people do in both systems, and the ledger of it: every value that anybody typed, and what it replaced."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

import msgspec
from world import Person, World
from world_data import Row

from koppel.odata.records import ZERO_GUID, Side
from koppel.sync.prepare import SIDES

from .desks import SETS, Cell, Desk, Office

log = logging.getLogger(__name__)

_T = TypeVar("_T")
OTHER: dict[Side, Side] = {"business_central": "dataverse", "dataverse": "business_central"}

Place = tuple[str, Side, str]
"""A record: mapping, side, id."""
NEVER_MADE: frozenset[tuple[str, Side]] = frozenset({("SALESPEOPLE", "dataverse")})
"""Where nobody creates or deletes anything."""
SHARES = {"CUSTOMER": 3, "CONTACT": 2, "MACHINE": 2, "SITE": 1, "SALESPEOPLE": 1}
"""How often people work at each desk."""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """A value that somebody typed into a field of a record, and what was there ``before``.

    ``number`` counts all edits; ``epoch`` is the stretch between two times at which everything was in step.
    """

    number: int
    epoch: int
    mapping: str
    side: Side
    id: str
    field: str
    value: str
    before: str
    robot: bool = False

    @property
    def place(self) -> Place:
        """The record."""
        return self.mapping, self.side, self.id


def at_once(doing: Coroutine[Any, Any, _T]) -> _T:
    """What people do, they do while nobody else does anything."""
    try:
        doing.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    raise AssertionError("a person had to wait")


class People:
    """Bob in Business Central, Alice in Dataverse, and now and then the connection's own user.

    ``first``: what was there before; ``made``: what they created; ``deleted``: how many edits there were when they
    deleted it; ``dropped``: codes of terms that they deleted; ``left_to_robot``: the records that the connection's own
    user was the last to save, were it without a change.
    """

    def __init__(self, world: World, dice: Random, names: list[str]) -> None:
        self.world = world
        self.dice = dice
        self.office = Office(world, names)
        self.epoch = 0
        self.ledger: list[Edit] = []
        self.made: set[Place] = set()
        self.deleted: dict[Place, int] = {}
        self.dropped: set[str] = set()
        self.left_to_robot: set[Place] = set()
        self._typed = 0
        self.first = {place for side in SIDES for place in self._told(side)}

    def deletions(self, side: Side) -> int:
        """How many records of a side they have deleted."""
        return sum(where == side for _, where, _ in self.deleted)

    def was_there(self, place: Place) -> bool:
        """Whether somebody made the record, or it was there before all."""
        return place in self.made or place in self.first

    def was_edited(self, place: Place) -> bool:
        """Whether somebody typed something in the record."""
        return any(edit.place == place for edit in self.ledger)

    def act(self) -> None:
        """Somebody does something."""
        desks = list(self.office.desks.values())
        [desk] = self.dice.choices(desks, [SHARES[desk.name] for desk in desks])
        acts = (
            (4, self._create),
            (1, self._create_alike),
            (9, self._edit),
            (3, self._edit_both),
            (1, self._delete),
            (1, self._move),
        )
        [act] = self.dice.choices([act for _, act in acts], [weight for weight, _ in acts])
        if self.office.options and self.dice.random() < 0.1:
            self._name_terms()
        else:
            act(desk, self.dice.choice(SIDES))

    # acts

    def _name_terms(self) -> None:
        """A code that nobody knew, or one less."""
        codes = self.office.codes()
        if codes and self.dice.random() < 0.3:
            row = self.dice.choice(codes)
            log.info("business_central deletes the terms %s", row["code"])
            at_once(self.world.bob.delete("paymentTerms", row["id"]))
            self.dropped.add(row["code"])
            return
        code = f"T{self._number()}"
        log.info("business_central makes the terms %s", code)
        at_once(self.world.bob.create("paymentTerms", code=code, displayName=code))

    def _create(self, desk: Desk, side: Side) -> None:
        values: Row = {}
        for cell in desk.cells.values():
            needed = cell.kind in ("name", "key") or (desk.name, cell.name) == ("CONTACT", "companyNumber")
            if needed or self.dice.random() < (0.5 if cell.kind == "text" else 0.8):
                values[cell.name] = self._value(cell, desk, side, None)
        self._make(desk, side, values)

    def _create_alike(self, desk: Desk, side: Side) -> None:
        """A second record that looks like one that is there."""
        if found := self._any(desk, side):
            values = {}
            for cell in desk.cells.values():
                value = found.get(cell.column(side))
                gone = cell.kind in ("reference", "option") and value not in self._choice(cell, desk, side, found)
                if not gone:
                    values[cell.name] = self._typed_value(cell) if cell.kind == "key" else value
            self._make(desk, side, values)

    def _make(self, desk: Desk, side: Side, values: Mapping[str, Any]) -> None:
        fixed: Row = {}
        if desk.name == "CONTACT" and side == "business_central":
            fixed = {"type": "Person"}
        elif desk.name == "CUSTOMER" and side == "dataverse":
            fixed = {"customertypecode": 3}
        there = {name: value for name, value in values.items() if value not in (None, "", ZERO_GUID)}
        if (desk.name, side) in NEVER_MADE or any(
            cell.kind in ("name", "key") and name not in there for name, cell in desk.cells.items()
        ):
            return
        if desk.name == "CONTACT" and "companyNumber" not in there:
            return
        if desk.name == "SALESPEOPLE":
            fixed = {"code": f"SP{self._number()}"}
        there.pop("primaryContactNo", None)  # nobody belongs to a customer that is not there yet
        body = fixed | _body(desk, side, there)
        log.info("%s makes %s: %s", side, desk.name, body)
        with self._watching(side):
            at_once(self.office.person(desk, side).create(desk.set_of(side), body))

    def _edit(self, desk: Desk, side: Side) -> None:
        if found := self._any(desk, side):
            self.edit(desk, side, found)

    def edit(self, desk: Desk, side: Side, found: Row) -> None:
        """Change a field or two of a record."""
        cells = [cell for cell in desk.cells.values() if cell.kind != "key"]
        shares = [3 if cell.kind in ("reference", "option") else 1 for cell in cells]
        chosen = self.dice.choices(cells, shares, k=self.dice.randint(1, 2))
        values = {cell.name: self._edited(cell, desk, side, found) for cell in chosen}
        robot = side == "dataverse" and self.dice.random() < 0.1
        self._update(desk, side, found, _body(desk, side, values), robot=robot)

    def _edit_both(self, desk: Desk, side: Side) -> None:
        """Somebody changes a field, and somebody else the same one of what looks like the same record there."""
        there = OTHER[side]
        found = self._any(desk, side)
        names = [cell for cell in desk.cells.values() if cell.kind in ("name", "key")]
        shared = [
            cell for cell in desk.cells.values() if cell.kind in ("name", "text") and cell.said.direction == "both"
        ]
        if not (found and names):
            return
        called = [self.office.value(cell, side, found) for cell in names]
        for row in list(self.office.rows(desk.name, there).values()):
            if called == [self.office.value(cell, there, row) for cell in names]:
                cell = self.dice.choice(shared)
                for where, one in ((side, found), (there, dict(row))):
                    body = _body(desk, where, {cell.name: self._edited(cell, desk, where, one)})
                    self._update(desk, where, one, body)
                return

    def _update(self, desk: Desk, side: Side, found: Row, body: Row, *, robot: bool = False) -> None:
        id = str(found[desk.id_column(side)])
        log.info("%s %s %s %s: %s", side, "ROBOT edits" if robot else "edits", desk.name, id, body)
        person: Person = self.world.robot if robot else self.office.person(desk, side)
        with self._watching(side, robot=robot):
            at_once(person.update(desk.set_of(side), id, body))
        (self.left_to_robot.add if robot else self.left_to_robot.discard)((desk.name, side, id))

    def _delete(self, desk: Desk, side: Side) -> None:
        if (found := self._any(desk, side)) and (desk.name, side) not in NEVER_MADE:
            self.remove(desk, side, str(found[desk.id_column(side)]))

    def remove(self, desk: Desk, side: Side, id: str) -> None:
        """Delete a record."""
        log.info("%s deletes %s %s", side, desk.name, id)
        with self._watching(side):
            at_once(self.office.person(desk, side).delete(desk.set_of(side), id))

    def _move(self, desk: Desk, side: Side) -> None:
        """A record leaves the mapping's filter, or comes back."""
        if (found := self._any(desk, side)) and (body := desk.moved(side, found)):
            self._update(desk, side, found, body)

    # values

    def _any(self, desk: Desk, side: Side) -> Row | None:
        """Any record, rather one of the latest."""
        rows = self.office.rows(desk.name, side)
        ids = [id for id, row in rows.items() if is_seen(desk, side, row)]
        return dict(rows[self.dice.choice(ids[-2:] if self.dice.random() < 0.4 else ids)]) if ids else None

    def _edited(self, cell: Cell, desk: Desk, side: Side, row: Row) -> Any:
        blank = not _is_compulsory(cell, side) and self.dice.random() < 0.15
        return self._blank(cell, side) if blank else self._value(cell, desk, side, row)

    @staticmethod
    def _blank(cell: Cell, side: Side) -> Any:
        by_id = cell.said.lookup is not None and cell.said.lookup.by == "id"
        return None if side == "dataverse" else ZERO_GUID if by_id else ""

    def _value(self, cell: Cell, desk: Desk, side: Side, row: Row | None) -> Any:
        """A value for a field of a record, ``row`` if it is there already; blank if there is nothing to choose."""
        if cell.kind not in ("reference", "option"):
            return self._typed_value(cell)
        choice = self._choice(cell, desk, side, row)
        return self.dice.choice(choice) if choice else self._blank(cell, side)

    def _choice(self, cell: Cell, desk: Desk, side: Side, row: Row | None) -> list[Any]:
        """What a reference or option of a record may hold."""
        if cell.kind == "reference":
            return self._referred(cell, desk, side, row)
        if side == "dataverse":
            return list(self.office.choices(cell.to))
        return [row["code"] for row in self.office.codes()]

    def _referred(self, cell: Cell, desk: Desk, side: Side, row: Row | None) -> list[Any]:
        """What a reference of a record may hold."""
        rows = self.office.rows(cell.to, side)
        target = self.office.desks.get(cell.to)
        there = {id: r for id, r in rows.items() if target is None or is_seen(target, side, r)}
        if cell.name == "primaryContactNo" and row is not None:
            # Business Central takes nobody from elsewhere.
            company = self.office.company_of(row) if side == "business_central" else row["accountid"]
            column = "companyNumber" if side == "business_central" else "_parentcustomerid_value"
            if side == "business_central" or self.dice.random() < 0.8:
                there = {id: r for id, r in there.items() if r.get(column) == company}
        lookup = cell.said.lookup
        assert lookup is not None
        if side == "dataverse" or lookup.by == "id":
            return list(there)
        if lookup.by == "contact.company":
            return [number for r in there.values() if (number := self.office.company_of(r))]
        return [r[self.world.mappings[cell.to].business_central.key] for r in there.values()]

    def _typed_value(self, cell: Cell) -> str:
        return cell.typed(self._number())

    def _number(self) -> int:
        self._typed += 1
        return self._typed

    # the ledger

    @contextmanager
    def _watching(self, side: Side, *, robot: bool = False) -> Iterator[None]:
        """Note what becomes of the records of a side, also what its system makes of it elsewhere."""
        before = self._told(side)
        yield
        after = self._told(side)
        for place in before:
            if place not in after:
                self.deleted[place] = len(self.ledger)
        for place, values in after.items():
            if place not in before:
                self.made.add(place)
            for name, value in values.items():
                was = before.get(place, {}).get(name, "")
                if value != was:
                    self._note(place, name, value, was, robot=robot)

    def _told(self, side: Side) -> dict[Place, dict[str, str]]:
        """What the records of a side say in the mapped fields."""
        self.office.learn()
        return {
            (desk.name, side, id): {name: self.office.value(cell, side, row) for name, cell in desk.cells.items()}
            for desk, id, row in self.seen(side)
        }

    def seen(self, side: Side) -> Iterator[tuple[Desk, str, Row]]:
        """The records that people see on a side."""
        for desk in self.office.desks.values():
            for id, row in self.office.rows(desk.name, side).items():
                if is_seen(desk, side, row):
                    yield desk, id, row

    def _note(self, place: Place, field: str, value: str, before: str, *, robot: bool) -> None:
        mapping, side, id = place
        number = len(self.ledger)
        (self.left_to_robot.add if robot else self.left_to_robot.discard)(place)
        self.ledger.append(
            Edit(
                number=number,
                epoch=self.epoch,
                mapping=mapping,
                side=side,
                id=id,
                field=field,
                value=value,
                before=before,
                robot=robot,
            )
        )


def is_seen(desk: Desk, side: Side, row: Row) -> bool:
    """Whether a record of the table has anything to do with the mapping: companies are no contacts."""
    return desk.name != "CONTACT" or side == "dataverse" or row.get("type") == "Person"


def _is_compulsory(cell: Cell, side: Side) -> bool:
    return cell.kind == "name" or (side == "dataverse" and cell.said.dataverse == "ownerid")


def _body(desk: Desk, side: Side, values: Mapping[str, Any]) -> Row:
    """What is sent for these values."""
    if side == "business_central":
        return {desk.cells[name].said.business_central: value for name, value in values.items()}
    body: Row = {}
    for name, value in values.items():
        said = desk.cells[name].said
        if said.lookup is None:
            body[said.dataverse] = value
        else:
            table = desk.cells[name].to
            body[f"{said.dataverse}@odata.bind"] = f"/{SETS[table]}({value})" if value else None
    return body
