"""What is kept of single records beside their coupling: intents, pending fields, options, conflicts, history."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from koppel.errors import StoreError
from koppel.store import conflicts, couplings, history, intents, options, pending
from koppel.store.conflicts import Conflict
from koppel.store.couplings import Coupling
from koppel.store.database import Connection
from koppel.store.history import Entry
from koppel.store.intents import Intended, Intent
from koppel.store.options import Option
from koppel.store.pending import Pending


def guid(number: int) -> str:
    return str(UUID(int=number))


async def test_an_intent_stays_until_it_is_settled(connection: Connection) -> None:
    made = [
        Intent(
            side="dataverse",
            source_id=guid(1),
            intended_id=guid(1),
            identity={"accountnumber": "C1", "creditlimit": 1.5, "fax": None},
            base=b"base",
            job=3,
        ),
        Intent(side="business_central", source_id=guid(2), identity={"number": "S-1"}),
        Intent(
            kind="update",
            side="dataverse",
            source_id=guid(3),
            intended_id=guid(4),
            record_name="Adatum",
            changes=(Intended("phoneNumber", "1", None, "why"),),
        ),
        Intent(
            kind="delete",
            side="dataverse",
            source_id=guid(5),
            intended_id=guid(6),
            held={"name": "Adatum", "fax": None},
            why="because",
        ),
    ]
    await intents.save(connection, "CUSTOMER", made)
    await connection.commit()
    first = await intents.unsettled(connection, "CUSTOMER")
    assert [msgspec.structs.replace(intent, made_at=None) for intent in first] == made
    await intents.save(connection, "CUSTOMER", made[:1])
    again = await intents.unsettled(connection, "CUSTOMER")
    assert [i.made_at for i in again] == [i.made_at for i in first]
    await intents.settle(connection, "CUSTOMER", "dataverse", [guid(n) for n in (1, 2, 3, 5)])
    assert [i.source_id for i in await intents.unsettled(connection, "CUSTOMER")] == [guid(2)]
    assert await intents.unsettled(connection, "CONTACT") == []


async def test_a_field_is_ready_when_its_reference_is_coupled(connection: Connection) -> None:
    waiting = [
        Pending(guid(1), guid(11), "salespersonCode", "SALESPEOPLE", "key", "JO"),
        Pending(guid(1), guid(11), "contact", "CONTACT", "business_central", guid(5)),
        Pending(guid(2), guid(12), "primarycontactid", "CONTACT", "dataverse", guid(16)),
        Pending(guid(3), guid(13), "salespersonCode", "SALESPEOPLE", "key", "no GUID"),
    ]
    await pending.save(connection, "CUSTOMER", waiting)
    assert await pending.ready(connection, "CUSTOMER") == []
    await couplings.save(connection, "SALESPEOPLE", [Coupling(guid(4), guid(14), "JO")])
    assert [p.field for p in await pending.ready(connection, "CUSTOMER")] == ["salespersonCode"]
    await couplings.save(connection, "CONTACT", [Coupling(guid(5), guid(15)), Coupling(guid(6), guid(16))])
    ready = await pending.ready(connection, "CUSTOMER")
    assert [(p.business_central_id, p.field) for p in ready] == [
        (guid(1), "contact"),
        (guid(1), "salespersonCode"),
        (guid(2), "primarycontactid"),
    ]
    assert await pending.ready(connection, "ITEM") == []
    await pending.remove(connection, "CUSTOMER", [(guid(1), "contact"), (guid(2), "salespersonCode")])
    assert len(await pending.waiting(connection, "CUSTOMER")) == 3
    await pending.remove_records(connection, "CUSTOMER", [guid(1), guid(3)])
    assert [p.field for p in await pending.waiting(connection, "CUSTOMER")] == ["primarycontactid"]


async def test_a_waiting_field_takes_its_new_reference(connection: Connection) -> None:
    for code in ("JO", "PS"):
        await pending.save(
            connection, "CUSTOMER", [Pending(guid(1), guid(11), "salespersonCode", "SALESPEOPLE", "key", code)]
        )
    assert [p.reference for p in await pending.waiting(connection, "CUSTOMER")] == ["PS"]


async def test_options_are_coupled_one_to_one(connection: Connection) -> None:
    await options.save(connection, "PAYMENT TERMS", [Option(guid(1), "30 DAYS", 1, "Net 30"), Option(guid(2), "CM", 2)])
    await options.save(connection, "PAYMENT TERMS", [Option(guid(1), "M30", 1, "Net 30")])
    await options.save(connection, "SHIPPING AGENTS", [Option(guid(1), "DHL", 1)])
    assert [(o.code, o.value, o.label) for o in await options.every(connection, "PAYMENT TERMS")] == [
        ("CM", 2, ""),
        ("M30", 1, "Net 30"),
    ]
    for clash in (Option(guid(3), "OTHER", 1), Option(guid(1), "M30", 9)):
        with pytest.raises(StoreError) as refused:
            await options.save(connection, "PAYMENT TERMS", [clash])
        assert f"code {clash.code} and option {clash.value} cannot be coupled" in refused.value.message
        assert "code M30 is coupled to option 1" in refused.value.message
    with pytest.raises(StoreError, match="code A is coupled to option 7"):
        await options.save(connection, "PAYMENT TERMS", [Option(guid(7), "A", 7), Option(guid(8), "B", 7)])
    assert await options.remove(connection, "PAYMENT TERMS", [1, 5]) == 1
    await options.save(connection, "PAYMENT TERMS", [Option(guid(3), "OTHER", 1)])
    assert [o.code for o in await options.every(connection, "PAYMENT TERMS")] == ["CM", "OTHER"]


def contested(field: str, mine: str | None, theirs: str) -> Conflict:
    return Conflict(
        mapping="CUSTOMER",
        business_central_id=guid(1),
        dataverse_id=guid(2),
        field=field,
        record_name="Adatum",
        base="old",
        business_central=mine,
        dataverse=theirs,
        business_central_modified_at="2024-01-01T00:00:00Z",
        dataverse_modified_by=guid(9),
        job=4,
    )


async def test_a_decision_holds_while_both_values_stay(connection: Connection) -> None:
    await conflicts.save(connection, [contested("name", "A", "B"), contested("city", "C", "D")])
    name, city = await conflicts.find(connection)
    assert (name.base, name.business_central, name.dataverse, name.decision) == ("old", "A", "B", None)
    assert await conflicts.decide(connection, "dataverse", ids=[name.id, city.id, 999]) == 2
    await conflicts.save(connection, [contested("name", "A", "B"), contested("city", "C", "E")])
    again = {conflict.field: conflict for conflict in await conflicts.find(connection)}
    assert (again["name"].id, again["name"].decision) == (name.id, "dataverse")
    assert (again["city"].id, again["city"].decision) == (city.id, None)
    assert [c.field for c in await conflicts.find(connection, decided=True)] == ["name"]
    assert [c.field for c in await conflicts.find(connection, decided=False)] == ["city"]
    await conflicts.close(connection, [name.id])
    assert [c.field for c in await conflicts.find(connection, mapping="CUSTOMER")] == ["city"]


async def test_conflicts_of_pairs_with_groups_and_blanks(connection: Connection) -> None:
    group = {"addressLine1": "Main Street", "city": None}
    address = Conflict(
        mapping="CUSTOMER",
        business_central_id=guid(1),
        dataverse_id=guid(2),
        field="address",
        base=group,
        business_central=group,
        dataverse={"addressLine1": "", "city": "Paris"},
    )
    await conflicts.save(connection, [address, contested("name", None, "B")])
    found = await conflicts.of_pairs(connection, "CUSTOMER", [guid(1), guid(3)])
    assert list(found) == [guid(1)]
    assert [(c.field, c.business_central) for c in found[guid(1)]] == [("address", group), ("name", None)]
    assert await conflicts.decide(connection, "business_central", mapping="CONTACT") == 0
    assert await conflicts.decide(connection, "business_central", mapping="CUSTOMER") == 2
    assert await conflicts.decide(connection, None) == 2
    assert await conflicts.find(connection, decided=True) == []


async def test_history_is_found_by_record_job_field_and_time(connection: Connection) -> None:
    entries = [
        Entry(
            1, "CUSTOMER", "dataverse", guid(1), "create", "name", None, "A\tb\0", "new in Business Central", "Adatum"
        ),
        Entry(1, "CUSTOMER", "dataverse", guid(1), "create", "creditlimit", None, 1.5),
        Entry(2, "CUSTOMER", "business_central", guid(2), "update", "blocked", True, False),
        Entry(2, "CUSTOMER", "dataverse", guid(1), "update", "address", {"city": "Paris"}, {"city": None}),
    ]
    await history.add(connection, entries)
    found = await history.find(connection)
    assert [(e.job, e.action, e.field, e.old, e.new, e.why) for e in found] == [
        (2, "update", "address", {"city": "Paris"}, {"city": None}, ""),
        (2, "update", "blocked", True, False, ""),
        (1, "create", "creditlimit", None, 1.5, ""),
        (1, "create", "name", None, "A\tb\0", "new in Business Central"),
    ]
    assert [e.field for e in await history.find(connection, job=1, field="name")] == ["name"]
    assert [e.field for e in await history.find(connection, record_ids=[guid(2), guid(3)])] == ["blocked"]
    assert [e.field for e in await history.find(connection, limit=1)] == ["address"]
    assert await history.find(connection, mapping="ITEM") == []
    blocked_at = found[1].at
    assert blocked_at is not None
    since = await history.find(connection, since=blocked_at)
    assert [e.field for e in since] == ["address", "blocked"]
    until = await history.find(connection, until=blocked_at, since=blocked_at - timedelta(hours=1))
    assert [e.field for e in until] == ["creditlimit", "name"]


async def test_a_job_is_read_back_to_front_across_commits(connection: Connection) -> None:
    await history.add(connection, [Entry(1, "ITEM", "dataverse", guid(n), "update", str(n)) for n in range(250)])
    await history.add(connection, [Entry(2, "ITEM", "dataverse", guid(1), "update", "other")])
    fields: list[str] = []
    async for chunk in history.of_job(connection, 1, 100):
        fields += [entry.field for entry in chunk]
        await history.add(connection, [Entry(3, "ITEM", "dataverse", guid(1), "update", "undone")])
        await connection.commit()
    assert fields == [str(n) for n in reversed(range(250))]
