"""What one commit changes in Redis (read by ``lua/_effects.lua``, in the same order)."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from hubq.store.command import Arg
from hubq.store.dead_letters import NewLetter
from hubq.store.keys import Keys
from hubq.store.replica_log import LogItem
from hubq.store.saying import USUAL, Saying, SayingLimits, sections

if TYPE_CHECKING:
    from hubq.store.seal import Seal

#: A state that is to be sealed: the start of its child, the form and the cursor of its envelope, and its bytes.
Unsealed = tuple[str, str, str, bytes]

#: Log entries kept for a follower that is slow (about); one that is further behind begins anew.
LOG_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Numbered:
    """The number of a commit in which children say something, so that it is said once: one sequence per life of a node. What is
    compared are the commits of one shard or pin (``field``, as in ``owners``): those of another may have overtaken them.
    """

    node: str
    incarnation: int
    number: int
    field: str


@dataclass(slots=True)
class Effects:
    """Collected while handlers finish; written by one script. Applying it twice is the same as once.

    >>> effects = Effects()
    >>> effects.done.setdefault("room-1", []).append(b"7-0")
    >>> bool(effects), bool(Effects())
    (True, False)
    """

    done: dict[str, list[bytes]] = field(default_factory=dict)
    """Finished messages of each child: their entry ids."""

    cut: bytes = b""
    """All messages before this entry are done, with these or earlier: one command deletes them. Empty: that is not known."""

    asked_at: int = 0
    """Whether the commit is to say that the mailbox is empty: how much of it had been read (``hubq.core.unfinished``), or 0."""

    states: dict[str, bytes] = field(default_factory=dict)
    """Envelopes to save."""

    unsealed: dict[str, Unsealed] = field(default_factory=dict)
    """Of children that have an empty envelope in ``states``: what is sealed into it before it is written."""

    forgotten: list[str] = field(default_factory=list)
    """Children whose saved state is removed (``handover=False``: the new child starts fresh)."""

    ended: dict[str, str] = field(default_factory=dict)
    """Children that are no more, spec, state and all: child -> its start id (a child started anew is not meant)."""

    parked: dict[str, str] = field(default_factory=dict)
    """Children that cannot run, and why; an empty reason: they can again."""

    replies: dict[str, list[bytes]] = field(default_factory=dict)
    """Replies for each client."""

    letters: list[NewLetter] = field(default_factory=list)
    """Messages of ``done`` that are kept as dead letters."""

    log: list[LogItem] = field(default_factory=list)
    """For the followers of the shard, in order. Not idempotent: they know what they have read already."""

    latest: dict[str, bytes] = field(default_factory=dict)
    """For the followers as well: the newest state of each child; empty: it is in ``msk``."""

    said: list[Saying] = field(default_factory=list)
    """What its children say beyond their states and replies, in order. Not idempotent: see ``numbered``."""

    numbered: Numbered | None = None
    """The number of this commit, if it may be sent twice. (The scripts that pass a token have effect once.)"""

    reply_ttl_ms: int = 60_000
    limits: SayingLimits = USUAL

    def __bool__(self) -> bool:
        return bool(
            self.done or self.states or self.forgotten or self.ended or self.parked or self.replies
            or self.letters or self.log or self.latest or self.said
        )  # fmt: skip

    def bounded(self, reply_ttl_ms: int, limits: SayingLimits) -> Effects:
        """Replies wait so long for their clients, and messages to other children have these bounds."""
        self.reply_ttl_ms, self.limits = reply_ttl_ms, limits
        return self

    def cut_at(self, cut: bytes, asked_at: int) -> None:
        """All that is done is deleted by one cut, or it is asked whether the mailbox is empty then, or neither."""
        self.cut, self.asked_at = cut, asked_at

    def seal(self, seal: Seal) -> None:
        """Seal the states, and the replies of each client (those that are sealed stay as they are)."""
        for child, unsealed in self.unsealed.items():
            if child in self.states:
                self.states[child] = seal.envelope(child, *unsealed)
        self.unsealed.clear()
        for client, lines in self.replies.items():
            seal.replies(client, lines)

    def number(self, node: str, incarnation: int, number: int, field: str) -> None:
        """It is about to be sent by a script that may have effect twice: this makes it say once what is said."""
        if self.numbered is None:
            self.numbered = Numbered(node, incarnation, number, field)

    def absorb(self, other: Effects) -> None:
        """Take in what another holding of the same shard has collected (a pin that never came to be)."""
        for child, entries in other.done.items():
            self.done.setdefault(child, []).extend(entries)
        self.states.update(other.states)
        if self.unsealed:
            for child in other.states:
                self.unsealed.pop(child, None)
        self.unsealed.update(other.unsealed)
        self.forgotten += other.forgotten
        self.ended.update(other.ended)
        self.parked.update(other.parked)
        for client, payloads in other.replies.items():
            self.replies.setdefault(client, []).extend(payloads)
        self.letters += other.letters
        self.log += other.log
        self.latest.update(other.latest)
        self.said += other.said

    def largest_value(self) -> int:
        """The size of the largest state, reply or saying, bytes."""
        values = chain(
            self.states.values(),
            self.latest.values(),
            (item.payload for item in self.log),
            *self.replies.values(),
        )
        sizes = chain((len(value) for value in values), (saying.size for saying in self.said))
        return max(sizes, default=0)

    def for_script(self, keys: Keys, shard: int) -> tuple[list[str], list[Arg]]:
        """The script's keys and arguments, both in the order in which ``apply_effects`` takes them."""
        names = list(keys.commit_keys(shard))
        args: list[Arg] = []
        if self.letters:
            self._add_letters(keys, shard, names, args)
        args += self._done_and_saved()
        args += (len(self.forgotten), *self.forgotten, len(self.ended))
        for child, start_id in self.ended.items():
            args += (child, start_id)
        if self.ended:
            names += (*keys.ended_keys, *keys.reminder_keys(shard))
            names += [keys.feed(shard, child) for child in self.ended]
        args.append(len(self.parked))
        for child, reason in self.parked.items():
            args += (child, reason)
        self._add_replies(keys, names, args)
        if self.said:
            self._add_said(keys, shard, names, args)
        else:
            args.append(0)
        if self.log or self.latest:
            names += (keys.log(shard), keys.replicas(shard))
            args.append(LOG_KEPT)
            for item in self.log:
                args += (item.kind, item.child, item.entry, item.method, item.word, item.payload)
            for child, state in self.latest.items():
                args += ("state" if state else "saved", child, "", "", "", state)
        return names, args

    @property
    def plain(self) -> bool:
        """Whether they are nothing but messages that are done, states and replies, as nearly all are."""
        return not (
            self.said or self.letters or self.log or self.latest or self.forgotten or self.ended or self.parked
        )  # fmt: skip

    def for_plain(self, keys: Keys, shard: int, cuts: bool = False) -> tuple[list[str], list[Arg]]:
        """The keys and arguments of plain effects, as ``commit_shards.lua`` takes them. ``cuts``: with the place of the cut."""
        mailbox, _, msk, backlog, _ = keys.commit_keys(shard)
        names, args = [mailbox, msk, backlog], self._done_and_saved(cuts)
        self._add_replies(keys, names, args)
        return names, args

    def _done_and_saved(self, cuts: bool = False) -> list[Arg]:
        args: list[Arg] = [self.cut or ("?" if self.asked_at else "")] if cuts else []
        args.append(len(self.done))
        if cuts and self.cut:
            for child, entries in self.done.items():
                args += (child, len(entries))
        else:
            for child, entries in self.done.items():
                args += (child, len(entries), *entries)
        assert not self.unsealed, "what is written is sealed before"
        args.append(len(self.states))
        for child, state in self.states.items():
            args += (child, state)
        return args

    def _add_replies(self, keys: Keys, names: list[str], args: list[Arg]) -> None:
        args.append(len(self.replies))
        for client, payloads in self.replies.items():
            names.append(keys.reply(client))
            args += (self.reply_ttl_ms, len(payloads), *payloads)

    def _add_said(self, keys: Keys, shard: int, names: list[str], args: list[Arg]) -> None:
        parts = sections(keys, shard, self.said, self.limits)
        args.append(len(parts))
        if self.numbered is None:
            args += ("", "", "")
        else:
            names.append(keys.said(self.numbered.node))
            args += (self.numbered.number, self.numbered.incarnation, self.numbered.field)
        for kind, of_kind, its_args in parts:
            names += of_kind
            args += (kind, len(of_kind), len(its_args), *its_args)

    def _add_letters(self, keys: Keys, shard: int, names: list[str], args: list[Arg]) -> None:
        classes: dict[str, list[NewLetter]] = {}
        for letter in self.letters:
            classes.setdefault(letter.class_name, []).append(letter)
        names.append(keys.dead(shard))
        args += ("letters", self.letters[-1].kept_in_shard, len(classes))
        for class_name, letters in classes.items():
            names.append(keys.dead_of(shard, class_name))
            args += (class_name, letters[-1].kept, len(letters))
            for letter in letters:
                args += (letter.entry, letter.why, letter.error)


def with_handed(effects: Effects, handed: Effects) -> Effects:
    """What goes with a token: what was finished here, and what the children hand over. Neither of the two is changed.

    >>> both = with_handed(Effects(states={"a": b"old", "b": b"1"}), Effects(forgotten=["a"], done={"a": [b"7-0"]}))
    >>> both.states, both.forgotten, both.done
    ({'b': b'1'}, ['a'], {'a': [b'7-0']})
    """
    both = Effects(reply_ttl_ms=effects.reply_ttl_ms, limits=effects.limits)
    both.absorb(effects)
    both.absorb(handed)
    for child in handed.forgotten:
        both.states.pop(child, None)
    return both
