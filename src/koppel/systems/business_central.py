"""The client of Business Central's API pages: one company, one route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from koppel.errors import DataError, FilterError, NotFoundError, OutcomeUnknownError, RemoteError
from koppel.odata.csdl import Model, read_model
from koppel.odata.filter import features_of, or_over_distinct_fields, parse_filter
from koppel.odata.literals import is_guid, quote
from koppel.odata.records import SPOKEN, Page, Record, Scalar, Side
from koppel.systems.address import all_of, query_of
from koppel.systems.auth import Tokens
from koppel.systems.business_central_errors import business_central_error
from koppel.systems.business_central_schema import read_table
from koppel.systems.governor import BUSINESS_CENTRAL, Governor, Spent
from koppel.systems.rows import Decoder, Envelope, Wanted, decoder_for
from koppel.systems.schema import Column, TableSchema
from koppel.systems.sending import Sender, chunks_of, in_order, refused, write_chunks
from koppel.systems.system import Columns, Create, Update, Written
from koppel.systems.transport import Response, Transport

_HEADERS = {"Accept": "application/json", "Accept-Language": "en-US", "User-Agent": "koppel"}
_JSON = {"Content-Type": "application/json"}
_PAGE = {"Prefer": "odata.maxpagesize=20000"}
_COMPANION = "koppel/sync/"
_BATCH_ROWS = 100
"""The most parts that a batch may have."""
_KEYS_A_PART = 100
_PARTS_OF_READS = 50
_FILTER_FEATURES = frozenset(
    {"eq", "ne", "gt", "ge", "lt", "le", "and", "or", "startswith", "endswith", "contains", "tolower", "toupper"}
)


class BusinessCentral:
    """One company under one route, and tables of other routes that bear theirs (``contoso/app/v1.0/machines``).

    ``address`` is the environment's root (``https://api.businesscentral.dynamics.com/v2.0/{tenant}/{environment}``);
    ``company`` a name or an id; ``route`` ``v2.0`` or ``publisher/group/version``. Only the companion pages take ids
    that the client chose. ``known`` are schemas that were read before; they are not read again. ``others``: further
    users who share the work.
    """

    side: Side = "business_central"

    def __init__(
        self,
        address: str,
        company: str,
        route: str,
        transport: Transport,
        tokens: Tokens,
        *,
        governor: Governor | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        known: Mapping[str, TableSchema] | None = None,
        others: Sequence[Tokens] = (),
    ) -> None:
        self._address = f"{address.rstrip('/')}/api/"
        self._route = route.strip("/")
        self._company = company
        self._sender = Sender(
            SPOKEN["business_central"],
            transport,
            (tokens, *others),
            governor or Governor(BUSINESS_CENTRAL),
            headers=_HEADERS,
            sleep=sleep,
        )
        self.counters = self._sender.counters
        self._schemas: dict[str, TableSchema] = dict(known or {})
        self._models: dict[str, Model] = {}
        self._company_id = ""
        self._asking = asyncio.Lock()

    # who and what

    async def own_users(self) -> frozenset[str]:
        """None: Business Central does not tell."""
        return frozenset()

    async def environment(self) -> str:
        """The company's id."""
        return (await self._id_of_company()).lower()

    async def tables(self) -> list[str]:
        """Entity sets of the connection's route."""
        return sorted((await self._metadata(self._route)).entity_sets)

    async def describe(self, table: str) -> TableSchema:
        """Schema of an entity set, read once. ``NotFoundError`` when there is none."""
        if table not in self._schemas:
            route = self._route_of(table)
            model = await self._metadata(route)
            self._schemas[table] = read_table(model, table, takes_ids=route.startswith(_COMPANION))
        return self._schemas[table]

    # reading

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        schema = await self.describe(table)
        answer = await self._sender.get(f"{self._root(schema)}{await self._company_path()}/{schema.set_name}/$count")
        return int(_succeeded(answer).body.decode("utf-8-sig"))

    async def latest(self, table: str) -> str:
        """When a row of a table was modified last."""
        schema = await self.describe(table)
        url = self._root(schema) + await self._path(schema, (), None, f"{schema.modified_at} desc", top="1")
        page = _page_of(_decoder(schema, ()))(await self._sender.get(url))
        return page.records[0].modified_at if page.records else ""

    async def changes(
        self, table: str, columns: Columns, *, cursor: str | None, since: str | None, filter: str | None
    ) -> AsyncIterator[Page]:
        """All rows, or those modified since; there are no cursors and no deletions.

        A filter that the API cannot evaluate is left to the caller.
        """
        schema = await self.describe(table)
        since_filter = f"{schema.modified_at} ge {since}" if since and schema.modified_at else None
        sent = filter if filter and _can_evaluate(filter) else None
        async for page in self._pages(schema, columns, all_of(since_filter, sent), None):
            yield page

    async def by_ids(self, table: str, columns: Columns, ids: Sequence[str]) -> dict[str, Record]:
        """The rows of these ids that exist."""
        schema = await self.describe(table)
        records = await self.by_keys(table, columns, schema.id_column, ids)
        return {record.id: record for record in records}

    async def by_keys(self, table: str, columns: Columns, key: str, keys: Sequence[Scalar]) -> list[Record]:
        """The rows whose column ``key`` has one of these values."""
        schema = await self.describe(table)
        kind = _column(schema, key).kind
        literals = [quote(value, kind) for value in dict.fromkeys(keys) if value is not None]
        filters = [" or ".join(f"{key} eq {item}" for item in part) for part in chunks_of(literals, _KEYS_A_PART)]
        if len(filters) == 1:
            return [record async for page in self._pages(schema, columns, filters[0], None) for record in page.records]
        urls = [await self._path(schema, columns, text, None) for text in filters]
        decoder = _decoder(schema, columns)
        bodies = await in_order(self._read_batch(self._root(schema), part) for part in chunks_of(urls, _PARTS_OF_READS))
        pages = [decoder.page(body) for part in bodies for body in part]
        return await self._sender.complete(pages, _PAGE, _page_of(decoder))

    async def query(
        self, table: str, columns: Columns, *, filter: str | None = None, order: str | None = None
    ) -> AsyncIterator[Page]:
        """Rows of a filter, page by page."""
        async for page in self._pages(await self.describe(table), columns, filter, order):
            yield page

    # writing

    async def create(self, table: str, rows: Sequence[Create], columns: Columns) -> list[Written]:
        """Create rows; the answers carry the whole record, as templates and numbering left it."""
        schema = await self.describe(table)
        url = f"{await self._company_path()}/{schema.set_name}"
        names = dict.fromkeys(name for row in rows for name in row.nested)
        below = {name: await self.describe("".join((*table.rpartition("/")[:2], name))) for name in names}

        def part(row: Create) -> _Part:
            body: dict[str, object] = {**({schema.id_column: row.id} if row.id else {}), **_values(schema, row.values)}
            body |= {name: [_values(below[name], line) for line in lines] for name, lines in row.nested.items()}
            return _Part("POST", url, _JSON, body)

        repeatable = schema.takes_ids and all(row.id for row in rows)
        return await write_chunks(
            rows,
            _BATCH_ROWS,
            lambda chunk: self._write_batch(schema, columns, [part(row) for row in chunk], repeatable),
        )

    async def update(self, table: str, rows: Sequence[Update], columns: Columns) -> list[Written]:
        """Change rows, each on condition of its version; the answers carry the whole record."""
        schema = await self.describe(table)
        base = f"{await self._company_path()}/{schema.set_name}"

        def part(row: Update) -> _Part:
            headers = {"If-Match": row.version or "*", **_JSON}
            return _Part("PATCH", f"{base}({row.id})", headers, _values(schema, row.values))

        return await write_chunks(
            rows, _BATCH_ROWS, lambda chunk: self._write_batch(schema, columns, [part(row) for row in chunk], True)
        )

    async def delete(self, table: str, rows: Sequence[Update]) -> list[Written]:
        """Delete rows on condition of their version."""
        schema = await self.describe(table)
        base = f"{await self._company_path()}/{schema.set_name}"

        def part(row: Update) -> _Part:
            return _Part("DELETE", f"{base}({row.id})", {"If-Match": row.version or "*"})

        written = await write_chunks(
            rows, _BATCH_ROWS, lambda chunk: self._write_batch(schema, (), [part(row) for row in chunk], True)
        )
        return [result if result.error else Written(id=row.id) for row, result in zip(rows, written, strict=True)]

    async def act(self, table: str, id: str, action: str) -> None:
        """Carry out a bound action of a row (``release`` of an order). ``OutcomeUnknownError`` when no answer comes."""
        schema = await self.describe(table)
        row = f"{self._root(schema)}{await self._company_path()}/{schema.set_name}({id})"
        url = f"{row}/Microsoft.NAV.{action}"
        _succeeded(await self._sender.write("POST", url, _JSON, b"", rows=1, repeatable=False))

    def share(self, workers: int, others: Sequence[Spent] = ()) -> None:
        """So many workers use this connection's users from now on: each keeps below its part of the limits."""
        self._sender.share(workers, others)

    def spent(self) -> list[Spent]:
        """What was sent by each user since this was asked last."""
        return self._sender.spent()

    async def close(self) -> None:
        """Give back connections."""
        await self._sender.close()

    # webhooks

    async def subscriptions(self, url: str) -> list[Subscription]:
        """Who is told at ``url`` of changes under the connection's route."""
        answer = _succeeded(await self._sender.get(self._subscriptions()))
        found = msgspec.json.decode(answer.body, type=_Subscriptions).value
        return [one for one in found if one.notification_url == url]

    async def subscribe(self, table: str, url: str, secret: str) -> None:
        """Have changes of a table told at ``url`` for three days; the receiver must answer the handshake at once.

        ``DataError`` when the table cannot be subscribed to, or the receiver did not answer.
        """
        body = await self._subscription(table, url, secret)
        _succeeded(await self._sender.write("POST", self._subscriptions(), _JSON, body, rows=1, repeatable=False))

    async def renew(self, subscription: Subscription, table: str, secret: str) -> None:
        """Three more days."""
        body = await self._subscription(table, subscription.notification_url, secret)
        headers = {**_JSON, "If-Match": subscription.etag}
        place = self._subscriptions(subscription)
        _succeeded(await self._sender.write("PATCH", place, headers, body, rows=1, repeatable=True))

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Tell nobody any more."""
        headers = {"If-Match": subscription.etag}
        place = self._subscriptions(subscription)
        _succeeded(await self._sender.write("DELETE", place, headers, b"", rows=1, repeatable=True))

    async def resource_of(self, table: str) -> str:
        """How a subscription names a table."""
        schema = await self.describe(table)
        return f"/api/{self._route_of(table)}/{await self._company_path()}/{schema.set_name}"

    async def _subscription(self, table: str, url: str, secret: str) -> bytes:
        resource = await self.resource_of(table)
        return msgspec.json.encode({"notificationUrl": url, "resource": resource, "clientState": secret})

    def _subscriptions(self, one: Subscription | None = None) -> str:
        return f"{self._address}{self._route}/subscriptions" + (f"('{one.subscription_id}')" if one else "")

    # requests

    async def _write_batch(
        self, schema: TableSchema, columns: Columns, parts: Sequence[_Part], repeatable: bool
    ) -> list[Written]:
        headers = {"Prefer": "odata.continue-on-error", **_JSON}
        answer = await self._sender.write(
            "POST", f"{self._root(schema)}$batch", headers, _batch(parts), rows=len(parts), repeatable=repeatable
        )
        decoder = _decoder(schema, columns)
        try:
            found = _answers(answer, len(parts))
        except RemoteError as error:
            if answer.status >= 400 and answer.status != 500:
                raise
            raise OutcomeUnknownError(error.message, status=answer.status) from error
        return [_written(part, reply, decoder) for part, reply in zip(parts, found, strict=True)]

    async def _read_batch(self, root: str, urls: Sequence[str]) -> list[bytes]:
        headers = {"Prefer": "odata.continue-on-error", **_JSON}
        answer = await self._sender.post_read(
            f"{root}$batch", headers, _batch([_Part("GET", url, _PAGE) for url in urls])
        )
        return [_succeeded(part).body for part in _answers(answer, len(urls))]

    async def _pages(
        self, schema: TableSchema, columns: Columns, filter: str | None, order: str | None
    ) -> AsyncIterator[Page]:
        url = self._root(schema) + await self._path(schema, columns, filter, order)
        decoder = _decoder(schema, columns)
        async for page in self._sender.pages(url, _PAGE, _page_of(decoder)):
            yield Page(page.records)

    async def _path(
        self, schema: TableSchema, columns: Columns, filter: str | None, order: str | None, top: str | None = None
    ) -> str:
        """The address of a selection, below the route's root, as batches want it."""
        options = {"$select": _select(schema, columns), "$filter": filter, "$orderby": order, "$top": top}
        return f"{await self._company_path()}/{schema.set_name}?{query_of(options)}"

    def _route_of(self, table: str) -> str:
        return table.rpartition("/")[0] or self._route

    def _root(self, schema: TableSchema) -> str:
        return f"{self._address}{self._route_of(schema.name)}/"

    async def _metadata(self, route: str) -> Model:
        async with self._asking:
            if route not in self._models:
                answer = await self._sender.get(f"{self._address}{route}/$metadata", {"Accept": "application/xml"})
                self._models[route] = read_model(_succeeded(answer).body)
            return self._models[route]

    async def _company_path(self) -> str:
        return f"companies({await self._id_of_company()})"

    async def _id_of_company(self) -> str:
        """The company's id, found by name if need be."""
        if is_guid(self._company):
            return self._company
        async with self._asking:
            if not self._company_id:
                url = f"{self._address}{self._route}/companies?$select=id,name,displayName"
                body = _succeeded(await self._sender.get(url)).body
                self._company_id = _company_named(self._company, msgspec.json.decode(body, type=_Companies))
        return self._company_id


