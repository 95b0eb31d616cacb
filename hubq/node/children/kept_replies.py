"""Messages with a key: the first one is run, and the others get its outcome (docs/protocol.md, section 3)."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from inspect import signature
from typing import Any

from hubq.core.callable_methods import methods_of
from hubq.core.fingerprint import fingerprint
from hubq.errors import RedisUnavailable, Unsealed
from hubq.node.children.outcomes import Outcomes, error_payload
from hubq.node.held.holding import HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.runtime.group import Group
from hubq.store.keeps import KeptReply, read_kept
from hubq.store.message import Message
from hubq.store.values import NOTHING

log = logging.getLogger("hubq.node")


class KeptReplies:
    """Knows what has been run under which key: what Redis keeps, and what no commit has brought there yet."""

    def __init__(self, group: Group, outcomes: Outcomes) -> None:
        self._group = group
        self._outcomes = outcomes
        # In no commit that Redis has answered. (By the hosted child: one that comes back after its holding was lost has
        # nothing to do with a commit of that holding, which is refused.)
        self._under_way: dict[tuple[HostedChild, str], KeptReply] = {}

    async def answered(
        self, hosted: HostedChild, in_hand: InHand, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """Whether a message with this key has been run: then this one is answered with the outcome of that one. If not, it is to
        be run, and :meth:`keep` told of its outcome.
        """
        message, header = in_hand.message, in_hand.message.header
        if header is None or not header.key:
            return False
        mark = _fingerprint(hosted, message, args, kwargs)
        found = self._under_way.get((hosted, header.key)) or await self._read(hosted, header.key)
        if found is None or found.entry == message.entry.decode():
            # (durability="interval": after a crash a message that was answered comes again, and its state with it.)
            in_hand.runs_under(mark, found is not None)
            return False
        if found.fingerprint != mark:
            what = f"{hosted.child_id}.{message.method}"
            text = (
                f"{what}: the key {header.key!r} was used for another method or other arguments; give each its own key"
            )
            self._outcomes.answer(hosted, message, "key_reused", error_payload(message, text))
        else:
            self._outcomes.answer(hosted, message, found.word, self._opened(found))
        return True

    async def _read(self, hosted: HostedChild, key: str) -> KeptReply | None:
        group = self._group
        command = read_kept(group.keys, hosted.holding.shard, hosted.child_id, key)
        while True:
            try:
                found = await group.redis.run(command, retry_for=1.0)
                return found if found is None or self._is_good(found) else None
            except RedisUnavailable as error:  # not known: it may have been run
                log.warning("child %s: a message with a key waits: %s", hosted.child_id, error)
                await asyncio.sleep(0.2)

    def _opened(self, kept: KeptReply) -> bytes:
        seal = self._group.seal
        if seal is None:
            return kept.payload
        place = _place(kept.sender, kept.key, kept.fingerprint, kept.word, kept.entry)
        return seal.opens_by_workers(kept.payload, *place)

    def _is_good(self, kept: KeptReply) -> bool:
        """Whether a worker has written it. If not, it counts as none."""
        try:
            self._opened(kept)
        except Unsealed as error:
            log.error("child %s: what is kept under the key %r is not read: %s", kept.sender, kept.key, error)
            return False
        return True

    def keep(self, hosted: HostedChild, in_hand: InHand) -> None:
        """The message in hand has been settled: keep its outcome with the same commit."""
        header = in_hand.message.header
        if header is None or not header.key or in_hand.repeated or hosted.holding.is_copy:
            return
        payload = in_hand.payload or NOTHING
        entry = in_hand.message.entry.decode()
        if (seal := self._group.seal) is not None:
            payload = seal.by_workers(payload, *_place(hosted.child_id, header.key, in_hand.mark, in_hand.word, entry))
        kept = KeptReply(hosted.child_id, header.key, header.keep, entry, in_hand.mark, in_hand.word, payload)
        place = hosted, header.key
        self._under_way[place] = kept
        hosted.holding.effects.said.append(kept)
        hosted.holding.next_commit().add_done_callback(partial(self._committed, place, kept))

    def _committed(self, place: tuple[HostedChild, str], kept: KeptReply, commit: asyncio.Future[None]) -> None:
        if not commit.cancelled():
            commit.exception()  # (too few replicas have confirmed it: who waits for that is told)
        if self._under_way.get(place) is kept:
            del self._under_way[place]


def _place(child: str, key: str, mark: str, word: str, entry: str) -> tuple[str, ...]:
    return ("kept", child, key, mark, word, entry)


def _fingerprint(hosted: HostedChild, message: Message, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    try:
        bound = signature(methods_of(hosted.kind)[message.method]).bind(None, *args, **kwargs)
        bound.apply_defaults()
        arguments: Any = dict(bound.arguments)
    except TypeError:  # they do not fit: the handler will say so
        arguments = (args, kwargs)
    return fingerprint(message.method, arguments)
