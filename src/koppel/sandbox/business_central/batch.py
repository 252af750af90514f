"""``$batch``: parts one after another, each an ordinary request."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.calls import JSON, Call, Reply, read_options
from koppel.sandbox.business_central.company import BusinessCentral
from koppel.sandbox.business_central.routes import answer
from koppel.sandbox.business_central.work import Journal

LARGEST = 100


def answer_batch(system: BusinessCentral, call: Call) -> Reply:
    """200 with the replies of the parts, whatever became of them.

    By default the parts end with the first that fails. With ``Isolation: snapshot`` a failure undoes them all, though
    their replies still say otherwise.
    """
    try:
        parts = _parts(call)
    except errors.ServiceError as refusal:
        return Reply(refusal.status, refusal.body(), refusal.headers)
    go_on = "continue-on-error" in call.headers.get("prefer", "")
    if call.headers.get("isolation", "").lower() == "snapshot":
        call.outer = Journal()
    replies: list[dict[str, Any]] = []
    failed: set[Any] = set()
    for part in parts:
        reply = _answer_part(system, call, part, failed)
        replies.append(_shown(part, reply))
        if reply.status >= 400:
            failed.add(part.get("id"))
            if not go_on:
                break
    if failed and call.outer is not None:
        call.outer.undo()
    elif call.outer is not None:
        system.subscriptions.note(call.outer)
    return Reply(200, {"responses": replies})


def _parts(call: Call) -> list[dict[str, Any]]:
    if call.method != "POST":
        raise errors.method_not_allowed(call.method, "$batch")
    if call.headers.get("content-type", "").startswith("multipart/"):
        raise errors.not_implemented("multipart $batch")
    parts = call.json().get("requests")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise errors.bad_request("A batch needs an array of requests.")
    if len(parts) > LARGEST:
        raise errors.ServiceError(
            500,
            "Internal_ServerError",
            f"The batch has {len(parts)} query operations; the maximum number is {LARGEST}.",
        )
    return parts


def _answer_part(system: BusinessCentral, call: Call, part: dict[str, Any], failed: set[Any]) -> Reply:
    if failed and failed.intersection(part.get("dependsOn") or ()):
        refusal = errors.ServiceError(424, "BadRequest", "A request that this one depends on has failed.")
        return Reply(424, refusal.body())
    try:
        part_call = _call(call, part)
    except errors.ServiceError as refusal:
        return Reply(refusal.status, refusal.body())
    return answer(system, part_call)


def _call(call: Call, part: dict[str, Any]) -> Call:
    method, url = part.get("method"), part.get("url")
    if not isinstance(method, str) or not isinstance(url, str):
        raise errors.bad_request("A part of a batch needs a method and a url.")
    path, _, query = _below_root(call, url).partition("?")
    if path.startswith("$batch") or (path.startswith("$") and path[1:2].isdecimal()):
        raise errors.not_implemented("a batch within a batch, and references between parts")
    headers = {name.lower(): str(value) for name, value in (part.get("headers") or {}).items()}
    return Call(
        method=method.upper(),
        route=call.route,
        root=call.root,
        path=unquote(path),
        options=read_options(query),
        headers=headers,
        body=part.get("body"),
        user=call.user,
        outer=call.outer,
    )


def _below_root(call: Call, url: str) -> str:
    if "://" in url:
        if not url.startswith(call.root + "/"):
            raise errors.bad_request(f"The url '{url}' is not below {call.root}.")
        return url[len(call.root) + 1 :]
    return url.removeprefix("/")


def _shown(part: dict[str, Any], reply: Reply) -> dict[str, Any]:
    headers = {"odata-version": "4.0", **reply.headers}
    shown: dict[str, Any] = {"id": part.get("id"), "status": reply.status, "headers": headers}
    if isinstance(reply.body, bytes):
        shown["body"] = reply.body.decode()
    elif reply.body is not None:
        headers["content-type"] = JSON
        shown["body"] = reply.body
    return shown
