"""Whether what was written to a group's Redis has reached its replicas (``wait_replicas``)."""

from __future__ import annotations

from hubq.config import Config
from hubq.store.connection import AsyncRedis
from hubq.store.replication import confirmed

#: How much shorter it is waited as long as replicas are behind or away: Redis answers nothing else on this connection meanwhile.
SHORTER = 4


class ReplicasOfRedis:
    """For work that is done again later if they have not."""

    def __init__(self, redis: AsyncRedis, config: Config) -> None:
        self._redis = redis
        self._config = config
        self._keep_up = True

    async def have_all_of(self, connection: int) -> bool:
        """Whether enough replicas have all that was read or written by this connection, within ``wait_timeout``. False, if it is lost:
        another Redis may answer now. (Without ``wait_replicas`` nothing is asked.)
        """
        config = self._config
        if config.wait_replicas:
            timeout = config.wait_timeout / (1 if self._keep_up else SHORTER)
            self._keep_up = await confirmed(self._redis, config, timeout) >= config.wait_replicas
        return self._keep_up and self._redis.connection == connection
