"""What a fault makes of a right answer, as far as that is a matter of status, headers and body."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from provisioner.sandbox.api import Answer, refusal
from provisioner.sandbox.faults import STATUS, Fault

_PAGE = b"""<!doctype html>
<html><head><title>Bad gateway</title></head>
<body><h1>Bad gateway</h1><p>The proxy in front of this service has no answer for you.</p></body></html>
"""
_ELSEWHERE = "/elsewhere"


def distort(answer: Answer, fault: Fault) -> Answer:
    """`answer` as the fault leaves it; unchanged where the fault is in how it is sent."""
    return _DISTORTIONS.get(fault.kind, _unchanged)(answer, fault)


def _unchanged(answer: Answer, _: Fault) -> Answer:
    return answer


def _status(_: Answer, fault: Fault) -> Answer:
    status = int(fault.number or 0)
    if status < 400:
        return refusal(status, "It is somewhere else.", ("location", fault.text or _ELSEWHERE))
    retry_after = (("retry-after", fault.text),) if fault.text else ()
    return refusal(status, "The sandbox was asked to answer this.", *retry_after)


def _html(_: Answer, fault: Fault) -> Answer:
    return Answer(int(fault.number or 0), _PAGE, (("content-type", "text/html; charset=utf-8"),))


def _gzip_garbage(answer: Answer, _: Fault) -> Answer:
    """A 204 has no body to spoil; it becomes a 200."""
    status = 200 if answer.status == 204 else answer.status
    return Answer(status, b"\x00not gzip" * 8, (*answer.headers, ("content-encoding", "gzip")))


def _extra(answer: Answer, _: Fault) -> Answer:
    return _edited(answer, _with_unknown_fields)


def _without(answer: Answer, fault: Fault) -> Answer:
    return _edited(answer, lambda content: _at(content, fault.text.split("."), _remove))


def _with(answer: Answer, fault: Fault) -> Answer:
    path, _, text = fault.text.partition("=")
    value = json.loads(text)

    def put(holder: Any, key: str | int) -> None:
        holder[key] = value

    return _edited(answer, lambda content: _at(content, path.split("."), put))


def _edited(answer: Answer, edit: Callable[[Any], Any]) -> Answer:
    if not answer.body:
        return answer
    return replace(answer, body=json.dumps(edit(json.loads(answer.body))).encode())


def _at(content: Any, path: list[str], change: Callable[[Any, str | int], None]) -> Any:
    """`content` after `change` at `path`; as it was where there is no such place."""
    holder = content
    try:
        for step in path[:-1]:
            holder = holder[_key(holder, step)]
        change(holder, _key(holder, path[-1]))
    except (LookupError, TypeError, ValueError):
        pass
    return content


def _key(holder: Any, step: str) -> str | int:
    return int(step) if isinstance(holder, list) else step


def _remove(holder: Any, key: str | int) -> None:
    del holder[key]


def _with_unknown_fields(content: Any) -> Any:
    if isinstance(content, list):
        return [_with_unknown_fields(each) for each in content]
    if not isinstance(content, dict):
        return content
    known = {name: _with_unknown_fields(value) for name, value in content.items()}
    return {"x_new_first": {"nested": [1, None]}, **known, "x_new_last": "unknown"}


_DISTORTIONS = {
    STATUS: _status,
    "html": _html,
    "gzip-garbage": _gzip_garbage,
    "extra": _extra,
    "without": _without,
    "with": _with,
}
