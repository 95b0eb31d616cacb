"""Dead letters, for people: to be seen, sent again, or thrown away (docs/dead-letters.md)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_all, of_shard
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.joining import joined_counts
from hubq.errors import ConfigError, HubqError, UnknownChild
from hubq.store.dead_letters import DeadLetter, drop_dead, read_dead, read_last_dead, replay_dead

#: Letters of each shard that a diagnosis looks at: with their payloads they may be large.
LOOKED_AT = 100

_NAME = re.compile(r"^(\d{1,4})/(\d+-\d+)$")


def _by_age(answers: Sequence[list[DeadLetter]]) -> list[DeadLetter]:
    return sorted(chain.from_iterable(answers), key=lambda letter: (letter.died, letter.letter))


@of_all(_by_age)
def dead_letters(hub: HubContext) -> Operation[list[DeadLetter]]:
    """All dead letters, the oldest first."""
    found = yield Fetch([read_dead(hub.keys, shard) for shard in hub.shards])
    return sorted((letter for letters in found for letter in letters), key=lambda letter: (letter.died, letter.letter))


def replay(hub: HubContext, names: Sequence[str] | None) -> Operation[list[str]]:
    """Send letters again (None: all); the names of those sent."""
    wanted = yield from _named(hub, names)
    done: list[str] = []
    for shard, entry in wanted:
        word = yield from _replay(hub, shard, entry)
        if word == "unknown" and names is not None:
            raise UnknownChild(f"dead letter {shard}/{entry}: its child is no more: drop the letter")
        if word == "malformed" and names is not None:
            raise HubqError(f"dead letter {shard}/{entry} was no message, and cannot be sent again: drop it")
        if word == "gone" and names is not None:
            raise _missing(hub, f"{shard}/{entry}")
        if word == "ok":
            done.append(f"{shard}/{entry}")
    return done


def drop(hub: HubContext, names: Sequence[str] | None) -> Operation[list[str]]:
    """Throw letters away (None: all); the names of those that were there."""
    wanted = yield from _named(hub, names)
    done: list[str] = []
    for shard, entry in wanted:
        count = yield from _drop(hub, shard, entry)
        if count == 0 and names is not None:
            raise _missing(hub, f"{shard}/{entry}")
        if count:
            done.append(f"{shard}/{entry}")
    return done


@of_shard
def _replay(hub: HubContext, shard: int, entry: str) -> Operation[str]:
    (word,) = yield Fetch([replay_dead(hub.keys, shard, entry)])
    return str(word)


@of_shard
def _drop(hub: HubContext, shard: int, entry: str) -> Operation[int]:
    (count,) = yield Fetch([drop_dead(hub.keys, shard, [entry])])
    return int(count)


@of_all(joined_counts)
def count_by_kind(hub: HubContext) -> Operation[dict[tuple[str, str], int]]:
    """How many dead letters there are, by why and class: of each shard the last ``LOOKED_AT``."""
    found = yield Fetch([read_last_dead(hub.keys, shard, LOOKED_AT) for shard in hub.shards])
    return dict(Counter((letter.why, letter.class_name) for letters in found for letter in letters))


def _named(hub: HubContext, names: Sequence[str] | None) -> Operation[list[tuple[int, str]]]:
    if names is None:
        letters = yield from dead_letters(hub)
        return [(letter.shard, letter.letter.partition("/")[2]) for letter in letters]
    places: list[tuple[int, str]] = []
    for name in dict.fromkeys(names):
        match = _NAME.fullmatch(name)
        if match is None or int(match[1]) >= hub.config.shards:
            raise ConfigError(f"{name!r} does not name a dead letter: give one as `hubq dead list` shows it (6/1795-0)")
        places.append((int(match[1]), match[2]))
    return places


def _missing(hub: HubContext, name: str) -> HubqError:
    return HubqError(f"no dead letter {name} in hub {hub.keys.hub_id!r}: see `hubq dead list`")
