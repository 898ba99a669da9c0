"""`provisioner completion`."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash: provisioner completion bash > ~/.local/share/bash-completion/completions/provisioner
    zsh:  provisioner completion zsh > "${fpath[1]}/_provisioner"
    fish: provisioner completion fish > ~/.config/fish/completions/provisioner.fish
    """
    from click.shell_completion import get_completion_class

    from provisioner.cli.output import say
    from provisioner.cli.root import root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    say(kind(root, {}, "provisioner", "_PROVISIONER_COMPLETE").source())
