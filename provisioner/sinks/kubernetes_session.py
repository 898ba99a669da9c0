"""One cluster, asked as one user; what its answers mean, as far as they can be shown."""

from __future__ import annotations

from typing import Any, Final

from provisioner.errors import SinkError
from provisioner.frozen import dataclass
from provisioner.model import Secret
from provisioner.sinks.http import Answer, Server
from provisioner.text import quote

_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"
_REASONS: Final = {
    400: ("the request was refused as malformed", "Check the sink's options."),
    401: (
        "who asks is not known: the credential is not valid there, or has expired",
        "Check the user of the context, and the context.",
    ),
    403: (
        "the user may not do this, or a rule of the cluster's forbids it",
        "Have a role of the user's allow it; the page on this sink has one to copy.",
    ),
    404: ("there is nothing at that path", "Check the namespace, and `server` of the cluster."),
    409: ("it exists, or is not as it was", "Run it again."),
    422: (
        "the Secret is immutable, of another type than Opaque, or cannot have what is to be written",
        "Look at it with kubectl; where nothing else is in it, delete it, and run this again.",
    ),
    429: ("it is asked too much", "Run it again in a while."),
    503: ("it is starting, or a part of it is not there", "Run it again in a while."),
}
_REDIRECTS: Final = (
    "it redirects elsewhere, and a credential does not follow",
    "Correct `server` of the cluster in the kubeconfig.",
)
_ELSE: Final = ("that is not what Kubernetes answers here", "Check `server` of the cluster, and its log.")


@dataclass(frozen=True, slots=True)
class Session:
    """One cluster, asked as one user."""

    server: Server
    token: Secret | None = None

    def call(
        self,
        method: str,
        path: str,
        document: Any = None,
        content_type: str = "application/json",
        *,
        whole: bool = False,
    ) -> Answer:
        """Ask, for metadata alone unless for the `whole`: no secret needs to come. Raises NoAnswerError."""
        headers: dict[str, str | Secret] = {} if whole else {"Accept": _METADATA}
        if self.token is not None:
            headers["Authorization"] = Secret(b"Bearer " + self.token.reveal())
        return self.server.send(method, path, headers, document, content_type)

    def refusal(self, answer: Answer, doing: str, *, silent: bool = False) -> SinkError:
        """What an unwanted answer means.

        `silent`: its text is not shown, for it may hold a secret. What admits or denies a change is told both
        the old Secret and the new one, and may repeat them.
        """
        reason, hint = _REASONS.get(answer.status, _REDIRECTS if answer.status in range(300, 400) else _ELSE)
        said = "" if silent else status_of(answer).get("message")
        if not isinstance(said, str) or (self.token and self.token.reveal().decode("ascii") in said):
            said = ""
        told = f" It says: {quote(said, 300)}." if said else ""
        return SinkError(f"Could not {doing}", f"Kubernetes answered {answer.status}: {reason}.{told}", hint)


def status_of(answer: Answer) -> dict[str, Any]:
    """The `Status` that Kubernetes answers with where something is not done; else empty."""
    document = answer.json()
    return document if isinstance(document, dict) and document.get("kind") == "Status" else {}
