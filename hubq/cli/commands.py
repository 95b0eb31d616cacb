"""The subcommands: where each is, and what ``hubq --help`` says of it. A module is imported when its command runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
import typer.main

from hubq.cli.conversion import Command, Group
from hubq.cli.importing import uncollected

_NODES, _CHILDREN, _LOOK, _OTHER = "Workers", "Children", "Looking", "Other"


@dataclass(frozen=True, slots=True)
class Listed:
    """A subcommand: ``module:attribute`` below ``hubq.cli`` (a function, or a Typer with commands of its own)."""

    name: str
    home: str
    panel: str
    help: str
    #: Arguments for a child may begin with a dash: `hubq call chat counter-1 add -5`. (`-h` within such a word is no
    #: question for help, either.)
    dashes: bool = False
    #: The class of the command, as ``home``; a plain command if it has none of its own.
    kind: str = ""


COMMANDS = (
    Listed("worker", "worker:worker_command", _NODES, "Run a worker of a hub."),
    Listed("nodes", "listings:nodes_command", _NODES, "List the workers of a hub."),
    Listed("drain", "membership:drain_command", _NODES, "Hand a worker's children over, then end it."),
    Listed("rollout", "rollout:rollout_command", _NODES, "Give a new version a share of the shards first."),
    Listed("hubs", "hubs:hubs_command", _NODES, "List the hubs of a Redis."),
    Listed("delete-hub", "hubs:delete_hub_command", _NODES, "Delete a hub with all that it has."),
    Listed("regroup", "regroup:regroup_command", _NODES, "Move a hub to another number of groups."),
    Listed("ps", "listings:ps_command", _CHILDREN, "List the children of a hub."),
    Listed("move", "moving:move_command", _CHILDREN, "Move a running child to another worker."),
    Listed("where", "children:where_command", _CHILDREN, "Show the worker that has a child."),
    Listed("start", "children:start_command", _CHILDREN, "Start a child and wait until it runs.", dashes=True),
    Listed("stop", "children:stop_command", _CHILDREN, "End children for good."),
    Listed("kill", "children:kill_command", _CHILDREN, "End a message in hand, and begin its child anew."),
    Listed("pause", "pausing:pause_command", _CHILDREN, "Have children wait with their messages."),
    Listed("resume", "pausing:resume_command", _CHILDREN, "Have paused children go on."),
    Listed("call", "children:call_command", _CHILDREN, "Call a method of a child and print its result.", dashes=True),
    Listed("cast", "children:cast_command", _CHILDREN, "Send a message to a child without waiting.", dashes=True),
    Listed("dead", "dead:dead", _CHILDREN, "Show, replay or drop messages that failed."),
    Listed("jobs", "jobs:jobs_command", _LOOK, "List RQ's jobs, keyed queues and resumable jobs."),
    Listed("top", "top:top_command", _LOOK, "Watch a hub live."),
    Listed("web", "web:web_command", _LOOK, "Look at a hub in a browser."),
    Listed("doctor", "doctor:doctor_command", _LOOK, "Say what is wrong with a hub, and what to do."),
    Listed("state", "inspection:state_command", _LOOK, "Show the saved state of a child."),
    Listed("mailbox", "inspection:mailbox", _LOOK, "Show the messages that wait, or drop some of them."),
    Listed(
        "events",
        "events:events_command",
        _LOOK,
        "Show the latest events; --follow waits for more.",
        kind="events:ListsTypes",
    ),
    Listed("pauses", "pausing:pauses_command", _LOOK, "List what is paused, and why."),
    Listed("reminders", "reminders:reminders_command", _LOOK, "List what is due later."),
    Listed("feed", "feed:feed_command", _LOOK, "Show what a child publishes; --follow waits for more."),
    Listed("config", "inspection:config_command", _LOOK, "Show the settings of a hub."),
    Listed("init", "init:init_command", _OTHER, "Write a new app, its test, and a compose file."),
    Listed("dev", "dev:dev_command", _OTHER, "Run a Redis and a worker that takes in each change."),
    Listed("check", "check:check_command", _OTHER, "Say whether this code can run a hub's children."),
    Listed("deploy", "deploy:deploy_command", _OTHER, "Print a Kubernetes manifest or a systemd unit."),
    Listed("keys", "keys:keys", _OTHER, "Make keys for the seal of a hub, and count their use."),
    Listed("acl", "acl:acl_command", _OTHER, "Print ACL rules for the users of Redis."),
    Listed("bench", "bench:bench_command", _OTHER, "Measure casts, calls and starts on your Redis."),
    Listed("demo", "demo:demo_command", _OTHER, "Workers join, drain and die; nothing is lost."),
    Listed("version", "version:version_command", _OTHER, "Print the version of hubq."),
)


class _Later(Command):
    """Stands in the list of commands, and makes way for the command itself when that runs or is asked for its options."""

    def __init__(self, listed: Listed) -> None:
        super().__init__(listed.name, help=listed.help, short_help=listed.help, rich_help_panel=listed.panel)
        self._listed = listed

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return command(self._listed).make_context(info_name, args, parent=parent, **extra)


class Commands(Group):
    """``hubq``: a group whose commands are imported one by one, when they run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands: Any = {listed.name: _Later(listed) for listed in COMMANDS}


def command(listed: Listed) -> Any:
    """A subcommand itself, for click. Imports its module."""
    found = _at(listed.home)
    holder = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=listed.name)
    else:
        settings = {"ignore_unknown_options": True, "help_option_names": ["--help"]} if listed.dashes else None
        kind = _at(listed.kind) if listed.kind else Command
        holder.command(listed.name, cls=kind, context_settings=settings)(found)
    return typer.main.get_group(holder).commands[listed.name]


def _at(home: str) -> Any:
    module, _, attribute = home.partition(":")
    with uncollected():
        return getattr(import_module(f"hubq.cli.{module}"), attribute)


def every_command() -> Iterator[tuple[str, Any]]:
    """Each subcommand itself, with its name. Imports all of them."""
    for listed in COMMANDS:
        yield listed.name, command(listed)
