"""The ``hubq`` command: its subcommands and its exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from hubq.cli.commands import Commands
from hubq.cli.version import version_command
from hubq.core.shown import shown
from hubq.errors import ConfigError, HubqError, RedisUnavailable

FAILED, USAGE, NO_REDIS = 1, 2, 3

#: The base of typer's own usage errors. (It has no public name in the versions that bring their own click.)
TyperUsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="hubq",
    cls=Commands,
    epilog="HUB is module:attribute (app:hub) or a hub's id. "
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 Redis cannot be reached.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # they may hold a password
)


def _version(asked: bool) -> None:
    if asked:
        version_command()
        raise typer.Exit


@app.callback()
def _hubq(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version of hubq.")
    ] = False,
) -> None:
    """Run named, stateful jobs on Redis, and move them between workers without loss."""


def run(arguments: Sequence[str] | None = None) -> None:
    """The entry point: run a command, then exit. An error is one line on stderr."""
    raise SystemExit(outcome(list(sys.argv[1:] if arguments is None else arguments)))


def outcome(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    logging.captureWarnings(True)
    try:
        code = app(arguments or ["--help"], prog_name="hubq", standalone_mode=False)
        sys.stdout.flush()
    except TyperUsageError as error:
        return _told(_usage(error), USAGE)
    except ConfigError as error:
        return _told(str(error), USAGE)
    except RedisUnavailable as error:
        return _told(str(error), NO_REDIS)
    except HubqError as error:
        return _told(str(error), FAILED)
    except typer.Abort:
        return FAILED
    except BrokenPipeError:  # `hubq ps chat | head`
        sys.stderr.close()
        return FAILED
    return code if isinstance(code, int) else 0


def _usage(error: Exception) -> str:
    from hubq.cli.habits import hinted

    context = getattr(error, "ctx", None)
    group, commands = "hubq", []
    if context is not None and context.parent is not None and hasattr(context.command, "list_commands"):
        group, commands = context.command_path, context.command.list_commands(context)
    return hinted(getattr(error, "format_message", error.__str__)(), group, commands)


def _told(message: str, code: int) -> int:
    if message:  # empty when a command group was called without a command: its help is printed already
        print("hubq:", shown(" ".join(message.split())), file=sys.stderr)
    return code
