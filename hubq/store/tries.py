"""What was in hand when nodes crashed: the ``tries`` of a shard, and the marks that are written under watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hubq.store.command import Arg, Command, one_of, pairs, plain, run_script, text
from hubq.store.keys import Keys, owner_field
from hubq.store.message import position
from hubq.store.owners import Kept, Owner

#: At so many crashes what was in hand at all of them is set aside (``MOST_TRIES`` in ``lua/_crash.lua``).
MOST_TRIES = 3
#: How the reason begins for which such a child is parked.
TOOK_DOWN = "starting it took down"


@dataclass(frozen=True, slots=True)
class Mark:
    """One field of ``tries``: an entry ("-" for the start of a child), in hand at ``count`` crashes; ``by`` has it now.

    >>> Mark.read("17-0 2 b#5 a#3 b#4").written
    '17-0 2 b#5 a#3 b#4'
    """

    entry: str
    count: int
    by: str
    crashes: tuple[str, ...] = ()

    @property
    def written(self) -> str:
        """The text of the field."""
        return " ".join((self.entry, str(self.count), self.by, *self.crashes))

    @classmethod
    def read(cls, line: str) -> Mark:
        """The reverse of :attr:`written`."""
        entry, count, by, *crashes = line.split()
        return cls(entry, int(count), by, tuple(crashes))


@dataclass(slots=True)
class Watch:
    """A shard that was taken over after a crash: messages up to ``until`` are marked before they are handled."""

    until: tuple[int, int]
    stage: str
    crashes: tuple[str, ...]
    marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def careful(self) -> bool:
        """The node before did not get through starting the children: they are started one at a time."""
        return self.stage == "careful"

    def covers(self, entry: bytes) -> bool:
        """Whether a message was there already at the last crash."""
        return position(entry) <= self.until

    def blames_later(self, name: str, entry: bytes) -> bool:
        """Whether a later message of the same child was counted at the last crash. This one was done before that one was begun, so it was
        not to blame, and only its commit is missing. Its mark would stand where the other one was counted.
        """
        mark = self.marks.get(name)
        counted = one_of(position, None)(mark.entry) if mark is not None and mark.count else None
        if mark is None or counted is None or counted <= position(entry):
            return False
        return not self.crashes or self.crashes[-1] in mark.crashes


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message in hand, or a start under way: under which owner line, and its field and entry in ``tries``."""

    shard: int
    pinned: str | None
    owner: Owner
    field: str
    entry: str


def message_field(child: str) -> str:
    """The field of the message of a child that is in hand."""
    return f"message {child}"


def start_field(child: str) -> str:
    """The field of a child that is being started."""
    return f"start {child}"


def read_tries(keys: Keys, shard: int) -> Command[Watch | None]:
    """The watch over a shard; None (nearly always) if there is nothing to watch for. Marks that cannot be read count for
    nothing.
    """

    def read(answer: object) -> Watch | None:
        fields = {name: text(value) for name, value in pairs(answer).items()}  # type: ignore[arg-type]
        if not fields:
            return None
        stands = fields.pop("watch", "")
        marks = {name: mark for name, line in fields.items() if (mark := one_of(Mark.read, None)(line)) is not None}
        return one_of(lambda line: _watch(line, marks), Watch((0, 0), "open", (), marks))(stands)

    return plain("HGETALL", keys.tries(shard), read=read)


def _watch(line: str, marks: dict[str, Mark]) -> Watch:
    last, stage, *crashes = line.split()
    return Watch(position(last), stage, tuple(crashes), marks)


def mark_tries(keys: Keys, shard: int, pinned: str | None, owner: Owner, marks: Mapping[str, str]) -> Command[str]:
    """Write marks (an empty text removes one): ``ok`` or ``fenced``."""
    args: list[Arg] = [owner_field(shard, pinned), owner.line]
    for name, line in marks.items():
        args += (name, line)
    return run_script("mark_tries", [keys.owners, keys.tries(shard)], args, text)


def end_watch(keys: Keys, shard: int, owner: Owner) -> Command[str]:
    """The children have started well: ``watching`` until the messages of that time are done, then ``over``."""
    return run_script(
        "end_watch",
        [keys.owners, keys.tries(shard), keys.mailbox(shard)],
        [owner_field(shard), owner.line],
        text,
    )


def blame(keys: Keys, suspect: Suspect, kept: Kept, callers: Sequence[str] = ()) -> Command[str]:
    """This message, or this start, has taken the node down that owns it: ``counted``; ``condemned``, for the third time;
    ``gone``: it is done; ``fenced``: the node owns it no more.
    """
    owner = suspect.owner
    return run_script(
        "blame_suspect",
        [keys.owners, keys.events, *keys.crash_keys(suspect.shard), *map(keys.reply, callers)],
        [
            owner_field(suspect.shard, suspect.pinned), owner.line, suspect.shard, suspect.field, suspect.entry,
            f"{owner.node}#{owner.incarnation}", kept.events, kept.letters, kept.reply_ttl_ms, *callers,
        ],
        lambda answer: text(answer[0]),
        lambda more: blame(keys, suspect, kept, [*callers, *more]),
    )  # fmt: skip


def absolve_node(
    keys: Keys, shards: Sequence[int], node: str, incarnation: int, spared: Suspect | None = None,
    nodes: Sequence[str] = (),
) -> Command[int]:  # fmt: skip
    """This incarnation of the node was only cut off: take its crashes back; how many counts that were. What ``spared``
    names has held the node up for longer than its lease: its count stays.
    """
    names = [keys.owners, *(key for shard in shards for key in keys.crash_keys(shard)), *map(keys.control, nodes)]
    return run_script(
        "absolve_node",
        names,
        [
            f"{node}#{incarnation}", spared.shard if spared else "", spared.field if spared else "",
            spared.entry if spared else "", len(shards), *shards, *nodes,
        ],
        lambda answer: int(answer[1]),
        lambda more: absolve_node(keys, shards, node, incarnation, spared, [*nodes, *more]),
    )  # fmt: skip
