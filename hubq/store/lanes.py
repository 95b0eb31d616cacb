"""The connections of an event loop to one Redis: one carries all requests that do not block, and each that blocks has its own.

The groups of a hub that lie on the same plain primary share them (docs/adr/0030-groups-share-a-clients-connections.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from hubq.store.command import Command
from hubq.store.lane import Lane, connection_errors
from hubq.store.primary import PrimaryWatch, another_redis
from hubq.store.sentinel import sentinels_of
from hubq.store.server import Server, raw, slots_of


class Lanes:
    """Makes the connections, and keeps them as long as somebody uses them: :meth:`enter`, then :meth:`leave`.

    With a ``watch`` every new connection asks first who answers. What was sent on a connection that was lost is not run any more once
    its successor has sent something. ``count``: the number of the connection that carries what does not block.
    """

    def __init__(self, server: Server, timeout: float, watch: PrimaryWatch | None = None) -> None:
        self.slots = slots_of(server)
        self.watch = watch
        self.count = 0
        self._timeout = timeout
        self._client = raw(server.async_client(timeout))
        self._client_id: tuple[str, Any] = ("", None)  # which Redis, and our number there
        self._lane: Lane | None = None
        self._free: list[Lane] = []  # for blocking requests
        self._connecting = asyncio.Lock()
        self._without_lanes = False
        self._users: set[object] = set()

    @property
    def free(self) -> int:
        """How many connections stand that nobody blocks."""
        return len(self._free)

    def enter(self, user: object) -> None:
        """One more uses them."""
        self._users.add(user)

    async def leave(self, user: object) -> None:
        """It uses them no more. The last one that leaves closes them, but those that are blocked."""
        self._users.discard(user)
        if self._users:
            return
        self.hang_up()
        await self._client.aclose()
        for sentinel in sentinels_of(self._client):
            await sentinel.aclose()

    def standing(self, blocking: bool) -> Lane | None:
        """A connection that stands. A ``blocking`` one is the caller's until :meth:`give_back`. None: :meth:`connect`."""
        lane = (self._free.pop() if self._free else None) if blocking else self._lane
        if lane is None or lane.lost or (self.watch is not None and self.of_former(lane)):
            return None
        return lane

    def give_back(self, lane: Lane) -> None:
        """Nobody blocks it any more."""
        if not lane.lost:
            self._free.append(lane)

    def of_former(self, lane: Lane) -> bool:
        """Whether another Redis has answered since this connection was made, on any connection that has the same watch. Then it is closed:
        a primary that was frozen believes for a moment that it is primary still, and what it says is not so.
        """
        if self.watch is None or lane.era == self.watch.changes:
            return False
        lane.close()
        return True

    def one_write(self) -> None:
        """See :meth:`Lane.one_write`, for what does not block."""
        if self._lane is not None:
            self._lane.one_write()

    async def connect(self, blocking: bool, changes: int) -> Lane | None:
        """A new connection, or one that somebody else has just made. None: this server has no sockets (:meth:`by_client`).

        Raises redis-py's ``ConnectionError`` if another Redis has answered more often than ``changes``, also meanwhile.
        """
        if self._without_lanes:
            return None
        if blocking:
            lane = await self._new_lane(blocking=True)
            try:
                self._same(changes)
            except RedisConnectionError:
                if lane is not None:
                    lane.close()
                raise
            return lane
        async with self._connecting:
            self._same(changes)
            if self._lane is None or self._lane.lost or self.of_former(self._lane):
                self.count += 1
                self._lane = await self._new_lane(blocking=False)
                self._same(changes)  # meanwhile somebody else may have found it who has the same watch
            return self._lane

    def _same(self, changes: int) -> None:
        """Raise if another Redis has answered since. What was decided on before was meant for the former one."""
        if self.changes != changes:
            raise another_redis()

    @property
    def changes(self) -> int:
        """How often another Redis has answered than before."""
        return self.watch.changes if self.watch is not None else 0

    async def _new_lane(self, blocking: bool) -> Lane | None:
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            connection = pool.make_connection()
            with connection_errors():
                await connection.connect()
            if isinstance(getattr(connection, "_writer", None), asyncio.StreamWriter):
                era = 0
                if self.watch is not None:
                    try:
                        with connection_errors():
                            era = await self._greet(self.watch, connection, blocking)
                    except BaseException:
                        await connection.disconnect(nowait=True)
                        raise
                return Lane(connection, self._timeout, era)
            await connection.disconnect()
        self._without_lanes = True  # fakeredis, or a client of a test: no socket
        return None

    async def _greet(self, watch: PrimaryWatch, connection: Any, blocking: bool) -> int:
        await watch.greet(connection, self.slots)
        era = watch.changes
        if blocking:
            return era
        # A request may still be on its way on the connection that was lost. It must not be run after what comes now: a
        # commit that arrives late would put an old state over a newer one.
        was, self._client_id = self._client_id, (watch.known, await _asked(connection, "CLIENT", "ID"))
        if was[0] == watch.known and was[1] is not None:
            await _asked(connection, "CLIENT", "KILL", "ID", was[1])
        return era

    async def by_client(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """The answers, by a client that has no sockets of its own."""
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

    def retire(self) -> None:
        """The next request has a new connection; those under way are answered."""
        lane, self._lane = self._lane, None
        for each in [*self._free, *([lane] if lane is not None else [])]:
            each.retire()
        self._free.clear()

    def hang_up(self) -> None:
        """Close all that are free, and the one that carries what does not block."""
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
