"""A hub on one Redis whose users have the rules of ``hubq acl``."""

from __future__ import annotations

import itertools
from typing import Any

from hubq.errors import HubqError, RedisRefused
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.job_permissions import Jobs
from hubq.store.keys import Keys
from hubq.store.permissions import acl_rules

_numbers = itertools.count()


class Users:
    """A hub on one Redis, whose users are set up from the printed rules."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.admin = SyncRedis(RedisServer(server.url))
        self.keys = Keys(f"acl{next(_numbers)}")
        version = self.run_as_admin("INFO", "server").decode().partition("redis_version:")[2]
        self.selectors = int(version.partition(".")[0]) >= 7
        self._url = self.admin_url = server.url
        self._open: list[SyncRedis] = [self.admin]

    def run_as_admin(self, *words: Any) -> Any:
        return self.admin.run(plain(*words, read=lambda answer: answer))

    def of(self, role: str, *, jobs: Jobs = Jobs.NONE, keys: Keys | None = None) -> SyncRedis:
        """A connection of the user of a role. (Its password is no secret.)"""
        keys = keys or self.keys
        name = f"{keys.hub_id}-{role}-{jobs.value}"
        rules = acl_rules(keys, role, read_only_keys=self.selectors, jobs=jobs)
        self.run_as_admin("ACL", "SETUSER", name, *rules, "on", ">secret")
        connected = SyncRedis(RedisServer(self.url_of(role, jobs=jobs, keys=keys)))
        self._open.append(connected)
        return connected

    def url_of(self, role: str, *, jobs: Jobs = Jobs.NONE, keys: Keys | None = None) -> str:
        """The URL of a user that there is."""
        name = f"{(keys or self.keys).hub_id}-{role}-{jobs.value}"
        return self._url.replace("redis://", f"redis://{name}:secret@")

    def close(self) -> None:
        for each in self._open:
            each.close()


def refused(redis: SyncRedis, *words: Any) -> bool:
    """Whether Redis said that this user may not."""
    try:
        redis.run(plain(*words, read=lambda answer: answer))
    except RedisRefused as error:
        return "permission" in str(error)
    except HubqError:
        return False
    return False
