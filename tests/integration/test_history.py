"""What was written, asked for by record, job, field, side and time."""

from __future__ import annotations

from datetime import timedelta

from world import new_world

from koppel.store.database import Database
from koppel.sync.status import written


async def test_history_answers_by_record_job_field_side_and_time(database: Database) -> None:
    async with new_world(database) as world:
        await world.sync("SALESPEOPLE", full=True)
        await world.sync("CURRENCY", full=True)
        customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
        await world.bob.create("customers", displayName="Fabrikam")
        first = (await world.sync(create=True)).job
        await world.alice.update("accounts", customer["id"], telephone1="2", websiteurl="adatum.example")
        second = (await world.sync()).job

        async def told(record: str | None = None, **by: object) -> list[tuple[str, str, object, object]]:
            found = await written(world.session, record, mapping="CUSTOMER", **by)  # type: ignore[arg-type]
            return [(one.action, one.field, one.old, one.new) for one in found if one.action != "create"]

        edits = [("update", "phoneNumber", "1", "2"), ("update", "website", "", "adatum.example")]
        assert sorted(await told()) == edits
        for name in (customer["number"], customer["id"]):
            assert sorted(await told(name)) == edits
        assert await told(job=first) == []
        assert sorted(await told(job=second)) == edits
        assert await told(field="phoneNumber") == edits[:1]
        assert sorted(await told(side="business_central")) == edits
        assert await told(side="dataverse") == []
        assert await told(customer["number"], job=second, field="website", limit=1) == edits[1:]
        (entry,) = await written(world.session, field="phoneNumber", job=second)
        assert entry.at is not None
        assert entry.why == "changed in Dataverse"
        assert len(await written(world.session, since=entry.at, field="phoneNumber")) == 1
        assert await written(world.session, until=entry.at, field="phoneNumber") == []
        assert await written(world.session, since=entry.at + timedelta(seconds=9)) == []


async def test_the_history_of_a_record_that_is_gone_is_found_by_its_name(database: Database) -> None:
    async with new_world(database) as world:
        await world.sync("SALESPEOPLE", full=True)
        await world.sync("CURRENCY", full=True)
        customer = await world.bob.create("customers", displayName="Adatum")
        await world.sync(create=True)
        world.change(deletions="uncouple")
        await world.reopen()
        await world.alice.delete("accounts", customer["id"])
        await world.sync()
        found = await written(world.session, customer["number"])
        assert [one.action for one in found] == ["uncouple", "create"]
        assert await written(world.session, "NOBODY") == []
