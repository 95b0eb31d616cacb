"""Calls the handlers of hooks on a node. Ask ``wants`` before a payload is made: a hook without handlers costs one look-up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any

from hubq.core.pid import Pid
from hubq.hooks import (
    ChildData,
    ChildrenStart,
    HookBook,
    PidsInserted,
    PidsRemoved,
    PidsUpdated,
    PriorityStateUpdated,
)
from hubq.hooks.book import ALTER, Hook
from hubq.node.runtime.background import Background
from hubq.store.owners import Owner

log = logging.getLogger("hubq.node")

#: How long the handlers of a ``pre_`` hook may take, all together, before things go on, seconds.
BEFORE = 5.0


#: Hooks about the node as a whole, and about the other nodes of the hub.
OF_THE_NODE = frozenset(
    {"pre_cluster_join", "post_cluster_join", "pre_cluster_leave", "post_cluster_leave", "coordinator_shutdown"}
)


class HookRunner:
    """The hooks of one node. ``speaks``: what happens to the node is told here (of a hub with several groups, in the first: the node
    joins and leaves all of them).
    """

    def __init__(self, book: HookBook, hub_id: str, node: str, background: Background, *, speaks: bool = True) -> None:
        self.hub_id = hub_id
        self.node = node
        self._background = background
        self._heard = book.heard
        self._untold = frozenset[str]() if speaks else OF_THE_NODE

    def wants(self, hook_id: str) -> bool:
        """Whether anybody listens."""
        return hook_id in self._heard

    def fire(self, hook_id: str, payload: object) -> None:
        """Call the handlers soon, without waiting for them."""
        hooks = self._heard.get(hook_id)
        if hooks and hook_id not in self._untold:
            self._background.run(self._call_all(hooks, payload), f"hook {hook_id}")

    async def before(self, hook_id: str, payload: object) -> bool:
        """Call the handlers and wait for them, at most ``BEFORE`` seconds. False: there are none."""
        hooks = self._heard.get(hook_id)
        if not hooks or hook_id in self._untold:
            return False
        try:
            async with asyncio.timeout(BEFORE):
                await self._call_all(hooks, payload)
        except TimeoutError:
            log.warning("handlers of hook %s took longer than %g s; not waited for any more", hook_id, BEFORE)
        return True

    async def _call_all(self, hooks: tuple[Hook, ...], payload: object) -> None:
        for hook in hooks:
            args, kwargs = hook.arguments(payload)
            try:
                answer = hook.handler(*args, **kwargs)
                if isawaitable(answer):
                    await answer
            except Exception:
                log.exception("a handler of hook %s raised: %r", hook.hook_id, hook.handler)

    def altered(
        self, child_id: str, kind: str, args: Sequence[object], kwargs: Mapping[str, object], metadata: dict[str, Any]
    ) -> ChildData:
        """What the child is built with after every ``child_data_alter`` handler had its turn."""
        data = ChildData(self.hub_id, self.node, child_id, kind, tuple(args), dict(kwargs), dict(metadata))
        for hook in self._heard.get(ALTER, ()):
            hook_args, hook_kwargs = hook.arguments(
                replace(data, kwargs=dict(data.kwargs), metadata=dict(data.metadata))
            )
            try:
                answer = hook.handler(*hook_args, **hook_kwargs)
            except Exception:
                log.exception("a handler of hook %s raised: %r", hook.hook_id, hook.handler)
                continue
            if isinstance(answer, ChildData):
                data = answer
            elif answer is not None:
                log.error(
                    "a handler of hook %s returned %r: give a ChildData or None (%r)",
                    hook.hook_id,
                    answer,
                    hook.handler,
                )
        return data

    # -- hooks that several parts fire ------- ----------------------------------------------------------------------

    def intake(self, shard: int, open: bool, reason: str) -> None:
        """``priority_state_updated``: intake of a shard was closed or opened here."""
        if "priority_state_updated" in self._heard:
            self.fire("priority_state_updated", PriorityStateUpdated(self.hub_id, self.node, shard, open, reason))

    def pids_updated(self, shard: int, owner: Owner, children: tuple[str, ...], reason: str) -> None:
        """``child_process_pid_update``: children that were there before run here now."""
        if "child_process_pid_update" in self._heard and children:
            pid = pid_of(owner)
            payload = PidsUpdated(self.hub_id, self.node, shard, children, pid, reason)
            self.fire("child_process_pid_update", payload)

    def started(self, shard: int, owner: Owner, children: tuple[str, ...], failed: dict[str, str]) -> None:
        """``registry_pid_inserted`` and ``post_children_start``: a start message was carried out."""
        if "registry_pid_inserted" in self._heard:
            fresh = tuple(child for child in children if child not in failed)
            if fresh:
                payload = PidsInserted(self.hub_id, self.node, shard, fresh, pid_of(owner))
                self.fire("registry_pid_inserted", payload)
        if "post_children_start" in self._heard:
            started = ChildrenStart(self.hub_id, self.node, shard, children, dict(failed))
            self.fire("post_children_start", started)

    def ended(self, shard: int, owner: Owner, child_id: str) -> None:
        """``registry_pid_removed``: a child has ended for good."""
        if "registry_pid_removed" in self._heard:
            pid = pid_of(owner)
            payload = PidsRemoved(self.hub_id, self.node, shard, (child_id,), pid)
            self.fire("registry_pid_removed", payload)


def pid_of(owner: Owner) -> Pid:
    """An owner line as a pid."""
    return Pid(owner.node, owner.incarnation, owner.token)
