"""What a user may do in a namespace, asked beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from provisioner.errors import SinkError
from provisioner.sinks.kubernetes_session import Session, status_of
from provisioner.text import quote

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def require_access(session: Session, namespace: str, name: str, verbs: Sequence[str]) -> None:
    """SinkError where a verb is not allowed on the Secret. To ask is a POST that changes nothing."""
    missing = [verb for verb in verbs if not _allowed(session, namespace, name, verb)]
    if missing:
        raise SinkError(
            f"The user may not {' or '.join(missing)} the Secret {quote(name, 80)} in namespace"
            f" {quote(namespace, 80)}",
            f"A delivery, and taking it back, take {', '.join(verbs)}.",
            "Have a role of the user's allow it; the page on this sink has one to copy.",
        )


def require_namespace(session: Session, namespace: str) -> None:
    """SinkError where the namespace is not there or going. Not everybody may look, which is no error."""
    doing = f"look at the namespace {quote(namespace, 80)}"
    answer = session.call("GET", f"/api/v1/namespaces/{namespace}")
    if answer.status == 403 and status_of(answer):
        return
    if answer.status == 404 and status_of(answer).get("reason") == "NotFound":
        raise SinkError(
            f"There is no namespace {quote(namespace, 80)}",
            "It is not made here: what may be done in it is for its owners to say.",
            f"Correct `namespace` of the sink, or type: kubectl create namespace {namespace}",
        )
    document = answer.json()
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if answer.status != 200 or not isinstance(metadata, dict) or metadata.get("name") != namespace:
        raise session.refusal(answer, doing)
    if metadata.get("deletionTimestamp"):
        raise SinkError(
            f"The namespace {quote(namespace, 80)} is being deleted",
            "Nothing can be made in it any more.",
            "Correct `namespace` of the sink, or wait and make it anew.",
        )


def _allowed(session: Session, namespace: str, name: str, verb: str) -> bool:
    attributes: dict[str, Any] = {"namespace": namespace, "verb": verb, "group": "", "resource": "secrets"}
    if verb != "create":  # what is made has no name yet when that is asked
        attributes["name"] = name
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = session.call("POST", _REVIEWS, review, whole=True)
    document = answer.json()
    status = document.get("status") if isinstance(document, dict) else None
    allowed = status.get("allowed") if isinstance(status, dict) else None
    if answer.status != 201 or not isinstance(allowed, bool):
        raise session.refusal(answer, "ask what the user may do")
    return allowed
