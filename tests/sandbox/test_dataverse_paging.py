"""The simulated Dataverse: pages, and change tracking."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import unquote

import pytest
from dataverse_org import BASE, ORGANIZATION, Answer, Organisation, Row

DAY = 86_400
TRACK = "odata.track-changes"


@pytest.fixture
def org() -> Organisation:
    return Organisation()


async def load(org: Organisation, count: int) -> list[str]:
    return sorted(org.dataverse.load("account", ({"name": f"A{number:04}"} for number in range(count))))


async def pages(org: Organisation, address: str, **headers: str) -> AsyncIterator[Answer]:
    while address:
        answer = await org.get(address, **headers)
        assert answer.status == 200, answer.body
        yield answer
        address = answer.json.get("@odata.nextLink", "")


async def read_all(org: Organisation, address: str, **headers: str) -> list[Row]:
    return [row async for page in pages(org, address, **headers) for row in page.rows]


async def delta(org: Organisation, address: str, **headers: str) -> tuple[list[Row], str]:
    """All rows of a tracked read, and the link to what comes after."""
    found = [page async for page in pages(org, address, **headers)]
    return [row for page in found for row in page.rows], str(found[-1].json["@odata.deltaLink"])


async def test_pages_cover_every_row_once_in_key_order(org: Organisation) -> None:
    keys = await load(org, 25)
    found = [page async for page in pages(org, "accounts?$select=name", prefer="odata.maxpagesize=10")]
    assert [len(page.rows) for page in found] == [10, 10, 5]
    assert [row["accountid"] for page in found for row in page.rows] == keys
    assert found[0].headers["preference-applied"] == "odata.maxpagesize=10"


async def test_the_link_to_the_next_page_carries_a_cookie(org: Organisation) -> None:
    keys = await load(org, 3)
    answer = await org.get("accounts?$select=name", prefer="odata.maxpagesize=2")
    link = answer.json["@odata.nextLink"]
    assert link.startswith(
        f"{BASE}accounts?$select=name&$skiptoken=%3Ccookie%20pagenumber=%222%22".replace("=%22", "%3D%22")
    )
    cookie = unquote(link.partition("$skiptoken=")[2])
    assert re.fullmatch(r'<cookie pagenumber="2" pagingcookie="[^"<>]+" istracking="False" />', cookie)
    assert keys[1] in unquote(unquote(cookie))
    broken = await org.get("accounts?$skiptoken=nonsense")
    assert broken.status == 400


async def test_a_full_last_page_may_be_followed_by_an_empty_one(org: Organisation) -> None:
    await load(org, 4)
    headers = {"prefer": "odata.maxpagesize=2"}
    assert [len(page.rows) async for page in pages(org, "accounts?$select=name", **headers)] == [2, 2, 0]
    org.dataverse.empty_last_page = False
    assert [len(page.rows) async for page in pages(org, "accounts?$select=name", **headers)] == [2, 2]


async def test_the_default_page_holds_five_thousand_rows(org: Organisation) -> None:
    await load(org, 5_001)
    assert [len(page.rows) async for page in pages(org, "accounts?$select=name")] == [5_000, 1]
    assert len((await org.get("accounts?$select=name", prefer="odata.maxpagesize=9000")).rows) == 5_000


async def test_filters_and_orders_hold_from_page_to_page(org: Organisation) -> None:
    await load(org, 20)
    address = "accounts?$select=name&$filter=name ge 'A0005'&$orderby=name desc"
    found = await read_all(org, address, prefer="odata.maxpagesize=4")
    assert [row["name"] for row in found] == [f"A{number:04}" for number in range(19, 4, -1)]
    unordered = await read_all(org, "accounts?$select=name&$filter=name ge 'A0005'", prefer="odata.maxpagesize=4")
    assert len({row["accountid"] for row in unordered}) == 15


async def test_a_sorted_read_goes_on_when_the_table_changes(org: Organisation) -> None:
    await load(org, 6)
    first = await org.get("accounts?$select=name&$orderby=name", prefer="odata.maxpagesize=2")
    await org.delete(f"accounts({first.rows[0]['accountid']})")
    await org.patch(f"accounts({first.rows[1]['accountid']})", {"telephone1": "1"})
    rest = await read_all(org, first.json["@odata.nextLink"], prefer="odata.maxpagesize=2")
    assert [row["name"] for row in rest] == ["A0002", "A0003", "A0004", "A0005"]
    await org.create("accounts", name="A0000")
    again = await read_all(org, "accounts?$select=name&$orderby=name", prefer="odata.maxpagesize=2")
    assert [row["name"] for row in again] == [f"A{number:04}" for number in range(6)]


async def test_rows_that_come_and_go_between_pages_move_no_others(org: Organisation) -> None:
    keys = await load(org, 10)
    seen: list[str] = []
    async for page in pages(org, "accounts?$select=name", prefer="odata.maxpagesize=3"):
        seen += [row["accountid"] for row in page.rows]
        if len(seen) == 3:
            await org.delete(f"accounts({keys[0]})")
            await org.create("accounts", accountid="00000000-0000-0000-0000-00000000000a", name="early")
            await org.create("accounts", accountid="ffffffff-ffff-ffff-ffff-ffffffffffff", name="late")
    assert seen == [*keys, "ffffffff-ffff-ffff-ffff-ffffffffffff"]


async def test_a_tracked_read_ends_with_a_link_to_what_changes(org: Organisation) -> None:
    keys = await load(org, 5)
    first = await org.get("accounts?$select=name", prefer=f"{TRACK},odata.maxpagesize=2")
    assert TRACK in first.headers["preference-applied"]
    assert "istracking%3D%22True%22" in first.json["@odata.nextLink"]
    rows, link = await delta(org, "accounts?$select=name", prefer=f"{TRACK},odata.maxpagesize=2")
    assert [row["accountid"] for row in rows] == keys
    assert re.search(r"\$deltatoken=\d+%21\d\d%2F\d\d%2F\d{4}%20\d\d%3A\d\d%3A\d\d$", link)
    answer = await org.get(link)
    assert answer.json["@odata.context"] == f"{BASE}$metadata#accounts(name)/$delta"
    assert answer.rows == []
    assert answer.json["@odata.deltaLink"]


async def test_changes_come_by_version_and_deletions_last(org: Organisation) -> None:
    keys = await load(org, 4)
    _, link = await delta(org, "accounts?$select=name", prefer=TRACK)
    await org.patch(f"accounts({keys[2]})", {"name": "first"})
    await org.delete(f"accounts({keys[0]})")
    created = await org.create("accounts", name="second")
    await org.patch(f"accounts({keys[1]})", {"telephone1": "a column that is not selected"})
    await org.patch(f"accounts({keys[2]})", {"name": "now the last"})
    short_lived = await org.create("accounts", name="gone already")
    await org.delete(f"accounts({short_lived})")
    assert (await org.get(link.replace("accounts?", "accounts/$count?"))).body.decode("utf-8-sig") == "5"
    rows, following = await delta(org, link)
    assert [row.get("accountid") for row in rows[:3]] == [created, keys[1], keys[2]]
    deleted = f"{BASE}$metadata#accounts/$deletedEntity"
    assert rows[3:] == [{"@odata.context": deleted, "id": key, "reason": "deleted"} for key in (keys[0], short_lived)]
    assert (await delta(org, following))[0] == []


async def test_what_changes_during_a_tracked_read_comes_with_the_next(org: Organisation) -> None:
    keys = await load(org, 4)
    first = await org.get("accounts?$select=name", prefer=f"{TRACK},odata.maxpagesize=2")
    await org.patch(f"accounts({keys[0]})", {"name": "read before it changed"})
    await org.delete(f"accounts({keys[3]})")
    rows, link = await delta(org, first.json["@odata.nextLink"], prefer=f"{TRACK},odata.maxpagesize=2")
    assert [row["accountid"] for row in rows] == [keys[2]]
    rows, _ = await delta(org, link)
    assert [row.get("name") or row["id"] for row in rows] == ["read before it changed", keys[3]]


async def test_changes_come_in_pages_too(org: Organisation) -> None:
    keys = await load(org, 5)
    _, link = await delta(org, "accounts?$select=name", prefer=TRACK)
    for key in keys:
        await org.patch(f"accounts({key})", {"name": "x"})
    await org.delete(f"accounts({keys[0]})")
    found = [page async for page in pages(org, link, prefer="odata.maxpagesize=3")]
    assert [len(page.rows) for page in found] == [3, 2]
    shown = [row.get("accountid") or row["id"] for page in found for row in page.rows]
    assert shown == [*keys[1:], keys[0]]
    assert (await delta(org, found[-1].json["@odata.deltaLink"]))[0] == []


@pytest.mark.parametrize("option", ["$filter=name eq 'x'", "$orderby=name", "$expand=primarycontactid", "$top=1"])
async def test_other_options_do_not_go_with_change_tracking(org: Organisation, option: str) -> None:
    answer = await org.get(f"accounts?{option}", prefer=TRACK)
    name = option.partition("=")[0]
    assert answer.status == 400
    assert answer.message == f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.'


async def test_a_table_without_change_tracking_says_so(org: Organisation) -> None:
    org.dataverse.tracked.remove("account")
    answer = await org.get("accounts?$select=name", prefer=TRACK)
    assert (answer.status, answer.code) == (400, "0x80072491")
    assert answer.message == "Entity account isn't enabled for change tracking."


async def test_a_link_expires_after_the_days_of_the_organisation(org: Organisation) -> None:
    _, link = await delta(org, "accounts?$select=name", prefer=TRACK)
    org.clock.advance(7 * DAY - 60)
    assert (await org.get(link)).status == 200
    org.clock.advance(120)
    expired = await org.get(link)
    assert (expired.status, expired.code) == (400, "0x80044352")
    await org.patch(f"organizations({ORGANIZATION})", {"expirechangetrackingindays": 30})
    assert (await org.get(link)).status == 200
    assert (await org.get("accounts?$deltatoken=nonsense")).status == 400
