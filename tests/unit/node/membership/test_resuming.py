"""Going on after a time in which no handler might start."""

from __future__ import annotations

from typing import Any, cast

from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import HostedChild
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from hubq.node.membership.resuming import Resuming
from tests.unit.node.fakes import a_child, a_holding


class Followed:
    """A node's copies of other nodes' children."""

    def __init__(self, *copies: HostedChild) -> None:
        self.copies = list(copies)

    def children(self) -> list[HostedChild]:
        return self.copies


class Resumed:
    """Pumps that only listen."""

    def __init__(self) -> None:
        self.children: list[str] = []

    def resume(self, hosted: HostedChild) -> None:
        self.children.append(hosted.child_id)


def test_originals_and_copies_go_on_and_what_waits_is_committed() -> None:
    register, pumps, followed = Register(Cursors(), Outboxes()), Resumed(), a_holding(1)
    shard = a_holding(0)
    register.hold(shard)
    a_child(shard, "original")
    queue = CommitQueue(register)
    queue.take()
    shard.effects.done["original"] = [b"5-0"]
    assert queue.take() == [], "nobody has said that there is anything"
    copies = Followed(a_child(followed, "copy"))
    Resuming(register, cast(Any, copies), cast(Any, pumps), queue).resume_all()
    assert pumps.children == ["original", "copy"]
    assert queue.take() == [shard]
