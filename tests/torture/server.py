"""The sandbox's API in this process, with its faults, its late requests and its own time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from provisioner.errors import ApiError
from provisioner.meteroid.answer import Answer
from provisioner.meteroid.classes import outcome_of
from provisioner.model import App, AppSpec, Introspection, Listing, Outcome, Reply, Secret
from provisioner.reply import app_from, apps_from, decode
from provisioner.sandbox import api as sandbox_api
from provisioner.sandbox.api import Call
from provisioner.sandbox.distort import distort
from provisioner.sandbox.faults import Done, Fault, Faults
from provisioner.sandbox.ids import new_api_key
from provisioner.sandbox.world import OAuthApp, World

SETTLE = timedelta(seconds=60)
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=40)  # a request
_NOTHING = Reply(Outcome.AMBIGUOUS, None, Secret(b""), False, "no answer")
_SILENT = {"lost", "reset", "hang", "late"}
_BROKEN = {"truncated", "truncated-no-length", "gzip-garbage"}


@dataclass(frozen=True, slots=True)
class Late:
    """A request that is done at some time before `until`, whoever still waits for it."""

    call: Call
    until: datetime


class Server:
    """The sandbox's API without HTTP; an `OAuthAppsApi`. A fault of the kind `hang-before` is no connection.

    Requests of the kind `late` are done when `arrive` says so, and at the latest after the settle time (A5).
    """

    def __init__(
        self,
        apps: Iterable[OAuthApp] = (),
        organization_id: str | None = None,
        moment: datetime = _BEGAN,
        late: Sequence[Late] = (),
    ) -> None:
        self.moment = moment
        self.late = list(late)
        self.world = World(apps, organization_id=organization_id, clock=lambda: self.moment)
        self.calls: Counter[str] = Counter()
        self.ours: set[str] = set()  # ids of apps that came of a request to this API
        self.faults = Faults()
        self.before: Callable[[], None] = lambda: None  # each request: a moment at which the process may die
        self._key = new_api_key()

    def copy(self) -> Server:
        """As it is now, without faults, and with nobody listening."""
        again = Server(self.world.apps(), self.world.organization_id, self.moment, self.late)
        again.ours |= self.ours
        return again

    def mark(self) -> object:
        """What tells two moments of this server apart."""
        return self.world.apps(), tuple(self.late)

    def date(self) -> str:
        """Its time as it says it (RFC 9110 §5.6.7)."""
        return format_datetime(self.moment, usegmt=True)

    def quiet(self) -> None:
        """No more faults, and nobody listens."""
        self.faults, self.before = Faults(), lambda: None

    def arrive(self, index: int = 0) -> None:
        """A late request is done."""
        self._do(self.late.pop(index).call)

    def wait(self, span: timedelta) -> None:
        """Time passes; a late request comes through in it, at the last moment that it may."""
        end = self.moment + span
        for item in [item for item in self.late if item.until <= end]:
            self.late.remove(item)
            self.moment = max(self.moment, item.until)
            self._do(item.call)
        self.moment = end

    # The six operations.

    def list_apps(self) -> Listing:
        body, date = self._read(Call("list", "GET", ""))
        return Listing(apps_from(body), date)

    def get_app(self, app_id: str) -> App | None:
        try:
            body, _ = self._read(Call("get", "GET", "", app_id))
        except LookupError:
            return None
        return app_from(decode(body))

    def create_app(self, spec: AppSpec) -> Reply:
        fields = {"name": spec.name, "redirect_uris": spec.redirect_uris, "scopes": spec.scopes}
        return self._write(Call("create", "POST", "", body=json.dumps(fields).encode()), 201)

    def rotate_secret(self, app_id: str) -> Reply:
        return self._write(Call("rotate", "POST", "", app_id), 200)

    def delete_app(self, app_id: str) -> Reply:
        return self._write(Call("delete", "DELETE", "", app_id), 204)

    def introspect(self, client_id: str, client_secret: Secret) -> Introspection:
        right = self.world.confirms(client_id, client_secret.reveal().decode())
        return Introspection.CONFIRMED if right else Introspection.WRONG

    def _begin(self, call: Call) -> Fault | None:
        self.before()
        self.calls[call.operation] += 1
        self.moment += _TICK
        return self.faults.take(call.operation)

    def _do(self, call: Call) -> sandbox_api.Answer:
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        done = sandbox_api.answer(self.world, self._key, replace(call, headers=headers))
        if call.operation == "create" and done.status == 201:
            self.ours.add(decode(done.body)["app"]["id"])
        return done

    def _read(self, call: Call) -> tuple[bytes, str]:
        if self._begin(call):
            raise ApiError("The API could not be asked")
        answer = self._do(call)
        if answer.status == 404:
            raise LookupError
        return answer.body, self.date()

    def _write(self, call: Call, expected: int) -> Reply:
        fault = self._begin(call)
        answer = sandbox_api.refusal(503, "Nothing was done.")
        if fault is None or fault.done is Done.NOW:
            answer = self._do(call)
        elif fault.done is Done.LATE:
            self.late.append(Late(call, self.moment + SETTLE - 10 * _TICK))
        self.moment += _TICK
        return _replied(answer, fault, expected)


def asked_name(call: Call) -> str | None:
    """Of a create: the name that it is for."""
    return str(json.loads(call.body)["name"]) if call.operation == "create" else None


def _replied(answer: sandbox_api.Answer, fault: Fault | None, expected: int) -> Reply:
    """What the real client makes of an answer that a fault has spoiled."""
    if fault and fault.kind == "hang" and fault.done is Done.NEVER:
        return Reply(Outcome.NOT_SENT, None, Secret(b""), False, "no connection")
    if fault and fault.kind in _SILENT:
        return _NOTHING
    answer = distort(answer, fault) if fault else answer
    if fault and fault.kind in _BROKEN and answer.body:
        return Reply(Outcome.AMBIGUOUS, answer.status, Secret(answer.body[: len(answer.body) // 2]), False)
    headers = dict(answer.headers) | {"content-length": str(len(answer.body))}
    whole = Answer(answer.status, headers, Secret(answer.body))
    return Reply(outcome_of(whole, expected), answer.status, whole.body, True, f"{answer.status}")
