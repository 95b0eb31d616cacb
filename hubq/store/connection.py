"""Connections to Redis, and the two executors that run a :class:`~hubq.store.command.Command`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from hubq.errors import ConfigError, RedisRefused, RedisUnavailable
from hubq.store.command import Command, plain, text
from hubq.store.lane import Lane, packed
from hubq.store.primary import PrimaryWatch
from hubq.store.scripts import SCRIPTS
from hubq.store.sentinel import SCHEMES, SentinelAddress, sentinels_of

T = TypeVar("T")

#: What a lost connection looks like. (A server that is loading its data set answers, but cannot serve.)
LOST = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError)

#: How long one answer may take before the connection counts as lost, seconds.
ANSWER_TIMEOUT = 5.0


class Server(Protocol):
    """Where Redis is. Tests give one that is fakeredis."""

    @property
    def address(self) -> str:
        """For messages to people; without a password."""

    def sync_client(self, timeout: float) -> Any:
        """A new blocking client with a pool of its own."""

    def async_client(self, timeout: float) -> Any:
        """A new asyncio client with a pool of its own."""


class RedisServer:
    """A Redis reached by URL: itself, or by the Sentinels that know which one is the primary.

    >>> RedisServer("redis://:secret@localhost:6379/0").address
    'redis://localhost:6379/0'
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix", *SCHEMES):
            raise ConfigError(
                f"Redis URL {url!r}: it must begin with redis://, rediss://, unix://, redis+sentinel:// or "
                "rediss+sentinel://"
            )
        self.url = url
        self._sentinel = SentinelAddress.read(url) if parts.scheme in SCHEMES else None
        host = parts.netloc.rpartition("@")[2]
        self.address = f"{parts.scheme}://{host}{parts.path}"

    def _options(self, timeout: float) -> dict[str, Any]:
        # Retries are ours (below): redis-py's own would repeat blocking reads as well.
        return {
            "protocol": 2,
            "socket_timeout": timeout,
            "socket_connect_timeout": ANSWER_TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        }

    def sync_client(self, timeout: float) -> Any:
        if self._sentinel is not None:
            return self._sentinel.sync_client(self._options(timeout))
        return redis.Redis.from_url(self.url, **self._options(timeout))

    def async_client(self, timeout: float) -> Any:
        if self._sentinel is not None:
            return self._sentinel.async_client(self._options(timeout))
        return redis.asyncio.Redis.from_url(self.url, **self._options(timeout))


def unavailable(server: Server, error: BaseException) -> RedisUnavailable:
    """The error for a connection that was lost or never came to be. (To redis-py a wrong password is one of these.)"""
    if isinstance(error, AuthenticationError | _NotPrimary):
        return refused(server, error)
    return RedisUnavailable(
        f"cannot reach Redis at {server.address} ({error}): start it, or set HUBQ_REDIS_URL to where it is"
    )


#: What Redis's refusal of a command looks like.
REFUSED = ResponseError


def refused(server: Server, error: RedisError) -> RedisUnavailable:
    said = str(error)
    if isinstance(error, AuthenticationError | NoPermissionError) or said.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
        hint = "check the user, the password and the user's permissions"
    elif isinstance(error, OutOfMemoryError) or said.startswith(("OOM", "MISCONF")):
        hint = "it writes nothing until it has room again"
    elif isinstance(error, ReadOnlyError | _NotPrimary) or "READONLY" in said:
        hint = "it is a replica: use the URL of the primary"
    else:
        hint = "see its log"
    return RedisRefused(f"Redis at {server.address} refuses ({said}): {hint}")


class _NotPrimary(RedisConnectionError):
    """A replica has answered. During a failover that mends itself: look for the primary again."""


def _of_replica(answer: Any) -> bool:
    # Redis 6 wraps the error of a command in a script: "Error running script ...: -READONLY You can't write...".
    return isinstance(answer, ResponseError) and (
        isinstance(answer, ReadOnlyError)
        or "READONLY You can't" in str(answer)
        or str(answer).startswith(("MASTERDOWN", "UNBLOCKED"))
    )


