"""What people do in both systems, and the ledger of it: every value that anybody typed, and what it replaced."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import msgspec
from world import World
from world_data import Row

from koppel.mapping.model import FieldMapping, TableMapping
from koppel.odata.records import Side
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sync.prepare import SIDES

log = logging.getLogger(__name__)

SHAPES: Mapping[str, str] = {
    "phoneNumber": "555-{}",
    "faxNo": "556-{}",
    "mobilePhoneNo": "557-{}",
    "website": "v{}.example",
    "email": "v{}@example.com",
    "postalCode": "P{}",
}


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """A value that somebody typed into a field of a record, and what was there ``before``.

    ``number`` counts all edits; ``epoch`` is the stretch between two times at which everything was in step.
    """

    number: int
    epoch: int
    side: Side
    id: str
    field: str
    value: str
    before: str
    robot: bool = False


def plain(value: Any) -> str:
    """A value as people would compare it, whichever way it is spelled (``mappings.STEPS``)."""
    return "" if value is None else str(value).strip().replace("q", "v")


class People:
    """Bob in Business Central, Alice in Dataverse, and now and then the connection's own user.

    ``made``: what they created; ``deleted``: how many edits there were when they deleted it.
    """

    def __init__(self, world: World, dice: Random, mapping: TableMapping) -> None:
        self.world = world
        self.dice = dice
        self.mapping = mapping
        self.fields = [field for field in mapping.fields if field.business_central and field.dataverse]
        self.epoch = 0
        self.ledger: list[Edit] = []
        self.made: set[tuple[Side, str]] = set()
        self.deleted: dict[tuple[Side, str], int] = {}
        self._typed = 0

    def rows(self, side: Side) -> Mapping[str, Row]:
        """The rows of the mapping's table on a side, as the system holds them."""
        if side == "business_central":
            return self.world.sandbox.business_central.companies[COMPANY].stores["customers"].rows
        return self.world.sandbox.dataverse.tables["account"].rows

    def deletions(self, side: Side) -> int:
        """How many records of a side they have deleted."""
        return sum(where == side for where, _ in self.deleted)

    async def act(self) -> None:
        """Somebody does something."""
        acts: tuple[tuple[int, Callable[[Side], Awaitable[None]]], ...] = (
            (4, self._create),
            (1, self._create_alike),
            (9, self._edit),
            (1, self._delete),
            (1, self._leave_or_return),
        )
        [act] = self.dice.choices([act for _, act in acts], [weight for weight, _ in acts])
        await act(self.dice.choice(SIDES))

    async def _create(self, side: Side) -> None:
        names = [f for f in self.fields if f.business_central == "displayName" or self.dice.random() < 0.5]
        await self._make(side, {field.name: self._value(field) for field in names})

    async def _create_alike(self, side: Side) -> None:
        """A second record that looks like one that is there."""
        if (found := self._any(side)) is None:
            return
        values = {f.name: plain(found.get(_column(f, side))) for f in self.fields}
        if values["displayName"]:
            await self._make(side, values)

    async def _make(self, side: Side, values: Mapping[str, str]) -> None:
        row = {_column(f, side): values[f.name] for f in self.fields if values.get(f.name)}
        if side == "business_central":
            made = str((await self.world.bob.create("customers", row))["id"])
        else:
            made = str((await self.world.alice.create("accounts", row, customertypecode=3))["accountid"])
        self.made.add((side, made))
        log.info("%s makes %s: %s", side, made, row)
        for field in self.fields:
            if values.get(field.name):
                self._note(side, made, field, values[field.name], "")

    async def _edit(self, side: Side) -> None:
        if found := self._any(side):
            await self.edit(side, _id(found, side))

    async def edit(self, side: Side, id: str) -> None:
        """Change a field or two of a record."""
        found = self.rows(side)[id]
        fields = self.dice.sample(self.fields, self.dice.randint(1, 2))
        values = {field.name: self._edited(field) for field in fields}
        robot = side == "dataverse" and self.dice.random() < 0.1
        row = {_column(f, side): values[f.name] or ("" if side == "business_central" else None) for f in fields}
        log.info("%s %s %s: %s", side, "ROBOT edits" if robot else "edits", id, row)
        before = {f.name: plain(found.get(_column(f, side))) for f in fields}
        await self._update(side, id, row, robot=robot)
        for field in fields:
            self._note(side, id, field, values[field.name], before[field.name], robot=robot)

    async def _update(self, side: Side, id: str, row: Row, *, robot: bool = False) -> None:
        if side == "business_central":
            await self.world.bob.update("customers", id, row)
        else:
            await (self.world.robot if robot else self.world.alice).update("accounts", id, row)

    async def _delete(self, side: Side) -> None:
        if found := self._any(side):
            await self.remove(side, _id(found, side))

    async def remove(self, side: Side, id: str) -> None:
        """Delete a record."""
        log.info("%s deletes %s", side, id)
        if side == "business_central":
            await self.world.bob.delete("customers", id)
        else:
            await self.world.alice.delete("accounts", id)
        self.deleted[side, id] = len(self.ledger)

    async def _leave_or_return(self, side: Side) -> None:
        """A record leaves the mapping's filter, or comes back."""
        if (found := self._any(side)) is None:
            return
        log.info("%s moves %s in or out", side, _id(found, side))
        if side == "business_central":
            inside = plain(found.get("blocked")) in ("", "_x0020_")
            await self._update(side, found["id"], {"blocked": "All" if inside else "_x0020_"})
        else:
            inside = found["statecode"] == 0
            state = {"statecode": 1, "statuscode": 2} if inside else {"statecode": 0, "statuscode": 1}
            await self._update(side, found["accountid"], state)

    def _any(self, side: Side) -> Row | None:
        """Any record, rather one of the latest."""
        ids = list(self.rows(side))
        return dict(self.rows(side)[self.dice.choice(ids[-2:] if self.dice.random() < 0.4 else ids)]) if ids else None

    def _edited(self, field: FieldMapping) -> str:
        blank = field.business_central != "displayName" and self.dice.random() < 0.15
        return "" if blank else self._value(field)

    def _value(self, field: FieldMapping) -> str:
        self._typed += 1
        return SHAPES.get(field.business_central, "v{}").format(self._typed)

    def _note(self, side: Side, id: str, field: FieldMapping, value: str, before: str, *, robot: bool = False) -> None:
        self.ledger.append(
            Edit(
                number=len(self.ledger),
                epoch=self.epoch,
                side=side,
                id=id,
                field=field.name,
                value=value,
                before=before,
                robot=robot,
            )
        )


def _column(field: FieldMapping, side: Side) -> str:
    return field.business_central if side == "business_central" else field.dataverse


def _id(row: Row, side: Side) -> str:
    return str(row["id" if side == "business_central" else "accountid"])
