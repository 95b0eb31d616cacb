"""``hubq state``, ``mailbox``, ``config``: they read a hub and change nothing."""

from __future__ import annotations

import sys
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubq.cli.conversion import Command, Group
from hubq.cli.loading import AsJson, ChildId, HubName, RedisUrl, open_hub
from hubq.cli.output import duration, print_json, print_table, say
from hubq.cli.reachable import of_those_that_answer
from hubq.client.operations.inspection import Mailbox, Waiting
from hubq.client.operations.waiting_times import InOutboxes, in_outboxes
from hubq.config import Config
from hubq.errors import HubqError
from hubq.store.viewer import fields_of, look, plain, words

if TYPE_CHECKING:
    from hubq.client.hub import Hub


def state_command(
    hub: HubName,
    child: ChildId,
    raw: Annotated[bool, typer.Option("--raw", help="Write the stored bytes unchanged, for a file or a pipe.")] = False,
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """Show the saved state of a child, without asking the child. No class is imported and no code runs: an object is shown
    by the name of its class and what it is made of.

    The saved state is that of the last commit. The next node would begin with it.
    """
    saved = open_hub(hub, redis).inspect.state(child)
    if saved is None:
        raise HubqError(
            f"child {child!r} has no saved state yet: the first commit, save or move writes one. "
            "Until then its state is only in the memory of its worker"
        )
    if raw:
        sys.stdout.buffer.write(saved.data)
        return
    try:
        seen, version = look(saved.data), saved.version
    except ValueError as error:
        raise HubqError(f"the state of {child!r} cannot be shown ({error}): take --raw") from error
    if as_json:
        record = {name: item for name, item in asdict(saved).items() if name not in ("data", "unpickles")}
        print_json({**record, "version": version, "format": saved.format, "state": plain(seen)})
        return
    age = "no message yet" if saved.message_age is None else f"last message sent {duration(saved.message_age)} ago"
    said = f", version {version}" if version != 1 else ""
    say(f"{child}: shard {saved.shard}, {saved.size} bytes ({saved.form}{said}), {age}", sys.stderr)
    attributes = fields_of(seen)
    for name, item in attributes or ():
        say(f"{name} = {words(item)}")
    if attributes is None:
        say(words(seen))


class _ShowsByDefault(Group):
    """``hubq mailbox HUB`` is ``hubq mailbox show HUB``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


mailbox = typer.Typer(
    name="mailbox", cls=_ShowsByDefault, help="Show the messages that wait, or drop some of them.", no_args_is_help=True
)


@mailbox.command("drop", cls=Command)
def mailbox_drop_command(
    hub: HubName,
    child: ChildId,
    entries: Annotated[list[str], typer.Argument(metavar="ENTRY...", help="As `hubq mailbox HUB CHILD` shows them.")],
    redis: RedisUrl = None,
) -> None:
    """Take messages that wait for a child out of its mailbox. They become dead letters.

    The caller of a call is told. A message that is in hand is not dropped: `hubq kill` ends it.
    """
    opened = open_hub(hub, redis)
    for entry in entries:
        opened.drop_message(child, entry)
        print(f"{entry} dropped: it is a dead letter now")


@mailbox.command("show", cls=Command)
def mailbox_command(
    hub: HubName,
    child: Annotated[
        str | None, typer.Argument(metavar="[CHILD]", help="Show only the messages of this child.")
    ] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=0, max=10_000, help="Number of messages to show of each mailbox.")
    ] = 10,
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """Show the messages that wait in the mailboxes. Nothing is consumed.

    Without CHILD: one line for each mailbox that is not empty, with the children whose messages wait.
    """
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened):
        if child is None:
            _print_boxes(opened.inspect.mailboxes(count), as_json)
            return
        box = opened.inspect.mailbox(child, count)
        elsewhere = opened.driver.drive(in_outboxes(opened.driver.context, child, count))
        if as_json:
            print_json({**asdict(box), **asdict(elsewhere)})
            return
        say(f"{box.messages} messages wait for {child} (shard {box.shard})", sys.stderr)
        _print_waiting(box.heads)
        _print_outboxes(child, elsewhere)


def _print_boxes(boxes: list[Mailbox], as_json: bool) -> None:
    if as_json:
        print_json([asdict(box) for box in boxes])
        return
    rows = [
        (box.shard, box.messages, "-" if box.oldest is None else duration(box.oldest), _most(box))
        for box in sorted(boxes, key=lambda box: -box.messages)
    ]
    print_table(("shard", "messages", "oldest", "for"), rows)


def _print_outboxes(child: str, elsewhere: InOutboxes) -> None:
    """What waits for the child elsewhere, and what it has said itself; nothing, if there is nothing."""
    if elsewhere.held_back:
        why = "its mailbox is full, or they come from another group"
        say(f"{elsewhere.held_back:,} more wait for it in the outboxes of other children: {why}", sys.stderr)
    if said := elsewhere.outbox.heads:
        say(f"{child} has said, and it waits in its outboxes:", sys.stderr)
        rows = [
            (
                each.entry,
                "-" if each.age is None else duration(each.age),
                each.child,
                each.method or "(starts it)",
                each.size,
            )
            for each in said
        ]
        print_table(("entry", "age", "to", "method", "bytes"), rows)


def _most(box: Mailbox, shown: int = 3) -> str:
    first = [f"{child} ({count})" for child, count in list(box.children.items())[:shown]]
    more = len(box.children) - len(first)
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def _print_waiting(heads: tuple[Waiting, ...]) -> None:
    print_table(
        ("entry", "age", "kind", "method", "deadline", "reply to", "bytes"),
        [
            (
                head.entry, duration(head.age), head.kind, head.method or "-",
                "-" if head.deadline is None else "over" if head.deadline < 0 else f"in {duration(head.deadline)}",
                head.reply_to or "-", head.size,
            )
            for head in heads
        ],
    )  # fmt: skip


def _moment(ms: str) -> str:
    """A time in ms since 1970, as people read it.

    >>> _moment("soon")
    'soon'
    """
    return datetime.fromtimestamp(int(ms) / 1000).astimezone().isoformat(" ", "seconds") if ms.isdecimal() else ms


def config_command(hub: HubName, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """Show the settings that are fixed in Redis. With HUB as module:attribute, show the settings of the app, too."""
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened):
        _print_settings(hub, opened, as_json)


def _print_settings(hub: str, opened: Hub, as_json: bool) -> None:
    fixed = opened.inspect.settings()
    own = asdict(opened.config) if ":" in hub else {}
    if as_json:
        print_json({"hub": opened.hub_id, "redis": opened.groups.address, "fixed": fixed, "settings": own})
        return
    defaults = Config()
    rows: list[tuple[Any, ...]] = [
        (name, _moment(value) if name == "began" else value, "in Redis, for the life of the hub")
        for name, value in fixed.items()
    ]
    for field in fields(Config):
        if field.name in own and field.name not in fixed:
            changed = own[field.name] != getattr(defaults, field.name)
            rows.append((field.name, own[field.name], "the app's" if changed else "default"))
    say(f"hub {opened.hub_id} at {opened.groups.address}", sys.stderr)
    print_table(("setting", "value", "from"), rows)
