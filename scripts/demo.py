"""The whole tour against a local sandbox, in a temporary folder: no account, no token, no traces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx

EXAMPLE = Path(__file__).parent.parent / "examples" / "apps.yaml"
PROVISIONER = (sys.executable, "-m", "provisioner")


def main() -> None:
    """Run it; the exit status is the first that was not 0."""
    with tempfile.TemporaryDirectory(prefix="provisioner-demo-") as folder:
        shutil.copy(EXAMPLE, Path(folder) / "apps.yaml")
        command = [*PROVISIONER, "sandbox"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(folder)) as server:
            try:
                tour(Path(folder), _environment(folder, _exported(server)))
            finally:
                server.terminate()


def tour(folder: Path, environment: Mapping[str, str]) -> None:
    """Every step as a person would type it."""

    def provisioner(*arguments: str, shown: bool = True) -> str:
        print(f"\n$ provisioner {' '.join(arguments)}", flush=True)
        output = None if shown else subprocess.PIPE
        ran = subprocess.run(
            [*PROVISIONER, *arguments], cwd=folder, env=environment, stdout=output, text=True, check=False
        )
        if ran.returncode:
            sys.exit(ran.returncode)
        return ran.stdout or ""

    provisioner("init", "--file", "starter.yaml")
    provisioner("validate")
    provisioner("plan")
    provisioner("apply", "--auto-approve")
    provisioner("plan")
    addresses = provisioner("state", "list", shown=False).split()
    print("\n".join(addresses))
    secret = provisioner("secret", "get", addresses[0], shown=False)
    status = _introspect(environment, _client_id(folder, addresses[0]), secret)
    print(f"(not shown: {len(secret)} characters)")
    print(f"\nThe sandbox was asked whether it takes that client id and secret: it answered {status}.")
    if status != httpx.codes.OK:
        sys.exit("The secret that was opened is not the one that works.")


def _environment(folder: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what would lead the demo elsewhere."""
    own = ("METEROID_", "PROVISIONER_", "SOPS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return kept | {"XDG_CONFIG_HOME": str(Path(folder) / "config")} | dict(more or {})


def _exported(server: subprocess.Popen[str]) -> dict[str, str]:
    """The two lines that the sandbox prints to be exported."""
    if server.stdout is None:
        raise ValueError("the sandbox's output is not piped")
    lines = [server.stdout.readline().strip() for _ in range(2)]
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)


def _client_id(folder: Path, address: str) -> str:
    """From the record, which is plain JSON but for the sealed secret."""
    record = folder / "state" / "apps" / f"{address.removeprefix('oauth_app.')}.json"
    return str(json.loads(record.read_bytes())["object"]["client_id"])


def _introspect(environment: Mapping[str, str], client_id: str, secret: str) -> int:
    url = f"{environment['METEROID_BASE_URL']}/api/v1/oauth/introspect"
    return httpx.post(url, data={"token": "none"}, auth=(client_id, secret), trust_env=False).status_code


if __name__ == "__main__":
    main()
