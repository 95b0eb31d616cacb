"""The children of the demo, and the hub they live in."""

from __future__ import annotations

from hubq.client.hub import Hub
from hubq.core.child import Child

#: The environment variable that tells workers and feeders the hub's id: every run has a hub of its own.
HUB_ID = "HUBQ_DEMO_HUB"

#: The one that tells them how many groups it has.
GROUPS = "HUBQ_DEMO_GROUPS"

#: So many shards, or a few less: as many in each group.
SHARDS = 64

#: What a child has counted: the words, the messages applied (one bit each, by feeder), how many were applied again.
Totals = tuple[dict[str, int], dict[int, int], int]


class Bucket(Child):
    """Counts the words of one bucket, and keeps a ledger of the messages it has applied.

    A message has a number of its own within its feeder; ``applied`` has one bit per number. It is part of the state
    that is committed with the counts, so a message that was lost or applied twice cannot hide.
    """

    def __init__(self) -> None:
        self.words: dict[str, int] = {}
        self.applied: dict[int, int] = {}
        self.repeats = 0

    async def add(self, feeder: int, number: int, words: dict[str, int]) -> int:
        """Count some words."""
        before = self.applied.get(feeder, 0)
        if before >> number & 1:
            self.repeats += 1
        self.applied[feeder] = before | 1 << number
        for word, times in words.items():
            self.words[word] = self.words.get(word, 0) + times
        return number

    async def totals(self) -> Totals:
        """The child's ledger."""
        return self.words, self.applied, self.repeats


def child_of(bucket: int) -> str:
    """The name of a bucket's child.

    >>> child_of(7)
    'bucket-007'
    """
    return f"bucket-{bucket:03}"


def make_hub(hub_id: str, redis: str | None = None, groups: int = 1) -> Hub:
    """The demo's hub; ``redis`` and ``groups`` as in :class:`hubq.Hub`.

    >>> make_hub("demo", groups=6).config.shards
    60
    """
    made = Hub(hub_id, redis=redis, groups=groups, shards=SHARDS // groups * groups)
    made.child(Bucket)
    return made
