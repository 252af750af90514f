"""Traces for OpenTelemetry, where that is installed (``pip install 'koppel[otel]'``); else nothing, at no cost.

A job is a span, its steps are spans below it, and so are the requests that these send. They go to the tracer provider
of the program; ``begin`` makes one where the environment says whereto traces go (``OTEL_...``).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

try:
    import opentelemetry.trace as trace
except ImportError:  # an extra
    _TRACER = None
else:
    _TRACER = trace.get_tracer("koppel")

log = logging.getLogger("koppel.tracing")

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[P, Coroutine[Any, Any, T]]
Attribute = str | int | float | bool
Tell = Callable[..., None]
"""Called with further attributes of a span."""

EXPORTER = "OTEL_TRACES_EXPORTER"
ASKED_BY = (EXPORTER, "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def _tell_nobody(**attributes: Attribute) -> None:
    pass


_NOTHING = nullcontext(_tell_nobody)


def span(name: str, **attributes: Attribute) -> AbstractContextManager[Tell]:
    """A piece of work; its attributes are called ``koppel.`` and their names. What is learnt on the way is told to what
    it gives."""
    if _TRACER is None:
        return _NOTHING
    return _span(name, False, {f"koppel.{key}": value for key, value in attributes.items()})


def request_span(method: str, url: str) -> AbstractContextManager[Tell]:
    """A request to one of the systems, named as OpenTelemetry names those. What is asked for is not told."""
    if _TRACER is None:
        return _NOTHING
    place = urlsplit(url)
    told = {"http.request.method": method, "server.address": place.hostname or "", "url.path": place.path}
    return _span(method, True, told)


@contextmanager
def _span(name: str, sends: bool, attributes: Mapping[str, Attribute]) -> Iterator[Tell]:
    assert _TRACER is not None
    kind = trace.SpanKind.CLIENT if sends else trace.SpanKind.INTERNAL
    with _TRACER.start_as_current_span(name, kind=kind, attributes=attributes) as one:

        def tell(**more: Attribute) -> None:
            one.set_attributes({_NAMES.get(key, f"koppel.{key}"): value for key, value in more.items()})

        yield tell


_NAMES = {"status_code": "http.response.status_code"}


def traced(name: str) -> Callable[[Work[P, T]], Work[P, T]]:
    """Makes each call of a function a span."""

    def decorate(function: Work[P, T]) -> Work[P, T]:
        if _TRACER is None:
            return function

        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            with span(name):
                return await function(*args, **kwargs)

        return call

    return decorate


def begin() -> None:
    """From now on traces go where the environment says, if it does: by OTLP over HTTP, or to the console. What it says
    besides (``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER``, ...) OpenTelemetry sees to."""
    if os.environ.get(EXPORTER) == "none" or not any(os.environ.get(name) for name in ASKED_BY):
        return
    try:
        sdk, processors = (import_module(f"opentelemetry.sdk.trace{part}") for part in ("", ".export"))
        exporter = (
            processors.ConsoleSpanExporter()
            if os.environ.get(EXPORTER) == "console"
            else import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter()
        )
    except ImportError as error:
        log.warning("traces are asked for and OpenTelemetry is not there (%s): pip install 'koppel[otel]'", error)
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", "koppel")
    provider = sdk.TracerProvider()
    provider.add_span_processor(processors.BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
