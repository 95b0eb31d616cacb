"""What clients and operators ask of a node: to withdraw or cancel a call, and to intervene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hubq.store.command import Command, run_script, text
from hubq.store.keys import Keys


class Asks(NamedTuple):
    """Who asks to cancel a call, and the id of the answer."""

    client: str = ""
    answer_id: str = ""


#: A call is not to be cancelled.
NOBODY = Asks()


def withdraw_call(
    keys: Keys,
    shard: int,
    child: str,
    client: str,
    message_id: str,
    asks: Asks = NOBODY,
    nodes: Sequence[str] = (),
    proof: str = "",
) -> Command[str]:
    """Ask a child's node whether a call of this client was begun; if somebody ``asks`` for that, to cancel it. The answer: the node,
    ``-`` for none now, empty if no node has ever joined.
    """
    return run_script(
        "withdraw_call",
        [keys.mailbox(shard), *map(keys.asks, nodes)],
        [keys.owners, keys.epoch, shard, child, client, message_id, *asks, proof, *nodes],
        lambda answer: text(answer[1]),
        lambda nodes: withdraw_call(keys, shard, child, client, message_id, asks, nodes, proof),
    )


def intervene(
    keys: Keys,
    shard: int,
    child: str,
    client: str,
    message_id: str,
    what: str,
    entry: str,
    nodes: Sequence[str] = (),
    proof: str = "",
) -> Command[str]:
    """Ask a child's node to ``kill``, ``stop`` or ``drop``: the node, ``-`` for none now, ``~`` for a dormant child, empty if there is no
    such child."""
    return run_script(
        "intervene",
        [keys.mailbox(shard), *map(keys.control, nodes)],
        [
            keys.owners,
            keys.children(shard),
            keys.dormant(shard),
            shard,
            child,
            client,
            message_id,
            what,
            entry,
            proof,
            *nodes,
        ],
        lambda answer: text(answer[1]) if len(answer) > 1 else "",
        lambda nodes: intervene(keys, shard, child, client, message_id, what, entry, nodes, proof),
    )
