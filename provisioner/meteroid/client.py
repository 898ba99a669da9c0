"""The six operations. A write is sent once and comes back as a Reply; a read is tried again, then raises."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from provisioner import __version__
from provisioner.endpoint import check_base_url, check_token
from provisioner.errors import ApiError, UsageError
from provisioner.meteroid import sent
from provisioner.meteroid.classes import outcome_of, read_tries, write_tries
from provisioner.meteroid.pacing import Pacer
from provisioner.meteroid.wire import Wire
from provisioner.meteroid.words import message_of, pair_error, read_error
from provisioner.model import App, AppSpec, Introspection, Listing, Reply, Secret
from provisioner.reply import REPLY_LIMIT, UnusableError, app_from, apps_in, decode, reply_limit
from provisioner.steady import steady

if TYPE_CHECKING:
    from provisioner.meteroid.answer import Answer
    from provisioner.meteroid.environment import Proxy
    from provisioner.meteroid.wire import Sender

G = TypeVar("G")
T = TypeVar("T")

_LOG: Final = logging.getLogger("provisioner.meteroid")
_WORDS: Final = "next|prev|cursor|page|pagin|more|offset|limit|total|count|links"
_PAGING: Final = re.compile(rf"(?<![A-Za-z])(?:{_WORDS})|(?:{_WORDS.title()})")  # "account" is none of them
_NEXT_LINK: Final = re.compile(r"rel\s*=\s*\"?[^\";,]*\bnext\b", re.IGNORECASE)  # RFC 8288 §3.3


class MeteroidApi:
    """The OAuth-apps API of one host with one token; shared by threads, closed by `with` or `close`.

    `wait` takes seconds and returns true to give up waiting, as `threading.Event.wait` does.
    """

    def __init__(  # noqa: PLR0913  # two values, and keywords that have defaults
        self,
        base_url: str,
        token: Secret,
        *,
        timeout: float = 30.0,
        user_agent: str = f"provisioner/{__version__}",
        wait: Callable[[float], bool] | None = None,
        clock: Callable[[], float] = steady,
        proxy: Proxy | None = None,
        connect: Callable[[], Sender] | None = None,
    ) -> None:
        _require_usable(base_url, token)
        self._base_url = base_url
        self._token = token
        self._clock = clock
        self._pacer = Pacer(clock, wait or threading.Event().wait)
        self._wire = Wire(
            base_url,
            timeout=timeout,
            user_agent=user_agent,
            clock=clock,
            proxy=proxy,
            connect=connect,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; nothing can be sent afterwards."""
        self._wire.close()

    def list_apps(self) -> Listing:
        """Every app of the organization; raises ApiError where that is not what was answered."""
        answer = self._get(sent.APPS, sent.LIST_LIMIT, {200})
        document = _parsed(decode, answer.body.reveal())
        _refuse_pages(document, answer)
        return Listing(_parsed(apps_in, document), answer.date)

    def get_app(self, app_id: str) -> App | None:
        """The app with this id, or None where the API itself says that there is none (404)."""
        answer = self._get(sent.app_path(app_id), sent.READ_LIMIT, {200, 404})
        if answer.status == 404:
            return None
        return _parsed(lambda body: app_from(decode(body)), answer.body.reveal())

    def create_app(self, spec: AppSpec) -> Reply:
        """Create an app; DONE is a whole 201."""
        request = sent.Request(
            "POST", sent.APPS, sent.bearer(self._token), reply_limit(spec), sent.create_request(spec)
        )
        return self._write(request, 201)

    def rotate_secret(self, app_id: str) -> Reply:
        """Have a new client secret made; DONE is a whole 200. The old secret is then invalid at once."""
        path = sent.app_path(app_id) + "/rotate"
        return self._write(sent.Request("POST", path, sent.bearer(self._token), REPLY_LIMIT), 200)

    def delete_app(self, app_id: str) -> Reply:
        """Delete an app; DONE is a 204. A 404 is REFUSED: whether that is as good is the caller's to say."""
        path = sent.app_path(app_id)
        return self._write(sent.Request("DELETE", path, sent.bearer(self._token), REPLY_LIMIT), 204)

    def introspect(self, client_id: str, client_secret: Secret) -> Introspection:
        """Whether the server takes this pair (RFC 7662); raises ApiError where its answer does not tell."""
        for authorization in sent.basic_forms(client_id, client_secret):
            request = sent.introspection(authorization)
            answer, tries = self._exchange(request, read_tries)
            fields = _fields(answer)
            # No token of ours: a server that calls it active says nothing about the pair.
            if answer.status == 200 and answer.fault is None and fields.get("active") is False:
                return Introspection.CONFIRMED
            if answer.status != 401 or answer.fault or fields.get("error") != "invalid_client":
                raise pair_error(answer, self._where(request), tries, client_secret)
        return Introspection.WRONG

    def _get(self, path: str, limit: int, expected: set[int]) -> Answer:
        request = sent.Request("GET", path, sent.bearer(self._token), limit)
        answer, tries = self._exchange(request, read_tries)
        # What another wrote, even as a 404, is no word of the API's on whether the app is there.
        if answer.fault or answer.status not in expected or answer.is_foreign:
            raise read_error(answer, self._where(request), tries, self._token)
        return answer

    def _write(self, request: sent.Request, expected: int) -> Reply:
        answer, _ = self._exchange(request, write_tries)
        message = message_of(answer, self._token)
        return Reply(outcome_of(answer, expected), answer.status, answer.body, answer.complete, message)

    def _exchange(self, request: sent.Request, tries_for: Callable[[Answer], int]) -> tuple[Answer, int]:
        started = self._clock()
        answer, tries = self._pacer.run(lambda: self._wire.send(request), tries_for)
        took = (self._clock() - started) * 1000
        status = answer.status or "no answer"
        _LOG.debug("%s %s: %s, %d ms, tries: %d", request.method, request.path, status, took, tries)
        return answer, tries

    def _where(self, request: sent.Request) -> str:
        return f"{request.method} {self._base_url}{request.path}"


def _require_usable(base_url: str, token: Secret) -> None:
    """Fail closed, whoever was to check before."""
    for what, problem in (("base URL", check_base_url(base_url)), ("token", check_token(token.reveal()))):
        if problem:
            raise UsageError(f"The API's {what} cannot be used", f"The rule: {problem.rule}.", problem.remedy)


def _parsed(parse: Callable[[G], T], given: G) -> T:
    try:
        return parse(given)
    except UnusableError as error:
        raise ApiError(
            "The API's answer is not of the described form",
            f"In the answer, {error}. Nothing of it was used.",
            "Check METEROID_BASE_URL; if it is right, this version does not know the API's form.",
        ) from None


def _fields(answer: Answer) -> dict[str, Any]:
    """The answer's JSON object, or nothing."""
    try:
        document = decode(answer.body.reveal())
    except UnusableError:
        return {}
    return document if isinstance(document, dict) else {}


def _refuse_pages(document: Any, answer: Answer) -> None:
    """A list that came in part must not pass for all of it: the apps it leaves out would be created again."""
    found = sorted(filter(_PAGING.search, document if isinstance(document, dict) else ()))
    if found or _NEXT_LINK.search(answer.headers.get("link", "")):
        what = f"a field {found[0]!a:.40}" if found else "a link to a next part"
        raise ApiError(
            "The list seems to be paged",
            f"Beside the apps the answer has {what}, so it may not hold all of them.",
            "This version reads the list in one answer: use one that knows the API's paging.",
        )