def _raw(client: Any) -> Any:
    # We read RESP2 as it comes: redis-py's own parsing of stream entries costs more than the network.
    client.response_callbacks = {}
    return client


class SyncRedis:
    """Runs commands and waits for the answers. Safe under threads and after fork (redis-py's pool sees to both)."""

    def __init__(self, server: Server, timeout: float = ANSWER_TIMEOUT) -> None:
        self.server = server
        self.repeated = 0  # requests that were sent again
        self._client = _raw(server.sync_client(timeout))

    def run(self, command: Command[T], *, retry_for: float = 0.0) -> T:
        """The answer to one command; a lost connection is tried again for ``retry_for`` seconds."""
        result: T = self.run_many([command], retry_for=retry_for)[0]
        return result

    def run_many(self, commands: Sequence[Command[Any]], *, retry_for: float = 0.0) -> list[Any]:
        """The answers to several commands in one round trip, in order."""
        give_up = time.monotonic() + retry_for
        pause = 0.02
        while True:
            try:
                return self._attempt(commands)
            except RedisUnavailable:
                raise  # it has answered, with a refusal: that does not mend itself
            except LOST as error:
                if time.monotonic() + pause > give_up:
                    raise unavailable(self.server, error) from error
            self.repeated += 1
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _attempt(self, commands: Sequence[Command[Any]]) -> list[Any]:
        answers = self._send(commands)
        missing = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:
            missing += _waiting(commands)
            for script in SCRIPTS.values():
                self._client.script_load(script.text)
            for n, answer in zip(missing, self._send([commands[n] for n in missing]), strict=True):
                answers[n] = answer
        for answer in answers:
            if _of_replica(answer):
                self._client.connection_pool.disconnect(inuse_connections=False)
                raise _NotPrimary(str(answer))
        return [_read(self.server, command, answer) for command, answer in zip(commands, answers, strict=True)]

    def _send(self, commands: Sequence[Command[Any]]) -> list[Any]:
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

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        for sentinel in sentinels_of(self._client):
            sentinel.close()


