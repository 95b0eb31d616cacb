"""A group of shards: the Redis they are in, their keys, and how this node stands there."""

from __future__ import annotations

from hubq.config import Config
from hubq.core.layout import shards_of
from hubq.core.messages import Wake
from hubq.errors import RedisRefused
from hubq.node.runtime.replicas_of_redis import ReplicasOfRedis
from hubq.node.runtime.shared import Shared
from hubq.node.runtime.standing import Standing
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis
from hubq.store.control import send_control
from hubq.store.keys import Keys
from hubq.store.membership import wire_of
from hubq.store.seal import Seal


class Group:
    """What a part needs that speaks with Redis. ``reading`` is a connection of its own for reads that block.

    ``seal``: None, if the hub has none; ``opens`` is how it opens messages.
    """

    def __init__(
        self,
        redis: AsyncRedis,
        reading: AsyncRedis,
        keys: Keys,
        config: Config,
        standing: Standing,
        seal: Seal | None = None,
        number: int = 0,
    ) -> None:
        self.number = number
        """Which group of the hub it is."""
        self.shards = shards_of(number, config.groups, config.shards)
        """Its shards."""
        self.wire = wire_of(number, config.groups)
        """What its ``config`` says beside the number of shards."""
        self.redis = redis
        self.reading = reading
        self.replicas = ReplicasOfRedis(redis, config)
        self.keys = keys
        self.config = config
        self.standing = standing
        self.seal = seal
        self.opens = None if seal is None else seal.opens
        self._woken = Shared(self._wake)

    @property
    def node_name(self) -> str:
        """The name of this node."""
        return self.standing.node_name

    async def wake(self) -> None:
        """End this node's own blocking reads: there are other mailboxes to read now."""
        await self._woken.ask()

    async def wake_and_send(self, command: Command[str]) -> bool:
        """The same, and send a command in the same request. False: one of the two was refused, and the command may not have been run."""
        try:
            await self.redis.run_many([self.waking(), command], retry_for=1.0)
        except RedisRefused:
            await self.wake()
            return False
        return True

    async def _wake(self) -> None:
        await self.redis.run(self.waking(), retry_for=1.0)

    def waking(self) -> Command[str]:
        """What ends them, for a request that does more."""
        return send_control(self.keys, self.node_name, Wake(self.node_name))
