"""Connections to Redis: the executor that awaits the answers of a :class:`~hubq.store.command.Command`, and all that
goes with it (:class:`SyncRedis`, which waits for them, has a file of its own).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from hubq.errors import RedisUnavailable
from hubq.store.answers import (
    KEY_ROUNDS,
    LOST,
    NOT_ALLOWED,
    OVERTAKEN,
    REFUSED,
    not_primary,
    of_replica,
    read_answer,
    read_plain,
    refused,
    unavailable,
    waits,
    with_more_keys,
)
from hubq.store.command import Command, plain, text
from hubq.store.lane import Lane, packed_all
from hubq.store.lanes import Lanes
from hubq.store.malformed import TELLS, MalformedWatch
from hubq.store.primary import PrimaryWatch, another_redis
from hubq.store.scripts import SCRIPTS
from hubq.store.server import ANSWER_TIMEOUT, RedisServer, Server
from hubq.store.slots import FIRST_PAUSE, LONGEST_PAUSE, SlotMap
from hubq.store.sync_redis import SyncRedis

__all__ = [
    "ANSWER_TIMEOUT",
    "LOST",
    "NOT_ALLOWED",
    "OVERTAKEN",
    "REFUSED",
    "AsyncRedis",
    "RedisServer",
    "Server",
    "SyncRedis",
    "refused",
    "unavailable",
]

T = TypeVar("T")


class AsyncRedis:
    """The same as :class:`SyncRedis`, awaiting. One connection carries all requests, but a blocking one has its own.

    With a ``watch`` every new connection asks first who answers, and a request that was under way when another Redis
    turned up is not repeated: :class:`~hubq.errors.RedisUnavailable`. What was sent on a connection that was lost is
    not run any more once its successor has sent something.

    ``malformed`` is told of everything that could not be read. ``lanes``: connections that others share, with their watch.
    """

    def __init__(
        self, server: Server, timeout: float = ANSWER_TIMEOUT, watch: PrimaryWatch | None = None,
        malformed: MalformedWatch | None = None, lanes: Lanes | None = None,
    ) -> None:  # fmt: skip
        self.server = server
        self.repeated = 0  # requests that were sent again
        self._lanes = lanes if lanes is not None else Lanes(server, timeout, watch)
        self._lanes.enter(self)
        self._watch = self._lanes.watch
        self._malformed = malformed
        self._timeout = timeout
        self._slots = self._lanes.slots
        self._blocked: set[Lane] = set()

    @property
    def connection(self) -> int:
        """The number of the connection that carries requests that do not block: what went by the same one went to the same Redis."""
        return self._lanes.count

    async def run(self, command: Command[T], *, retry_for: float = 0.0) -> T:
        """The answer to one command; a lost connection is tried again for ``retry_for`` seconds."""
        result: T = (await self.run_many((command,), retry_for=retry_for))[0]
        return result

    async def run_many(
        self, commands: Sequence[Command[Any]], *, retry_for: float = 0.0, tried: list[Any] | Exception | None = None
    ) -> list[Any]:
        """The answers to several commands in one round trip, in order. ``tried``: what they have come to on a :meth:`lane`."""
        give_up = time.monotonic() + retry_for
        pause = 0.02
        watch = self._watch
        known, changes = ("", 0) if watch is None else (watch.known, watch.changes)
        while True:
            try:
                first, tried = tried, None
                if isinstance(first, Exception):
                    raise first
                if first is not None:
                    answers = await self._read(commands, first, changes, KEY_ROUNDS)
                else:
                    answers = await self._attempt(commands, changes)
                if self._malformed is not None:
                    for answer in answers:
                        if isinstance(answer, TELLS):
                            for each in answer.malformed:
                                self._malformed.seen(each)
                return answers
            except RedisUnavailable:
                raise  # it has answered, with a refusal: that does not mend itself
            except LOST as error:
                another = known and watch is not None and watch.known != known
                if another or time.monotonic() + pause > give_up:
                    raise unavailable(self.server, error) from error
            self.repeated += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)

    async def _attempt(self, commands: Sequence[Command[Any]], changes: int, rounds: int = KEY_ROUNDS) -> list[Any]:
        answers = await self._send(commands, changes)
        read = read_plain(self.server, commands, answers)
        return read if read is not None else await self._read(commands, answers, changes, rounds)

    async def _read(self, commands: Sequence[Command[Any]], answers: list[Any], changes: int, rounds: int) -> list[Any]:
        if self._slots is not None:
            await self._when_here(self._slots, commands, answers, changes)
        for answer in answers:
            if isinstance(answer, NoScriptError):
                await self._load_and_repeat(commands, answers, changes)
                break
        for answer in answers:
            if isinstance(answer, ResponseError) and of_replica(answer):
                self._lanes.hang_up()
                raise not_primary(self._slots is not None, answer)
        if rounds and (more := with_more_keys(commands, answers)):
            again = dict(zip(more, await self._attempt(list(more.values()), changes, rounds - 1), strict=True))
            places = enumerate(zip(commands, answers, strict=True))
            return [again[n] if n in again else read_answer(self.server, *asked) for n, asked in places]
        return [read_answer(self.server, command, answer) for command, answer in zip(commands, answers, strict=True)]

    async def _load_and_repeat(self, commands: Sequence[Command[Any]], answers: list[Any], changes: int) -> None:
        missing = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)] + waits(commands)
        await self._send([plain("SCRIPT", "LOAD", script.text, read=text) for script in SCRIPTS.values()], changes)
        for n, answer in zip(missing, await self._send([commands[n] for n in missing], changes), strict=True):
            answers[n] = answer
        if self._slots is not None:
            await self._when_here(self._slots, commands, answers, changes)

    async def _when_here(
        self, slots: SlotMap, commands: Sequence[Command[Any]], answers: list[Any], changes: int
    ) -> None:
        """Send again what was refused because the slot is not here, until it is: as to a Redis that is slow to answer."""
        give_up, pause = time.monotonic() + self._timeout, FIRST_PAUSE
        while away := slots.away(answers):
            if (node := slots.went(answers)) is not None:
                if self._watch is not None:
                    self._watch.slot_moved(node)
                self._lanes.retire()
            if time.monotonic() + pause > give_up:
                raise slots.elsewhere(answers[away[0]])
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            missing = list(dict.fromkeys(away + waits(commands)))
            for n, answer in zip(missing, await self._send([commands[n] for n in missing], changes), strict=True):
                answers[n] = answer

    async def _send(self, commands: Sequence[Command[Any]], changes: int) -> list[Any]:
        """``changes``: how often another Redis had answered when somebody decided to send these."""
        if not commands:
            return []
        lanes, blocking = self._lanes, commands[0].blocks
        if (
            lanes.changes != changes
        ):  # while it was waited, for the next try or for the slot: these were meant for the Redis before
            raise another_redis()
        lane = lanes.standing(blocking)
        if lane is None:
            lane = await lanes.connect(blocking, changes)
            if lane is None:
                return await lanes.by_client(commands)
        data = packed_all(commands)
        if not blocking:
            answers = await lane.request(data, len(commands))
            if lanes.of_former(lane):
                raise another_redis()
            return answers
        self._blocked.add(lane)
        try:
            answers = await lane.request(data, len(commands))
            if lanes.of_former(lane):
                raise another_redis()
        except BaseException:
            lane.close()  # if we were cancelled, the answer is still to come: nobody may wait behind it
            raise
        finally:
            self._blocked.discard(lane)
        lanes.give_back(lane)
        return answers

    def lane(self, blocking: bool) -> Lane | None:
        """A connection that stands, to ask on at once, without a task. What is refused or lost there goes on with :meth:`run_many`.
        None: it must be made first, or a watch goes with each request. A ``blocking`` one is the caller's until :meth:`give_back`.
        """
        if self._watch is not None:
            return None
        lane = self._lanes.standing(blocking)
        if blocking and lane is not None:
            self._blocked.add(lane)
        return lane

    def one_write(self) -> None:
        """See :meth:`Lane.one_write`, for what does not block."""
        self._lanes.one_write()

    def give_back(self, lane: Lane) -> None:
        """A blocking request has been answered, or is lost."""
        self._blocked.discard(lane)
        self._lanes.give_back(lane)

    async def prepare(self, blocking: int) -> None:
        """Open connections for so many blocking requests ahead. One that cannot be opened now is opened when it is needed."""
        with suppress(*LOST, RedisUnavailable):
            for _ in range(blocking - self._lanes.free):
                lane = await self._lanes.connect(blocking=True, changes=self._lanes.changes)
                if lane is None:
                    return
                self._lanes.give_back(lane)

    async def close(self) -> None:
        """Close all connections that nobody else shares."""
        for lane in list(self._blocked):
            lane.close()
        await self._lanes.leave(self)
