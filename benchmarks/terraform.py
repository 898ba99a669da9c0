"""Terraform's engine with as many of its builtin `terraform_data`: no provider, no request, local state."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.places import MANIFEST, apps_yaml
from benchmarks.process import Run, environment, measured

LARGEST = 1000  # more takes it many minutes
BLOCKS, FOR_EACH = "Terraform, blocks", "Terraform, for_each"
_BLOCK = """\
resource "terraform_data" "app_{0}" {{
  input = {{
    name          = "App {0}"
    redirect_uris = ["https://app-{0}.example.com/oauth/callback"]
    scopes        = ["customers:read", "invoices:read"]
  }}
}}
"""
_FOR_EACH = """\
resource "terraform_data" "app" {
  for_each = yamldecode(file("${path.module}/apps.yaml")).apps
  input    = each.value
}
"""
_COMMANDS = {
    "validate": ("validate", "-no-color"),
    "plan": ("plan", "-no-color", "-input=false"),
    "plan --no-refresh": ("plan", "-no-color", "-input=false", "-refresh=false"),
    "apply": ("apply", "-no-color", "-input=false", "-auto-approve"),
    "version": ("version",),
}


def found() -> str | None:
    """Where it is, if it is on the PATH."""
    return shutil.which("terraform")


@dataclass(frozen=True, slots=True)
class Terraform:
    """A working folder of Terraform's, initialized."""

    binary: str
    folder: Path
    env: Mapping[str, str]

    def run(self, name: str) -> Run:
        """One command, measured."""
        return measured([self.binary, *_COMMANDS[name]], self.folder, self.env)

    def forget(self) -> None:
        """As if nothing was ever applied."""
        for path in self.folder.glob("terraform.tfstate*"):
            path.unlink()


def blocks(count: int) -> str:
    """A configuration with a block for each app."""
    return "".join(map(_BLOCK.format, range(count)))


def initialized(binary: str, folder: Path, count: int, kind: str) -> Terraform:
    """A folder with the same apps as the manifest, as blocks or by for_each over the same YAML."""
    folder.mkdir(parents=True)
    if kind == FOR_EACH:
        (folder / MANIFEST).write_text(apps_yaml(count))
    (folder / "main.tf").write_text(blocks(count) if kind == BLOCKS else _FOR_EACH)
    env = environment(folder)
    measured([binary, "init", "-no-color", "-input=false"], folder, env)
    return Terraform(binary, folder, env)
