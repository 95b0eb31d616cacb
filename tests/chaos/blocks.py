"""The ``block`` fault: a handler that blocks the loop of its node, and what the children of other nodes answer meanwhile."""

from __future__ import annotations

import threading
import time
from random import Random

from hubq import CallTimeout, Hub
from hubq.errors import HubqError, NotReplicated, RedisUnavailable

from .alibis import Alibis
from .clients import Book

#: So many children of other nodes are called while a loop is blocked, one after the other.
ASKED = 6
#: The longest that such a child may take to answer if no other fault is about, seconds.
LONGEST = 5.0


class Blocks:
    """Sends the messages that block. Each is acknowledged, so it is in the book like any other."""

    SENDER = "blocks"

    def __init__(self, hub: Hub, book: Book, children: list[str], alibis: Alibis) -> None:
        self.hub = hub
        self.book = book
        self.answered = 0
        """Calls of children on other nodes that were answered while a loop was blocked."""
        self.late: list[str] = []
        self._children = children
        self._alibis = alibis
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()

    def begin(self, pick: int, seconds: float) -> None:
        """Have one of the children block its loop for so long, however often its message is handled again."""
        child = self._children[pick % len(self._children)]
        thread = threading.Thread(target=self._block, args=(child, seconds, Random(pick)), name=f"block {child}")
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        """Ask no more; the blocked loops go on when their time is over."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _block(self, child: str, seconds: float, random: Random) -> None:
        began = time.time()
        try:
            others = self._elsewhere(child)
        except HubqError:
            others = []  # Redis is away
        with self._lock:  # one send after the other: the book knows them in this order
            number = self.book.next(self.SENDER, child)
            try:
                self.hub.ref(child).cast("block", self.SENDER, number, began + seconds)
            except HubqError as error:
                self.book.failed(self.SENDER, child, number, error)
                return
            self.book.done("casts", self.SENDER, child, number, None, 0.0)
        for other in random.sample(others, min(ASKED, len(others))):
            if time.time() > began + seconds or self._ended.is_set():
                return
            self._ask(other, child)

    def _elsewhere(self, child: str) -> list[str]:
        nodes = {snapshot.child_id: snapshot.node for snapshot in self.hub.children()}
        return [other for other, node in nodes.items() if node != nodes.get(child) and other not in self._children]

    def _ask(self, other: str, child: str) -> None:
        began = time.time()
        try:
            self.hub.ref(other).call("ping", timeout=LONGEST)
            self.answered += 1
        except NotReplicated:
            pass  # its primary has just failed over
        except (CallTimeout, RedisUnavailable) as error:
            # It may have moved to the blocked node, or its own may have another fault: only peace says something.
            if not self._alibis.any_between(began - LONGEST, time.time()):
                self.late.append(f"{other} did not answer while {child} blocked another node: {error}")
