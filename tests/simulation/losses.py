"""No edit is lost: what people typed is there, or was replaced knowingly, or was overruled and is on record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from koppel.odata.records import Side
from koppel.store.history import Entry

from .books import Books
from .desks import Cell, Desk
from .people import OTHER, Edit, People, Place


class Losses:
    """What became of the ledger. ``partners``: by record, every one that it ever was coupled to and since when.

    ``agreed``: by mapping, Business Central id and field, how many edits there were when both sides last said the same.
    ``decided``: likewise, when a person last decided a conflict. ``overruled``: the numbers of edits that had to yield.
    """

    def __init__(self, people: People) -> None:
        self.people = people
        self.office = people.office
        self.partners: dict[Place, dict[str, int]] = {}
        self.agreed: dict[tuple[str, str, str], int] = {}
        self.decided: dict[tuple[str, str, str], int] = {}
        self.overruled: set[int] = set()

    def meet(self, name: str, books: Books) -> None:
        """Remember who was coupled to whom."""
        for coupling in books.couplings:
            self._couple(name, coupling.business_central_id, coupling.dataverse_id)
        for entry in books.history:
            if entry.action == "uncouple":
                self._couple(name, str(entry.old), entry.record_id)

    def _couple(self, name: str, ours: str, theirs: str) -> None:
        self.partners.setdefault((name, "business_central", ours), {}).setdefault(theirs, self.people.epoch)
        self.partners.setdefault((name, "dataverse", theirs), {}).setdefault(ours, self.people.epoch)

    def note_agreed(self, name: str, found: Iterable[tuple[str, str]]) -> None:
        """Both sides say the same in these fields."""
        self.agreed |= {(name, id, field): len(self.people.ledger) for id, field in found}

    def note_decided(self, name: str, id: str, fields: Iterable[str]) -> None:
        """A person decided a conflict."""
        self.decided |= {(name, id, field): len(self.people.ledger) for field in fields}

    def is_left_alone(self, desk: Desk, ours: str, theirs: str) -> bool:
        """Whether the connection's own user edited one of the two last, which the mapping ignores."""
        if not desk.mapping.ignore_integration_user or desk.mapping.direction != "both":
            return False
        pair: set[Place] = {(desk.name, "business_central", ours), (desk.name, "dataverse", theirs)}
        return not pair.isdisjoint(self.people.left_to_robot)

    def lost_its_leader(self, name: str, side: Side, id: str) -> bool:
        """Whether a record that this one was coupled to was deleted."""
        return any((name, OTHER[side], partner) in self.people.deleted for partner in self.partners[name, side, id])

    def has_nothing_to_say(self, place: Place, field: str) -> bool:
        """Whether Koppel made a record, in the place of one that was deleted, and nobody typed anything there."""
        typed = any(edit.place == place and edit.field == field for edit in self.people.ledger)
        return not typed and not self.people.was_there(place)

    def was_typed(self, name: str, side: Side, id: str, field: str, value: str) -> bool:
        """Whether this is what somebody typed there last."""
        typed = [e for e in self.people.ledger if e.place == (name, side, id) and e.field == field]
        return bool(typed) and typed[-1].value == value

    def find(self, desk: Desk, books: Books) -> Iterator[str]:
        """The edits at a desk that are lost."""
        ignored = desk.mapping.ignore_integration_user and desk.mapping.direction == "both"
        latest = {(edit.place, edit.field): edit for edit in self.people.ledger if edit.mapping == desk.name}
        for edit in latest.values():
            if edit.field not in books.fields or (edit.robot and ignored):
                continue
            if edit.number < self.people.deleted.get(edit.place, 0) or edit.number in self.overruled:
                continue
            row = self.office.rows(desk.name, edit.side).get(edit.id)
            if row is None:
                yield f"{edit.id} is gone from {edit.side}"
                continue
            cell = desk.cells[edit.field]
            now = self.office.value(cell, edit.side, row)
            if now == edit.value:
                continue
            if not any(self._records(entry, edit, cell) for entry in books.history):
                yield f"{edit} is gone without a record: {now!r}"
            elif not self._is_replaced(desk, books, edit, cell):
                yield f"{edit} was overruled by nobody: {now!r}"
            else:
                self.overruled.add(edit.number)

    def _records(self, entry: Entry, edit: Edit, cell: Cell) -> bool:
        where = (entry.side, entry.record_id, entry.field, entry.action)
        if where != (edit.side, edit.id, edit.field, "update"):
            return False
        return self.office.meaning(cell, edit.side, entry.old) == edit.value

    def _is_replaced(self, desk: Desk, books: Books, edit: Edit, cell: Cell) -> bool:
        if cell.said.keep_blank and not edit.value:
            return True  # a blank is nothing to be kept there
        receives = cell.said.direction == ("to_dataverse" if edit.side == "dataverse" else "from_dataverse")
        if receives and (cell.said.drift or desk.mapping.drift) == "overwrite":
            return True
        return any(
            since >= edit.epoch  # coupled meanwhile: the initial side wins
            or self._is_replaced_by(desk, books, edit, cell, partner, receives=receives)
            for partner, since in self.partners.get(edit.place, {}).items()
        )

    def _is_replaced_by(
        self, desk: Desk, books: Books, edit: Edit, cell: Cell, partner: str, *, receives: bool
    ) -> bool:
        ours = edit.id if edit.side == "business_central" else partner
        group = books.fields[edit.field][1]
        names = {field.name for field in group.fields}
        for rival in self.people.ledger:
            if rival.place != (desk.name, OTHER[edit.side], partner) or rival.field not in names:
                continue
            if rival.field == edit.field and self._saw(cell, rival, edit):
                return True
            if rival.number < self.agreed.get((desk.name, ours, rival.field), 0):
                continue
            if receives or group.policy != "ask" or self._is_decided(desk.name, ours, edit):
                return True
            if desk.mapping.ignore_integration_user and self._is_hidden(edit):
                return True
        return False

    def _saw(self, cell: Cell, rival: Edit, edit: Edit) -> bool:
        """Whether the rival typed over this very value, which had got across."""
        if cell.kind != "reference" or not edit.value:
            return rival.before == edit.value
        there = self.office.target(cell, rival.side, rival.before)
        return there in self.partners.get((cell.to, edit.side, self.office.target(cell, edit.side, edit.value)), {})

    def _is_decided(self, name: str, ours: str, edit: Edit) -> bool:
        return self.decided.get((name, ours, edit.field), 0) > edit.number

    def _is_hidden(self, edit: Edit) -> bool:
        """Whether the connection's own user edited the record later: what it did, and what people did before, yields to
        what a person does on the other side."""
        later = self.people.ledger[edit.number + 1 :]
        robots = any(one.robot and one.place == edit.place for one in later)
        return robots or edit.place in self.people.left_to_robot
