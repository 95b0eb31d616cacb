"""Replies: their line, and how a client takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from hubq.store.command import Command, plain
from hubq.store.keys import Keys

if TYPE_CHECKING:
    from hubq.store.seal import Seal


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


def read_reply(data: bytes, sender: str = "", seal: Seal | None = None) -> tuple[str, str, str, bytes] | None:
    """The reverse of :func:`reply_line`: message id, status, node, payload. None: it is no reply.

    With a seal the payload is opened, as one for this sender. Raises :class:`~hubq.errors.Unsealed`: its seal is refused.

    >>> read_reply(b"7 ok a\\np..."), read_reply(b"garbage")
    (('7', 'ok', 'a', b'p...'), None)
    """
    line, newline, payload = data.partition(b"\n")
    try:
        message_id, status, node = line.decode().split(" ")
    except ValueError:
        return None
    if not newline:
        return None
    if seal is not None:
        payload = seal.opens_reply(sender, line, status, payload)
    return message_id, status, node, payload


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
