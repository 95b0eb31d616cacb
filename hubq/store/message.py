"""Messages to children, as a node reads them from a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from hubq.store.command import text
from hubq.store.header import Header

#: The kinds of messages that stand in a mailbox. (A copy's queue also has ``state``, made of its shard's log.)
KINDS = {kind.encode(): kind for kind in ("call", "cast", "start", "stop", "remind")}
#: The kind of a call or cast with a header in front of its payload (``hubq.store.header``).
HEADED = "headed"
#: The kind of an entry that is no message. It has no child, and ``method`` says why it is none.
MALFORMED = "malformed"
#: The kind of a message whose seal is refused (``hubq.store.seal``); ``method`` says why.
UNSEALED = "unsealed"
#: The last id that an entry of a stream can have. Nothing can be put behind it.
LAST_ID = b"18446744073709551615-18446744073709551615"
#: Deadlines are before this, ms.
FAR = 1 << 53


class Message(msgspec.Struct, gc=False):  # (one for each message: see Command)
    """A message as a node reads it. ``deadline`` is Redis TIME in ms, 0 for none.

    ``header`` is None for nearly all.

    An entry of a mailbox that is no message is one of the kind :data:`MALFORMED`, so that it keeps its place among the others.
    """

    entry: bytes
    kind: str
    child: str
    method: str
    id: str
    reply_to: str
    deadline: int
    payload: bytes
    header: Header | None = None


def position(entry: bytes | str) -> tuple[int, int]:
    """A stream entry's id, to be compared.

    >>> position(b"17-2") > position("9-11")
    True
    """
    first, _, second = text(entry).partition("-")
    return int(first), int(second or 0)


#: Opens messages that are sealed (``hubq.store.seal.Seal.opens``).
Opens = Callable[[list[Message]], list[Message]] | None


def sender_of(message_id: str, reply_to: str) -> str:
    """Who has sent a message: the client that waits for its reply, else the one that the id names. Empty: not known.

    >>> sender_of("17", "c1"), sender_of("c1#17", ""), sender_of("17", "")
    ('c1', 'c1', '')
    """
    return reply_to or message_id.rpartition("#")[0]


def message_of(entry: bytes, fields: Sequence[bytes]) -> Message:
    """A stream entry as a message. The fields stand in the order the scripts write them. It never raises.

    >>> message_of(b"7-0", [b"x", b"y"])
    Message(entry=b'7-0', kind='malformed', child='', method='no field kind', id='', reply_to='', deadline=0, payload=b'', header=None)
    """
    # kind k child c method m id i reply_to r deadline d payload p
    try:
        deadline = fields[11]
        message = Message(
            entry,
            KINDS[fields[1]],
            fields[3].decode(),
            fields[5].decode(),
            fields[7].decode(),
            fields[9].decode(),
            0 if deadline == b"0" else int(deadline),
            fields[13],
        )
    except (LookupError, ValueError):
        return _message_by_names(entry, fields)
    return message if message.deadline < FAR and entry != LAST_ID else _message_by_names(entry, fields)


_NAMES = ("kind", "child", "method", "id", "reply_to", "deadline", "payload")


def _message_by_names(entry: bytes, fields: Sequence[bytes]) -> Message:
    """The slow way: fields in any order, and more of them than this version knows."""
    flat = {text(fields[i]): fields[i + 1] for i in range(0, len(fields) - 1, 2)}

    def malformed(why: str, message_id: str = "", reply_to: str = "") -> Message:
        return Message(entry, MALFORMED, "", why, message_id, reply_to, 0, b"")

    if entry == LAST_ID:
        return malformed("its id is the last one that there is: until it is gone, its mailbox takes nothing more")
    missing = [name for name in _NAMES if name not in flat]
    if missing:
        return malformed(f"no field {missing[0]}")
    deadline = flat["deadline"]
    if not deadline.isdigit() or len(deadline) > 20 or int(deadline) >= FAR:
        return malformed(f"deadline {text(deadline[:40])!r} is no time in ms")
    try:
        child, method, message_id, reply_to = (flat[name].decode() for name in ("child", "method", "id", "reply_to"))
    except UnicodeDecodeError:
        return malformed("child, method, id or reply_to is no UTF-8")
    if flat["kind"] == HEADED.encode():
        if flat["payload"][:1] in (b"x", b"s"):  # it is sealed: its header is within
            return Message(entry, HEADED, child, method, message_id, reply_to, int(deadline), flat["payload"])
        try:
            header, payload = Header.split(flat["payload"])
        except ValueError as error:
            return malformed(str(error), message_id, reply_to)
        sort = "call" if reply_to else "cast"
        return Message(entry, sort, child, method, message_id, reply_to, int(deadline), payload, header)
    kind = KINDS.get(flat["kind"])
    if kind is None:  # its sender is newer than this node, perhaps: its caller is told
        return malformed(f"unknown kind {text(flat['kind'][:40])!r}", message_id, reply_to)
    return Message(entry, kind, child, method, message_id, reply_to, int(deadline), flat["payload"])
