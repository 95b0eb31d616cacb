"""Since when the children of a node have had no message. Nothing is kept of children that never rest."""

from __future__ import annotations

from hubq.core.child import Child
from hubq.core.entry_ids import entry_ms
from hubq.core.idle import look_every, rests_after
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.bell import Bell


class Idleness:
    """The time of a child's last message is in its cursor. Here is what no cursor tells: starts, reads, and messages that have failed.

    ``bounded``: the node has ``max_active``, so that any child may rest. Those who put children to rest wait for :meth:`changed`.
    """

    def __init__(self, bounded: bool) -> None:
        self.bounded = bounded
        self._shortest: float | None = None
        self._touched: dict[HostedChild, float] = {}
        self._bell = Bell()

    def concerns(self, kind: type[Child]) -> bool:
        """Whether children of this class may rest."""
        return self.bounded or kind.idle_after is not None or kind.expire_after is not None

    def began(self, hosted: HostedChild, now_ms: float) -> None:
        """A child of such a class begins here. If it has had no message yet, its time counts from now."""
        kind = hosted.kind
        after = rests_after(kind.idle_after, kind.expire_after)
        if after is not None and (self._shortest is None or after < self._shortest):
            self._shortest = after
            self._bell.ring()
        if not entry_ms(hosted.cursor):
            self._touched[hosted] = now_ms

    def touched(self, hosted: HostedChild, now_ms: float) -> None:
        """It has something to do now that its cursor does not tell."""
        if self.concerns(hosted.kind):
            self._touched[hosted] = now_ms

    def last_ms(self, hosted: HostedChild) -> float:
        """When its last message was sent, or its last read was begun, ms of Redis TIME."""
        return max(entry_ms(hosted.cursor), self._touched.get(hosted, 0.0))

    def clean(self) -> None:
        """Forget children that are not here any more, and what their cursors tell by now."""
        self._touched = {
            hosted: at
            for hosted, at in self._touched.items()
            if hosted.holding.children.get(hosted.child_id) is hosted
            and not hosted.holding.gone
            and at > entry_ms(hosted.cursor)
        }

    @property
    def look_every(self) -> float | None:
        """How often to look who may rest, seconds; None: nobody ever does, as far as is known."""
        return look_every(self._shortest, self.bounded)

    async def changed(self) -> None:
        """Wait until a look is due, or children have come that rest sooner than all before."""
        await self._bell.heard(self.look_every)
