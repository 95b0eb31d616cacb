"""``hubq start``, ``stop``, ``call``, ``cast``, ``where``: commands for one child."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from hubq.cli.loading import App, AsJson, ChildId, HubName, RedisUrl, load_hub, load_target, open_hub
from hubq.cli.output import print_json, print_table, print_value, say
from hubq.config import CALL_TIMEOUT, CHANGE_TIMEOUT
from hubq.errors import ConfigError, HubqError

Method = Annotated[str, typer.Argument(metavar="METHOD", help="A public method of the child.")]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ARGS]...", help="The arguments. Each is read as JSON (3, true, [1,2]) if it is JSON, else as text."
    ),
]
Timeout = Annotated[float, typer.Option(min=0.001, help="Seconds to wait for the answer.")]


def call_command(
    hub: HubName,
    child: ChildId,
    method: Method,
    args: Arguments = None,
    timeout: Timeout = CALL_TIMEOUT,
    redis: RedisUrl = None,
) -> None:
    """Call a method of a child and print its result."""
    ref = open_hub(hub, redis).ref(child)
    try:
        result = ref.call(method, *map(parsed, args or ()), timeout=timeout)
    except HubqError:
        raise
    except (ImportError, AttributeError) as error:
        raise HubqError(
            f"{child}.{method} was run, but its result cannot be unpickled here ({error}): give HUB as module:attribute"
        ) from error
    print_value(result)


def cast_command(hub: HubName, child: ChildId, method: Method, args: Arguments = None, redis: RedisUrl = None) -> None:
    """Send a message to a child. It does not wait until the message is handled."""
    open_hub(hub, redis).ref(child).cast(method, *map(parsed, args or ()))


def start_command(
    hub: App,
    child: ChildId,
    target: Annotated[
        str, typer.Argument(metavar="CLASS", help="module:Class, or the name of a class registered with @hub.child.")
    ],
    args: Arguments = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Metadata of the child. May be repeated.")
    ] = None,
    timeout: Timeout = CHANGE_TIMEOUT,
    redis: RedisUrl = None,
) -> None:
    """Start a child and wait until it runs."""
    opened = load_hub(hub, redis)
    kind = load_target(opened, target)
    metadata = dict(map(tag, tags or ()))
    future = opened.start_child(child, kind, *map(parsed, args or ()), metadata=metadata)
    say(f"{child} runs on {future.result(timeout).node}")


def stop_command(
    hub: HubName,
    children: Annotated[list[str], typer.Argument(metavar="CHILD...", help="The ids of the children.")],
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait: undo what the child has in hand, and refuse what waits.")
    ] = False,
    timeout: Timeout = CHANGE_TIMEOUT,
    redis: RedisUrl = None,
) -> None:
    """End children for good. Each ends after the messages that were sent to it before."""
    if now:
        opened = open_hub(hub, redis)
        for child in children:
            print(f"{child} stopped on {opened.stop_child_now(child, timeout=timeout)}")
        return
    result = open_hub(hub, redis).stop_children(children, timeout=timeout)
    for child, node in result.stopped.items():
        say(f"{child} stopped on {node}")
    errors = list(result.errors.values())
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise HubqError(f"{len(errors)} children were not stopped: {'; '.join(map(str, errors))}")


def kill_command(hub: HubName, child: ChildId, timeout: Timeout = 10.0, redis: RedisUrl = None) -> None:
    """End the message that a child has in hand, and begin the child anew.

    The message is undone and not run again. Its caller is told. The child begins with its last saved state.
    """
    print(f"{child} was killed and begun anew on {open_hub(hub, redis).kill(child, timeout=timeout)}")


def where_command(hub: HubName, child: ChildId, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """Show the worker that has a child."""
    place = open_hub(hub, redis).where(child)
    if place.paused:
        say(f"{child} waits with its messages: {place.paused}", sys.stderr)
    if as_json:
        print_json(asdict(place))
        return
    print_table(
        ("child", "node", "shard", "token", "pinned", "replicas", *(("progress",) if place.progress else ())),
        [
            (
                place.child_id, place.node or ("dormant" if place.dormant else "-"), place.shard, place.token,
                "yes" if place.pinned else "no",
                ",".join(place.replicas) or "-", *((place.progress,) if place.progress else ()),
            )
        ],
    )  # fmt: skip


def parsed(argument: str) -> Any:
    """An argument of the command line as a value.

    >>> parsed("3"), parsed('{"a": null}'), parsed("room 3"), parsed('"3"'), parsed("NaN")
    (3, {'a': None}, 'room 3', '3', 'NaN')
    """
    try:
        return json.loads(argument, parse_constant=_not_json)
    except ValueError:
        return argument


def tag(text: str) -> tuple[str, str]:
    """``key=value`` as a pair.

    >>> tag("tier=vip")
    ('tier', 'vip')
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ConfigError(f"--tag {text!r} has no key or no '=': give KEY=VALUE")
    return key, value


def _not_json(name: str) -> Any:
    raise ValueError(name)
