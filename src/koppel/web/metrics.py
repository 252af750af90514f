"""Metrics as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from koppel.jobs.queues import Queue
from koppel.odata.records import Side
from koppel.store.measures import Measures
from koppel.store.overview import Numbers
from koppel.store.schedules import Entry
from koppel.systems.system import Counters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


def page(
    measures: Measures,
    numbers: Sequence[Numbers],
    entries: Iterable[Entry],
    queues: Iterable[Queue],
    sent: Mapping[Side, Counters],
) -> str:
    """The whole page. ``sent``: what this process alone sent to either system."""
    jobs = measures.jobs
    families = [
        _family("jobs_total", "Jobs by how they ended.", [(_job(j.mapping, j.status), j.jobs) for j in jobs]),
        _family("job_seconds_total", "Time spent in jobs.", [(_job(j.mapping, j.status), j.seconds) for j in jobs]),
        _family(
            "job_requests_total", "Requests sent by jobs.", [(_job(j.mapping, j.status), j.requests) for j in jobs]
        ),
        _family("records_total", "Records by what jobs did.", [(_did(m, what), n) for m, what, n in measures.records]),
        _family("lag_seconds", "Since the last job that went through began.", _of(measures.lag)),
        _family("notices_waiting", "Records that a system told of, still to be looked at.", _of(measures.notices)),
        *(
            _family(name, help, [({"mapping": one.mapping}, getattr(one, name)) for one in numbers])
            for name, help in _NUMBERS.items()
        ),
        _family("schedule_state", "1 for the state that the entry is in.", [(_state(entry), 1.0) for entry in entries]),
        _family("workers", "Living workers that serve the queue.", [({"queue": q.queue}, q.workers) for q in queues]),
        *(
            _family(
                f"{name}_total", help, [({"side": side}, getattr(counters, key)) for side, counters in sent.items()]
            )
            for name, key, help in _SENT
        ),
    ]
    return "".join(family for family in families if family)


_NUMBERS = {
    "couplings": "Coupled records.",
    "waiting": "Pairs that wait for a reference.",
    "failures": "Records that failed.",
    "skipped": "Records that are left alone after the same error twice.",
    "conflicts": "Conflicts that wait for a person.",
}
_SENT = (
    ("process_requests", "requests", "Requests that this process sent."),
    ("process_throttled", "throttled", "Answers to this process that said: too much."),
    ("process_retried", "retried", "Requests that this process sent again."),
)


def _job(mapping: str, status: str) -> Labels:
    return {"mapping": mapping, "status": status}


def _did(mapping: str, what: str) -> Labels:
    return {"mapping": mapping, "did": what}


def _state(entry: Entry) -> Labels:
    return {"mapping": entry.mapping, "state": entry.state}


def _of(pairs: Iterable[tuple[str, float]]) -> list[Sample]:
    return [({"mapping": mapping}, number) for mapping, number in pairs]


def _family(name: str, help: str, samples: Iterable[Sample]) -> str:
    kind = "counter" if name.endswith("_total") else "gauge"
    lines = [f"koppel_{name}{_braced(labels)} {number:.15g}" for labels, number in samples]
    return "\n".join([f"# HELP koppel_{name} {help}", f"# TYPE koppel_{name} {kind}", *lines, ""]) if lines else ""


def _braced(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
