"""Messages of children to children of another group: they wait in a stream of their shard until they are there (docs/effects.md).

The commit gives each a number, and the generation of the node that commits: one for each of its lives. The other group takes each
number of a generation once. If this group goes back (a failover without its last writes), numbers are given again, but by another
generation: no node goes on in the same life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.keys import Keys
from hubq.store.outbox_page import OutboxPage, read_page
from hubq.store.saying import SayingLimits, Section

#: Messages that are forwarded at a time.
AT_ONCE = 200
#: A message is forwarded if the first that still waits is at most so many numbers older: the window of the receiver is wider.
AHEAD = 1_900
#: How long the receiver knows which numbers of a generation it has taken, after the last of them, ms. A message is deleted as soon as
#: it has arrived; longer than this nobody may keep one that has.
KNOWN_FOR = 86_400_000


class SentFar(NamedTuple):
    """A message from one child to another one of group ``group`` (``method`` empty: only a start)."""

    sender: str
    group: int
    shard: int
    child: str
    method: str
    payload: bytes
    spec: bytes
    generation: str

    @property
    def size(self) -> int:
        """Bytes of its largest part."""
        return max(len(self.payload), len(self.spec))

    @staticmethod
    def section(keys: Keys, shard: int, said: Sequence[SentFar], limits: SayingLimits) -> Section:
        """What children of ``shard`` send to other groups."""
        places = {group: place for place, group in enumerate(dict.fromkeys(sent.group for sent in said), 1)}
        names = [key for group in places for key in keys.far_keys(shard, group)]
        args: list[Arg] = []
        for sent in said:
            args += (places[sent.group], sent.shard, sent.generation, sent.sender, sent.child, sent.method)
            args += (sent.payload, sent.spec)
        return Section("far", names, args)


class FarMessage(NamedTuple):
    """One that waits. ``shard``: that of the child it is for."""

    number: int
    shard: int
    generation: str
    sender: bytes
    child: bytes
    method: bytes
    payload: bytes
    spec: bytes


def far_length(keys: Keys, shard: int, group: int) -> Command[int]:
    """How many messages of a shard to this group wait."""
    return plain("XLEN", keys.far_keys(shard, group)[0], read=int)


def read_far(keys: Keys, shard: int, group: int, shards: range, after: int = 0) -> Command[OutboxPage[FarMessage]]:
    """The next messages of a shard to this group, behind that number. ``shards``: those of the other group."""
    key = keys.far_keys(shard, group)[0]

    def parse(entry: str, target: int, given: Mapping[str, bytes]) -> FarMessage:
        number, _, rest = entry.partition("-")
        if rest != "0":
            raise ValueError("its id is no number")
        said = (given[name] for name in ("sender", "child", "method", "payload", "spec"))
        return FarMessage(int(number), target, text(given["generation"]), *said)

    def read(answer: Any) -> OutboxPage[FarMessage]:
        return read_page(key, answer, shards, parse)

    return plain("XRANGE", key, f"{after + 1}-0", "+", "COUNT", AT_ONCE, read=read)


def receive_far(
    keys: Keys, shard: int, generation: str, messages: Sequence[FarMessage], limits: SayingLimits, full: Sequence[bytes]
) -> Command[list[bool]]:
    """Take messages that children of ``shard``, which is in another group, have sent by nodes of this generation. ``keys``: of the group
    that takes them. For each: whether it is there (now, or before); else its child has no room.
    """
    places = {target: place for place, target in enumerate(dict.fromkeys(each.shard for each in messages), 1)}
    names = [keys.sender(f"shard-{shard}-{generation}")]
    for target in places:
        names += keys.target_keys(target)
    args: list[Arg] = [KNOWN_FOR, *limits, len(places), len(full), *full]
    for each in messages:
        args += (each.number, places[each.shard], each.sender, each.child, each.method, each.payload, each.spec)
    return run_script("receive_far", names, args, lambda answer: [taken == 1 for taken in answer])


def delete_far(keys: Keys, shard: int, group: int, generation: str, numbers: Sequence[int]) -> Command[int]:
    """Forget messages of this generation that have arrived; how many are left."""
    args = [generation, *(f"{number}-0" for number in numbers)]
    return run_script("delete_far", keys.far_keys(shard, group)[:1], args, int)
