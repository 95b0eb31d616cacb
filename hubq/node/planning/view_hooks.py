"""Calls hooks when nodes come and go, and when shards begin and cease to move, as this node sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hubq.hooks import ClusterJoin, ClusterLeave, NodesRedistribution
from hubq.node.runtime.hook_runner import HookRunner
from hubq.store.membership import NodeInfo

JOINS = ("pre_cluster_join", "post_cluster_join")
LEAVES = ("pre_cluster_leave", "post_cluster_leave")


class ViewHooks:
    """Compares one sight of the members with the one before."""

    def __init__(self, hooks: HookRunner) -> None:
        self._hooks = hooks
        self._seen: dict[str, int] | None = None  # other nodes and their incarnations; None: not looked yet
        self._leaving: set[tuple[str, int]] = set()
        self._after: list[tuple[str, object]] = []  # the post_ hooks of this look
        self._moving = False

    async def seen(self, nodes: Mapping[str, NodeInfo]) -> bool:
        """A new sight of the members, before a plan is made of it. True: handlers were waited for, look again."""
        hooks, waited = self._hooks, False
        now = {name: info.incarnation for name, info in nodes.items() if name != hooks.node}
        before = self._seen if self._seen is not None else dict(now)
        self._seen = now
        for name, incarnation in before.items():
            if now.get(name) != incarnation:
                drained = (name, incarnation) in self._leaving
                gone = self._leave(name, incarnation, "drained" if drained else "evicted")
                if not drained:
                    waited |= await hooks.before("pre_cluster_leave", gone)
                self._leaving.discard((name, incarnation))
                self._after.append(("post_cluster_leave", gone))
        for name, info in nodes.items():
            if not info.up and (name, info.incarnation) not in self._leaving:
                self._leaving.add((name, info.incarnation))
                waited |= await hooks.before("pre_cluster_leave", self._leave(name, info.incarnation, "drained"))
        for name, incarnation in now.items():
            if before.get(name) != incarnation:
                joined = ClusterJoin(hooks.hub_id, hooks.node, name, incarnation)
                waited |= await hooks.before("pre_cluster_join", joined)
                self._after.append(("post_cluster_join", joined))
        return waited

    def _leave(self, name: str, incarnation: int, reason: str) -> ClusterLeave:
        return ClusterLeave(self._hooks.hub_id, self._hooks.node, name, incarnation, reason)

    async def planned(self, members: Iterable[str], moves: Mapping[int, str], claims: Sequence[int]) -> bool:
        """Shards are about to be moved or claimed. True: handlers were waited for, look again."""
        if self._moving or not (moves or claims):
            return False
        self._moving = True
        if not self._hooks.wants("pre_nodes_redistribution"):
            return False
        payload = NodesRedistribution(self._hooks.hub_id, self._hooks.node, tuple(members), dict(moves), tuple(claims))
        return await self._hooks.before("pre_nodes_redistribution", payload)

    def looked(self, members: Iterable[str], quiet: bool) -> None:
        """The plan of this sight is under way. ``quiet``: nothing moves any more."""
        after, self._after = self._after, []
        for hook_id, payload in after:
            self._hooks.fire(hook_id, payload)
        if quiet and self._moving:
            self._moving = False
            if self._hooks.wants("post_nodes_redistribution"):
                payload = NodesRedistribution(self._hooks.hub_id, self._hooks.node, tuple(members))
                self._hooks.fire("post_nodes_redistribution", payload)
