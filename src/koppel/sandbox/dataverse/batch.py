"""``$batch``: requests one after another, and change sets that happen wholly or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

from koppel.errors import DataError
from koppel.odata.batch import Answer, Part, decode_request, encode_answer
from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.messages import Request, Response, error_response

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

MAX_OPERATIONS = 1_000

_REFERENCE = re.compile(rb'@odata\.(?:bind|id)"\s*:\s*"\$(\w+)')

Answerer = Callable[[Part, Mapping[str, str]], Response]
"""Answers one part, with the addresses that ``$1`` and its kin stand for, or raises ``ServiceError``."""


def run(dataverse: Dataverse, request: Request, answer: Answerer) -> Response:
    """The answer to a batch: its parts' answers up to the first failure, or all when told to go on."""
    items = _read(request)
    answers: list[Answer | list[Answer]] = []
    status = 200
    for item in items:
        found = _change_set(dataverse, item, answer) if isinstance(item, list) else _single(item, answer)
        answers.append(found)
        if isinstance(found, Answer) and found.status >= 400 and not request.prefer.continue_on_error:
            status = found.status
            break
    boundary = f"batchresponse_{uuid4()}"
    headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
    if request.prefer.continue_on_error:
        headers["Preference-Applied"] = "odata.continue-on-error"
    return Response(status, encode_answer(answers, boundary), headers)


def _read(request: Request) -> list[Part | list[Part]]:
    try:
        items = decode_request(request.body, request.headers.get("content-type", ""))
    except DataError as error:
        raise errors.bad_query(f"The batch cannot be read: {error.message}.") from error
    operations = sum(len(item) if isinstance(item, list) else 1 for item in items)
    if operations > MAX_OPERATIONS:
        raise errors.bad_query(
            f"The current batch message has too many parts. Only batch messages with up to {MAX_OPERATIONS} parts are "
            "allowed."
        )
    for item in items:
        if isinstance(item, list):
            _check_change_set(item)
    return items


def _check_change_set(parts: list[Part]) -> None:
    """Writes only, each with its own Content-ID. References to later parts make the whole request invalid."""
    seen: set[str] = set()
    for part in parts:
        if part.method == "GET":
            raise errors.bad_query("A GET request is not allowed in a change set.")
        if not part.content_id or part.content_id in seen:
            raise errors.bad_query("Every request of a change set needs a Content-ID of its own.")
        for reference in _references(part):
            if reference not in seen:
                raise errors.bad_query(f"Content-ID Reference: '${reference}' does not exist in the batch context.")
        seen.add(part.content_id)


def _references(part: Part) -> list[str]:
    """The Content-IDs that a part refers to, in its address and in its body."""
    in_body = [found.decode() for found in _REFERENCE.findall(part.body)]
    return [part.url.partition("/")[0][1:], *in_body] if part.url.startswith("$") else in_body


def _single(part: Part, answer: Answerer) -> Answer:
    try:
        return _answer(answer(part, {}), part)
    except errors.ServiceError as error:
        return _failure(error)


def _change_set(dataverse: Dataverse, parts: list[Part], answer: Answerer) -> Answer | list[Answer]:
    references: dict[str, str] = {}
    answers = []
    try:
        with dataverse.transaction():
            for part in parts:
                response = answer(part, references)
                if "OData-EntityId" in response.headers:
                    references[f"${part.content_id}"] = response.headers["OData-EntityId"]
                answers.append(_answer(response, part))
    except errors.ServiceError as error:
        return _failure(error)
    return answers


def _answer(response: Response, part: Part) -> Answer:
    headers = dict(response.headers)
    if "OData-EntityId" in headers:
        headers.setdefault("Location", headers["OData-EntityId"])
    return Answer(response.status, {**headers, "OData-Version": "4.0"}, response.body, part.content_id)


def _failure(error: errors.ServiceError) -> Answer:
    response = error_response(error)
    headers = {**response.headers, "REQ_ID": str(uuid4()), "OData-Version": "4.0"}
    return Answer(response.status, headers, response.body)
