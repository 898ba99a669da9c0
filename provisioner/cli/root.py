"""The command group, loaded lazily, and the one place that turns exceptions into text and exit status."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from importlib import import_module
from typing import Any

import click

from provisioner import __version__
from provisioner.cli.dialect import as_typed, translated, with_twins
from provisioner.cli.output import complain
from provisioner.errors import EXIT_ERROR, EXIT_INTERRUPTED, ProvisionerError

# Each command's module, which holds it as `command`, and its line in --help, so that help imports none.
COMMANDS = {
    "init": ("init", "Write a starter manifest and make an identity that can read its secrets."),
    "validate": ("validate", "Check the manifest, without the network."),
    "fmt": ("fmt", "Put the manifest in one form; comments stay."),
    "plan": ("plan", "Show what apply would do."),
    "apply": ("apply", "Create, replace and delete apps as the manifest says; seal their secrets."),
    "destroy": ("destroy", "Destroy every app in the state."),
    "drift": ("drift", "Show what was changed outside of provisioner."),
    "import": ("import_", "Take an app that exists already into the state."),
    "rotate": ("rotate", "Give apps new secrets; the present ones stop working at once."),
    "verify": ("verify", "Prove that the stored secrets are the live ones."),
    "show": ("show", "Show the state."),
    "state": ("state", "Look at the state, and mend it by hand."),
    "secret": ("secret", "List, open and deliver secrets, and seal them anew."),
    "guard": ("guard", "Refuse files that hold a secret in clear; for a commit's hook."),
    "sandbox": ("sandbox", "Run a local server that speaks the API, to try things out."),
    "schema": ("schema", "Print the JSON Schema of the manifest, or of a plan."),
    "completion": ("completion", "Print the completion script for a shell."),
    "version": ("version", "Print the version."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a first day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"provisioner.cli.{COMMANDS[cmd_name][0]}").command
        return with_twins(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def _main_shell_completion(
        self, ctx_args: MutableMapping[str, Any], prog_name: str, complete_var: str | None = None
    ) -> None:
        """Answer the shell's request for completions, if there is one; click takes it to be well-formed."""
        try:
            super()._main_shell_completion(ctx_args, prog_name, complete_var)
        except (KeyError, ValueError):
            raise click.ClickException(
                "completion needs COMP_WORDS and COMP_CWORD as the shell's completion script sets them."
            ) from None


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="provisioner v%(version)s")
@click.option("--chdir", metavar="DIR", envvar="PROVISIONER_CHDIR", help="Work in this folder.")
def root(chdir: str | None) -> None:
    """OAuth apps as code.

    A manifest says which OAuth apps should exist; plan shows what would change, apply does it and seals each
    client secret so that only its readers can open it.

    \b
    Exit status: 0 done or nothing to do, 1 error, 2 changes or drift (only with --detailed-exitcode),
    3 ended unfinished, 4 the state is locked, 130 interrupted.
    """
    if chdir is not None:
        from provisioner.files import work_in

        work_in(chdir)


def dispatch(arguments: Sequence[str]) -> int:
    """Run a command line; every error becomes text on stderr and an exit status, and click's 2 becomes 1."""
    try:
        status = root.main(list(translated(arguments)), prog_name="provisioner", standalone_mode=False)
    except ProvisionerError as error:
        from provisioner.render.error_text import error_text  # only now

        complain(error_text(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        complain(error.format_message())
        return EXIT_ERROR
    except click.NoSuchOption as error:
        complain(_usage(as_typed(error, arguments)))
        return EXIT_ERROR
    except click.ClickException as error:
        complain(_usage(error))
        return EXIT_ERROR
    except (click.Abort, KeyboardInterrupt):
        complain("\nInterrupted: nothing more was done.")
        return EXIT_INTERRUPTED
    except SystemExit as ended:  # how click ends once it has answered a request for completions
        return ended.code if isinstance(ended.code, int) else EXIT_ERROR
    except Exception as error:  # noqa: BLE001  (the last resort: without it there would be a traceback)
        complain(_bug(error))
        return EXIT_ERROR
    return status if isinstance(status, int) else 0


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"\n\nTry `{context.command_path} --help`." if context else ""
    return f"Error: {error.format_message()}{hint}"


def _bug(error: Exception) -> str:
    """Where it happened, and no values: the exception's own text may hold a secret."""
    from traceback import walk_tb

    frames = [f"{frame.f_globals.get('__name__')}:{line}" for frame, line in walk_tb(error.__traceback__)]
    return (
        "Error: this is a bug in provisioner\n\n"
        f"{type(error).__name__} at {', in '.join(reversed(frames[-4:]))}.\n"
        "If it was an apply, what was under way is in the journal; `provisioner plan` shows the rest.\n"
        "Please report it where you got provisioner from, with these lines, what you typed, and what "
        "`provisioner version --json` prints."
    )
