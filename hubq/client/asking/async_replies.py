"""Replies of one event loop: who waits for them, and the one task that takes them out of Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from hubq.client.asking.context import HubContext
from hubq.client.asking.requests import WAIT_SLICE, reply_of
from hubq.client.asking.steps import Reply
from hubq.errors import NotReplicated
from hubq.store.connection import LOST, AsyncRedis
from hubq.store.lane import Lane, Receiver, packed_all
from hubq.store.replication import shortfall, with_wait
from hubq.store.replies import await_reply, more_replies

log = logging.getLogger("hubq.client")


class _Listening(msgspec.Struct):
    """The next reply is waited for on this connection, without a task."""

    replies: AsyncReplies
    lane: Lane

    def done(self) -> bool:
        """It always wants to hear."""
        return False

    def set_result(self, result: list[Any], /) -> None:
        """A reply, or none within the time."""
        self.replies.heard(self.lane, result[0])

    def set_exception(self, exception: Exception, /) -> None:
        """The connection is lost."""
        self.replies.heard(self.lane, exception)


class AsyncReplies:
    """``expect`` a reply, then ``listen_soon``, then ``collect`` it, or ``forget`` it. Replies are taken out of Redis while some are
    expected: by a task, or on the :meth:`lane` by which a message goes out that is answered soon.
    """

    def __init__(self, hub: HubContext, redis: AsyncRedis, sender: str) -> None:
        self._hub = hub
        self._redis = redis
        self._sender = sender
        self._loop = asyncio.get_running_loop()
        self._listener: asyncio.Task[None] | None = None
        self._listening = False  # on a lane
        self._closed = False
        self._next = await_reply(hub.keys, sender, WAIT_SLICE)
        self._next_packed = packed_all([self._next])
        self._waiting: dict[str, asyncio.Future[Reply | None]] = {}  # by message id
        self._due: set[str] = set()  # message ids whose reply has not come yet

    def expect(self, message_id: str) -> None:
        """A reply to this message will come. Again: nothing happens."""
        future = self._waiting.get(message_id)
        if future is None:
            self._waiting[message_id] = self._loop.create_future()
            self._due.add(message_id)
        elif not future.done():
            self._due.add(message_id)

    def forget(self, message_id: str) -> None:
        """Nobody waits for this reply any more."""
        self._waiting.pop(message_id, None)
        self._due.discard(message_id)

    def listen_soon(self) -> None:
        """Take replies out of Redis from now on, if some are expected."""
        if self._listener is None and not self._listening and self._due:
            self._listener = self._loop.create_task(self._listen())

    def lane(self) -> Lane | None:
        """A connection for a message whose reply is waited for behind it, with :meth:`listens_on`. None: no reply is expected, or there is
        somebody who waits, or no connection stands.
        """
        if self._listener is not None or self._listening or not self._due or self._hub.config.wait_replicas:
            return None
        return self._redis.lane(blocking=True)

    def listens_on(self, lane: Lane) -> tuple[bytes, Receiver]:
        """The next reply is waited for on this lane, by this request: whoever has the lane sends it."""
        self._listening = True
        return self._next_packed, _Listening(self, lane)

    def heard(self, lane: Lane, said: object) -> None:
        """The wait on a lane has ended. If that was all, nobody waits for more."""
        self._listening = False
        self._redis.give_back(lane)
        if isinstance(said, list):
            self._deliver(said[1])
        if self._due and not self._closed and self._listener is None:
            self._listener = self._loop.create_task(self._listen(more=isinstance(said, list)))

    async def close(self) -> None:
        """End the task. Again: nothing happens."""
        self._closed = True
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def collect(self, ids: Sequence[str], timeout: float, again: bool = False) -> dict[str, Reply]:
        """The replies to these messages that come within ``timeout`` seconds. None of them is expected any more afterwards, but with
        ``again`` those that did not come.
        """
        for message_id in ids:
            self.expect(message_id)
        self.listen_soon()
        futures = [self._waiting[message_id] for message_id in ids]
        ended = False
        try:
            if futures:
                await asyncio.wait(futures, timeout=timeout)
            ended = True
        finally:
            for message_id, future in zip(ids, futures, strict=True):
                if again and ended and not future.done():
                    self._due.discard(message_id)  # (it is taken if it comes before it is asked for)
                else:
                    self.forget(message_id)
        return {
            message_id: reply
            for message_id, future in zip(ids, futures, strict=True)
            if future.done() and not future.cancelled() and (reply := future.result()) is not None
        }

    async def collect_one(self, message_id: str, timeout: float) -> dict[str, Reply]:
        """The same for one message."""
        self.expect(message_id)
        self.listen_soon()
        future = self._waiting[message_id]
        try:
            await self._one(future, timeout)
        finally:
            self.forget(message_id)
        reply = future.result()
        return {message_id: reply} if reply is not None else {}

    async def _one(self, future: asyncio.Future[Reply | None], timeout: float) -> None:
        timer = self._loop.call_later(timeout, _give_up, future)
        try:
            await future
        finally:
            timer.cancel()

    async def _listen(self, more: bool = False) -> None:
        """``more``: one was taken just now, and there may be others already."""
        # A popped reply is gone from Redis, so this task is never cancelled by a caller's time-out.
        pause, config = 0.02, self._hub.config
        try:
            while self._due:
                try:
                    if config.wait_replicas:
                        await self._listen_with_wait()
                        continue
                    if not more:
                        first = await self._redis.run(self._next)
                        self._deliver(first)
                        more = first is not None
                    while more and self._due:
                        batch = await self._redis.run(more_replies(self._hub.keys, self._sender, 1000))
                        for data in batch:
                            self._deliver(data)
                        more = len(batch) == 1000
                    pause, more = 0.02, False
                except LOST:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 0.5)
                except Exception:
                    log.exception("waiting for replies failed")
                    await asyncio.sleep(0.5)
        finally:
            self._listener = None

    async def _listen_with_wait(self) -> None:
        command, config = await_reply(self._hub.keys, self._sender, WAIT_SLICE), self._hub.config
        first, _, confirmed = await self._redis.run_many(with_wait([command], config))
        self._deliver(first, shortfall(confirmed, config, "done and answered"))

    def _deliver(self, data: bytes | None, error: NotReplicated | None = None) -> None:
        if data is not None:
            reply = reply_of(self._hub, self._sender, data)
            if reply is None:  # it answers nobody's call
                return
            message_id, status, node, payload = reply
            future = self._waiting.get(message_id)
            self._due.discard(message_id)
            if future is not None and not future.done():
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result((status, node, payload))


def _give_up(future: asyncio.Future[Reply | None]) -> None:
    if not future.done():
        future.set_result(None)
