"""From files to a manifest in one pass: every fault of every file, or none."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.errors import Problem
from provisioner.manifest.events import read
from provisioner.manifest.faults import Fault, ManifestError, Place, Source, fault_at, in_file_order
from provisioner.manifest.rules import CheckRecipient, leaf_faults
from provisioner.manifest.sink_rules import sink_faults
from provisioner.manifest.structure import structured
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
    roots = []
    for document in documents:
        faults += expand(document, values)
        root, misfits = structured(document)
        roots += [root] if root else []
        faults += [*misfits, *leaf_faults(document, check_recipient)]
        faults += sink_faults(document, check_recipient)
    faults += joint_faults(documents)
    faults.sort(key=in_file_order(sources))
    if not all(fault.warning for fault in faults):
        raise ManifestError(faults)
    known = {name: value for name, value in values.items() if isinstance(value, str)}
    return joined(documents, roots, known, tuple(faults))


def _read_all(sources: Sequence[Source]) -> tuple[list[Document], list[Fault]]:
    if not sources:
        raise ManifestError([fault_at(Place("The manifest", 0, 0), (), _NO_FILE)])
    found = [read(source) for source in sources]
    documents = [document for document, _ in found if document is not None]
    faults = [fault for _, faults in found for fault in faults]
    if len(documents) < len(sources):
        raise ManifestError(sorted(faults, key=in_file_order(sources)))
    return documents, faults
