"""Traces: a job is a span, its steps and requests are below it; without OpenTelemetry nothing is different."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from world import World, new_world

from koppel import tracing
from koppel.store.database import open_database
from koppel.systems.transport import Request as HttpRequest
from koppel.systems.transport import no_answer


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("koppel"))
    yield exporter
    provider.shutdown()


@pytest.fixture
async def world(empty_database: str) -> AsyncIterator[World]:
    async with open_database(empty_database, Path()) as database, new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


def told(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def above(spans: tuple[ReadableSpan, ...], span: ReadableSpan) -> list[str]:
    """Names of the spans that a span is below, from the nearest on."""
    by_id = {each.context.span_id: each for each in spans if each.context}
    names: list[str] = []
    while span.parent is not None:
        span = by_id[span.parent.span_id]
        names.append(span.name)
    return names


async def test_a_job_its_steps_and_their_requests(world: World, exporter: InMemorySpanExporter) -> None:
    await world.bob.create("customers", displayName="Adatum")
    exporter.clear()
    result = await world.sync(create=True)
    spans = exporter.get_finished_spans()
    [job] = [span for span in spans if span.name == "job"]
    assert told(job) == {
        "koppel.job": result.job,
        "koppel.mapping": "CUSTOMER",
        "koppel.type": "modified",
        "koppel.direction": "both",
        "koppel.queue": "",
        **{f"koppel.{name}": number for name, number in result.counts.items() if number},
    }
    assert {span.name for span in spans if span.kind == SpanKind.INTERNAL} == {"job", "plan", "send", "record"}
    requests = [span for span in spans if span.kind == SpanKind.CLIENT]
    assert len(requests) == sum(result.requests.values())
    assert {above(spans, span)[-1] for span in requests} == {"job"}
    writes = [span for span in requests if above(spans, span)[0] == "send"]
    assert writes
    for span in requests:
        attributes = told(span)
        assert attributes["http.request.method"] == span.name
        assert attributes["http.response.status_code"] in (200, 201, 204)
        assert "?" not in str(attributes["url.path"])


async def test_what_fails_is_seen(world: World, exporter: InMemorySpanExporter) -> None:
    async def lose(number: int, request: HttpRequest) -> None:
        raise no_answer(request, "lost by a test")

    exporter.clear()
    world.line.before = lose
    with pytest.raises(Exception, match="lost by a test"):
        await world.sync()
    world.line.before = None
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans if span.status.status_code == StatusCode.ERROR} >= {"job", "GET"}
    assert [told(span) for span in spans if "http.response.status_code" in told(span)] == []


@pytest.mark.parametrize(
    ("where", "written"),
    [("OTEL_TRACES_EXPORTER=console", True), ("OTEL_TRACES_EXPORTER=none", False), ("NOBODY=asks", False)],
)
def test_the_environment_says_whereto(where: str, written: bool) -> None:
    program = "from koppel import tracing; tracing.begin()\nwith tracing.span('job', mapping='CUSTOMER'): pass"
    name, _, value = where.partition("=")
    out = subprocess.run(
        [sys.executable, "-c", program], env={name: value}, capture_output=True, text=True, check=True
    ).stdout
    assert ('"koppel.mapping": "CUSTOMER"' in out and '"service.name": "koppel"' in out) is written


def test_without_opentelemetry_nothing_is_different() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from koppel import tracing; tracing.begin()\n"
        "async def work(): pass\n"
        "assert tracing.traced('job')(work) is work\n"
        "with tracing.span('job', a=1) as tell: tell(b=2)\n"
        "assert tracing.span('job') is tracing.request_span('GET', '')"
    )
    asked = {"OTEL_TRACES_EXPORTER": "console"}
    done = subprocess.run([sys.executable, "-c", program], env=asked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "pip install 'koppel[otel]'" in done.stderr
