"""The client of Dataverse's Web API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from uuid import uuid4

import msgspec

from koppel.errors import CursorError, DataError
from koppel.odata.batch import Answer, Part, decode_answer, encode_request
from koppel.odata.records import SPOKEN, Page, Record, Scalar, Side
from koppel.systems import dataverse_schema as metadata
from koppel.systems.address import all_of, query_of
from koppel.systems.auth import Tokens
from koppel.systems.dataverse_closing import Closing, closing_of
from koppel.systems.dataverse_errors import dataverse_error
from koppel.systems.dataverse_wire import (
    annotations_for,
    body_of,
    check_cursor,
    column_of,
    decoder_of,
    filters_of_keys,
    option_label,
    prefer,
    select_of,
)
from koppel.systems.governor import DATAVERSE, Governor, Spent
from koppel.systems.rows import Decoder, Envelope, decoder_for
from koppel.systems.schema import TableSchema
from koppel.systems.sending import Sender, User, chunks_of, in_order, refused, write_chunks
from koppel.systems.system import Columns, Create, Update, Written
from koppel.systems.transport import Response, Transport

_API = "/api/data/v9.2/"
_HEADERS = {
    "Accept": "application/json",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "User-Agent": "koppel",
}
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_NOW = {"Consistency": "Strong"}
_PAGE = "odata.maxpagesize=5000"
_EXPIRED = frozenset({400, 404, 410})
"""What a delta link that is no longer good answers; the exact code is not documented."""
_BULK_ROWS = 500
_BATCH_ROWS = 200
"""A batch may hold 1,000 requests; this many updates are still far from the two minutes that an answer may take."""
_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_LANGUAGE = 1033
"""English (United States): the language of labels that Koppel writes."""


class Dataverse:
    """One environment, addressed by its URL (``https://org.crm4.dynamics.com``).

    ``known`` are schemas that were read before; they are not read again. ``others``: further users who
    share the work.
    """

    side: Side = "dataverse"

    def __init__(
        self,
        address: str,
        transport: Transport,
        tokens: Tokens,
        *,
        governor: Governor | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        known: Mapping[str, TableSchema] | None = None,
        others: Sequence[Tokens] = (),
    ) -> None:
        self._root = address.rstrip("/") + _API
        self._sender = Sender(
            SPOKEN["dataverse"],
            transport,
            (tokens, *others),
            governor or Governor(DATAVERSE),
            headers=_HEADERS,
            sleep=sleep,
        )
        self.counters = self._sender.counters
        self._schemas: dict[str, TableSchema] = dict(known or {})
        self._sets: dict[str, str] = {}
        self._describing = asyncio.Lock()
        self._me: _WhoAmI | None = None
        self._own_users: frozenset[str] = frozenset()

    # who and what

    async def who_am_i(self) -> str:
        """The application user's GUID."""
        return (await self._who()).UserId.lower()

    async def own_users(self) -> frozenset[str]:
        """The GUIDs of all application users of the connection, asked once."""
        if not self._own_users:
            found = [await self._who(user) for user in self._sender.users]
            self._own_users = frozenset(me.UserId.lower() for me in found)
        return self._own_users

    async def _who(self, user: User | None = None) -> _WhoAmI:
        answer = await self._sender.get(f"{self._root}WhoAmI", user=user)
        self._me = msgspec.json.decode(_succeeded(answer).body, type=_WhoAmI)
        return self._me

    async def environment(self) -> str:
        """The organisation's id: a restored copy has another one."""
        if self._me is None:
            await self.who_am_i()
        assert self._me is not None
        return self._me.OrganizationId.lower()

    async def tables(self) -> list[str]:
        """Logical names of all tables."""
        return sorted(await self._entity_sets())

    async def describe(self, table: str) -> TableSchema:
        """Schema of a table, read once. ``NotFoundError`` when there is none."""
        async with self._describing:
            if table not in self._schemas:
                answers = await self._get_batch([self._root + url for url in metadata.schema_urls(table)])
                self._schemas[table] = metadata.read_schema(answers, await self._entity_sets())
        return self._schemas[table]

    # reading

    async def count(self, table: str) -> int:
        """How many rows a table has, from a snapshot that may be a day old."""
        answer = await self._get(f'RetrieveTotalRecordCount(EntityNames=["{table}"])')
        return sum(msgspec.json.decode(answer.body, type=_TotalCount).EntityRecordCountCollection.Values)

    async def latest(self, table: str) -> str:
        """When a row of a table was modified last."""
        schema = await self.describe(table)
        url = f"{self._url(schema, select_of(schema, ()), order=f'{schema.modified_at} desc')}&$top=1"
        page = _page_of(await self._decoder(schema, ()))(await self._sender.get(url))
        return page.records[0].modified_at if page.records else ""

    async def changes(
        self, table: str, columns: Columns, *, cursor: str | None, since: str | None, filter: str | None
    ) -> AsyncIterator[Page]:
        """All rows, or those that changed; see ``System.changes``.

        A cursor is the part of a delta link below the service root. It also expires when other columns are asked for.
        """
        schema = await self.describe(table)
        select = select_of(schema, columns)
        tracked = cursor is not None or (schema.tracks_changes and since is None)
        if cursor is not None:
            check_cursor(cursor, schema, select)
            url = self._root + cursor
        else:
            since_filter = f"{schema.modified_at} ge {since}" if since and schema.modified_at else None
            url = self._url(schema, select, filter=None if tracked else all_of(since_filter, filter))
        headers = prefer(_PAGE, "odata.track-changes" if tracked else "", annotations_for(schema, columns))
        decoder = await self._decoder(schema, columns)

        def decode(answer: Response) -> Envelope:
            if cursor is not None and answer.status in _EXPIRED:
                raise CursorError(str(dataverse_error(answer)), status=answer.status, remedy="read everything again")
            return decoder.changes(_succeeded(answer).body)

        async for page in self._sender.pages(url, headers, decode):
            yield Page(page.records, page.deleted, page.delta_link.removeprefix(self._root) or None)

    async def by_ids(self, table: str, columns: Columns, ids: Sequence[str]) -> dict[str, Record]:
        """The rows of these ids that exist."""
        schema = await self.describe(table)
        records = await self.by_keys(table, columns, schema.id_column, ids)
        return {record.id: record for record in records}

    async def by_keys(self, table: str, columns: Columns, key: str, keys: Sequence[Scalar]) -> list[Record]:
        """The rows whose column ``key`` has one of these values."""
        schema = await self.describe(table)
        column = column_of(schema, key).read_name
        base = self._url(schema, select_of(schema, columns))
        urls = [f"{base}&$filter={text}" for text in filters_of_keys(column, keys, len(base))]
        if not urls:
            return []
        headers = prefer(_PAGE, annotations_for(schema, columns))
        decoder = await self._decoder(schema, columns)
        if len(urls) == 1:
            pages = [page async for page in self._sender.pages(urls[0], headers, _page_of(decoder))]
            return [record for page in pages for record in page.records]
        bodies = await in_order(self._get_batch(part, headers) for part in chunks_of(urls, 4))
        pages = [decoder.page(body) for part in bodies for body in part]
        return await self._sender.complete(pages, headers, _page_of(decoder))

    async def query(
        self, table: str, columns: Columns, *, filter: str | None = None, order: str | None = None
    ) -> AsyncIterator[Page]:
        """Rows of a filter, page by page."""
        schema = await self.describe(table)
        url = self._url(schema, select_of(schema, columns), filter=filter, order=order)
        headers = prefer(_PAGE, annotations_for(schema, columns))
        decoder = await self._decoder(schema, columns)
        async for page in self._sender.pages(url, headers, _page_of(decoder)):
            yield Page(page.records)

    # writing

    async def create(self, table: str, rows: Sequence[Create], columns: Columns) -> list[Written]:
        """Create rows: ``CreateMultiple`` where the table has it, else batches. The answers carry no record."""
        schema = await self.describe(table)
        if "CreateMultiple" in schema.bulk:
            return await write_chunks(rows, _BULK_ROWS, lambda chunk: self._create_multiple(schema, chunk))
        return await write_chunks(rows, _BATCH_ROWS, lambda chunk: self._create_singly(schema, chunk))

    async def update(self, table: str, rows: Sequence[Update], columns: Columns) -> list[Written]:
        """Change rows, each on condition of its version; the answers carry the new version and no record.

        A state that only an action sets is set by it, once the rest is there; then they carry no version.
        """
        schema = await self.describe(table)
        closing = {place: closed for place, row in enumerate(rows) if (closed := closing_of(schema, row))}
        rest = [closing[place].rest if place in closing else row for place, row in enumerate(rows)]
        changed = [place for place, row in enumerate(rest) if row.values or place not in closing]
        answers = await self._change(schema, [rest[place] for place in changed])
        written = {place: Written(id=row.id) for place, row in enumerate(rows)}
        written |= dict(zip(changed, answers, strict=True))
        ready = {place: closed for place, closed in closing.items() if not written[place].error}
        written |= dict(zip(ready, await self._close([*ready.values()]), strict=True))
        return [written[place] for place in range(len(rows))]

    async def _close(self, closings: Sequence[Closing]) -> list[Written]:
        def part(closing: Closing) -> Part:
            return Part("POST", self._root + closing.action, _JSON, msgspec.json.encode(closing.parameters))

        async def send(chunk: Sequence[Closing]) -> list[Written]:
            parts = [part(closing) for closing in chunk]
            answer = await self._batch(parts, rows=len(parts))
            pairs = zip(chunk, parts, _answers(answer, len(parts)), strict=True)
            return [_closed(closing, part, one, doubtful=answer.doubtful) for closing, part, one in pairs]

        return await write_chunks(closings, _BATCH_ROWS, send)

    async def _change(self, schema: TableSchema, rows: Sequence[Update]) -> list[Written]:
        def part(row: Update) -> Part:
            url = f"{self._record_url(schema, row.id)}?$select={schema.id_column}"
            headers = {"If-Match": row.version or "*", "Prefer": "return=representation", **_JSON}
            return Part("PATCH", url, headers, msgspec.json.encode(body_of(schema, row.values)))

        return await write_chunks(
            rows, _BATCH_ROWS, lambda chunk: self._write_batch(schema, [part(row) for row in chunk], repeatable=True)
        )

    async def delete(self, table: str, rows: Sequence[Update]) -> list[Written]:
        """Delete rows on condition of their version."""
        schema = await self.describe(table)

        def part(row: Update) -> Part:
            return Part("DELETE", self._record_url(schema, row.id), {"If-Match": row.version or "*"})

        return await write_chunks(
            rows, _BATCH_ROWS, lambda chunk: self._write_batch(schema, [part(row) for row in chunk], repeatable=True)
        )

    async def _create_multiple(self, schema: TableSchema, rows: Sequence[Create]) -> list[Written]:
        """All rows in one transaction; if that fails, each on its own, so that the bad ones are found."""
        kind = f"Microsoft.Dynamics.CRM.{schema.name}"
        targets = [{"@odata.type": kind, **_new_row(schema, row)} for row in rows]
        answer = await self._sender.write(
            "POST",
            f"{self._root}{schema.set_name}/Microsoft.Dynamics.CRM.CreateMultiple",
            _JSON,
            msgspec.json.encode({"Targets": targets}),
            rows=len(rows),
            repeatable=all(row.id for row in rows),
        )
        if answer.status != 200:
            return await self._create_singly(schema, rows, doubtful=answer.doubtful)
        ids = msgspec.json.decode(answer.body, type=_Ids).Ids
        return [Written(id=key.lower()) for key in ids]

    async def _create_singly(
        self, schema: TableSchema, rows: Sequence[Create], *, doubtful: bool = False
    ) -> list[Written]:
        url = f"{self._root}{schema.set_name}?$select={schema.id_column}"

        def part(row: Create) -> Part:
            headers = {"Prefer": "return=representation", **_JSON}
            return Part("POST", url, headers, msgspec.json.encode(_new_row(schema, row)))

        repeatable = all(row.id for row in rows)
        written = []
        for chunk in chunks_of(rows, _BATCH_ROWS):
            parts = [part(row) for row in chunk]
            written += await self._write_batch(schema, parts, repeatable=repeatable, doubtful=doubtful)
        return written

    async def _write_batch(
        self, schema: TableSchema, parts: Sequence[Part], *, repeatable: bool, doubtful: bool = False
    ) -> list[Written]:
        answer = await self._batch(parts, rows=len(parts), repeatable=repeatable)
        doubtful, decoder = doubtful or answer.doubtful, decoder_for((), schema.id_column)
        pairs = zip(parts, _answers(answer, len(parts)), strict=True)
        return [_written(part, one, decoder, doubtful=doubtful) for part, one in pairs]

    async def _batch(self, parts: Sequence[Part], *, rows: int = 0, repeatable: bool = True) -> Response:
        """Send a batch; ``rows``: how many it writes, 0 when it reads."""
        boundary = f"batch_{uuid4()}"
        headers = {
            "Content-Type": f'multipart/mixed; boundary="{boundary}"',
            "Prefer": "odata.continue-on-error",
            "Accept": "*/*",
        }
        url, body = f"{self._root}$batch", encode_request(parts, boundary)
        if rows:
            return await self._sender.write("POST", url, headers, body, rows=rows, repeatable=repeatable)
        return await self._sender.post_read(url, headers, body)

    # choices

    async def options(self, table: str, column: str) -> dict[int, str]:
        """Labels of a choice column by value, as they are now."""
        answer = await self._get(_options_url(table, column), _NOW)
        return metadata.read_options(answer.body)

    async def option_sets(self, columns: Sequence[tuple[str, str]]) -> list[dict[int, str]]:
        """The same of several columns (table, column), in one request."""
        bodies = await self._get_batch([self._root + _options_url(*column) for column in columns], _NOW)
        return [metadata.read_options(body) for body in bodies]

    async def insert_option(self, table: str, column: str, label: str, value: int | None = None) -> int:
        """Add an option; the value it got. Not repeated when no answer comes: ``OutcomeUnknownError``."""
        chosen = {} if value is None else {"Value": value}
        answer = await self._act("InsertOptionValue", {**_option(table, column, label), **chosen}, repeatable=False)
        return msgspec.json.decode(answer.body, type=_NewOption).NewOptionValue

    async def update_option(self, table: str, column: str, value: int, label: str) -> None:
        """Change the label of an option."""
        await self._act("UpdateOptionValue", {**_option(table, column, label), "Value": value, "MergeLabels": True})

    async def publish(self, table: str) -> None:
        """Make changed options visible to everybody."""
        text = f"<importexportxml><entities><entity>{table}</entity></entities></importexportxml>"
        await self._act("PublishXml", {"ParameterXml": text})

    async def _act(self, action: str, parameters: Mapping[str, object], *, repeatable: bool = True) -> Response:
        body = msgspec.json.encode(parameters)
        answer = await self._sender.write("POST", self._root + action, _JSON, body, rows=0, repeatable=repeatable)
        return _succeeded(answer)

    # requests

    def share(self, workers: int, others: Sequence[Spent] = ()) -> None:
        """So many workers use this connection's users from now on: each keeps below its part of the limits."""
        self._sender.share(workers, others)

    def spent(self) -> list[Spent]:
        """What was sent by each user since this was asked last."""
        return self._sender.spent()

    async def close(self) -> None:
        """Give back connections."""
        await self._sender.close()

    async def _get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        return _succeeded(await self._sender.get(self._root + path, headers))

    async def _get_batch(self, urls: Sequence[str], headers: Mapping[str, str] | None = None) -> list[bytes]:
        inner = {"Accept": "application/json", **(headers or {})}
        answers = _answers(await self._batch([Part("GET", url, inner) for url in urls]), len(urls))
        return [_succeeded(Response(answer.status, answer.headers, answer.body)).body for answer in answers]

    async def _entity_sets(self) -> dict[str, str]:
        """Entity set names by table."""
        if not self._sets:
            self._sets = metadata.read_sets((await self._get(metadata.SETS_URL)).body)
        return self._sets

    async def _decoder(self, schema: TableSchema, columns: Columns) -> Decoder:
        tables: dict[str, str] = {}
        if annotations_for(schema, columns):
            tables = {set_name: table for table, set_name in (await self._entity_sets()).items()}
        return decoder_of(schema, columns, tables)

    def _url(self, schema: TableSchema, select: str, *, filter: str | None = None, order: str | None = None) -> str:
        options = {"$select": select, "$filter": filter, "$orderby": order}
        return f"{self._root}{schema.set_name}?{query_of(options)}"

    def _record_url(self, schema: TableSchema, key: str) -> str:
        return f"{self._root}{schema.set_name}({key})"


class _WhoAmI(msgspec.Struct):
    UserId: str
    OrganizationId: str


class _Counts(msgspec.Struct):
    Values: list[int]


class _TotalCount(msgspec.Struct):
    EntityRecordCountCollection: _Counts


class _Ids(msgspec.Struct):
    Ids: list[str]


class _NewOption(msgspec.Struct):
    NewOptionValue: int


def _page_of(decoder: Decoder) -> Callable[[Response], Envelope]:
    return lambda answer: decoder.page(_succeeded(answer).body)


def _succeeded(answer: Response) -> Response:
    if answer.status >= 400:
        raise dataverse_error(answer)
    return answer


def _new_row(schema: TableSchema, row: Create) -> dict[str, object]:
    assert not row.nested, "rows below a new one are made in Business Central only"
    values = {name: value for name, value in row.values.items() if value is not None}
    return {**({schema.id_column: row.id} if row.id else {}), **body_of(schema, values)}


def _answers(answer: Response, count: int) -> list[Answer]:
    """The answers to a batch, one for each part."""
    content_type = answer.headers.get("content-type", "")
    if "multipart" not in content_type:
        raise dataverse_error(answer)
    answers = [item for item in decode_answer(answer.body, content_type) if isinstance(item, Answer)]
    if len(answers) != count:
        raise DataError(f"Dataverse answered {len(answers)} of {count} parts of a batch", status=answer.status)
    return answers


def _written(part: Part, answer: Answer, decoder: Decoder, *, doubtful: bool) -> Written:
    if answer.status >= 400:
        error = dataverse_error(Response(answer.status, answer.headers, answer.body))
        return refused(error, msgspec.json.decode(part.body or b"{}"), doubtful=doubtful)
    if answer.status == 204:
        return Written(id=_ID.findall(answer.headers.get("odata-entityid") or part.url)[-1].lower())
    record = decoder.record(answer.body)
    return Written(id=record.id, version=record.version)


def _closed(closing: Closing, part: Part, answer: Answer, *, doubtful: bool) -> Written:
    if answer.status < 400:
        return Written(id=closing.rest.id)
    error = dataverse_error(Response(answer.status, answer.headers, answer.body))
    return refused(error, msgspec.json.decode(part.body or b"{}"), doubtful=doubtful)


def _options_url(table: str, column: str) -> str:
    kind = {"statecode": "State", "statuscode": "Status"}.get(column, "Picklist")
    entity = f"EntityDefinitions(LogicalName='{table}')/Attributes(LogicalName='{column}')"
    return f"{entity}/{metadata.cast(kind)}?$select=LogicalName&$expand=OptionSet($select=Options)"


def _option(table: str, column: str, label: str) -> dict[str, object]:
    return {"EntityLogicalName": table, "AttributeLogicalName": column, "Label": option_label(label, _LANGUAGE)}
