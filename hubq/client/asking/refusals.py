"""Sends and starts that were repeated, and then refused.

The first try of a request may still be on its way when its repetition is refused. When it arrives, there may be no reason to
refuse it any more: the child exists now, or has ended, or the mailbox has room. But its sender has been told that nothing was
done. So the number of a refused message is made void before its sender is told. If the first try has arrived before that, it was
done, and its outcome is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hubq.client.asking.context import HubContext
from hubq.store.command import Command
from hubq.store.outgoing import void_numbers

#: Words of messages whose number counts as seen.
SEEN = ("ok", "duplicate")


def refused_sends(numbers: Sequence[int], words: Sequence[str]) -> list[int]:
    """The numbers of the messages that were refused.

    >>> refused_sends([7, 8, 9], ["ok", "unknown", "duplicate"])
    [8]
    """
    return [number for number, word in zip(numbers, words, strict=True) if word not in SEEN]


def refused_starts(numbers: Mapping[int, int], words: Sequence[Sequence[str]], all_or_nothing: bool) -> dict[int, int]:
    """The shards for which nothing was written, and the numbers of their starts.

    >>> refused_starts({0: 7, 1: 8}, [["exists", "ok"], ["exists"]], False)
    {1: 8}
    >>> refused_starts({0: 7, 1: 8}, [["exists", "ok"], ["ok"]], True)
    {0: 7}
    """
    return {
        shard: number
        for (shard, number), found in zip(numbers.items(), words, strict=True)
        if "ok" not in found or (all_or_nothing and "exists" in found)
    }


def void_command(hub: HubContext, sender: str, numbers: Sequence[int]) -> Command[list[str]]:
    """The command that makes these numbers void."""
    return void_numbers(hub.keys, sender, numbers, int(hub.config.sender_ttl * 1000))


def accepted(numbers: Sequence[int], verdicts: Sequence[str]) -> set[int]:
    """Those among the numbers that were done after all.

    >>> accepted([7, 8], ["void", "duplicate"])
    {8}
    """
    return {number for number, verdict in zip(numbers, verdicts, strict=True) if verdict == "duplicate"}
