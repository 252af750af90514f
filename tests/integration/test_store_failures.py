from __future__ import annotations

from typing import Any
from uuid import UUID

from koppel.store import couplings, failures
from koppel.store.couplings import Coupling
from koppel.store.database import Connection
from koppel.store.failures import Failure


def guid(number: int) -> str:
    return str(UUID(int=number))


def failed(number: int = 1, **values: Any) -> Failure:
    usual = {"direction": "to_dataverse", "kind": "data", "code": "0x80044331", "field": "name", "message": "too long"}
    return Failure(**{"mapping": "CUSTOMER", "side": "business_central", "record_id": guid(number), **usual, **values})


async def states(connection: Connection) -> list[tuple[str, int, str]]:
    """Of each failure: record, attempts, state; by record."""
    return sorted((f.record_id, f.attempts, f.state) for f in await failures.find(connection))


async def coupling_state(connection: Connection, number: int) -> str:
    found = await couplings.by_ids(connection, "CUSTOMER", "business_central", [guid(number)])
    return found[guid(number)].state


async def test_a_failure_is_kept_with_cause_and_remedy(connection: Connection) -> None:
    whole = failed(record_name="Adatum\0", value="x" * 300, remedy="Shorten it.", version='W/"1"', digest="abc", job=7)
    await failures.record(connection, [whole])
    found = (await failures.by_ids(connection, "CUSTOMER", "business_central", [guid(1), guid(2)]))[guid(1)]
    assert found.record_name == "Adatum"
    for name in ("kind", "code", "field", "value", "message", "remedy", "version", "digest", "job", "direction"):
        assert getattr(found, name) == getattr(whole, name)
    assert (found.attempts, found.state) == (1, "active")
    assert found.first_at == found.last_at is not None


async def test_the_same_data_error_twice_makes_the_pair_skipped(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [Coupling(guid(1), guid(11)), Coupling(guid(2), guid(12))])
    await failures.record(connection, [failed(1), failed(2)])
    assert await coupling_state(connection, 1) == "active"
    await failures.record(connection, [failed(1, message="too long, other words")])
    assert await states(connection) == [(guid(1), 2, "skipped"), (guid(2), 1, "active")]
    assert await coupling_state(connection, 1) == "skipped"
    assert await coupling_state(connection, 2) == "active"


async def test_another_error_starts_over(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [Coupling(guid(1), guid(11))])
    for _ in range(2):
        await failures.record(connection, [failed(1)])
    await failures.record(connection, [failed(1, field="city")])
    assert await states(connection) == [(guid(1), 1, "active")]
    assert await coupling_state(connection, 1) == "active"


async def test_only_data_errors_make_a_record_skipped(connection: Connection) -> None:
    for _ in range(3):
        await failures.record(connection, [failed(1, kind="permission"), failed(2, kind="transient")])
    assert await states(connection) == [(guid(1), 3, "active"), (guid(2), 3, "active")]


async def test_records_without_coupling_and_without_guid_fail_too(connection: Connection) -> None:
    for _ in range(2):
        await failures.record(connection, [failed(1), failed(record_id="12", side="dataverse", mapping="TERMS")])
    assert await states(connection) == [(guid(1), 2, "skipped"), ("12", 2, "skipped")]


async def test_success_clears_and_the_other_side_keeps_it_skipped(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [Coupling(guid(1), guid(11))])
    for _ in range(2):
        await failures.record(connection, [failed(1), failed(11, side="dataverse", direction="from_dataverse")])
    await failures.clear(connection, "CUSTOMER", "business_central", [guid(1)])
    assert await coupling_state(connection, 1) == "skipped"
    await failures.clear(connection, "CUSTOMER", "dataverse", [guid(11)])
    assert await coupling_state(connection, 1) == "active"
    assert await failures.find(connection) == []


async def test_retry_of_one_of_a_mapping_and_of_all(connection: Connection) -> None:
    await couplings.save(connection, "CUSTOMER", [Coupling(guid(n), guid(10 + n)) for n in (1, 2)])
    for _ in range(2):
        await failures.record(connection, [failed(1), failed(2), failed(3, mapping="CONTACT")])
    assert await failures.retry(connection, mapping="CUSTOMER", record_ids=[guid(1)]) == 1
    assert await coupling_state(connection, 1) == "active"
    assert await coupling_state(connection, 2) == "skipped"
    # As if it had not failed before: once more is not yet twice.
    await failures.record(connection, [failed(1)])
    assert await coupling_state(connection, 1) == "active"
    await failures.record(connection, [failed(1)])
    assert await coupling_state(connection, 1) == "skipped"
    assert await failures.retry(connection, mapping="CUSTOMER") == 2
    assert await failures.retry(connection) == 3
    assert await failures.find(connection, state="skipped") == []


async def test_failures_are_found_by_what_they_are(connection: Connection) -> None:
    await failures.record(connection, [failed(1, job=1), failed(2, kind="permission", job=2)])
    await failures.record(connection, [failed(3, mapping="CONTACT", side="dataverse", job=2)])

    async def numbers(**filters: Any) -> list[str]:
        return sorted(failure.record_id for failure in await failures.find(connection, **filters))

    assert await numbers(mapping="CUSTOMER") == [guid(1), guid(2)]
    assert await numbers(kind="permission") == [guid(2)]
    assert await numbers(job=2) == [guid(2), guid(3)]
    assert await numbers(side="dataverse") == [guid(3)]
    assert await numbers(record_ids=[guid(1), guid(9)]) == [guid(1)]
    assert await numbers(state="skipped") == []
    assert len(await numbers(limit=2)) == 2
