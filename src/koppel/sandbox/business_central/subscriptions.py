"""Webhooks: who is told of changes of which page, and the telling.

A subscription lasts three days. Changes are collected for a while after the first one; then each subscriber's address
gets one post with all of them, repeated as the answers ask for, or ends its subscriptions.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import msgspec
import orjson

from koppel.catalogue.pages import COMPANIES, Page, RouteName
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.calls import Call, Reply, split_path
from koppel.sandbox.business_central.store import Store
from koppel.sandbox.business_central.work import Journal
from koppel.sandbox.posting import post
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.company import BusinessCentral

LASTS = timedelta(days=3)
MOST = 200
SLACK = timedelta(milliseconds=50)
"""By how much the time in a collection's filter is earlier than the first change."""
LONGEST_STATE = 2048
_TRIES = (1, 1, 1, 10, 100, 1000)
"""Minutes from one try to the next; after the last one the subscription goes."""
_AGAIN = frozenset({0, 408, 429})
_WANTED = re.compile(r"resource eq '(?P<resource>[^'*]*)(?P<all>\*?)'")
_COMPANION_NAME = "koppel/sync/v1.0"
_RESOURCE = re.compile(r"(?:https?://[^?]*?)?/?api/(?P<route>[^?]+?)/companies\((?P<company>[^)]*)\)/(?P<set>\w+)")

ChangeType = Literal["created", "updated", "deleted", "collection"]


class Timing(msgspec.Struct, forbid_unknown_fields=True):
    """``delay`` in seconds from the first change to the post; more than ``most`` changes are told as one; ``minute``:
    how many seconds a minute of waiting for another try has."""

    delay: float = 30.0
    most: int = 1000
    minute: float = 60.0


class Change(msgspec.Struct):
    """A row that changed, by its id."""

    id: str
    kind: ChangeType
    at: str


class Subscription(msgspec.Struct):
    """Who is told at ``url`` of changes of ``page``. ``changes`` wait to be told; ``tries`` of the latest post."""

    id: str
    url: str
    resource: str
    state: str
    page: Page
    company: str
    user: str
    created: str
    expires: datetime
    modified: str
    version: int = 1
    changes: list[Change] = []
    tries: int = 0


