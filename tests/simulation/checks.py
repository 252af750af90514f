"""What must hold once everything is in step, looked at without any of the engine's own eyes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from world import World
from world_data import Row

from koppel.engine.fields import Field
from koppel.odata.records import Side
from koppel.store import history, intents, jobs
from koppel.store.couplings import Coupling
from koppel.store.history import Entry
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.recover import UNDECIDED
from koppel.sync.session import ready_mapping
from koppel.sync.verify import verify

from .people import Edit, People, plain

OTHER: dict[Side, Side] = {"business_central": "dataverse", "dataverse": "business_central"}


class BrokenError(AssertionError):
    """Something that must hold does not."""


class Books(msgspec.Struct, kw_only=True):
    """What Koppel has written down about a mapping. ``troubled``: ids of records with a failure;
    ``undecided``: of those of which it cannot be told where they come from; ``contested``: (Business Central id, group)
    of open conflicts."""

    ready: Ready
    couplings: list[Coupling]
    history: list[Entry]
    troubled: set[str]
    undecided: set[str]
    contested: set[tuple[str, str]]
    intents: int
    running: int


async def read_books(world: World, name: str) -> Books:
    """Read what is written down."""
    connection = world.session.connection
    ready = await ready_mapping(world.session, name)
    failures, conflicts = await world.failures(name), await world.conflicts(name)
    undecided = {failure.record_id for failure in failures if failure.code == UNDECIDED}
    books = Books(
        ready=ready,
        couplings=await world.couplings(name),
        history=await history.find(connection, mapping=name, limit=100_000),
        troubled={failure.record_id for failure in failures},
        contested={(conflict.business_central_id, conflict.field) for conflict in conflicts},
        undecided=undecided,
        intents=sum(intent.source_id not in undecided for intent in await intents.unsettled(connection, name)),
        running=sum(job.status == "running" for job in await jobs.recent(connection, mapping=name)),
    )
    await connection.commit()
    return books


class Checks:
    """The invariants of one world. ``partners``: by side and id, every record it ever was coupled to and since when."""

    def __init__(self, world: World, people: People) -> None:
        self.world = world
        self.people = people
        self.partners: dict[tuple[Side, str], dict[str, int]] = {}
        self.decided: set[tuple[str, str, int]] = set()

    async def check(self) -> None:
        """Raise what is broken, all of it."""
        books = await read_books(self.world, "CUSTOMER")
        for coupling in books.couplings:
            self._couple(coupling.business_central_id, coupling.dataverse_id)
        for entry in books.history:
            if entry.action == "uncouple":
                self._couple(str(entry.old), entry.record_id)
        wrong = [
            *self._in_process(books),
            *self._one_to_one(books),
            *self._duplicates(books),
            *self._differences(books),
            *self._lost(books),
            *await self._verified(books),
        ]
        if wrong:
            raise BrokenError("\n".join(wrong))

    def _couple(self, ours: str, theirs: str) -> None:
        self.partners.setdefault(("business_central", ours), {}).setdefault(theirs, self.people.epoch)
        self.partners.setdefault(("dataverse", theirs), {}).setdefault(ours, self.people.epoch)

    def _in_process(self, books: Books) -> Iterator[str]:
        if books.intents:
            yield f"{books.intents} intents are left"
        if books.running:
            yield f"{books.running} jobs are said to run"

    def _one_to_one(self, books: Books) -> Iterator[str]:
        for side in SIDES:
            ids = [_coupled(coupling, side) for coupling in books.couplings]
            if len(set(ids)) != len(ids):
                yield f"a record of {side} is coupled twice"
            rows = self.people.rows(side)
            for coupling in books.couplings:
                if _coupled(coupling, side) not in rows and not self._is_told(books, coupling):
                    yield f"coupled to nothing in {side}: {coupling.business_central_id} {coupling.dataverse_id}"

    def _is_told(self, books: Books, coupling: Coupling) -> bool:
        """Whether a pair that lost a record is listed, or what is left of it is outside the filter."""
        if {coupling.business_central_id, coupling.dataverse_id} & books.troubled:
            return True
        left = [self.people.rows(side).get(_coupled(coupling, side)) for side in SIDES]
        return not _inside(*left)

    def _duplicates(self, books: Books) -> Iterator[str]:
        """Every record that nobody typed is the partner of one that somebody did."""
        for side in SIDES:
            coupled = {_coupled(coupling, side) for coupling in books.couplings}
            for id, row in self.people.rows(side).items():
                if id in coupled | books.undecided or (side, id) in self.people.made or (side, id) in self.partners:
                    continue
                yield f"nobody typed {id} in {side}, and it is coupled to nothing: {plain(row.get(NAMES[side]))}"

    def _differences(self, books: Books) -> Iterator[str]:
        last = {(edit.side, edit.id): edit for edit in self.people.ledger}
        typed = {(edit.side, edit.id, edit.field): edit for edit in self.people.ledger}
        ours, theirs = (self.people.rows(side) for side in SIDES)
        for coupling in books.couplings:
            one, two = ours.get(coupling.business_central_id), theirs.get(coupling.dataverse_id)
            ids = coupling.business_central_id, coupling.dataverse_id
            if not (one and two) or books.troubled & set(ids) or not _inside(one, two):
                continue
            latest = [last.get((side, id)) for side, id in zip(SIDES, ids, strict=True)]
            if books.ready.mapping.ignore_integration_user and any(edit and edit.robot for edit in latest):
                continue
            for group in books.ready.table.groups:
                if (coupling.business_central_id, group.name) in books.contested:
                    continue
                for field in group.fields:
                    if not self._is_alike(books, field, one, two, ids, typed):
                        yield f"{field.name} differs: {ids} {_told(field, one, two)}"

    def _is_alike(
        self,
        books: Books,
        field: Field,
        one: Row,
        two: Row,
        ids: tuple[str, str],
        typed: Mapping[tuple[Side, str, str], Edit],
    ) -> bool:
        ours, theirs = _told(field, one, two)
        way = field.mapping.direction
        if ours == theirs:
            return True
        if field.mapping.keep_blank and "" in (ours, theirs):
            return True
        if way == "both" or books.ready.mapping.drift == "overwrite":
            return False
        receiver: Side = "dataverse" if way == "to_dataverse" else "business_central"
        id, leader = ids[SIDES.index(receiver)], OTHER[receiver]
        if any((leader, partner) in self.people.deleted for partner in self.partners.get((receiver, id), ())):
            return True  # what only that record knew went with it; the next one has it no more
        edit = typed.get((receiver, id, field.name))
        return edit is not None and edit.value == (theirs if receiver == "dataverse" else ours)

    def _lost(self, books: Books) -> Iterator[str]:
        """What people typed is there, or was replaced knowingly, or was overruled and is on record."""
        fields = {field.name: field for field in books.ready.table.fields}
        groups = {field.name: group for group in books.ready.table.groups for field in group.fields}
        typed = {(edit.side, edit.id, edit.field): edit for edit in self.people.ledger}
        for edit in typed.values():
            if edit.field not in fields or (edit.robot and books.ready.mapping.ignore_integration_user):
                continue
            if edit.number < self.people.deleted.get((edit.side, edit.id), 0):
                continue
            row = self.people.rows(edit.side).get(edit.id)
            if row is None:
                yield f"{edit.id} is gone from {edit.side}"
                continue
            now = plain(row.get(fields[edit.field].end(edit.side).column))
            if now == edit.value:
                continue
            recorded = any(_records(entry, edit) for entry in books.history)
            if not recorded:
                yield f"{edit} is gone without a record: {now!r}"
                continue
            policy = groups[edit.field].policy
            names = {field.name for field in groups[edit.field].fields}
            if not self._replaced(books, edit, names, policy):
                yield f"{edit} was overruled by nobody: {now!r}"

    def _replaced(self, books: Books, edit: Edit, names: set[str], policy: str) -> bool:
        mapping = books.ready.mapping
        said = next(f.mapping for f in books.ready.table.fields if f.name == edit.field)
        if said.keep_blank and not edit.value:
            return True  # a blank is nothing to be kept there
        way = said.direction
        receives = way == ("to_dataverse" if edit.side == "dataverse" else "from_dataverse")
        if receives and mapping.drift == "overwrite":
            return True
        for partner, since in self.partners.get((edit.side, edit.id), {}).items():
            if since >= edit.epoch:
                return True  # coupled meanwhile: the initial side wins
            ours = edit.id if edit.side == "business_central" else partner
            for rival in self.people.ledger:
                if (rival.side, rival.id) != (OTHER[edit.side], partner) or rival.field not in names:
                    continue
                if rival.field == edit.field and rival.before == edit.value:
                    return True
                if rival.epoch < edit.epoch:
                    continue
                if receives or policy != "ask" or (ours, edit.field, edit.epoch) in self.decided:
                    return True
                if mapping.ignore_integration_user and self._is_hidden(edit):
                    return True
        return False

    def _is_hidden(self, edit: Edit) -> bool:
        """Whether the connection's own user edited the record later: what it did, and what people did before, yields to
        what a person does on the other side."""
        later = self.people.ledger[edit.number + 1 :]
        return any(one.robot and (one.side, one.id) == (edit.side, edit.id) for one in later)

    async def _verified(self, books: Books) -> Iterable[str]:
        found = await verify(self.world.session, ["CUSTOMER"])
        await self.world.session.connection.commit()
        wrong: list[object] = [*found.differences]
        known = {c.business_central_id for c in books.couplings if self._is_told(books, c)}
        wrong += [one for one in found.orphans if one.business_central_id not in known]
        return [f"verify: {one}" for one in wrong]


NAMES: dict[Side, str] = {"business_central": "displayName", "dataverse": "name"}


def _coupled(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id


def _inside(ours: Row | None, theirs: Row | None) -> bool:
    return plain((ours or {}).get("blocked")) in ("", "_x0020_") and (theirs or {}).get("statecode", 0) == 0


def _told(field: Field, one: Row, two: Row) -> tuple[str, str]:
    return plain(one.get(field.business_central.column)), plain(two.get(field.dataverse.column))


def _records(entry: Entry, edit: Edit) -> bool:
    where = (entry.side, entry.record_id, entry.field, entry.action)
    return where == (edit.side, edit.id, edit.field, "update") and plain(entry.old) == edit.value
