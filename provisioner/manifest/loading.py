"""From files to a manifest in one pass: every fault of every file, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provisioner.errors import Problem
from provisioner.manifest.events import read
from provisioner.manifest.faults import Fault, ManifestError, Place, Source, fault_at, in_file_order
from provisioner.manifest.outline import certain
from provisioner.manifest.rules import CheckRecipient, leaf_faults
from provisioner.manifest.together import joined, joint_faults
from provisioner.manifest.tree import Document
from provisioner.manifest.values import Manifest
from provisioner.manifest.variables import VariableValues, expand, settle

_NO_FILE = Problem("A manifest has at least one file.", "Name one.")


def load(
    sources: Sequence[Source],
    variables: VariableValues | None = None,
    check_recipient: CheckRecipient | None = None,
) -> Manifest:
    """Read several files as one manifest. Raises `ManifestError` with everything that is wrong with it.

    A file that is not YAML ends the search: what the others lack may stand in it.
    """
    documents, faults = _read_all(sources)
    values, misgiven = settle(documents, variables or {})
    faults += misgiven
    for document in documents:
        faults += expand(document, values)
        if not certain(document.root):
            faults += _misfits(document, check_recipient)
        faults += leaf_faults(document, check_recipient)
    faults += joint_faults(documents)
    faults.sort(key=in_file_order(sources))
    if not all(fault.warning for fault in faults):
        raise ManifestError(faults)
    known = {name: value for name, value in values.items() if isinstance(value, str)}
    return joined(documents, known, tuple(faults))


def _misfits(document: Document, check_recipient: CheckRecipient | None) -> Iterator[Fault]:
    """What is not of its form, by the models; and what is wrong with sinks, which are never certain."""
    from provisioner.manifest.sink_rules import sink_faults  # noqa: PLC0415  # pydantic is slow to import
    from provisioner.manifest.structure import misfits  # noqa: PLC0415  # as above

    yield from misfits(document)
    yield from sink_faults(document, check_recipient)


def _read_all(sources: Sequence[Source]) -> tuple[list[Document], list[Fault]]:
    if not sources:
        raise ManifestError([fault_at(Place("The manifest", 0, 0), (), _NO_FILE)])
    found = [read(source) for source in sources]
    documents = [document for document, _ in found if document is not None]
    faults = [fault for _, faults in found for fault in faults]
    if len(documents) < len(sources):
        raise ManifestError(sorted(faults, key=in_file_order(sources)))
    return documents, faults
