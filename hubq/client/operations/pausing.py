"""Pausing children, and having them go on (docs/guide-pause.md)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import at_least_one, of_all, of_child
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.asking.steps import Pause as Wait
from hubq.client.operations.call_options import checked_timeout
from hubq.client.operations.registry import unknown
from hubq.core.classes import as_child_class, name_of
from hubq.core.hashing import checked_child_id
from hubq.core.pauses import Pause, Pauses
from hubq.errors import CallTimeout, ConfigError
from hubq.store.membership import living, read_members
from hubq.store.pauses import read_heeded, read_pauses, set_pause

#: How soon the nodes are asked again whether they heed a pause, seconds.
LOOK = 0.01
#: The longest reason, characters.
MOST_WHY = 200


def pause_of(target: type | None, child_id: str | None, why: str = "") -> Pause:
    """What is meant. Raises :class:`~hubq.errors.ConfigError` and :class:`~hubq.errors.InvalidChildId`."""
    if not isinstance(why, str) or len(why) > MOST_WHY or not why.isprintable():
        raise ConfigError(f"why={why!r}: give a line of at most {MOST_WHY} characters")
    if target is not None and child_id is not None:
        raise ConfigError("give a class or child=, not both")
    if child_id is not None:
        return Pause("child", checked_child_id(child_id), why=why)
    if target is not None:
        as_child_class(target)
        return Pause("class", name_of(target), why=why)
    return Pause("hub", why=why)


def pause(hub: HubContext, pause: Pause, timeout: float) -> Operation[bool]:
    """Begin a pause, and wait until every live node heeds it. False: it had begun before."""
    checked_timeout(timeout)
    if not hub.groups:
        return (yield from _pause(hub, pause, timeout))
    if pause.what == "child":
        return (yield from _at_child(hub, pause.name, pause, timeout))
    return (yield from _everywhere(hub, pause, timeout))


def _pause(hub: HubContext, pause: Pause, timeout: float) -> Operation[bool]:
    (changed,) = yield Fetch([set_pause(hub.keys, _shard(hub, pause), pause, True, hub.config.events_kept)])
    if changed.word == "unknown":
        raise unknown(hub, pause.name)
    waited = 0.0
    while deaf := (yield from _deaf(hub, changed.number)):
        if waited >= timeout:
            raise CallTimeout(
                f"{pause}, but {', '.join(deaf)} has not said within {timeout:g} s that it heeds that: it may begin messages "
                "until it hears of it (it is frozen, cut off, or of an older version)",
                may_run=True,
            )
        yield Wait(LOOK)
        waited += LOOK
    return bool(changed.word == "ok")


@of_child
def _at_child(hub: HubContext, child_id: str, pause: Pause, timeout: float) -> Operation[bool]:
    return (yield from _pause(hub, pause, timeout))


@of_all(at_least_one)
def _everywhere(hub: HubContext, pause: Pause, timeout: float) -> Operation[bool]:
    return (yield from _pause(hub, pause, timeout))


def _deaf(hub: HubContext, number: int) -> Operation[list[str]]:
    """The live nodes that have not said that they heed the pauses up to this change."""
    lives = living(*(yield Fetch(read_members(hub.keys))))
    names = sorted(lives)
    heeded = yield Fetch([read_heeded(hub.keys, name) for name in names]) if names else Fetch([])
    return [
        name
        for name, (incarnation, heard) in zip(names, heeded, strict=True)
        if incarnation != lives[name] or heard < number
    ]


def resume(hub: HubContext, pause: Pause) -> Operation[bool]:
    """End a pause. False: there was none."""
    if hub.groups and pause.what == "child":
        return (yield from _resume_child(hub, pause.name, pause))
    return (yield from _resume(hub, pause))


@of_child
def _resume_child(hub: HubContext, child_id: str, pause: Pause) -> Operation[bool]:
    return (yield from _resume(hub, pause))


@of_all(at_least_one)
def _resume(hub: HubContext, pause: Pause) -> Operation[bool]:
    (changed,) = yield Fetch([set_pause(hub.keys, _shard(hub, pause), pause, False, hub.config.events_kept)])
    return bool(changed.word == "ok")


def _each_once(answers: Sequence[list[Pause]]) -> list[Pause]:
    """A pause of the hub, or of a class, is in all groups."""
    return Pauses(chain.from_iterable(reversed(answers))).all()


@of_all(_each_once)
def pauses(hub: HubContext) -> Operation[list[Pause]]:
    """All pauses: of the hub, then of classes, then of children."""
    (found,) = yield Fetch([read_pauses(hub.keys)])
    return Pauses(found.values()).all()


def _shard(hub: HubContext, pause: Pause) -> int:
    return hub.shard_of(pause.name) if pause.what == "child" else hub.shards[0]
