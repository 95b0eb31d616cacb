"""A session drives operations by awaiting: one per event loop. Sends of the same moment share one round trip."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.feeds import FeedReader, read_event
from hubq.client.asking.refusals import accepted, refused_sends, refused_starts, void_command
from hubq.client.asking.requests import (
    RETRY_FOR,
    STARTS,
    WAIT_SLICE,
    WITHDRAW_WAIT,
    new_intervention,
    new_sender,
    proof,
    remind_command,
    reply_of,
    send_commands,
    start_command,
)
from hubq.client.asking.steps import (
    Cancel,
    Collect,
    Each,
    Fetch,
    Intervene,
    Operation,
    Pause,
    Remind,
    Reply,
    Send,
    Start,
    Step,
    Withdraw,
)
from hubq.core.send_window import SendWindow
from hubq.errors import NotReplicated
from hubq.store.asks import Asks, intervene, withdraw_call
from hubq.store.command import Command
from hubq.store.connection import LOST, AsyncRedis
from hubq.store.outgoing import Outgoing
from hubq.store.reminders import Later
from hubq.store.replication import shortfall, with_wait
from hubq.store.replies import await_reply, more_replies
from hubq.store.spec_record import SpecRecord

T = TypeVar("T")

log = logging.getLogger("hubq.client")


class AsyncSession:
    """Drives operations for one event loop."""

    def __init__(self, hub: HubContext, redis: AsyncRedis) -> None:
        self.hub = hub
        self.sender = new_sender(hub.client)
        self.redis = redis
        self.feeds = FeedReader(redis, partial(read_event, hub))
        self._loop = asyncio.get_running_loop()
        self._window = SendWindow()
        self._outbox: list[tuple[int, Outgoing, asyncio.Future[str]]] = []
        self._room = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[Reply | None]] = {}  # by message id
        self._due: set[str] = set()  # message ids whose reply has not come yet

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
                if type(step) is Send and len(step.messages) == 1:  # the common case: no more coroutines than needed
                    answer = (await self._send_one(step.messages[0]),)
                else:
                    answer = await self._perform(step)
            except Exception as raised:
                error = raised

    async def _perform(self, step: Step) -> Any:
        match step:
            case Send(messages):
                return await self._send(messages)
            case Remind(later):
                return await self._remind(later)
            case Start():
                return await self._start(step)
            case Pause(seconds):
                return await asyncio.sleep(seconds)
            case Withdraw(shard, child, message_id):
                return await self._withdraw(shard, child, message_id)
            case Cancel():
                return await self._cancel(step)
            case Intervene():
                return await self._intervene(step)
            case Collect(ids, timeout):
                return await self._collect(ids, timeout)
            case Fetch(commands):
                return await self.redis.run_many(commands)
            case Each():
                raise TypeError("a session is of one group")

    async def close(self) -> None:
        """Send what is waiting, end the tasks, close the connections."""
        if self._flusher is not None:
            await self._flusher
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        await self.feeds.close()
        await self.redis.close()

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
            self._waiting[message_id] = self._loop.create_future()
            self._due.add(message_id)

    def _forget(self, message_id: str) -> None:
        self._waiting.pop(message_id, None)
        self._due.discard(message_id)

    async def _send(self, messages: Sequence[Outgoing]) -> list[tuple[str, str]]:
        posted: list[tuple[int, Outgoing, asyncio.Future[str]]] = []
        try:
            for message in messages:
                seq = self._window.take()
                if seq is None:
                    seq = await self._number()
                posted.append((seq, message, self._post(seq, message)))
            words = await asyncio.gather(*[done for _, _, done in posted])
        except BaseException:
            for seq, message, done in posted:
                if not done.cancel() and not done.cancelled():
                    done.exception()  # so that asyncio does not warn of an exception that was never read
                if message.reply:
                    self._forget(str(seq))
            raise
        for (seq, message, _), word in zip(posted, words, strict=True):
            if message.reply and word not in ("ok", "duplicate"):
                self._forget(str(seq))
        return [(str(seq), word) for (seq, _, _), word in zip(posted, words, strict=True)]

    def _post(self, seq: int, message: Outgoing) -> asyncio.Future[str]:
        """Put a message into the next flush. The answer: a future of its status word."""
        done: asyncio.Future[str] = self._loop.create_future()
        self._outbox.append((seq, message, done))
        if self._flusher is None:
            self._flusher = self._loop.create_task(self._flush())
        if message.reply:
            self._expect(str(seq))
            self._listen_soon()  # after the flusher: the reply is asked for while the message is on its way
        return done

    async def _send_one(self, message: Outgoing) -> tuple[str, str]:
        seq = self._window.take()
        if seq is None:
            seq = await self._number()
        done = self._post(seq, message)
        message_id = str(seq)
        if not message.reply:
            return message_id, await done
        try:
            word = await done
        except BaseException:
            self._forget(message_id)
            raise
        if word not in ("ok", "duplicate"):
            self._forget(message_id)
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
        settle, repeated = self._window.settle, self.redis.repeated
        try:
            groups = send_commands(self.hub, self.sender, [(seq, message) for seq, message, _ in batch])
            answers = await self._written([command for _, command in groups], "sent")
            if self.redis.repeated != repeated:
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
            done = await self._void(refused_sends(numbers, words))
            words[:] = ["ok" if seq in done else word for seq, word in zip(numbers, words, strict=True)]

    async def _void(self, numbers: list[int]) -> set[int]:
        """Make these numbers void. The answer: the numbers that were done already."""
        if not numbers:
            return set()
        command = void_command(self.hub, self.sender, numbers)
        return accepted(numbers, await self.redis.run(command, retry_for=RETRY_FOR))

    async def _written(self, commands: Sequence[Command[Any]], what: str) -> list[Any]:
        config = self.hub.config
        if not config.wait_replicas:
            return await self.redis.run_many(commands, retry_for=RETRY_FOR)
        *found, confirmed = await self.redis.run_many(with_wait(commands, config), retry_for=RETRY_FOR)
        error = shortfall(confirmed, config, what)
        if error is not None:
            raise error
        return found

    async def _remind(self, later: Later) -> str:
        seq = self._window.take()
        if seq is None:
            seq = await self._number()
        repeated = self.redis.repeated
        try:
            ((word,),) = await self._written([remind_command(self.hub, self.sender, seq, later)], "set")
            if self.redis.repeated != repeated and await self._void(refused_sends([seq], [word])):
                word = "ok"
        finally:
            self._window.settle(seq)
            self._room.set()
        return str(word)

    async def _start(self, start: Start) -> dict[int, tuple[str, list[str]]]:
        answers: dict[int, tuple[str, list[str]]] = {}
        names = list(start.shards)
        for first in range(0, len(names), STARTS):
            some = {shard: start.shards[shard] for shard in names[first : first + STARTS]}
            answers |= await self._start_some(some, start)
        return answers

    async def _start_some(
        self, shards: Mapping[int, Mapping[str, SpecRecord]], start: Start
    ) -> dict[int, tuple[str, list[str]]]:
        numbers: dict[int, int] = {}
        try:
            for shard in shards:
                numbers[shard] = await self._number()
            commands = [
                start_command(self.hub, self.sender, numbers[shard], shard, specs, start)
                for shard, specs in shards.items()
            ]
            for seq in numbers.values():
                self._expect(str(seq))
            repeated, found = self.redis.repeated, await self._written(commands, "started")
            if self.redis.repeated != repeated:
                refused = refused_starts(numbers, found, start.all_or_nothing)
                done = await self._void(list(refused.values()))
                for place, (seq, command) in enumerate(zip(numbers.values(), commands, strict=True)):
                    if seq in done:
                        found[place] = await self.redis.run(command, retry_for=RETRY_FOR)
        except BaseException:
            for seq in numbers.values():
                self._forget(str(seq))
            raise
        finally:
            for seq in numbers.values():
                self._settle(seq)
        return {shard: (str(seq), words) for (shard, seq), words in zip(numbers.items(), found, strict=True)}

    async def _withdraw(self, shard: int, child: str, message_id: str) -> tuple[str, Reply | None]:
        self._expect(message_id)
        self._listen_soon()
        try:
            node = await self.redis.run(
                withdraw_call(
                    self.hub.keys,
                    shard,
                    child,
                    self.sender,
                    message_id,
                    proof=proof(self.hub, "withdraw", child, self.sender, message_id),
                )
            )
        except BaseException:
            self._forget(message_id)
            raise
        wait = WITHDRAW_WAIT if node not in ("", "-") else 0.0
        return node, (await self._collect([message_id], wait)).get(message_id)

    async def _cancel(self, step: Cancel) -> tuple[str, str | None]:
        answer_id, caller = new_intervention(), step.caller or self.sender
        self._expect(answer_id)
        self._listen_soon()
        asks = Asks(self.sender, answer_id)
        try:
            node = await self.redis.run(
                withdraw_call(
                    self.hub.keys,
                    step.shard,
                    step.child,
                    caller,
                    step.message_id,
                    asks,
                    proof=proof(self.hub, "cancel", step.child, self.sender, caller, step.message_id, answer_id),
                )
            )
        except BaseException:
            self._forget(answer_id)
            raise
        answer = (await self._collect([answer_id], step.timeout if node not in ("", "-") else 0.0)).get(answer_id)
        return node, answer[0] if answer else None

    async def _intervene(self, step: Intervene) -> tuple[str, Reply | None]:
        message_id = new_intervention()
        self._expect(message_id)
        self._listen_soon()
        ask = (step.shard, step.child, self.sender, message_id, step.what, step.entry)
        try:
            node = await self.redis.run(
                intervene(
                    self.hub.keys,
                    *ask,
                    proof=proof(self.hub, step.what, step.child, self.sender, message_id, step.entry),
                )
            )
        except BaseException:
            self._forget(message_id)
            raise
        wait = step.timeout if node not in ("", "-") else 0.0
        return node, (await self._collect([message_id], wait)).get(message_id)

    async def _collect(self, ids: Sequence[str], timeout: float) -> dict[str, Reply]:
        for message_id in ids:
            self._expect(message_id)
        self._listen_soon()
        futures = [self._waiting[message_id] for message_id in ids]
        try:
            if len(futures) == 1:
                await self._one(futures[0], timeout)
            elif futures:
                await asyncio.wait(futures, timeout=timeout)
        finally:
            for message_id in ids:
                self._forget(message_id)
        return {
            message_id: reply
            for message_id, future in zip(ids, futures, strict=True)
            if future.done() and not future.cancelled() and (reply := future.result()) is not None
        }

    async def _one(self, future: asyncio.Future[Reply | None], timeout: float) -> None:
        timer = self._loop.call_later(timeout, _give_up, future)
        try:
            await future
        finally:
            timer.cancel()

    def _listen_soon(self) -> None:
        if self._listener is None and self._due:
            self._listener = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        # A popped reply is gone from Redis, so this task is never cancelled by a caller's time-out.
        pause, config = 0.02, self.hub.config
        try:
            while self._due:
                try:
                    if config.wait_replicas:
                        await self._listen_with_wait()
                        continue
                    first = await self.redis.run(await_reply(self.hub.keys, self.sender, WAIT_SLICE))
                    self._deliver(first)
                    while first is not None and self._due:
                        batch = await self.redis.run(more_replies(self.hub.keys, self.sender, 1000))
                        for data in batch:
                            self._deliver(data)
                        if len(batch) < 1000:
                            break
                    pause = 0.02
                except LOST:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 0.5)
                except Exception:
                    log.exception("waiting for replies failed")
                    await asyncio.sleep(0.5)
        finally:
            self._listener = None

    async def _listen_with_wait(self) -> None:
        command, config = await_reply(self.hub.keys, self.sender, WAIT_SLICE), self.hub.config
        first, _, confirmed = await self.redis.run_many(with_wait([command], config))
        self._deliver(first, shortfall(confirmed, config, "done and answered"))

    def _deliver(self, data: bytes | None, error: NotReplicated | None = None) -> None:
        if data is not None:
            reply = reply_of(self.hub, self.sender, data)
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
