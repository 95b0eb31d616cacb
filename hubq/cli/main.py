"""The ``hubq`` command: its subcommands and its exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import typer

from hubq import __version__
from hubq.cli.acl import acl_command
from hubq.cli.bench import bench_command
from hubq.cli.check import check_command
from hubq.cli.children import call_command, cast_command, kill_command, start_command, stop_command, where_command
from hubq.cli.dead import dead
from hubq.cli.demo import demo_command
from hubq.cli.deploy import deploy_command
from hubq.cli.doctor import doctor_command
from hubq.cli.feed import feed_command
from hubq.cli.inspection import config_command, events_command, mailbox, state_command
from hubq.cli.jobs import jobs_command
from hubq.cli.listings import nodes_command, ps_command
from hubq.cli.membership import drain_command
from hubq.cli.moving import move_command
from hubq.cli.reminders import reminders_command
from hubq.cli.rollout import rollout_command
from hubq.cli.top import top_command
from hubq.cli.web import web_command
from hubq.cli.worker import worker_command
from hubq.core.shown import shown
from hubq.errors import ConfigError, HubqError, RedisUnavailable

FAILED, USAGE, NO_REDIS = 1, 2, 3

#: The base of typer's own usage errors. (It has no public name in the versions that bring their own click.)
TyperUsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="hubq",
    help="Run named, stateful jobs on Redis, and move them between workers without loss.",
    epilog="HUB is module:attribute (app:hub) or a hub's id. "
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 Redis cannot be reached.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # they may hold a password
)


def version_command() -> None:
    """Print the version of hubq."""
    typer.echo(f"hubq {__version__}")


_NODES, _CHILDREN, _LOOK, _OTHER = "Workers", "Children", "Looking", "Other"
#: Arguments for a child may begin with a dash: `hubq call chat counter-1 add -5`. (`-h` within such a word is no question
#: for help, either.)
_DASHES = {"ignore_unknown_options": True, "help_option_names": ["--help"]}

app.command("worker", short_help="Run a worker of a hub.", rich_help_panel=_NODES)(worker_command)
app.command("nodes", rich_help_panel=_NODES)(nodes_command)
app.command("drain", short_help="Hand a worker's children over, then end it.", rich_help_panel=_NODES)(drain_command)
app.command("rollout", short_help="Give a new version a share of the shards first.", rich_help_panel=_NODES)(
    rollout_command
)
app.command("ps", short_help="List the children of a hub.", rich_help_panel=_CHILDREN)(ps_command)
app.command("move", short_help="Move a running child to another worker.", rich_help_panel=_CHILDREN)(move_command)
app.command("where", rich_help_panel=_CHILDREN)(where_command)
app.command("start", rich_help_panel=_CHILDREN, context_settings=_DASHES)(start_command)
app.command("stop", short_help="End children for good.", rich_help_panel=_CHILDREN)(stop_command)
app.command("kill", short_help="End a message in hand, and begin its child anew.", rich_help_panel=_CHILDREN)(
    kill_command
)
app.command("call", rich_help_panel=_CHILDREN, context_settings=_DASHES)(call_command)
app.command(
    "cast",
    short_help="Send a message to a child without waiting.",
    rich_help_panel=_CHILDREN,
    context_settings=_DASHES,
)(cast_command)
app.command("jobs", short_help="List RQ's jobs, keyed queues and resumable jobs.", rich_help_panel=_LOOK)(jobs_command)
app.command("top", short_help="Watch a hub live.", rich_help_panel=_LOOK)(top_command)
app.command("web", short_help="Look at a hub in a browser.", rich_help_panel=_LOOK)(web_command)
app.command("doctor", short_help="Say what is wrong with a hub, and what to do.", rich_help_panel=_LOOK)(doctor_command)
app.add_typer(dead, rich_help_panel=_CHILDREN)
app.command("state", short_help="Show the saved state of a child.", rich_help_panel=_LOOK)(state_command)
app.add_typer(mailbox, rich_help_panel=_LOOK)
app.command("events", short_help="Show the latest events; --follow waits for more.", rich_help_panel=_LOOK)(
    events_command
)
app.command("reminders", short_help="List what is due later.", rich_help_panel=_LOOK)(reminders_command)
app.command("feed", short_help="Show what a child publishes; --follow waits for more.", rich_help_panel=_LOOK)(
    feed_command
)
app.command("config", short_help="Show the settings of a hub.", rich_help_panel=_LOOK)(config_command)
app.command("check", short_help="Say whether this code can run a hub's children.", rich_help_panel=_OTHER)(
    check_command
)
app.command("deploy", short_help="Print a Kubernetes manifest or a systemd unit.", rich_help_panel=_OTHER)(
    deploy_command
)
app.command("acl", short_help="Print ACL rules for the users of Redis.", rich_help_panel=_OTHER)(acl_command)
app.command("bench", short_help="Measure casts, calls and starts on your Redis.", rich_help_panel=_OTHER)(bench_command)
app.command("demo", short_help="Workers join, drain and die; nothing is lost.", rich_help_panel=_OTHER)(demo_command)
app.command("version", rich_help_panel=_OTHER)(version_command)


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
        return _told(getattr(error, "format_message", error.__str__)(), USAGE)
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


def _told(message: str, code: int) -> int:
    if message:  # empty when a command group was called without a command: its help is printed already
        print("hubq:", shown(" ".join(message.split())), file=sys.stderr)
    return code
