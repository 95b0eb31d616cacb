"""The executor that waits for the answers of a :class:`~hubq.store.command.Command`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import redis
from redis.exceptions import NoScriptError, ResponseError

from hubq.errors import RedisUnavailable
from hubq.store.answers import (
    KEY_ROUNDS,
    LOST,
    not_primary,
    of_replica,
    read_answer,
    read_plain,
    unavailable,
    waits,
    with_more_keys,
)
from hubq.store.command import Command, plain, text
from hubq.store.lane import packed_all
from hubq.store.scripts import SCRIPTS
from hubq.store.sentinel import sentinels_of
from hubq.store.server import ANSWER_TIMEOUT, Server, raw, slots_of
from hubq.store.slots import FIRST_PAUSE, LONGEST_PAUSE, SlotMap
from hubq.store.sync_lane import SyncLane, has_socket

T = TypeVar("T")

#: What redis-py's pool wants to hear when it is asked for a connection: a name before 5.3, nothing since.
_NAMED = () if redis.VERSION >= (5, 3) else ("_",)


class SyncRedis:
    """Runs commands and waits for the answers. Safe under threads and after fork.

    Each request has a connection to itself while it is under way. redis-py's pool makes them, and counts them as in use
    for as long as they stand: idle ones wait here. A forked child leaves those of its parent alone.

    >>> from hubq.store.command import plain, text
    >>> from hubq.testing import FakeServer
    >>> SyncRedis(FakeServer()).run(plain("ECHO", "hi", read=text))
    'hi'
    """

    def __init__(self, server: Server, timeout: float = ANSWER_TIMEOUT) -> None:
        self.server = server
        self.repeated = 0  # requests that were sent again
        self._timeout = timeout
        self._slots = slots_of(server)
        self._client = raw(server.sync_client(timeout))
        self._idle: list[SyncLane] = []  # the last one used is the next
        self._place: tuple[Any, Any] | None = None  # of the newest connection: Sentinel may name another
        self._without_lanes = False

    def run(self, command: Command[T], *, retry_for: float = 0.0) -> T:
        """The answer to one command; a lost connection is tried again for ``retry_for`` seconds."""
        result: T = self.run_many((command,), retry_for=retry_for)[0]
        return result

    def run_many(
        self, commands: Sequence[Command[Any]], *, retry_for: float = 0.0, tried: list[Any] | Exception | None = None
    ) -> list[Any]:
        """The answers to several commands in one round trip, in order. ``tried``: what they have come to by :meth:`ask_ahead`."""
        give_up = time.monotonic() + retry_for
        pause = 0.02
        while True:
            try:
                first, tried = tried, None
                if isinstance(first, Exception):
                    raise first
                return self._attempt(commands) if first is None else self._read(commands, first, KEY_ROUNDS)
            except RedisUnavailable:
                raise  # it has answered, with a refusal: that does not mend itself
            except LOST as error:
                if time.monotonic() + pause > give_up:
                    raise unavailable(self.server, error) from error
            self.repeated += 1
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def ask_ahead(self, command: Command[Any], wait: bytes) -> tuple[list[Any] | Exception | None, SyncLane | None]:
        """Send a command, and in the same write a request that waits (packed): what the command has come to, which goes on with
        :meth:`run_many`, and the connection on which the answer to the other comes: the caller's until :meth:`give_back`. Both None:
        there is no such connection.
        """
        lane: SyncLane | None = None
        try:
            lane = self._free_lane()
            if lane is None:
                return None, None
            tried: list[Any] | Exception = lane.request(packed_all([command]) + wait, 1)
        except LOST as error:
            tried = error
        finally:
            if lane is not None and lane.lost:
                self.give_back(lane)
        return tried, None if lane is None or lane.lost else lane

    def give_back(self, lane: SyncLane) -> None:
        """All that was asked on this connection is answered, or it is lost."""
        if lane.lost:
            self._client.connection_pool.release(lane.connection)
        else:
            self._idle.append(lane)

    def _attempt(self, commands: Sequence[Command[Any]], rounds: int = KEY_ROUNDS) -> list[Any]:
        return self._read(commands, self._send(commands), rounds)

    def _read(self, commands: Sequence[Command[Any]], answers: list[Any], rounds: int) -> list[Any]:
        read = read_plain(self.server, commands, answers)
        if read is not None:
            return read
        if self._slots is not None:
            self._when_here(self._slots, commands, answers)
        for answer in answers:
            if isinstance(answer, NoScriptError):
                self._load_and_repeat(commands, answers)
                break
        for answer in answers:
            if isinstance(answer, ResponseError) and of_replica(answer):
                self._hang_up()
                raise not_primary(self._slots is not None, answer)
        if rounds and (more := with_more_keys(commands, answers)):
            again = dict(zip(more, self._attempt(list(more.values()), rounds - 1), strict=True))
            places = enumerate(zip(commands, answers, strict=True))
            return [again[n] if n in again else read_answer(self.server, *asked) for n, asked in places]
        return [read_answer(self.server, command, answer) for command, answer in zip(commands, answers, strict=True)]

    def _load_and_repeat(self, commands: Sequence[Command[Any]], answers: list[Any]) -> None:
        missing = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)] + waits(commands)
        self._send([plain("SCRIPT", "LOAD", script.text, read=text) for script in SCRIPTS.values()])
        for n, answer in zip(missing, self._send([commands[n] for n in missing]), strict=True):
            answers[n] = answer
        if self._slots is not None:
            self._when_here(self._slots, commands, answers)

    def _when_here(self, slots: SlotMap, commands: Sequence[Command[Any]], answers: list[Any]) -> None:
        """Send again what was refused because the slot is not here, until it is: as to a Redis that is slow to answer."""
        give_up, pause = time.monotonic() + self._timeout, FIRST_PAUSE
        while away := slots.away(answers):
            if slots.went(answers) is not None:
                self._hang_up()
            if time.monotonic() + pause > give_up:
                raise slots.elsewhere(answers[away[0]])
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            missing = list(dict.fromkeys(away + waits(commands)))
            for n, answer in zip(missing, self._send([commands[n] for n in missing]), strict=True):
                answers[n] = answer

    def _send(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if not commands:
            return []
        lane = self._free_lane()
        if lane is None:
            return self._send_by_client(commands)
        try:
            return lane.request(packed_all(commands), len(commands))
        finally:
            self.give_back(lane)

    def _free_lane(self) -> SyncLane | None:
        pid = os.getpid()
        while True:
            try:
                lane = self._idle.pop()  # one step: another thread may do the same
            except IndexError:
                lane = None
            if lane is None:  # out here: else each error of connecting would be told as one "during" an IndexError
                return self._new_lane()
            if lane.pid != pid:
                continue  # the parent uses it; the pool, which forgets it too, closes our copy of its socket
            if lane.quiet():
                return lane
            self._discard(lane)
            return self._new_lane()  # and not the next idle one: Sentinel is asked whether that one leads astray, too

    def _new_lane(self) -> SyncLane | None:
        if self._without_lanes:
            return None
        pool = getattr(self._client, "connection_pool", None)
        connection = pool.get_connection(*_NAMED) if pool is not None else None
        if connection is None or not has_socket(connection):
            if pool is not None:
                pool.release(connection)
            self._without_lanes = True  # fakeredis, or a client of a test
            return None
        place = getattr(connection, "host", None), getattr(connection, "port", None)
        was, self._place = self._place, place
        if was not in (None, place):
            self._hang_up()  # another primary: what is idle leads to the former one
        return SyncLane(connection)

    def _discard(self, lane: SyncLane) -> None:
        lane.close()
        self._client.connection_pool.release(lane.connection)

    def _send_by_client(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [self._client.execute_command(*commands[0].args)]
            except ResponseError as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command.args)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    def hang_up(self) -> None:
        """Let the next request have a new connection."""
        self._hang_up()

    def close(self) -> None:
        """Close all connections, those of requests under way as well."""
        self._hang_up()
        self._client.close()
        for sentinel in sentinels_of(self._client):
            sentinel.close()

    def _hang_up(self) -> None:
        pid = os.getpid()
        while True:
            try:
                lane = self._idle.pop()
            except IndexError:
                break
            if lane.pid == pid:
                self._discard(lane)
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            pool.disconnect(inuse_connections=False)
