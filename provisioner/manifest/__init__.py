"""The manifest: YAML text → `Manifest`, with the place of every fault, and all faults at once."""

from provisioner.manifest.faults import Fault, ManifestError, Place, Source
from provisioner.manifest.loading import load
from provisioner.manifest.schema import json_schema
from provisioner.manifest.values import DeclaredApp, Manifest, ProviderSettings, StateSettings
from provisioner.manifest.variables import VariableValues, variables_from

__all__ = [
    "DeclaredApp",
    "Fault",
    "Manifest",
    "ManifestError",
    "Place",
    "ProviderSettings",
    "Source",
    "StateSettings",
    "VariableValues",
    "json_schema",
    "load",
    "variables_from",
]
