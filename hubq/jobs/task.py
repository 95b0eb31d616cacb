"""The task that a job process gets when it is started."""

from __future__ import annotations

import os
import sys

import msgspec

from hubq.client.hub import Hub
from hubq.errors import ConfigError
from hubq.logs import LogSettings, log_settings
from hubq.store.connection import RedisServer


class Task(msgspec.Struct, frozen=True):
    """The task of a job process. ``app``: ``module:attribute`` of the hub, empty if the node does not know it."""

    work: str
    name: str
    path: list[str]
    app: str
    hub_id: str
    shards: int
    groups: int
    urls: list[str]
    jobs_url: str
    grace: float
    logs: LogSettings = LogSettings()


def task_for(hub: Hub, work: str, name: str, *, app: str, grace: float) -> Task:
    """The task for a job process of this hub. It logs as this process does."""
    given = [server for server in hub.groups.given if isinstance(server, RedisServer)]
    if len(given) < len(hub.groups.given):
        raise ConfigError(f"job processes cannot reach {hub.groups.address}: give the hub the URL of a Redis")
    path = [entry or os.getcwd() for entry in sys.path]
    of_jobs = hub.jobs_server
    if not isinstance(of_jobs, RedisServer):
        raise ConfigError(f"job processes cannot reach {of_jobs.address}: give jobs_redis= the URL of a Redis")
    urls, config = [server.url for server in given], hub.config
    return Task(
        work, name, path, app, hub.hub_id, config.shards, config.groups, urls, of_jobs.url, grace, log_settings()
    )
