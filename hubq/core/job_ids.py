"""The ids of jobs that children enqueue: no two jobs have the same one, and a message that is handled again gives the same again."""

from __future__ import annotations

import re


def as_id(name: str) -> str:
    """A name as part of an RQ job id.

    >>> as_id("app.report")
    'app-report'
    """
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


def id_of_message(hub_id: str, shard: int, entry: str, number: int) -> str:
    """That of a job that the handler of a message enqueues. ``entry``: the message's place in the mailbox of its shard.

    >>> id_of_message("chat", 3, "1795433907312-0", 1)
    'chat-3-1795433907312-0-1'
    """
    return f"{as_id(hub_id)}-{shard}-{as_id(entry)}-{number}"


def id_of_node(hub_id: str, node_name: str, incarnation: int, number: int) -> str:
    """That of a job that ``run()`` or ``on_start`` enqueues: the ``number`` is the node's own.

    >>> id_of_node("chat", "web.1", 7, 2)
    'chat-web-1-7-2'
    """
    return f"{as_id(hub_id)}-{as_id(node_name)}-{incarnation}-{number}"
