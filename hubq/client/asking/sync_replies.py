"""Replies of one thread that waits: which it wants, and how they are taken out of Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.requests import WAIT_SLICE, reply_of
from hubq.client.asking.steps import Reply
from hubq.errors import NotReplicated
from hubq.store.command import Command
from hubq.store.connection import LOST, SyncRedis, unavailable
from hubq.store.lane import packed_all
from hubq.store.replication import shortfall, with_wait
from hubq.store.replies import await_reply, more_replies
from hubq.store.sync_lane import SyncLane

#: A wait that Redis ends within so many seconds after the time is over is waited for: its connection is free then.
_ENDS_SOON = 0.1


class SyncReplies:
    """``want`` a reply, then ``collect`` it. Who collects the reply to a message right after sending it sends it by :meth:`ask_ahead`:
    then the wait for its reply is in Redis before the worker has the message.
    """

    def __init__(self, hub: HubContext, redis: SyncRedis, sender: str) -> None:
        self._hub = hub
        self._redis = redis
        self._sender = sender
        self._come: dict[str, Reply] = {}
        self._wanted: set[str] = set()
        self._next = await_reply(hub.keys, sender, WAIT_SLICE)
        self._next_packed = packed_all([self._next])
        # Where the next reply is waited for, and until when Redis does:
        self._waits: tuple[SyncLane, float] | None = None

    def want(self, message_ids: Iterable[str]) -> None:
        """Replies to these messages will be asked for. What answers no message that is wanted is dropped."""
        self._wanted.update(message_ids)

    def ask_ahead(self, command: Command[Any], timeout: float) -> list[Any] | Exception | None:
        """Send a command, and in the same write the wait for the next reply, for at most ``timeout`` seconds. The answer: what the command
        has come to so far (``tried`` of :meth:`SyncRedis.run_many`). None: it is still to be sent.
        """
        if self._waits is not None and self._waits[0].pid != os.getpid():
            self._waits = None  # that of the process that was forked
        if self._waits is not None or self._hub.config.wait_replicas:
            return None
        wait = self._next_packed
        if timeout < WAIT_SLICE:
            wait = packed_all([await_reply(self._hub.keys, self._sender, max(0.01, timeout))])
        tried, lane = self._redis.ask_ahead(command, wait)
        if lane is not None:
            self._waits = lane, time.monotonic() + min(timeout, WAIT_SLICE)
        return tried

    def collect(self, ids: Sequence[str], timeout: float, again: bool = False) -> dict[str, Reply]:
        """The replies to these messages that come within ``timeout`` seconds. None of them is wanted any more afterwards, but with
        ``again`` those that did not come.
        """
        until, config = time.monotonic() + timeout, self._hub.config
        short: NotReplicated | None = None
        missing = {message_id for message_id in ids if message_id not in self._come}
        while missing:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                first, confirmed = self._await_reply(left)
                if first is None:
                    continue
                batch = [first]
                if len(missing) > 1 and not config.wait_replicas:
                    batch += self._redis.run(more_replies(self._hub.keys, self._sender, 1000))
            except LOST as error:
                if time.monotonic() >= until:
                    raise unavailable(self._redis.server, error) from error
                time.sleep(0.05)
                continue
            for data in batch:
                reply = reply_of(self._hub, self._sender, data)
                if reply is None:  # it answers nobody's call
                    continue
                message_id, status, node, payload = reply
                if message_id in self._wanted:
                    self._come[message_id] = (status, node, payload)
                    if message_id in missing:
                        missing.discard(message_id)
                        short = short or shortfall(confirmed, config, "done and answered")
        self._wanted.difference_update(ids)
        if again:
            self._wanted.update(missing)
        if short is not None:
            for message_id in ids:
                self._come.pop(message_id, None)
            raise short
        return {message_id: self._come.pop(message_id) for message_id in ids if message_id in self._come}

    def _await_reply(self, left: float) -> tuple[bytes | None, int]:
        if self._waits is not None:
            lane, ends = self._waits
            if lane.pid == os.getpid():
                return self._on(lane, ends, left), 0
            self._waits = None
        timeout = max(0.01, min(left, WAIT_SLICE))
        command, config = await_reply(self._hub.keys, self._sender, timeout), self._hub.config
        if not config.wait_replicas:
            return self._redis.run(command), 0
        first, _, confirmed = self._redis.run_many(with_wait([command], config))
        return first, confirmed

    def _on(self, lane: SyncLane, ends: float, left: float) -> bytes | None:
        """What the wait that is under way brings. None: nothing within the time; then it goes on, if it was not over."""
        soon = ends - time.monotonic() < left + _ENDS_SOON
        answers: list[Any] | None = None
        try:
            answers = lane.heard(1, None if soon else left)
        finally:
            if answers is not None or lane.lost:
                self._waits = None
                self._redis.give_back(lane)
        if answers is None:
            return None
        found: bytes | None = self._redis.run_many([self._next], tried=answers)[0]
        return found
