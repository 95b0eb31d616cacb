"""Messages that wait in the outboxes of the source: which outbox of the target each waits in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hubq.client.regroup.sides import Side
from hubq.core.regrouping import parsed, was_taken
from hubq.store.command import text
from hubq.store.contents import Part
from hubq.store.outbox_page import FIELDS


class OldMessage(NamedTuple):
    """A message of a child of ``shard``, as it waits. ``generation``: of one to another group; else empty."""

    shard: int
    entry: tuple[int, int]
    generation: str
    fields: dict[str, bytes]

    @classmethod
    def read(cls, shard: int, entry: tuple[bytes, ...]) -> OldMessage | None:
        """An entry of an outbox; None: it is none that hubq has written."""
        said = {text(entry[n]): entry[n + 1] for n in range(1, len(entry) - 1, 2)}
        if any(name not in said for name in FIELDS) or not said["shard"].isdigit():
            return None
        return cls(shard, parsed(entry[0]), text(said.get("generation", b"")), said)

    def arrived(self, window: Mapping[str, str]) -> bool:
        """Whether the other group has taken it, by its window of this shard and generation."""
        return was_taken(window, self.entry[0])


class Outboxes:
    """Gives messages their places, in the order in which they come. (Those to one child come from one outbox.)"""

    def __init__(self, target: Side, generation: str) -> None:
        self._target = target
        self._generation = generation.encode()
        self._numbers: Counter[tuple[int, int]] = Counter()
        self._last: dict[int, tuple[int, int]] = {}
        self._waiting: Counter[tuple[int, bytes]] = Counter()

    def placed(self, message: OldMessage, *, far: bool) -> tuple[int, str, Part]:
        """The group, the outbox and the entry of a message of the source, where it was for another group (``far``) or not."""
        shard, said = message.shard, message.fields
        own, other = self._target.of_shard(shard), self._target.of_shard(int(said["shard"]))
        if own == other:
            entry = message.entry
            if far or entry <= self._last.get(shard, (0, 0)):
                last = self._last.get(shard, (0, 0))
                entry = last[0], last[1] + 1
            self._last[shard] = entry
            self._waiting[shard, said["child"]] += 1
            names: tuple[str, ...] = FIELDS
        else:
            self._numbers[shard, other] += 1
            entry = self._numbers[shard, other], 0
            said = {**said, "generation": self._generation}
            names = ("shard", "generation", *FIELDS[1:])
        fields = [each for name in names for each in (name.encode(), said[name])]
        stream = f"shard:{shard}:outbox" if own == other else f"shard:{shard}:outbox:{other}"
        return own, stream, Part("stream", [(b"%d-%d" % entry, *fields)])

    def counters(self) -> Iterator[tuple[int, str, Part]]:
        """How many wait for whom, and the last numbers. They are asked for once for each group of the source, and forgotten then."""
        for (shard, child), waiting in self._waiting.items():
            part = Part("hash", [(child, b"%d" % waiting)])
            yield self._target.of_shard(shard), f"shard:{shard}:outbox:waiting", part
        for (shard, other), number in self._numbers.items():
            yield (
                self._target.of_shard(shard),
                f"shard:{shard}:outbox:{other}:number",
                Part("string", [(b"%d" % number,)]),
            )
        self._waiting.clear()
        self._numbers.clear()
