"""The names that jobs have in RQ's keys. All hubs of a Redis share RQ's keys, so every name begins with the hub's, or is made of it,
and no name of one hub can be one of another. ACL rules tell hubs apart by that (:mod:`hubq.store.job_permissions`).

The ids of jobs that children enqueue are new for each job, and a message that is handled again gives the same again.
"""

from __future__ import annotations

import re
from typing import Literal

from hubq.errors import ConfigError

#: What a value is of its job: each is sealed for itself.
Purpose = Literal["arguments", "meta", "result"]

#: How a character of a hub id stands in the ids of its jobs: RQ takes letters, digits, dashes and underscores.
_ESCAPED = {".": "_D", "_": "_U", "-": "_H"}
#: A dash stays one unless it could be taken for one of the two that end the hub's name, an underscore unless it could be taken for the
#: beginning of such a pair.
_TO_ESCAPE = re.compile(r"\.|_(?=[DUH])|-(?![A-Za-z0-9._])")


def as_id(name: str) -> str:
    """A name as part of an RQ job id.

    >>> as_id("app.report")
    'app-report'
    """
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


def id_prefix(hub_id: str) -> str:
    """What the ids of a hub's jobs begin with. That of one hub is never the beginning of another's.

    >>> id_prefix("chat"), id_prefix("chat-2"), id_prefix("my.hub"), id_prefix("a--b"), id_prefix("a-")
    ('chat--', 'chat-2--', 'my_Dhub--', 'a_H-b--', 'a_H--')
    """
    return f"{_TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], hub_id)}--"


def id_of_message(hub_id: str, shard: int, entry: str, number: int) -> str:
    """That of a job that the handler of a message enqueues. ``entry``: the message's place in the mailbox of its shard.

    >>> id_of_message("chat", 3, "1795433907312-0", 1)
    'chat--3-1795433907312-0-1'
    """
    return f"{id_prefix(hub_id)}{shard}-{as_id(entry)}-{number}"


def id_of_node(hub_id: str, node_name: str, incarnation: int, number: int) -> str:
    """That of a job that ``run()`` or ``on_start`` enqueues: the ``number`` is the node's own.

    >>> id_of_node("chat", "web.1", 7, 2)
    'chat--web-1-7-2'
    """
    return f"{id_prefix(hub_id)}{as_id(node_name)}-{incarnation}-{number}"


def id_of_tick(hub_id: str, entry: str, tick: int) -> str:
    """That of the job of a cron entry. ``tick``: when it was due, seconds since 1970.

    >>> id_of_tick("chat", "report", 1795449864)
    'chat--cron-report-1795449864'
    """
    return f"{id_prefix(hub_id)}cron-{as_id(entry)}-{tick}"


def queue_name(hub_id: str) -> str:
    """The RQ queue of a hub.

    >>> queue_name("chat")
    'hubq-chat'
    """
    return f"hubq-{hub_id}"


def id_prefix_in(queue: str) -> str:
    """What the ids of the jobs of a queue begin with: nothing in particular, if it is none of a hub.

    >>> id_prefix_in("hubq-chat"), id_prefix_in("hubq-chat-clock"), id_prefix_in("default")
    ('chat--', 'chat--', '')
    """
    before, name, hub_id = queue.partition("hubq-")
    return id_prefix(hub_id.removesuffix(OF_CLOCK)) if name and hub_id and not before else ""


#: What follows a hub's id in the name of the queue of its clock. No hub with jobs has an id that ends so.
OF_CLOCK = "-clock"


def clock_queue_name(hub_id: str) -> str:
    """The RQ queue of jobs that the clock itself runs.

    >>> clock_queue_name("chat")
    'hubq-chat-clock'
    """
    return f"{queue_name(hub_id)}{OF_CLOCK}"


def checked_for_jobs(hub_id: str) -> str:
    """The id of a hub that has jobs, or :class:`~hubq.errors.ConfigError`.

    >>> checked_for_jobs("chat-clock")
    Traceback (most recent call last):
    hubq.errors.ConfigError: hub 'chat-clock' can have no jobs: its queue hubq-chat-clock is that of the clock of hub 'chat'; give it an \
id that does not end with '-clock'
    """
    if hub_id.endswith(OF_CLOCK):
        other = hub_id.removesuffix(OF_CLOCK)
        raise ConfigError(
            f"hub {hub_id!r} can have no jobs: its queue {queue_name(hub_id)} is that of the clock of hub {other!r}; give it an id that "
            f"does not end with {OF_CLOCK!r}"
        )
    return hub_id


def name_in_rq(hub_id: str, name: str) -> str:
    """The name of a worker, of a scheduler or of a cron entry of a hub in RQ's lists. (A hub id has no colon.)

    >>> name_in_rq("chat", "web.1.clock")
    'chat:web.1.clock'
    """
    return f"{hub_id}:{name}"


def put_mark(hub_id: str, shard: int) -> str:
    """The key, beside RQ's own, that has the entry of the last job of a shard that was put into RQ and is perhaps not deleted yet.

    >>> put_mark("chat", 3)
    'rq:hubq:chat:3:put'
    """
    return f"rq:hubq:{hub_id}:{shard}:put"
