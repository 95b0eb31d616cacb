"""Messages of one event loop on their way to Redis: those of the same moment share one round trip, in the order they were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

import msgspec

from hubq.client.asking.async_replies import AsyncReplies
from hubq.client.asking.context import HubContext
from hubq.client.asking.refusals import accepted, refused_sends, void_command
from hubq.client.asking.requests import RETRY_FOR, one_send, send_commands
from hubq.core.send_window import SendWindow
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis
from hubq.store.lane import packed_all
from hubq.store.outgoing import Outgoing
from hubq.store.replication import shortfall, with_wait

_wants_reply = attrgetter("reply")


def _all_ok(words: list[str]) -> bool:
    return words.count("ok") == len(words)


class Together:
    """The status words of messages that one caller waits for: one future for all of them, by number. (One for each, and a task of
    asyncio that gathers them, would cost a batch more than all else that is done for it.)
    """

    __slots__ = ("_count", "_words", "done", "messages", "numbers")

    def __init__(self, loop: asyncio.AbstractEventLoop, messages: Sequence[Outgoing]) -> None:
        self.messages = messages
        self.numbers: list[int] = []  # of those that were posted
        self.done: asyncio.Future[dict[int, str] | None] = loop.create_future()
        self._count = len(messages)
        self._words: dict[int, str] = {}

    @property
    def on_its_way(self) -> bool:
        """Whether all were posted: nothing but the answers is waited for."""
        return len(self.numbers) == self._count

    def waits_as(self, all_waiting: Sequence[object]) -> bool:
        """Whether these, who wait for the messages of a batch, are nobody but this one, and it waits for no others."""
        return len(all_waiting) == self._count == all_waiting.count(self)

    def accepted(self) -> None:
        """The word of all of them is ``ok``."""
        if not self.done.done():
            self.done.set_result(None)

    def told(self, seq: int, word: str) -> None:
        """The word of one message."""
        self._words[seq] = word
        if len(self._words) == self._count and not self.done.done():
            self.done.set_result(self._words)

    def failed(self, error: Exception) -> None:
        """What has become of a message is not known: nobody waits for the others any more."""
        if not self.done.done():
            self.done.set_exception(error)


#: A message, its number, and who waits for its status word: a future, or the words of several.
Posted = tuple[int, Outgoing, "asyncio.Future[str] | Together"]


class _Flush(msgspec.Struct):
    """Messages on their way to Redis. It is told by its connection what has become of them."""

    sends: AsyncSends
    batch: list[Posted]
    groups: list[tuple[list[int], Command[list[str]]]]
    repeated: int
    overtakes: bool = False
    """It is a call that goes out beside another flush, which is not answered yet."""

    def done(self) -> bool:
        """Somebody always waits for it."""
        return False

    def set_result(self, result: list[Any], /) -> None:
        """The answers to its commands."""
        self.sends.answered(self, result)

    def set_exception(self, exception: Exception, /) -> None:
        """The connection is lost."""
        self.sends.go_on(self, exception)


class AsyncSends:
    """Numbers what one sender writes, and writes it. Who waits for the reply to a message is known to ``replies``."""

    def __init__(self, hub: HubContext, redis: AsyncRedis, sender: str, replies: AsyncReplies) -> None:
        self._hub = hub
        self._redis = redis
        self._sender = sender
        self._replies = replies
        self._loop = asyncio.get_running_loop()
        self._window = SendWindow()
        self._one_send = one_send(hub, sender)
        self._outbox: list[Posted] = []
        self._room = asyncio.Event()
        self._flushing = False  # from the moment in which a message is posted until all are answered
        self._under_way: list[Posted] = []  # of the flush that is not answered yet
        self._overtaking = 0  # calls that went out beside it, and are not answered yet
        self._idle = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()  # of flushes that are not answered at once

    async def close(self) -> None:
        """Send what is waiting."""
        while self._flushing or self._overtaking:
            self._idle.clear()
            await self._idle.wait()

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
        return await self.sent(self.begin(messages)) if messages else []

    def begin(self, messages: Sequence[Outgoing]) -> Together:
        """Begin to send messages: as many as the window has room for go out soon. The rest in :meth:`sent`, which must follow."""
        together = Together(self._loop, messages)
        numbers, outbox = self._window.take_some(len(messages)), self._outbox
        if any(map(_wants_reply, messages)):
            for seq, message in zip(numbers, messages, strict=False):
                self._post(seq, message, together)
        else:
            outbox.extend(zip(numbers, messages, repeat(together), strict=False))
        together.numbers += numbers
        if outbox:
            self._flush_soon()
        return together

    async def sent(self, together: Together) -> list[tuple[str, str]]:
        """The id and the status word of each message, in order."""
        messages, numbers = together.messages, together.numbers
        try:
            for message in messages[len(numbers) :]:
                seq = await self.number()
                self._post(seq, message, together)
                numbers.append(seq)
            words = await together.done
            if words is None:
                return list(zip(map(str, numbers), repeat("ok")))
        except BaseException:
            self.give_up(together)
            raise
        found: list[tuple[str, str]] = []
        for seq, message in zip(numbers, messages, strict=True):
            message_id, word = str(seq), words[seq]
            if word != "ok" and message.reply and word != "duplicate":
                self._replies.forget(message_id)
            found.append((message_id, word))
        return found

    def give_up(self, together: Together) -> None:
        """Nobody waits for these messages any more."""
        if not together.done.cancel() and not together.done.cancelled():
            together.done.exception()  # so that asyncio does not warn of an exception that was never read
        for seq, message in zip(together.numbers, together.messages, strict=False):
            if message.reply:
                self._replies.forget(str(seq))

    def _post(self, seq: int, message: Outgoing, waiting: asyncio.Future[str] | Together) -> None:
        """Put a message into the next flush, which tells its status word to who is waiting."""
        if message.reply:
            self._replies.expect(str(seq))
            if self._under_way and self._overtakes((seq, message, waiting)):
                return
        self._outbox.append((seq, message, waiting))
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)  # what is posted in the same moment goes along

    def _overtakes(self, posted: Posted) -> bool:
        """Send a call beside a flush that is under way, unless that, or what waits behind it, has something for the same child. Somebody
        waits for its answer, and Redis may have hundreds of casts before it. (Messages to different children may come in any order, and so
        may their numbers.)
        """
        child = posted[1].child
        if any(message.child == child for _, message, _ in chain(self._under_way, self._outbox)):
            return False
        lane = self._replies.lane()
        if lane is None:
            return False
        try:
            groups = self._commands([posted])
        except Exception:  # it is told of that in its turn
            self._redis.give_back(lane)
            return False
        packed, listening = self._replies.listens_on(lane)
        self._overtaking += 1
        flush = _Flush(self, [posted], groups, self._redis.repeated, True)
        lane.ask(packed_all([groups[0][1]]) + packed, (1, flush), (1, listening))
        return True

    async def send_one(self, message: Outgoing) -> tuple[str, str]:
        """The same for one message: no more coroutines than needed."""
        seq = self._window.take()
        if seq is None:
            seq = await self.number()
        done: asyncio.Future[str] = self._loop.create_future()
        self._post(seq, message, done)
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

    def _flush(self) -> None:
        """Send what was posted. One request at a time, so that messages arrive in the order they were sent even if one must be repeated.

        Nearly always a connection stands, and Redis accepts: then all this takes no task. The reply to a message is waited for on the
        connection that the message goes by, in the same write.
        """
        batch, self._outbox = self._outbox, []
        self._under_way = batch
        try:
            groups = self._commands(batch)
        except Exception as error:
            self._failed(batch, error)
            self._next(None)
            return
        flush = _Flush(self, batch, groups, self._redis.repeated)
        data, asked = packed_all([command for _, command in groups]), (len(groups), flush)
        lane = self._replies.lane()
        if lane is not None:
            packed, listening = self._replies.listens_on(lane)
            lane.ask(data + packed, asked, (1, listening))
            return
        lane = None if self._hub.config.wait_replicas else self._redis.lane(blocking=False)
        if lane is not None:
            lane.ask(data, asked)
        else:
            self.go_on(flush, None)
        self._replies.listen_soon()

    def _commands(self, batch: list[Posted]) -> list[tuple[list[int], Command[list[str]]]]:
        if len(batch) > 1:
            numbers, messages, _ = zip(*batch, strict=True)
            return send_commands(self._hub, self._sender, numbers, messages)
        seq, message, _ = batch[0]
        return [([0], self._one_send.command(self._hub.shard_of(message.child), seq, message))]

    def answered(self, flush: _Flush, answers: list[Any]) -> None:
        """Redis has answered a flush."""
        for answer in answers:
            if not isinstance(answer, list):  # a refusal: it is asked again, or told
                self.go_on(flush, answers)
                return
        try:
            words = [command.read(answer) for (_, command), answer in zip(flush.groups, answers, strict=True)]
        except Exception:
            self.go_on(flush, answers)
            return
        self._settled(flush, words)
        self._next(flush)

    def go_on(self, flush: _Flush, tried: list[Any] | Exception | None) -> None:
        """A flush needs more than one answer. ``tried``: what its first try has come to."""
        task = self._loop.create_task(self._go_on(flush, tried))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go_on(self, flush: _Flush, tried: list[Any] | Exception | None) -> None:
        try:
            words = await self.written([command for _, command in flush.groups], "sent", tried)
            if self._redis.repeated != flush.repeated:
                await self._void_refused(flush.batch, [places for places, _ in flush.groups], words)
            self._settled(flush, words)
        except Exception as error:
            self._failed(flush.batch, error)
        except BaseException:  # the loop ends
            self._flushing, self._overtaking = False, 0
            self._idle.set()
            raise
        self._next(flush)

    def _next(self, flush: _Flush | None) -> None:
        """A flush is over."""
        self._room.set()
        if flush is not None and flush.overtakes:
            self._overtaking -= 1
            self._idle.set()
        elif self._outbox:
            self._flush()
        else:
            self._flushing, self._under_way = False, []
            self._idle.set()

    def _settled(self, flush: _Flush, answers: list[list[str]]) -> None:
        batch = flush.batch
        numbers, _, all_waiting = zip(*batch, strict=True)
        self._window.settle_all(numbers)
        first = all_waiting[0]
        if isinstance(first, Together) and first.waits_as(all_waiting) and all(map(_all_ok, answers)):
            first.accepted()
            return
        for (places, _), words in zip(flush.groups, answers, strict=True):
            for place, word in zip(places, words, strict=True):
                seq, _, waiting = batch[place]
                if isinstance(waiting, Together):
                    waiting.told(seq, word)
                elif not waiting.done():
                    waiting.set_result(word)

    def _failed(self, batch: list[Posted], error: Exception) -> None:
        self._window.settle_all([seq for seq, _, _ in batch])
        for _, _, waiting in batch:
            if isinstance(waiting, Together):
                waiting.failed(error)
            elif not waiting.done():
                waiting.set_exception(error)

    async def _void_refused(self, batch: list[Posted], places: list[list[int]], answers: list[list[str]]) -> None:
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

    async def written(
        self, commands: Sequence[Command[Any]], what: str, tried: list[Any] | Exception | None = None
    ) -> list[Any]:
        """Run commands that write, again after a lost connection; wait for replicas if the hub does. ``what`` was done, for the
        error. ``tried``: see :meth:`AsyncRedis.run_many`.
        """
        config = self._hub.config
        if not config.wait_replicas:
            return await self._redis.run_many(commands, retry_for=RETRY_FOR, tried=tried)
        *found, confirmed = await self._redis.run_many(with_wait(commands, config), retry_for=RETRY_FOR)
        error = shortfall(confirmed, config, what)
        if error is not None:
            raise error
        return found
