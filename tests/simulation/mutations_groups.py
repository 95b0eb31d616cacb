"""Mutations of hubs with several groups: what keeps them apart, and what brings messages from one to another once."""

from __future__ import annotations

from typing import Any

from hubq.client.asking.steps import Each, Pause
from hubq.client.operations import starts_over_groups
from hubq.client.operations.starts import collect_start
from hubq.client.results import StartResult
from hubq.node.held.far_outboxes import FarOutboxes
from hubq.node.mailbox.far_forwarder import Lane, by_generation
from hubq.node.runtime.standing import Standing
from hubq.store.far import delete_far, read_far, receive_far
from hubq.store.keys import Keys
from hubq.store.primary import PrimaryWatch
from tests.simulation.mutation import Mutation, Target

#: mutation -> what it replaces.
TARGETS: dict[str, Target] = {
    "shared-token": Target(Keys, "__init__", "self hub_id group groups"),
    "same-generation": Target(Standing, "generation", None),
    "forgotten-early": Target(Lane, "_forward", "self shard"),
    "any-redis": Target(PrimaryWatch, "seen", "self info"),
    "unseen-far": Target(FarOutboxes, "waits", "self shard group"),
    "half-started": Target(starts_over_groups, "_all_or_nothing", "hub ticket timeout"),
    "unrenewed-part": Target(starts_over_groups, "_listening", "hub group part found again"),
}

SAYING = {"commit_shards", "pass_token", "pass_children", "park_shard", "release_pin", "take_jobs"}
#: mutation of a script -> the scripts whose text it changes.
SCRIPT_TARGETS: dict[str, set[str]] = {
    "undeclared": SAYING,
    "number-again": SAYING,
    "overtaken": {"receive_far"},
}

NUMBER = "redis.call('INCR', number)"
LAST = "(tonumber(string.match((redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1] or {'0'})[1], '^%d+')) + 1)"


class Inside:
    """What mutations use of the parts they break, besides the name that they replace."""

    @staticmethod
    def life(standing: Standing) -> str:
        return standing._life

    @staticmethod
    def parts(lane: Lane) -> tuple[Any, Any, int, Any]:
        return lane._group, lane._neighbours.of(lane._target), lane._target, lane._limits


def _undeclared(text: str) -> str:
    """The number of a message to another group is counted in a key that the script was not given."""
    return text.replace(NUMBER, "redis.call('INCR', number .. 's')")


def _number_again(text: str) -> str:
    """Messages to other groups are numbered by what waits of them: once all have gone, numbers are given again."""
    return text.replace(NUMBER, LAST)


def _overtaken(text: str) -> str:
    """What is said to a child later may come before what its mailbox had no room for."""
    return text.replace("if not taken and not full[child] then", "if not taken then")


def _shared_token(init: Any) -> Any:
    """All groups have their tokens in one place."""

    def broken(self: Keys, hub_id: str, group: int = 0, groups: int = 1) -> None:
        init(self, hub_id, group, groups)
        if group:
            self.owners = Keys(hub_id).owners

    return broken


def _same_generation(generation: Any) -> Any:
    """Numbers that are given again after a group went back are taken for the same ones."""
    return property(Inside.life)


def _forgotten_early(forward: Any) -> Any:
    """Messages to another group are deleted before they are there."""

    async def broken(self: Lane, shard: int) -> int:
        group, target, number, limits = Inside.parts(self)
        page = await group.redis.run(read_far(group.keys, shard, number, target.shards))
        messages = list(page.found.values())
        for generation, run in by_generation(messages):
            await group.redis.run(delete_far(group.keys, shard, number, generation, [each.number for each in run]))
            await target.redis.run(receive_far(target.keys, shard, generation, run, limits, []))
        return len(messages)

    return broken


def _any_redis(seen: Any) -> Any:
    """Another Redis is taken for the one before: what is in memory, and on its way, goes there."""

    def broken(self: PrimaryWatch, info: bytes) -> None:
        self.known = ""
        seen(self, info)

    return broken


def _unseen_far(waits: Any) -> Any:
    """A shard that comes is not looked at for messages to other groups."""
    return lambda self, shard, group: None


def _half_started(all_or_nothing: Any) -> Any:
    """Each group decides its part of a start, whatever the others say."""

    def deciding(hub: Any, group: int, part: Any) -> Any:
        return lambda left: collect_start(hub.groups[group], part, left)

    def broken(hub: Any, ticket: Any, timeout: float) -> Any:
        parts = {group: deciding(hub, group, part) for group, part in ticket.parts.items()}
        answers = [outcome.result() for outcome in (yield Each(parts, timeout)).values()]
        started, errors = {}, dict(ticket.errors)
        for answer in answers:
            started |= answer.started
            errors |= answer.errors
        return StartResult(started, errors)

    return broken


def _unrenewed_part(listening: Any) -> Any:
    """The part of a group that has answered is not renewed while the others are waited for."""

    def nothing() -> Any:
        yield Pause(0.0)
        return {}

    def broken(hub: Any, group: int, part: Any, found: Any, again: bool) -> Any:
        if len(found) < len(part.awaited):
            return listening(hub, group, part, found, again)
        return lambda left: nothing()

    return broken


MUTATIONS: dict[str, Mutation] = {
    "undeclared": Mutation("that a script is given each key that it writes", _undeclared),
    "shared-token": Mutation("that each group has tokens of its own", broken=_shared_token),
    "same-generation": Mutation("the generation of numbers between groups", broken=_same_generation),
    "number-again": Mutation("that a number between groups is given once", _number_again),
    "overtaken": Mutation("that what had no room in a mailbox of another group is not overtaken", _overtaken),
    "forgotten-early": Mutation("that a message is deleted when the other group has it", broken=_forgotten_early),
    "any-redis": Mutation("that nothing from before is sent to another Redis", broken=_any_redis),
    "unseen-far": Mutation("that messages to other groups of a shard that comes are seen", broken=_unseen_far),
    "half-started": Mutation("that a start over groups is decided when all have answered", broken=_half_started),
    "unrenewed-part": Mutation(
        "that a part of a start is renewed until all groups have answered", broken=_unrenewed_part
    ),
}
