"""Messages to children: sending, starting, reading; and the replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.header import Header
from hubq.store.keys import Keys
from hubq.store.naming import Naming
from hubq.store.spec_record import SpecRecord


class Outgoing(NamedTuple):
    """A message on its way to a child, still without its number. ``timeout`` in seconds, 0 for no deadline. ``spec``: the child is
    started if it is not there (the start id is still to be given).
    """

    kind: str
    child: str
    method: str
    payload: bytes
    timeout: float
    reply: bool
    spec: SpecRecord | None = None


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What a start message tells its node besides the children: in the message's ``method``, as words.

    >>> StartOptions(quiet=True, batch="b1").words()
    'quiet batch:b1'
    >>> StartOptions.read("quiet batch:b1")
    StartOptions(quiet=True, batch='b1')
    """

    quiet: bool = False
    batch: str = ""

    def words(self) -> str:
        """The options as text."""
        return " ".join(["quiet"] * self.quiet + [f"batch:{self.batch}"] * bool(self.batch))

    @classmethod
    def read(cls, words: str) -> StartOptions:
        """The reverse of :meth:`words`; words of a newer version are passed over."""
        batch = next((word[6:] for word in words.split() if word.startswith("batch:")), "")
        return cls("quiet" in words.split(), batch)


PLAIN = StartOptions()


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


@dataclass(slots=True)
class Message:
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
Opens = Callable[[Message], Message] | None


class Seals(Protocol):
    """Seals messages and specs (``hubq.store.seal``)."""

    def message(self, kind: str, child: str, method: str, sender: str, number: str, payload: bytes) -> bytes: ...

    def spec(self, child: str, record: SpecRecord) -> SpecRecord: ...


def send_messages(
    keys: Keys,
    sender: str,
    shards: Mapping[int, Sequence[tuple[int, Outgoing]]],
    *,
    sender_ttl_ms: int,
    max_backlog: int,
    max_mailbox_bytes: int = 0,
    seal: Seals | None = None,
) -> Command[list[str]]:
    """Put numbered messages into the mailboxes of their shards; a status word for each, in order."""
    names = [keys.sender(sender)]
    bounds: Arg = f"{max_backlog} {max_mailbox_bytes}" if max_mailbox_bytes else max_backlog
    args: list[Arg] = [sender_ttl_ms, bounds, "", sender]
    specs: list[Arg] = []
    for shard, messages in shards.items():
        names += keys.send_keys(shard)
        args.append(len(messages))
        for seq, (kind, child, method, payload, timeout, reply, spec) in messages:
            if seal is not None:
                payload = seal.message(kind, child, method, sender, str(seq), payload)
            args += (seq, kind, child, method, sender if reply else "", int(timeout * 1000), payload)
            if spec is not None:
                args[2] = keys.partitioned
                started = spec.started_by(f"{sender}:{seq}")
                specs += (seq, (started if seal is None else seal.spec(child, started)).written())
            elif kind == "stop":
                args[2] = keys.partitioned
    args += specs
    return run_script("send_messages", names, args, _words)


def void_numbers(keys: Keys, sender: str, numbers: Sequence[int], sender_ttl_ms: int) -> Command[list[str]]:
    """Never accept these numbers any more: ``void``, or ``duplicate`` if one has been accepted already."""
    return run_script("void_numbers", [keys.sender(sender)], [sender_ttl_ms, *numbers], _words)


def _words(answer: Sequence[bytes]) -> list[str]:
    return [word.decode() for word in answer]