class Subscriptions:
    """Everybody who is told of something."""

    def __init__(self, system: BusinessCentral) -> None:
        self.timing = Timing()
        self.all: dict[str, Subscription] = {}
        self._system = system
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[str] = set()

    # the resource

    async def answer(self, call: Call) -> Reply:
        """Carry out a request to ``subscriptions``."""
        segments = split_path(call.path)
        if len(segments) > 1:
            raise errors.no_segment(segments[1].name)
        if call.options:
            raise errors.not_implemented(f"{call.options[0][0]} on subscriptions")
        key = segments[0].key
        if key is None:
            return self._list(call) if call.method == "GET" else await self._subscribe(call)
        found = self.all.get(key.strip("'"))
        if found is None or self._is_over(found):
            raise errors.not_found("Subscription", f"subscriptionId='{key}'")
        if call.method == "GET":
            return Reply(200, _shown(found, call))
        tag = call.headers.get("if-match")
        if tag is None or tag not in ("*", _etag(found)):
            raise errors.entity_changed()
        if call.method == "DELETE":
            del self.all[found.id]
            return Reply(204)
        if call.method != "PATCH":
            raise errors.method_not_allowed(call.method, "subscriptions")
        return await self._renew(call, found)

    def _list(self, call: Call) -> Reply:
        there = [_shown(one, call) for one in self.all.values() if not self._is_over(one)]
        return Reply(200, {"@odata.context": f"{call.root}/$metadata#subscriptions", "value": there})

    async def _subscribe(self, call: Call) -> Reply:
        if call.method != "POST":
            raise errors.method_not_allowed(call.method, "subscriptions")
        if sum(not self._is_over(one) for one in self.all.values()) >= MOST:
            raise errors.bad_request(f"The maximum number of subscriptions is {MOST}.")
        url, resource, state = _said(call)
        page, company = self._page_of(call.route, resource)
        await _shake_hands(url)
        made = Subscription(
            id=uuid4().hex,
            url=url,
            resource=resource,
            state=state,
            page=page,
            company=company,
            user=call.user,
            created=_instant(self._now()),
            expires=self._now() + LASTS,
            modified=_instant(self._now()),
        )
        self.all[made.id] = made
        return Reply(201, _shown(made, call))

    async def _renew(self, call: Call, found: Subscription) -> Reply:
        url, resource, state = _said(call, found)
        if resource != found.resource:
            raise errors.bad_request("The resource of a subscription cannot be changed.")
        await _shake_hands(url)
        found.url, found.state = url, state
        found.expires, found.modified = self._now() + LASTS, _instant(self._now())
        found.version += 1
        return Reply(200, _shown(found, call))

    def _page_of(self, route: RouteName, resource: str) -> tuple[Page, str]:
        said = _RESOURCE.match(resource)
        if said is None:
            raise errors.bad_request(f"The resource '{resource}' is not valid.")
        if "?" in resource:
            raise errors.not_implemented("subscriptions with a filter")
        named = "companion" if said["route"] == _COMPANION_NAME else said["route"]
        company = next((one for one in self._system.companies.values() if one.id == said["company"].lower()), None)
        page = self._system.catalogue.pages[route].get(said["set"]) if named == route else None
        if company is None or page is None or not _can_be_told(page):
            raise errors.bad_request(f"The resource '{resource}' cannot be subscribed to.")
        return page, company.name

    def supported(self, call: Call) -> Reply:
        """``webhookSupportedResources``: what can be subscribed to."""
        names = [
            f"{_COMPANION_NAME if route == 'companion' else route}/{page.set_name}"
            for route, pages in self._system.catalogue.pages.items()
            for page in pages.values()
            if _can_be_told(page)
        ]
        wanted = call.option("$filter")
        if [name for name, _ in call.options if name != "$filter"]:
            raise errors.not_implemented("anything but $filter on webhookSupportedResources")
        if wanted is not None:
            said = _WANTED.fullmatch(wanted)
            if said is None:
                raise errors.not_implemented("any filter of webhookSupportedResources but resource eq '...'")
            names = [
                one for one in names if one == said["resource"] or (said["all"] and one.startswith(said["resource"]))
            ]
        return Reply(200, {"value": [{"resource": name} for name in sorted(names)]})

    # the telling

    def note(self, journal: Journal) -> None:
        """Collect what a request changed for those who want to know."""
        if not self.all:
            return
        for store, row_id, before in journal.changed():
            if change := _change(store, row_id, before):
                for one in self.all.values():
                    if self._system.companies[one.company].stores.get(one.page.table.name) is store:
                        self._collect(one, change)

    def _collect(self, one: Subscription, change: Change) -> None:
        latest = next((known for known in reversed(one.changes) if known.id == change.id), None)
        if latest and latest.kind == change.kind == "updated":
            latest.at = change.at
        else:
            one.changes.append(change)
        self._tell_later(one.url, self.timing.delay)

    def _tell_later(self, url: str, seconds: float) -> None:
        if url not in self._waiting:
            self._waiting.add(url)
            task = asyncio.get_running_loop().create_task(self._tell(url, seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, url: str, seconds: float) -> None:
        """One post after the other: what changes while one is under way is for the next."""
        await asyncio.sleep(seconds)
        told = [one for one in self.all.values() if one.url == url and one.changes and not self._is_over(one)]
        entries = [entry for one in told for entry in self._entries(one)]
        posted = [(one, one.changes) for one in told]
        for one in told:
            one.changes = []
        status, _ = await post(url, orjson.dumps({"value": entries})) if entries else (200, b"")
        self._waiting.discard(url)
        if 200 <= status < 300:
            for one in told:
                one.tries = 0
            if any(one.changes for one in self.all.values() if one.url == url):
                self._tell_later(url, self.timing.delay)
        elif status in _AGAIN or status >= 500:
            for one, changes in posted:
                one.changes = [*changes, *one.changes]
            self._try_again(url, told)
        else:
            self._end(told)

    def _try_again(self, url: str, told: list[Subscription]) -> None:
        tries = max(one.tries for one in told)
        if tries >= len(_TRIES):
            self._end(told)
            return
        for one in told:
            one.tries += 1
        self._tell_later(url, _TRIES[tries] * self.timing.minute)

    def _end(self, told: list[Subscription]) -> None:
        for one in told:
            self.all.pop(one.id, None)

    def _entries(self, one: Subscription) -> list[dict[str, Any]]:
        place = f"{one.resource.partition('?')[0].strip('/')}"
        if len(one.changes) <= self.timing.most:
            return [_entry(one, f"{place}({change.id})", change.kind, change.at) for change in one.changes]
        first, last = one.changes[0].at, one.changes[-1].at
        if not any(change.kind == "deleted" for change in one.changes):
            since = datetime.fromisoformat(first.replace("Z", "+00:00")) - SLACK
            place += f"?$filter=lastModifiedDateTime%20gt%20{_instant(since)}"
        return [_entry(one, place, "collection", last)]

    async def close(self) -> None:
        """Tell nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_over(self, one: Subscription) -> bool:
        return one.expires <= self._now()

    def _now(self) -> datetime:
        return self._system.now()


def _change(store: Store, row_id: str, before: Row | None) -> Change | None:
    """What became of a row; nothing when it is as it was, or only shows other tables' values anew."""
    after = store.rows.get(row_id)
    if after is None:
        stamp = store.table.stamp(row_id)
        return Change(row_id, "deleted", f"{stamp[0]}Z") if before is not None and stamp else None
    at = str(after.get("lastModifiedDateTime", ""))
    if before is None:
        return Change(row_id, "created", at)
    return Change(row_id, "updated", at) if after["systemRowVersion"] != before["systemRowVersion"] else None


def _can_be_told(page: Page) -> bool:
    """Rows of a table of their own, addressed by their own id."""
    return not (page.parent or page.table.computed or page.table.of) and page.set_name != COMPANIES


def _said(call: Call, found: Subscription | None = None) -> tuple[str, str, str]:
    """Address, resource and state; what a renewal leaves out stays."""
    said = call.json()
    if found is not None:
        said = {"notificationUrl": found.url, "resource": found.resource, "clientState": found.state, **said}
    url, resource, state = (said.get(name) or "" for name in ("notificationUrl", "resource", "clientState"))
    if not (isinstance(url, str) and url.startswith(("https://", "http://"))):
        raise errors.bad_request("The notificationUrl is not valid.")
    if not isinstance(state, str) or len(state) > LONGEST_STATE:
        raise errors.bad_request(f"The clientState must be text of at most {LONGEST_STATE} characters.")
    return url, str(resource), state


async def _shake_hands(url: str) -> None:
    token = str(uuid4())
    status, body = await post(f"{url}{'&' if '?' in url else '?'}validationToken={token}", b"")
    if status != 200 or body.decode("utf-8", "replace").strip() != token:
        raise errors.bad_request(f"The notificationUrl '{url}' did not answer with the validation token.")


def _entry(one: Subscription, resource: str, kind: ChangeType, at: str) -> dict[str, Any]:
    return {
        "subscriptionId": one.id,
        "clientState": one.state,
        "expirationDateTime": _instant(one.expires),
        "resource": resource,
        "changeType": kind,
        "lastModifiedDateTime": at,
    }


def _shown(one: Subscription, call: Call) -> dict[str, Any]:
    return {
        "@odata.context": f"{call.root}/$metadata#subscriptions/$entity",
        "@odata.etag": _etag(one),
        "subscriptionId": one.id,
        "notificationUrl": one.url,
        "resource": one.resource,
        "timestamp": one.version,
        "userId": one.user,
        "lastModifiedDateTime": one.modified,
        "clientState": one.state,
        "expirationDateTime": _instant(one.expires),
        "systemCreatedAt": one.created,
        "systemCreatedBy": one.user,
        "systemModifiedAt": one.modified,
        "systemModifiedBy": one.user,
    }


def _etag(one: Subscription) -> str:
    return f'W/"{one.id}{one.version}"'


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
