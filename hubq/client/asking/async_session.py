"""A session drives operations by awaiting: one per event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from hubq.client.asking.async_replies import AsyncReplies
from hubq.client.asking.async_sends import AsyncSends, Together
from hubq.client.asking.context import HubContext
from hubq.client.asking.feeds import FeedReader, read_event
from hubq.client.asking.refusals import refused_sends, refused_starts
from hubq.client.asking.requests import (
    RETRY_FOR,
    STARTS,
    WITHDRAW_WAIT,
    new_intervention,
    new_sender,
    proof,
    remind_command,
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
    Scatter,
    Send,
    Start,
    Step,
    Withdraw,
)
from hubq.store.asks import Asks, intervene, withdraw_call
from hubq.store.connection import AsyncRedis
from hubq.store.outgoing import Outgoing
from hubq.store.reminders import Later
from hubq.store.spec_record import SpecRecord

T = TypeVar("T")


class AsyncSession:
    """Drives operations for one event loop."""

    def __init__(self, hub: HubContext, redis: AsyncRedis) -> None:
        self.hub = hub
        self.sender = new_sender(hub.client)
        self.redis = redis
        self.feeds = FeedReader(redis, partial(read_event, hub))
        self._replies = AsyncReplies(hub, redis, self.sender)
        self._sends = AsyncSends(hub, redis, self.sender, self._replies)

    def begin(self, messages: Sequence[Outgoing]) -> Together:
        """See :meth:`AsyncSends.begin`."""
        return self._sends.begin(messages)

    def sent(self, together: Together) -> Coroutine[Any, Any, list[tuple[str, str]]]:
        """See :meth:`AsyncSends.sent`."""
        return self._sends.sent(together)

    def give_up(self, together: Together) -> None:
        """See :meth:`AsyncSends.give_up`."""
        self._sends.give_up(together)

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
                # The common cases: no more coroutines than needed.
                if type(step) is Send and len(step.messages) == 1:
                    answer = (await self._sends.send_one(step.messages[0]),)
                elif type(step) is Collect and len(step.ids) == 1 and not step.again:
                    answer = await self._replies.collect_one(step.ids[0], step.timeout)
                else:
                    answer = await self._perform(step)
            except Exception as raised:
                error = raised

    async def _perform(self, step: Step) -> Any:
        match step:
            case Send(messages):
                return await self._sends.send(messages)
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
            case Collect(ids, timeout, again):
                return await self._replies.collect(ids, timeout, again)
            case Fetch(commands):
                return await self.redis.run_many(commands)
            case Each() | Scatter():
                raise TypeError("a session is of one group")

    async def close(self) -> None:
        """Send what is waiting, end the tasks, close the connections."""
        await self._sends.close()
        await self._replies.close()
        await self.feeds.close()
        await self.redis.close()

    async def _remind(self, later: Later) -> str:
        seq = await self._sends.number()
        repeated = self.redis.repeated
        try:
            ((word,),) = await self._sends.written([remind_command(self.hub, self.sender, seq, later)], "set")
            if self.redis.repeated != repeated and await self._sends.void(refused_sends([seq], [word])):
                word = "ok"
        finally:
            self._sends.settle(seq)
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
                numbers[shard] = await self._sends.number()
            commands = [
                start_command(self.hub, self.sender, numbers[shard], shard, specs, start)
                for shard, specs in shards.items()
            ]
            for seq in numbers.values():
                self._replies.expect(str(seq))
            repeated, found = self.redis.repeated, await self._sends.written(commands, "started")
            if self.redis.repeated != repeated:
                refused = refused_starts(numbers, found, start.all_or_nothing)
                done = await self._sends.void(list(refused.values()))
                for place, (seq, command) in enumerate(zip(numbers.values(), commands, strict=True)):
                    if seq in done:
                        found[place] = await self.redis.run(command, retry_for=RETRY_FOR)
        except BaseException:
            for seq in numbers.values():
                self._replies.forget(str(seq))
            raise
        finally:
            for seq in numbers.values():
                self._sends.settle(seq)
        return {shard: (str(seq), words) for (shard, seq), words in zip(numbers.items(), found, strict=True)}

    async def _withdraw(self, shard: int, child: str, message_id: str) -> tuple[str, Reply | None]:
        self._replies.expect(message_id)
        self._replies.listen_soon()
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
            self._replies.forget(message_id)
            raise
        wait = WITHDRAW_WAIT if node not in ("", "-") else 0.0
        return node, (await self._replies.collect([message_id], wait)).get(message_id)

    async def _cancel(self, step: Cancel) -> tuple[str, str | None]:
        answer_id, caller = new_intervention(), step.caller or self.sender
        self._replies.expect(answer_id)
        self._replies.listen_soon()
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
            self._replies.forget(answer_id)
            raise
        answer = (await self._replies.collect([answer_id], step.timeout if node not in ("", "-") else 0.0)).get(
            answer_id
        )
        return node, answer[0] if answer else None

    async def _intervene(self, step: Intervene) -> tuple[str, Reply | None]:
        message_id = new_intervention()
        self._replies.expect(message_id)
        self._replies.listen_soon()
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
            self._replies.forget(message_id)
            raise
        wait = step.timeout if node not in ("", "-") else 0.0
        return node, (await self._replies.collect([message_id], wait)).get(message_id)