class AsyncRedis:
    """The same as :class:`SyncRedis`, awaiting. One connection carries all requests, but a blocking one has its own.

    With a ``watch`` every new connection asks first who answers, and a request that was under way when another Redis
    turned up is not repeated: :class:`~hubq.errors.RedisUnavailable`. What was sent on a connection that was lost is
    not run any more once its successor has sent something.
    """

    def __init__(self, server: Server, timeout: float = ANSWER_TIMEOUT, watch: PrimaryWatch | None = None) -> None:
        self.server = server
        self.repeated = 0  # requests that were sent again
        self._watch = watch
        self._client_id: tuple[str, Any] = ("", None)  # which Redis, and our number there
        self._timeout = timeout
        self._client = _raw(server.async_client(timeout))
        self._lane: Lane | None = None
        self._free: list[Lane] = []  # for blocking requests
        self._blocked: set[Lane] = set()
        self._connecting = asyncio.Lock()
        self._without_lanes = False
        self._passed: Callable[[], Awaitable[None]] | None = getattr(server, "passed", None)  # tests cut connections

    async def run(self, command: Command[T], *, retry_for: float = 0.0) -> T:
        """The answer to one command; a lost connection is tried again for ``retry_for`` seconds."""
        result: T = (await self.run_many((command,), retry_for=retry_for))[0]
        return result

    async def run_many(self, commands: Sequence[Command[Any]], *, retry_for: float = 0.0) -> list[Any]:
        """The answers to several commands in one round trip, in order."""
        give_up = time.monotonic() + retry_for
        pause = 0.02
        known = self._watch.known if self._watch is not None else ""
        while True:
            try:
                return await self._attempt(commands)
            except RedisUnavailable:
                raise  # it has answered, with a refusal: that does not mend itself
            except LOST as error:
                another = known and self._watch is not None and self._watch.known != known
                if another or time.monotonic() + pause > give_up:
                    raise unavailable(self.server, error) from error
            self.repeated += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)

    async def _attempt(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if self._passed is not None:
            await self._passed()
        answers = await self._send(commands)
        if self._passed is not None:
            await self._passed()
        for answer in answers:
            if isinstance(answer, NoScriptError):
                await self._load_and_repeat(commands, answers)
                break
        for answer in answers:
            if isinstance(answer, ResponseError) and _of_replica(answer):
                self._hang_up()
                raise _NotPrimary(str(answer))
        return [_read(self.server, command, answer) for command, answer in zip(commands, answers, strict=True)]

    async def _load_and_repeat(self, commands: Sequence[Command[Any]], answers: list[Any]) -> None:
        missing = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)] + _waiting(commands)
        await self._send([plain("SCRIPT", "LOAD", script.text, read=text) for script in SCRIPTS.values()])
        for n, answer in zip(missing, await self._send([commands[n] for n in missing]), strict=True):
            answers[n] = answer

    async def _send(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if not commands:
            return []
        blocking = commands[0].blocks
        lane = (self._free.pop() if self._free else None) if blocking else self._lane
        if lane is None or lane.lost:
            lane = await self._connect(blocking)
            if lane is None:
                return await self._send_by_client(commands)
        data = packed(commands[0].args) if len(commands) == 1 else b"".join([packed(c.args) for c in commands])
        if not blocking:
            return await lane.request(data, len(commands))
        self._blocked.add(lane)
        try:
            answers = await lane.request(data, len(commands))
        except BaseException:
            lane.close()  # if we were cancelled, the answer is still to come: nobody may wait behind it
            raise
        finally:
            self._blocked.discard(lane)
        self._free.append(lane)
        return answers

    async def _connect(self, blocking: bool) -> Lane | None:
        if self._without_lanes:
            return None
        if blocking:
            return await self._new_lane(blocking=True)
        async with self._connecting:
            if self._lane is None or self._lane.lost:
                self._lane = await self._new_lane(blocking=False)
            return self._lane

    async def _new_lane(self, blocking: bool) -> Lane | None:
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            connection = pool.make_connection()
            try:
                await connection.connect()
            except RuntimeError as error:
                # uvloop's word for writing to a connection that the other side has just closed.
                if "closed" not in str(error):
                    raise
                raise RedisConnectionError(str(error)) from error
            if isinstance(getattr(connection, "_writer", None), asyncio.StreamWriter):
                if self._watch is not None:
                    try:
                        await self._greet(self._watch, connection, blocking)
                    except BaseException:
                        await connection.disconnect(nowait=True)
                        raise
                return Lane(connection, self._timeout)
            await connection.disconnect()
        self._without_lanes = True  # fakeredis, or a client of a test: no socket
        return None

    async def _greet(self, watch: PrimaryWatch, connection: Any, blocking: bool) -> None:
        await watch.greet(connection)
        if blocking:
            return
        # A request may still be on its way on the connection that was lost. It must not be run after what comes now: a
        # commit that arrives late would put an old state over a newer one.
        was, self._client_id = self._client_id, (watch.known, await _asked(connection, "CLIENT", "ID"))
        if was[0] == watch.known and was[1] is not None:
            await _asked(connection, "CLIENT", "KILL", "ID", was[1])

    async def _send_by_client(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [await self._client.execute_command(*commands[0].args)]
            except ResponseError as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command.args)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def close(self) -> None:
        """Close all connections."""
        self._hang_up()
        for lane in list(self._blocked):
            lane.close()
        await self._client.aclose()
        for sentinel in sentinels_of(self._client):
            await sentinel.aclose()

    def _hang_up(self) -> None:
        for lane in [*self._free, *([self._lane] if self._lane is not None else [])]:
            lane.close()
        self._free.clear()
        self._lane = None


async def _asked(connection: Any, *args: Any) -> Any:
    await connection.send_command(*args)
    try:
        return await connection.read_response()
    except ResponseError:
        return None  # we may not ask that


def _waiting(commands: Sequence[Command[Any]]) -> list[int]:
    # WAIT answers for what went before it: if that must be repeated, so must it.
    return [len(commands) - 1] if commands[-1].args[0] == "WAIT" else []


def _read(server: Server, command: Command[T], answer: Any) -> T:
    if isinstance(answer, LOST):
        raise answer
    if isinstance(answer, RedisError):
        raise refused(server, answer)
    return command.read(answer)
