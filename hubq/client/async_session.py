"""A session drives operations by awaiting: one per event loop. Sends of the same moment share one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from hubq.client.operations import HubContext
from hubq.client.session import BATCH, RETRY_FOR, WAIT_SLICE, Reply, new_sender, send_commands, start_command
from hubq.client.steps import Collect, Draft, Fetch, Operation, Send, Start, Step
from hubq.core.send_window import SendWindow
from hubq.store.connection import LOST, AsyncRedis
from hubq.store.mailbox import await_reply, more_replies, read_reply
from hubq.store.spec_record import SpecRecord

T = TypeVar("T")


class AsyncSession:
    """Drives operations for one event loop."""

    def __init__(self, hub: HubContext, redis: AsyncRedis) -> None:
        self.hub = hub
        self.sender = new_sender()
        self._redis = redis
        self._window = SendWindow()
        self._outbox: list[tuple[int, Draft, asyncio.Future[str]]] = []
        self._room = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[Reply]] = {}

    async def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                step = operation.throw(error) if error is not None else operation.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer, error = None, None
            try:
                answer = await self._perform(step)
            except Exception as raised:
                error = raised

    async def _perform(self, step: Step) -> Any:
        match step:
            case Send(messages):
                return await self._send(messages)
            case Start(shards, whole):
                return await self._start(shards, whole)
            case Collect(ids, timeout):
                return await self._collect(ids, timeout)
            case Fetch(commands):
                return await self._redis.run_many(commands)

    async def close(self) -> None:
        """Send what is waiting, end the tasks, close the connections."""
        if self._flusher is not None:
            await self._flusher
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        await self._redis.close()

    async def _number(self) -> int:
        while (seq := self._window.take()) is None:
            self._room.clear()
            await self._room.wait()
        return seq

    def _settle(self, seq: int) -> None:
        self._window.settle(seq)
        self._room.set()

    def _expect(self, message_id: str) -> None:
        if message_id not in self._waiting:
            self._waiting[message_id] = asyncio.get_running_loop().create_future()

    async def _send(self, drafts: Sequence[Draft]) -> list[tuple[str, str]]:
        sent: list[tuple[int, Draft, asyncio.Future[str]]] = []
        loop = asyncio.get_running_loop()
        try:
            for draft in drafts:
                item = (await self._number(), draft, loop.create_future())
                if draft.reply:
                    self._expect(str(item[0]))
                sent.append(item)
                self._outbox.append(item)
                if self._flusher is None or self._flusher.done():
                    self._flusher = loop.create_task(self._flush())
            words = [await done for _, _, done in sent]
        except BaseException:
            for seq, _, done in sent:
                self._waiting.pop(str(seq), None)
                done.cancel()
            raise
        for (seq, _, _), word in zip(sent, words, strict=True):
            if word not in ("ok", "duplicate"):
                self._waiting.pop(str(seq), None)
        return [(str(seq), word) for (seq, _, _), word in zip(sent, words, strict=True)]

    async def _flush(self) -> None:
        # One request at a time, so that messages arrive in the order they were sent even if one must be repeated.
        while self._outbox:
            batch, self._outbox = self._outbox, []
            groups = send_commands(self.hub, self.sender, [(seq, draft) for seq, draft, _ in batch])
            try:
                answers = await self._redis.run_many([command for _, command in groups], retry_for=RETRY_FOR)
            except Exception as error:
                for seq, _, done in batch:
                    self._settle(seq)
                    if not done.done():
                        done.set_exception(error)
                continue
            for (places, _), words in zip(groups, answers, strict=True):
                for place, word in zip(places, words, strict=True):
                    seq, _, done = batch[place]
                    self._settle(seq)
                    if not done.done():
                        done.set_result(word)

    async def _start(
        self, shards: Mapping[int, Mapping[str, SpecRecord]], whole: bool
    ) -> dict[int, tuple[str, list[str]]]:
        answers: dict[int, tuple[str, list[str]]] = {}
        names = list(shards)
        for first in range(0, len(names), BATCH):
            answers |= await self._start_some({shard: shards[shard] for shard in names[first : first + BATCH]}, whole)
        return answers

    async def _start_some(
        self, shards: Mapping[int, Mapping[str, SpecRecord]], whole: bool
    ) -> dict[int, tuple[str, list[str]]]:
        numbers: dict[int, int] = {}
        try:
            for shard in shards:
                numbers[shard] = await self._number()
            commands = [
                start_command(self.hub, self.sender, numbers[shard], shard, specs, whole)
                for shard, specs in shards.items()
            ]
            for seq in numbers.values():
                self._expect(str(seq))
            found = await self._redis.run_many(commands, retry_for=RETRY_FOR)
        except BaseException:
            for seq in numbers.values():
                self._waiting.pop(str(seq), None)
            raise
        finally:
            for seq in numbers.values():
                self._settle(seq)
        return {shard: (str(seq), words) for (shard, seq), words in zip(numbers.items(), found, strict=True)}

    async def _collect(self, ids: Sequence[str], timeout: float) -> dict[str, Reply]:
        for message_id in ids:
            self._expect(message_id)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())
        futures = [self._waiting[message_id] for message_id in ids]
        try:
            if futures:
                await asyncio.wait(futures, timeout=timeout)
        finally:
            for message_id in ids:
                self._waiting.pop(message_id, None)
        return {
            message_id: f.result() for message_id, f in zip(ids, futures, strict=True) if f.done() and not f.cancelled()
        }

    async def _listen(self) -> None:
        # A popped reply is gone from Redis, so this task is never cancelled by a caller's time-out.
        pause = 0.02
        while self._waiting:
            try:
                first = await self._redis.run(await_reply(self.hub.keys, self.sender, WAIT_SLICE))
                self._deliver(first)
                while first is not None and len(self._waiting) > 1:
                    batch = await self._redis.run(more_replies(self.hub.keys, self.sender, 1000))
                    for data in batch:
                        self._deliver(data)
                    if len(batch) < 1000:
                        break
                pause = 0.02
            except LOST:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.5)

    def _deliver(self, data: bytes | None) -> None:
        if data is not None:
            message_id, status, node, payload = read_reply(data)
            future = self._waiting.get(message_id)
            if future is not None and not future.done():
                future.set_result((status, node, payload))
