"""Ending what a child has in hand, and dropping what waits for it."""

from __future__ import annotations

import msgspec

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_child
from hubq.client.asking.steps import Intervene, Operation
from hubq.client.operations.call_options import checked_timeout
from hubq.client.operations.stops import stop_children
from hubq.core.hashing import checked_child_id
from hubq.errors import CallTimeout, ConfigError, HubqError, NotAlive, UnknownChild

#: What is done, by its word on the wire.
_DONE = {"kill": "killed", "stop": "stopped", "drop": "dropped"}


@of_child
def kill(hub: HubContext, child_id: str, timeout: float) -> Operation[str]:
    """End the message in hand of a child and build the child anew from its last commit; its node."""
    return (yield from _intervene(hub, child_id, "kill", "", timeout))


@of_child
def stop_now(hub: HubContext, child_id: str, timeout: float) -> Operation[str]:
    """End a child for good, and the message that it has in hand with it; its node."""
    return (yield from _intervene(hub, child_id, "stop", "", timeout))


@of_child
def drop_message(hub: HubContext, child_id: str, entry: str, timeout: float) -> Operation[str]:
    """Take a message that waits for a child out of its mailbox, into the dead letters; the child's node."""
    first, dash, second = entry.partition("-")
    if not (dash and first.isdecimal() and second.isdecimal()):
        raise ConfigError(f"{entry!r} is no message: give its entry, as `hubq mailbox` shows it (1795433907312-0)")
    return (yield from _intervene(hub, child_id, "drop", entry, timeout))


def _at_rest(hub: HubContext, child_id: str, what: str, timeout: float) -> Operation[str]:
    """A dormant child has nothing in hand, and no message waits for it."""
    if what != "stop":
        nothing = "in hand" if what == "kill" else "waiting"
        raise HubqError(f"child {child_id!r} is dormant: it has nothing {nothing}")
    result = yield from stop_children(hub, [child_id], timeout)
    for error in result.errors.values():
        raise error
    return result.node


def _intervene(hub: HubContext, child_id: str, what: str, entry: str, timeout: float) -> Operation[str]:
    shard = hub.shard_of(checked_child_id(child_id))
    node, reply = yield Intervene(shard, child_id, what, entry, checked_timeout(timeout))
    if not node:
        raise UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: start it first, or see `hubq ps`")
    if node == "~":
        return (yield from _at_rest(hub, child_id, what, timeout))
    if node == "-":
        raise NotAlive(
            f"no node serves child {child_id!r}, so it has nothing in hand: start a worker, or see `hubq nodes`"
        )
    if reply is None:
        raise CallTimeout(
            f"child {child_id!r} was not {_DONE[what]} within {timeout:g} s: its node {node!r} has not answered. It is blocked, dead or "
            "giving the child away, or the handler goes on though it was cancelled: see `hubq doctor`, and the log of the worker"
        )
    word, node, payload = reply
    if word != "ok":
        raise HubqError(msgspec.json.decode(payload)["message"])
    return str(node)
