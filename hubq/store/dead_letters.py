"""Dead letters: messages that were deleted without having been handled, with the reason (docs/dead-letters.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hubq.core.entry_ids import entry_ms
from hubq.core.malformed import whole_number
from hubq.store.codec import sendable
from hubq.store.command import Command, plain, run_script, text
from hubq.store.keys import Keys
from hubq.store.message import sender_of

#: Why a message is a dead letter. (A newer hubq may write others.)
Why = Literal[
    "took-down",
    "unknown-child",
    "unknown-method",
    "bad-arguments",
    "raised",
    "ended",
    "malformed",
    "too-large",
    "overdue",
    "dropped",
    "unsealed",
]
#: The longest error that a letter keeps, characters.
MOST_ERROR = 8_000


@dataclass(frozen=True, slots=True)
class NewLetter:
    """A message that becomes a dead letter with the commit that deletes it. The script takes the message from the mailbox.

    ``kept`` letters of ``class_name`` (empty: not known) are kept in the shard, at least 1, and ``kept_in_shard`` of all.
    """

    entry: bytes
    class_name: str
    why: Why
    error: str
    kept: int
    kept_in_shard: int

    @classmethod
    def of(cls, entry: bytes, class_name: str, why: Why, error: str, kept: int, kept_in_shard: int) -> NewLetter:
        """A letter whose error Redis can take: of a long one the middle is left out."""
        return cls(entry, sendable(class_name), why, shortened(sendable(error)), kept, kept_in_shard)


def shortened(error: str) -> str:
    """An error of at most :data:`MOST_ERROR` characters: where it began and how it ended say most.

    >>> shortened("no such file"), len(shortened("a" * 9_000))
    ('no such file', 8000)
    """
    if len(error) <= MOST_ERROR:
        return error
    gap = "\n... (the middle is left out) ...\n"
    head = MOST_ERROR // 4
    return error[:head] + gap + error[len(error) - (MOST_ERROR - head - len(gap)) :]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message (``kind`` call, cast or stop) that was deleted without having been handled; or a child (``start``) whose
    start took its nodes down.

    ``letter`` names it: ``shard/entry``. ``why`` is the reason in a word (``"took-down"``: it was in hand each time ``tries``
    nodes died), ``error`` the text of the error or its traceback. ``sent`` and ``died`` are Redis TIME in ms; ``crashes``
    names the nodes, the last one last, as ``node#incarnation``. ``reply_to`` is the client that called, empty for a cast;
    ``sender`` the client that sent it (empty: not known); ``deadline`` is 0 for none.
    """

    letter: str
    shard: int
    kind: str
    child: str
    class_name: str
    method: str
    id: str
    reply_to: str
    deadline: int
    payload: bytes
    tries: int
    crashes: tuple[str, ...]
    sent: int
    died: int
    why: str = "took-down"
    error: str = ""
    sender: str = ""


def letter_of(shard: int, entry: str, fields: dict[str, bytes]) -> DeadLetter:
    """One entry of a shard's ``dead`` stream. A field that is missing has its default."""
    words = {name: value.decode("utf-8", "replace") for name, value in fields.items() if name != "payload"}

    def word(name: str, default: str = "") -> str:
        return words.get(name, default)

    def number(name: str) -> int:
        return whole_number(word(name))

    first = word("entry", "-")
    return DeadLetter(
        f"{shard}/{entry}", shard, word("kind"), word("child"), word("class"), word("method"), word("id"),
        word("reply_to"), number("deadline"), fields.get("payload", b""), number("tries"),
        tuple(word("crashes").split()), entry_ms(first) or entry_ms(entry), entry_ms(entry),
        word("why", "took-down"), word("error"), sender_of(word("id"), word("reply_to")),
    )  # fmt: skip


def _letters(shard: int, answer: Any) -> list[DeadLetter]:
    return [
        letter_of(shard, text(entry), {text(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)})
        for entry, flat in answer or ()
    ]


def read_dead(keys: Keys, shard: int) -> Command[list[DeadLetter]]:
    """The dead letters of a shard, oldest first."""
    return plain("XRANGE", keys.dead(shard), "-", "+", read=lambda answer: _letters(shard, answer))


def read_last_dead(keys: Keys, shard: int, count: int) -> Command[list[DeadLetter]]:
    """The last dead letters of a shard, the newest first."""
    return read_dead_before(keys, shard, "+", count)


def read_dead_before(keys: Keys, shard: int, before: str, count: int) -> Command[list[DeadLetter]]:
    """Letters of a shard up to an entry (``(entry``: without it; ``+``: from the newest on), the newest first."""
    return plain(
        "XREVRANGE", keys.dead(shard), before, "-", "COUNT", count, read=lambda answer: _letters(shard, answer)
    )


def replay_dead(keys: Keys, shard: int, entry: str, nodes: Sequence[str] = ()) -> Command[str]:
    """Send a letter again: ``ok``, ``gone``, ``unknown`` or ``malformed``."""
    return run_script(
        "replay_dead",
        [keys.owners, *keys.crash_keys(shard), *map(keys.control, nodes)],
        [shard, entry, *nodes],
        lambda answer: text(answer[0]),
        lambda nodes: replay_dead(keys, shard, entry, nodes),
    )


def drop_dead(keys: Keys, shard: int, entries: Sequence[str]) -> Command[int]:
    """Throw letters away; how many there were."""
    return plain("XDEL", keys.dead(shard), *entries, read=int)


def count_dead(keys: Keys, shard: int) -> Command[int]:
    """How many dead letters a shard has."""
    return plain("XLEN", keys.dead(shard), read=int)