def start_children(
    keys: Keys,
    shard: int,
    sender: str,
    seq: int,
    specs: Mapping[str, bytes],
    *,
    reply_to: str,
    timeout_ms: int,
    all_or_nothing: bool,
    sender_ttl_ms: int,
    options: StartOptions = PLAIN,
) -> Command[list[str]]:
    """Write specs and the start message of one shard; ``ok``, ``exists`` or ``partitioned why`` for each."""
    args: list[Arg] = [sender_ttl_ms, seq, seq, reply_to, timeout_ms, 1 if all_or_nothing else 0]
    args += (options.words(), options.batch, keys.partitioned)
    for child, spec in specs.items():
        args += (child, spec)
    return run_script(
        "start_children",
        [
            keys.sender(sender),
            keys.mailbox(shard),
            keys.children(shard),
            keys.backlog(shard),
            keys.dormant(shard),
            keys.batches(shard),
        ],
        args,
        lambda answer: [text(word) for word in answer],
    )


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
        message = Message(
            entry,
            KINDS[fields[1]],
            fields[3].decode(),
            fields[5].decode(),
            fields[7].decode(),
            fields[9].decode(),
            int(fields[11]),
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


def _entries(answer: Any, opens: Opens = None) -> list[Message]:
    # A deleted entry may appear as nil in some versions when a claim is involved; ranges never show it.
    found = [message_of(entry, fields) for entry, fields in (answer or []) if fields]
    return found if opens is None else [opens(message) for message in found]


def read_mailboxes(
    naming: Naming, cursors: Mapping[int, bytes], count: int, block_ms: int | None, woken: bytes, opens: Opens = None
) -> Command[tuple[dict[int, list[Message]], bytes]]:
    """Messages past each shard's cursor, blocking up to ``block_ms`` (None: not at all).

    The wake of ``naming`` is one more stream whose entries after ``woken`` end the wait; its last entry is the second answer.
    """
    block: tuple[Arg, ...] = () if block_ms is None else ("BLOCK", block_ms)
    args, data = naming.read(("XREAD", "COUNT", count, *block, "STREAMS"), cursors, woken)
    names, wake = naming.names, naming.wake

    def read(answer: Any) -> tuple[dict[int, list[Message]], bytes]:
        found: dict[int, list[Message]] = {}
        last = woken
        for name, entries in answer or ():
            key = text(name)
            if key == wake and key not in names:
                last = entries[-1][0]
            else:
                found[names[key]] = _entries(entries, opens)
        return found, last

    return Command(args, read, None, block_ms is not None, data=data)


def read_range(
    keys: Keys, shard: int, after: bytes, until: bytes, count: int, opens: Opens = None
) -> Command[list[Message]]:
    """Messages of one shard after an entry (exclusive) up to another (inclusive). ``opens``: as the seal of the node opens them."""
    start: bytes = b"-" if after == b"0" else b"(" + after
    return plain(
        "XRANGE", keys.mailbox(shard), start, until, "COUNT", count, read=lambda answer: _entries(answer, opens)
    )


def read_back(keys: Keys, shard: int, before: bytes, count: int) -> Command[list[Message]]:
    """Messages of one shard from an entry back (``+``: the last; ``(`` before it: exclusive), the newest first."""
    return plain("XREVRANGE", keys.mailbox(shard), before, "-", "COUNT", count, read=_entries)


def mailbox_length(keys: Keys, shard: int) -> Command[int]:
    """How many messages wait in a shard's mailbox."""
    return plain("XLEN", keys.mailbox(shard), read=int)


class Asks(NamedTuple):
    """Who asks to cancel a call, and the id of the answer."""

    client: str = ""
    answer_id: str = ""


#: A call is not to be cancelled.
NOBODY = Asks()


def withdraw_call(
    keys: Keys,
    shard: int,
    child: str,
    client: str,
    message_id: str,
    asks: Asks = NOBODY,
    nodes: Sequence[str] = (),
    proof: str = "",
) -> Command[str]:
    """Ask a child's node whether a call of this client was begun; if somebody ``asks`` for that, to cancel it. The answer: the node,
    ``-`` for none now, empty if no node has ever joined.
    """
    return run_script(
        "withdraw_call",
        [keys.mailbox(shard), *map(keys.asks, nodes)],
        [keys.owners, keys.epoch, shard, child, client, message_id, *asks, proof, *nodes],
        lambda answer: text(answer[1]),
        lambda nodes: withdraw_call(keys, shard, child, client, message_id, asks, nodes, proof),
    )


def intervene(
    keys: Keys,
    shard: int,
    child: str,
    client: str,
    message_id: str,
    what: str,
    entry: str,
    nodes: Sequence[str] = (),
    proof: str = "",
) -> Command[str]:
    """Ask a child's node to ``kill``, ``stop`` or ``drop``: the node, ``-`` for none now, ``~`` for a dormant child, empty if there is no
    such child."""
    return run_script(
        "intervene",
        [keys.mailbox(shard), *map(keys.control, nodes)],
        [
            keys.owners,
            keys.children(shard),
            keys.dormant(shard),
            shard,
            child,
            client,
            message_id,
            what,
            entry,
            proof,
            *nodes,
        ],
        lambda answer: text(answer[1]) if len(answer) > 1 else "",
        lambda nodes: intervene(keys, shard, child, client, message_id, what, entry, nodes, proof),
    )


def await_reply(keys: Keys, client: str, timeout: float) -> Command[bytes | None]:
    """The next reply for a client, waiting up to ``timeout`` seconds."""
    return plain(
        "BLPOP", keys.reply(client), f"{timeout:.3f}", read=lambda answer: answer[1] if answer else None, blocks=True
    )


def more_replies(keys: Keys, client: str, count: int) -> Command[list[bytes]]:
    """Replies that are there already."""
    return plain("LPOP", keys.reply(client), count, read=lambda answer: list(answer or ()))


def reply_line(message_id: str, status: str, node: str, payload: bytes) -> bytes:
    """A reply as it stands in the client's list: a readable line, then the tagged value."""
    return f"{message_id} {status} {node}\n".encode() + payload


def read_reply(data: bytes) -> tuple[str, str, str, bytes] | None:
    """The reverse of :func:`reply_line`: message id, status, node, payload. None: it is no reply.

    >>> read_reply(b"7 ok a\\np..."), read_reply(b"garbage")
    (('7', 'ok', 'a', b'p...'), None)
    """
    line, newline, payload = data.partition(b"\n")
    try:
        message_id, status, node = line.decode().split(" ")
    except ValueError:
        return None
    return (message_id, status, node, payload) if newline else None


def started_payload(owner: str, failed: Mapping[str, str], names: Sequence[str] = ()) -> bytes:
    """The answer to a start: the owner line under which the children run, those that cannot, with the reason, and all of them."""
    return msgspec.json.encode({"owner": owner, "failed": failed, **({"names": names} if names else {})})


def read_started(payload: bytes, asked: Sequence[str] = ()) -> tuple[str, dict[str, str]]:
    """The reverse of :func:`started_payload`. Raises ``ValueError``: it is no such answer.

    >>> read_started(started_payload("a 1 7", {"room-1": "no network"}))
    ('a 1 7', {'room-1': 'no network'})
    """
    try:
        answer = msgspec.json.decode(payload, type=_Started)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"no answer to a start ({error})") from None
    if answer.names and not answer.names >= {*asked}:
        raise ValueError("it answers the start of other children")
    return answer.owner, answer.failed


class _Started(msgspec.Struct):
    owner: str
    failed: dict[str, str]
    names: set[str] = set()
