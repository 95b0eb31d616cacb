"""A holding is forfeited: its token is another node's, or its state in memory is not to be trusted."""

from __future__ import annotations

from hubq.node.children.endings import Endings
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.store.effects import Effects
from hubq.store.owners import release_pin


class Forfeits:
    """Gives up holdings, and stops their children here."""

    def __init__(
        self, register: Register, endings: Endings, events: EventLog, background: Background, plan_due: Bell, group: Group
    ) -> None:  # fmt: skip
        self._register = register
        self._endings = endings
        self._events = events
        self._background = background
        self._plan_due = plan_due
        self._group = group

    def fenced(self, holding: Holding) -> None:
        """Another node owns it: end its children here. What they did since the last commit is void."""
        if holding.gone:
            return
        self._register.drop(holding)
        self._events.add("fenced", shard=holding.shard, child=holding.pinned or "")
        children = list(holding.children.values())
        self._background.run(self._endings.dispose(children, "fenced"), f"dropping shard {holding.shard}")
        self._plan_due.ring()

    def given_up(self, holding: Holding) -> None:
        """Its state in memory is not to be trusted, but the token is still here: it is adopted again from Redis."""
        group, standing = self._group, self._group.standing
        self.fenced(holding)
        if holding.pinned is not None:
            command = release_pin(
                group.keys, holding.shard, holding.pinned, holding.owner, closed_at_ms=standing.redis_now_ms(),
                effects=Effects(), events_kept=group.config.events_kept,
            )  # fmt: skip
            work = group.redis.run(command, retry_for=group.config.lease)
            self._background.run(work, f"giving up the pin of {holding.pinned}")
        elif standing.token(holding.shard) <= holding.owner.token:
            standing.doubt(holding.shard, holding.owner.token)
