"""Messages of one event loop on their way to Redis: those of the same moment share one round trip, in the order they were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hubq.client.asking.async_replies import AsyncReplies
from hubq.client.asking.context import HubContext
from hubq.client.asking.refusals import accepted, refused_sends, void_command
from hubq.client.asking.requests import RETRY_FOR, send_commands
from hubq.core.send_window import SendWindow
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis
from hubq.store.outgoing import Outgoing
from hubq.store.replication import shortfall, with_wait


class AsyncSends:
    """Numbers what one sender writes, and writes it. Who waits for the reply to a message is known to ``replies``."""

    def __init__(self, hub: HubContext, redis: AsyncRedis, sender: str, replies: AsyncReplies) -> None:
        self._hub = hub
        self._redis = redis
        self._sender = sender
        self._replies = replies
        self._loop = asyncio.get_running_loop()
        self._window = SendWindow()
        self._outbox: list[tuple[int, Outgoing, asyncio.Future[str]]] = []
        self._room = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Send what is waiting."""
        if self._flusher is not None:
            await self._flusher

    async def number(self) -> int:
        """The next number of the sender; it waits until the window has room for one."""
        while (seq := self._window.take()) is None:
            self._room.clear()
            await self._room.wait()
        return seq

    def settle(self, seq: int) -> None:
        """What becomes of a number is known."""
        self._window.settle(seq)
        self._room.set()

    async def send(self, messages: Sequence[Outgoing]) -> list[tuple[str, str]]:
        """Send messages in this order: the id of each, and its status word."""
        posted: list[tuple[int, Outgoing, asyncio.Future[str]]] = []
        try:
            for message in messages:
                seq = self._window.take()
                if seq is None:
                    seq = await self.number()
                posted.append((seq, message, self._post(seq, message)))
            words = await asyncio.gather(*[done for _, _, done in posted])
        except BaseException:
            for seq, message, done in posted:
                if not done.cancel() and not done.cancelled():
                    done.exception()  # so that asyncio does not warn of an exception that was never read
                if message.reply:
                    self._replies.forget(str(seq))
            raise
        for (seq, message, _), word in zip(posted, words, strict=True):
            if message.reply and word not in ("ok", "duplicate"):
                self._replies.forget(str(seq))
        return [(str(seq), word) for (seq, _, _), word in zip(posted, words, strict=True)]

    def _post(self, seq: int, message: Outgoing) -> asyncio.Future[str]:
        """Put a message into the next flush. The answer: a future of its status word."""
        done: asyncio.Future[str] = self._loop.create_future()
        self._outbox.append((seq, message, done))
        if self._flusher is None:
            self._flusher = self._loop.create_task(self._flush())
        if message.reply:
            self._replies.expect(str(seq))
            self._replies.listen_soon()  # after the flusher: the reply is asked for while the message is on its way
        return done

    async def send_one(self, message: Outgoing) -> tuple[str, str]:
        """The same for one message: no more coroutines than needed."""
        seq = self._window.take()
        if seq is None:
            seq = await self.number()
        done = self._post(seq, message)
        message_id = str(seq)
        if not message.reply:
            return message_id, await done
        try:
            word = await done
        except BaseException:
            self._replies.forget(message_id)
            raise
        if word not in ("ok", "duplicate"):
            self._replies.forget(message_id)
        return message_id, word

    async def _flush(self) -> None:
        # One request at a time, so that messages arrive in the order they were sent even if one must be repeated.
        try:
            while self._outbox:
                batch, self._outbox = self._outbox, []
                await self._flush_batch(batch)
        finally:
            self._flusher = None

    async def _flush_batch(self, batch: list[tuple[int, Outgoing, asyncio.Future[str]]]) -> None:
        settle, repeated = self._window.settle, self._redis.repeated
        try:
            groups = send_commands(self._hub, self._sender, [(seq, message) for seq, message, _ in batch])
            answers = await self.written([command for _, command in groups], "sent")
            if self._redis.repeated != repeated:
                await self._void_refused(batch, [places for places, _ in groups], answers)
        except Exception as error:
            for seq, _, done in batch:
                settle(seq)
                if not done.done():
                    done.set_exception(error)
        else:
            for (places, _), words in zip(groups, answers, strict=True):
                for place, word in zip(places, words, strict=True):
                    seq, _, done = batch[place]
                    settle(seq)
                    if not done.done():
                        done.set_result(word)
        self._room.set()

    async def _void_refused(
        self, batch: list[tuple[int, Outgoing, asyncio.Future[str]]], places: list[list[int]], answers: list[list[str]]
    ) -> None:
        """A message that was refused in the end must not be done by an earlier try that arrives late."""
        for of, words in zip(places, answers, strict=True):
            numbers = [batch[place][0] for place in of]
            done = await self.void(refused_sends(numbers, words))
            words[:] = ["ok" if seq in done else word for seq, word in zip(numbers, words, strict=True)]

    async def void(self, numbers: list[int]) -> set[int]:
        """Make these numbers void. The answer: the numbers that were done already."""
        if not numbers:
            return set()
        command = void_command(self._hub, self._sender, numbers)
        return accepted(numbers, await self._redis.run(command, retry_for=RETRY_FOR))

    async def written(self, commands: Sequence[Command[Any]], what: str) -> list[Any]:
        """Run commands that write, again after a lost connection; wait for replicas if the hub does. ``what`` was done, for the
        error.
        """
        config = self._hub.config
        if not config.wait_replicas:
            return await self._redis.run_many(commands, retry_for=RETRY_FOR)
        *found, confirmed = await self._redis.run_many(with_wait(commands, config), retry_for=RETRY_FOR)
        error = shortfall(confirmed, config, what)
        if error is not None:
            raise error
        return found
