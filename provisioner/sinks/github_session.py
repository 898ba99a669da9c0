"""The way to GitHub: which server, with which token, how long to wait, and what its refusals mean."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final

from provisioner.endpoint import check_token
from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.sinks.http import Answer, Server, base_url

_LOG: Final = logging.getLogger("provisioner.sinks")
_DEFAULT_URL: Final = "https://api.github.com"
_VERSION: Final = "2022-11-28"
_PATIENCE: Final = 60.0  # seconds; the least that GitHub asks for where it does not say how long
_NEVER: Final = float("inf")
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_AGAIN: Final = "Run it again: delivering the same twice does no harm."
_LIMITED: Final = (
    "it was asked more often than it allows",
    "Run it again in some minutes; if it stays, in an hour: what is delivered by then is not sent again.",
)
_REDIRECTS: Final = (
    "it redirects, as it does where a repository was renamed or moved, and a token does not follow",
    "Write the repository's present name in `repository` of the sink; else check GITHUB_API_URL.",
)
_TROUBLE: Final = ("it has trouble of its own, and may have done it all the same", _AGAIN)
_ELSE: Final = (
    "that is not what GitHub answers here",
    "Check GITHUB_API_URL: for GitHub Enterprise Server it ends with /api/v3.",
)
_FORBIDDEN: Final = (
    "{permission} An organization may have to approve the token, or to let it in by single sign-on. The"
    " GITHUB_TOKEN of a workflow cannot write secrets, whatever its `permissions` say."
)
_UNSEEN: Final = (
    "Check `repository` and `environment` of the sink, and that the token is for that repository."
    " {permission}"
)
_NOT_TAKEN: Final = (
    "it did not take what was sent: its public key has just been replaced, or there is no room left (100"
    " secrets in a repository, 100 in an environment)"
)
_REASONS: Final = {
    400: (
        "it took the request for malformed",
        f"Look for a newer provisioner: this one speaks version {_VERSION} of the API.",
    ),
    401: ("the token is not valid here, or has expired", "Make a new token; check GITHUB_API_URL."),
    403: ("the token may not do this", _FORBIDDEN),
    404: ("there is no such place, or the token may not see it; GitHub does not say which", _UNSEEN),
    409: ("something else is changing it at the same moment", _AGAIN),
    422: (_NOT_TAKEN, "Run it again; if it stays, look through the secrets there."),
}


@dataclass(frozen=True, slots=True)
class Session:
    """Asks one GitHub as the environment says. `wait` and `timeout` are in seconds."""

    environment: Mapping[str, str] = field(repr=False)
    timeout: float = 30.0
    wait: Callable[[float], None] = time.sleep

    def call(self, method: str, path: str, document: Any = None) -> Answer:
        """Ask once, and once more where GitHub says soon enough when. Any status is an answer."""
        server, headers = self._server(), self._headers()
        answer = server.send(method, path, headers, document)
        pause = _pause(answer)
        if pause is None or pause > _PATIENCE:
            return answer
        _LOG.info("GitHub is asked too often: waiting for %d seconds", pause)
        self.wait(pause)
        return server.send(method, path, headers, document)

    def _server(self) -> Server:
        url = base_url(self.environment.get("GITHUB_API_URL") or _DEFAULT_URL, "GITHUB_API_URL")
        return Server(
            url, "GitHub", "Check GITHUB_API_URL and the network, then run it again.", None, self.timeout
        )

    def _headers(self) -> dict[str, str | Secret]:
        return {
            "Accept": "application/vnd.github+json",
            "Authorization": Secret(b"Bearer " + self._token().encode("ascii")),
            "X-GitHub-Api-Version": _VERSION,
        }

    def _token(self) -> str:
        found = {
            name: token for name in ("GITHUB_TOKEN", "GH_TOKEN") if (token := self.environment.get(name))
        }
        if not found:
            raise SinkError(
                "GITHUB_TOKEN is not set",
                "The token for GitHub is read from the environment alone: GITHUB_TOKEN or GH_TOKEN.",
                "Set it to a token that may write the repository's secrets.",
            )
        if len(set(found.values())) > 1:
            raise SinkError(
                "GITHUB_TOKEN and GH_TOKEN differ",
                "Which of them is meant cannot be told.",
                "Unset one of them.",
            )
        name, token = next(iter(found.items()))
        problem = check_token(token)
        if problem is not None:
            rule = problem.rule[0].upper() + problem.rule[1:]
            raise SinkError(f"{name} cannot be used", f"{rule}. It is not shown.", problem.remedy)
        return token


def refusal(answer: Answer, doing: str, permission: str) -> SinkError:
    """What an unwanted answer means, by status and headers: its text may hold what was sent."""
    status = answer.status
    if _pause(answer) is not None:
        reason, hint = _LIMITED
    elif status in range(300, 400):
        reason, hint = _REDIRECTS
    elif status in range(500, 600):
        reason, hint = _TROUBLE
    else:
        reason, hint = _REASONS.get(status, _ELSE)
    return SinkError(
        f"Could not {doing}", f"GitHub answered {status}: {reason}.", hint.format(permission=permission)
    )


def _pause(answer: Answer) -> float | None:
    """The seconds after which it may be asked again, where it was asked too often; else None.

    A primary limit ends within the hour. Of a secondary one only the text of a 403 may tell, without a time.
    """
    if answer.status not in (403, 429):
        return None
    asked = answer.headers.get("retry-after")
    if asked is not None:
        return max(1.0, float(asked)) if _SECONDS.fullmatch(asked) else _NEVER
    if answer.headers.get("x-ratelimit-remaining") == "0":
        return _NEVER
    return _PATIENCE if answer.status == 429 or "rate limit" in _message(answer) else None


def _message(answer: Answer) -> str:
    document = answer.json()
    return str(document.get("message")).lower() if isinstance(document, dict) else ""
