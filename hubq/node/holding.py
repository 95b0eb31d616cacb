"""What a node holds: shards and pins, and the children in them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from hubq.core.child import Child
from hubq.core.lifecycle import LIFE, Life, LifeEvent, RestartBudget
from hubq.store.effects import Effects
from hubq.store.mailbox import Message
from hubq.store.owners import Owner
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import Watch

if TYPE_CHECKING:
    from hubq.node.recorder import Recorder


class Queue(deque[Message]):
    """The messages of a child that are in memory, and how large they are."""

    __slots__ = ("bytes",)

    bytes: int

    def add(self, message: Message) -> None:
        """Behind all others."""
        self.append(message)
        self.bytes += len(message.payload)


def new_queue() -> Queue:
    """An empty one."""
    queue = Queue()
    queue.bytes = 0
    return queue


class Cell:
    """One child on this node. An idle child costs this object and its instance: no task, no queue."""

    __slots__ = (
        "abandoned", "boundary", "budget", "busy", "child_id", "cursor", "holding", "idle", "in_thread", "instance", "kind", "life",
        "queue", "reason", "record", "run_task", "save_timer", "saved", "stopping", "supervisor", "unsaved",
    )  # fmt: skip

    def __init__(self, supervisor: Any, holding: Holding, child_id: str, record: SpecRecord) -> None:
        self.supervisor = supervisor
        self.holding = holding
        self.child_id = child_id
        self.record = record
        self.kind: type[Child] = Child
        self.instance: Child | None = None
        self.life = Life.BUILT
        self.queue: Queue | None = None
        self.busy: asyncio.Task[Any] | None = None  # the task that runs its handler
        self.abandoned = False  # a thread of a cancelled message may still be changing it
        self.in_thread = False  # that handler is a plain def: it cannot be cancelled
        self.idle: asyncio.Future[None] | None = None  # somebody waits for the message boundary
        self.run_task: asyncio.Task[None] | None = None
        self.boundary: bytes | None = None  # its state at the last message boundary, encoded
        self.saved = False  # that state is (or will be, with the next commit) in msk
        self.cursor = "0"
        self.unsaved: list[bytes] | None = None  # durability="interval": messages not deleted yet
        self.save_timer: asyncio.TimerHandle | None = None
        self.budget: RestartBudget | None = None
        self.stopping = False
        self.reason = ""  # why it is parked

    def moved(self, event: LifeEvent) -> None:
        """Take a row of the life table."""
        self.life = LIFE.next(self.life, event)

    @property
    def open(self) -> bool:
        """Whether the next message may be handled."""
        return self.life is Life.RUNNING and self.holding.open and self.busy is None

    @property
    def saved_with_each_message(self) -> bool:
        """Whether its state goes to ``msk`` in the commit of every message. With ``durability="commit"``; and while it has a
        pin in a hub with copies: nobody who follows the shard takes a pin over, so the copies there save nothing.
        """
        holding = self.holding
        return self.kind.durability == "commit" or (holding.pinned is not None and holding.recorder is not None)

    # What the child sees of the node (hubq.core.child.Host):

    @property
    def node_name(self) -> str:
        return str(self.supervisor.node_name)

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.record.metadata)

    @property
    def redundancy_mode(self) -> str:
        return "active" if self.supervisor.active(self) else "passive"

    async def commit(self) -> None:
        if not self.holding.replica:  # what the original commits, the copy gets
            await self.supervisor.saver.commit_child(self)

    def stop(self) -> None:
        if not self.holding.replica:
            self.supervisor.endings.stop_requested(self)


class Holding:
    """A shard, or a pin (a shard of one), that this node owns."""

    def __init__(self, shard: int, owner: Owner, pinned: str | None = None) -> None:
        self.shard = shard
        self.owner = owner
        self.pinned = pinned
        self.cells: dict[str, Cell] = {}
        self.excluded: set[str] = set()  # children pinned to other holdings
        self.unplaced: dict[str, SpecRecord] = {}  # excluded, but pinned nowhere: they wait for their node
        self.guided: set[str] = set()  # children that were started with a place of their own
        self.leaving: set[str] = set()  # children that are being passed to other nodes
        self.unbuilt: dict[str, set[tuple[str, int]]] = {}  # cannot be built here: the incarnations that were asked
        self.condemned: set[str] = set()  # parked since their start took nodes down
        self.follows = False  # a pin that returns to its shard as soon as it can
        self.behind: dict[str, bytes] = {}  # child -> entry after which its messages must be read again
        self.replays: dict[
            str, float
        ] = {}  # durability="interval": child -> Redis ms before which it may have answered
        self.recorder: Recorder | None = None  # tells the shard's followers; None: no replication
        self.replica = False  # copies of another node's children: nothing here is committed
        self.active = True  # its children are active (hubq.strategies.redundancy)
        self.open = False  # handlers may start
        self.frozen = False  # nothing may be committed: the token is being passed
        self.lost = False
        self.moving = False
        self.mean_bytes = 0.0  # of the messages that were read again last
        self.watch: Watch | None = None  # it was taken over after a crash (hubq.node.trials)
        self.effects = Effects()
        self.waiters: list[asyncio.Future[None]] = []  # of the next commit
        self.handled = 0  # messages, and seconds in their handlers: counted where somebody wants to know the seconds
        self.spent = 0.0

    def __repr__(self) -> str:
        pin = f"/{self.pinned}" if self.pinned else ""
        return f"<Holding {self.shard}{pin} {self.owner.line!r}>"
