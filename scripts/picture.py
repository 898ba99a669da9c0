"""Draw docs/plan.svg, or the file that is named: a real plan, against a sandbox, as a terminal shows it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from provisioner.sandbox.server import running

TARGET = Path(__file__).parent.parent / "docs" / "plan.svg"
WIDTH = 104
BEFORE = """\
version: 1
apps:
  partner-portal: {name: Partner Portal, redirect_uris: [https://partners.example.com/oauth/callback]}
  old-dashboard: {name: Old Dashboard, redirect_uris: [https://old.example.com/oauth/callback]}
"""
AFTER = """\
version: 1
apps:
  partner-portal:
    name: Partner Portal
    redirect_uris: [https://partners.example.com/oauth/callback, https://partners.example.com/oauth/mobile]
  reporting: {name: Reporting, redirect_uris: [https://reports.example.com/oauth/callback]}
"""


def main(target: Path = TARGET) -> None:
    """Apply one manifest, plan another, and draw what the plan prints."""
    with tempfile.TemporaryDirectory() as folder, running() as server:
        path = Path(folder)
        environment = {
            "METEROID_BASE_URL": server.url,
            "METEROID_API_KEY": server.api_key,
            "HOME": folder,
            "FORCE_COLOR": "1",
        }

        def provisioner(*arguments: str) -> str:
            command = [sys.executable, "-m", "provisioner", *arguments]
            return subprocess.run(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
            ).stdout

        provisioner("init", "--file", "starter.yaml")
        (path / "apps.yaml").write_text(BEFORE)
        provisioner("apply", "--auto-approve")
        (path / "apps.yaml").write_text(AFTER)
        shown = provisioner("plan")
    target.write_text(drawn("$ provisioner plan\n" + shown))


def drawn(ansi: str) -> str:
    """The text as an SVG that asks nothing of the network: the fonts that rich names are taken out."""
    with tempfile.TemporaryFile("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, highlight=False)
        console.print(Text.from_ansi(ansi))
        svg = console.export_svg(title="provisioner")
    return re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code,", "")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