class _Company(msgspec.Struct, rename="camel"):
    id: str
    name: str = ""
    display_name: str = ""


class _Companies(msgspec.Struct):
    value: list[_Company]


class Subscription(msgspec.Struct, frozen=True, rename="camel"):
    """Who is told of changes of what, and until when."""

    subscription_id: str
    notification_url: str
    resource: str
    expiration_date_time: datetime
    etag: str = msgspec.field(name="@odata.etag", default="*")


class _Subscriptions(msgspec.Struct):
    value: list[Subscription]


class _Part(msgspec.Struct, frozen=True):
    """A request inside a batch."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: Mapping[str, object] | None = None


class _NumberedPart(msgspec.Struct, omit_defaults=True):
    id: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, object] | None = None


class _Answer(msgspec.Struct):
    status: int
    id: str | None = None
    headers: Mapping[str, object] | None = None
    body: msgspec.Raw = msgspec.Raw(b"")

    def response(self, *, doubtful: bool) -> Response:
        headers = {name.lower(): str(value) for name, value in (self.headers or {}).items()}
        return Response(self.status, headers, bytes(self.body), doubtful)


class _Answers(msgspec.Struct):
    responses: list[_Answer]


def _company_named(name: str, companies: _Companies) -> str:
    wanted = name.casefold()
    for company in companies.value:
        if wanted in {company.name.casefold(), company.display_name.casefold()}:
            return company.id
    known = ", ".join(company.name for company in companies.value) or "none at all"
    raise NotFoundError(f"there is no company {name!r}; the application sees {known}", remedy="correct koppel.yaml")


def _batch(parts: Sequence[_Part]) -> bytes:
    numbered = [
        _NumberedPart(str(number), part.method, part.url, part.headers, part.body)
        for number, part in enumerate(parts, 1)
    ]
    return msgspec.json.encode({"requests": numbered})


def _answers(answer: Response, count: int) -> list[Response]:
    """The answers to the parts of a batch, in order. A part without one was not carried out."""
    try:
        found = msgspec.json.decode(_succeeded(answer).body, type=_Answers).responses
    except msgspec.DecodeError as error:
        raise DataError(f"the answer to a batch cannot be read: {error}") from error
    by_id = {part.id: part.response(doubtful=answer.doubtful) for part in found}
    stopped = Response(503, {}, b'{"error":{"code":"","message":"the batch ended before this part"}}')
    return [by_id.get(str(number), stopped) for number in range(1, count + 1)]


def _written(part: _Part, answer: Response, decoder: Decoder) -> Written:
    if answer.status >= 400:
        return refused(business_central_error(answer), part.body or {}, doubtful=answer.doubtful)
    if answer.status == 204:
        return Written()
    record = decoder.record(answer.body)
    return Written(id=record.id, version=record.version, record=record)


def _page_of(decoder: Decoder) -> Callable[[Response], Envelope]:
    return lambda answer: decoder.page(_succeeded(answer).body)


def _succeeded(answer: Response) -> Response:
    if answer.status >= 400:
        raise business_central_error(answer)
    return answer


def _column(schema: TableSchema, name: str) -> Column:
    if name not in schema.columns:
        raise DataError(
            f"table {schema.name} has no field {name} under this route",
            field=name,
            remedy="correct the mapping or use another route; koppel check names all such fields",
        )
    return schema.columns[name]


def _select(schema: TableSchema, columns: Columns) -> str:
    names = [_column(schema, name).read_name for name in columns if name]
    return ",".join(dict.fromkeys([schema.id_column, *names, *filter(None, (schema.modified_at, schema.modified_by))]))


def _decoder(schema: TableSchema, columns: Columns) -> Decoder:
    wanted = tuple(Wanted(_column(schema, name).read_name if name else "") for name in columns)
    return decoder_for(wanted, schema.id_column, schema.modified_at, schema.modified_by)


def _values(schema: TableSchema, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {name: _spelled(_column(schema, name), value) for name, value in values.items()}


def _spelled(column: Column, value: Scalar) -> Scalar:
    """A value as the column takes it: of a time only the day where there is no more room."""
    return value[:10] if column.kind == "date" and isinstance(value, str) else value


def _can_evaluate(text: str) -> bool:
    try:
        tree = parse_filter(text)
    except FilterError:
        return False
    return features_of(tree) <= _FILTER_FEATURES and not or_over_distinct_fields(tree)
