"""What a child can ask of its node: ``self.commit()``, ``self.stop()``, ``self.ref(...)``,
``self.enqueue(...)`` and ``self.redundancy_mode``."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.core.methods import Method
from hubq.core.outgoing import Called, Target
from hubq.core.reminders import Reminder, Times
from hubq.errors import OutsideHandler
from hubq.node.children.endings import Endings
from hubq.node.children.enqueuing import Enqueuing
from hubq.node.children.progress import Progresses
from hubq.node.children.reminders import Reminders
from hubq.node.children.saver import Saver
from hubq.node.children.sayings import Sayings
from hubq.node.children.signals import Signals
from hubq.node.held.holding import HostedChild
from hubq.store.seal import Seal
from hubq.store.values import Values


class ChildServices:
    """``Services`` of :mod:`hubq.node.held.services`."""

    def __init__(
        self, node_name: str, values: Values, seal: Seal | None, signals: Signals, saver: Saver, endings: Endings, sayings: Sayings,
        enqueuing: Enqueuing, reminders: Reminders, progresses: Progresses,
    ) -> None:  # fmt: skip
        self.node_name = node_name
        self.values = values
        self.seal = seal
        self._signals = signals
        self._saver = saver
        self._endings = endings
        self._sayings = sayings
        self._enqueuing = enqueuing
        self._reminders = reminders
        self._progresses = progresses

    def active(self, hosted: HostedChild) -> bool:
        """Whether this copy is the active one right now."""
        return self._signals.active(hosted)

    async def commit(self, hosted: HostedChild) -> None:
        """``await self.commit()`` of a child."""
        await self._saver.commit_child(hosted)

    def stop(self, hosted: HostedChild) -> None:
        """``self.stop()`` of a child. In a handler it is an effect of the message: it is undone with it."""
        if hosted.in_hand is None or _runs_here(hosted.run_task):
            self._endings.stop_requested(hosted)
        else:
            hosted.in_hand.stop_child()

    def says(
        self, hosted: HostedChild, target: Target | None, child_id: str, method: Called | None,
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> None:  # fmt: skip
        """``self.ref(...).cast(...)`` and ``.start(...)`` of a child."""
        self._sayings.says(hosted, target, child_id, method, args, kwargs)

    def enqueues(self, hosted: HostedChild, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """``self.enqueue(...)`` of a child."""
        return self._enqueuing.enqueues(hosted, function, args, kwargs)

    def publishes(self, hosted: HostedChild, topic: str, data: object, now: bool) -> None:
        """``self.publish(...)`` of a child."""
        if now and _runs_here(hosted.run_task):
            raise OutsideHandler(
                f"child {hosted.child_id!r}: self.publish(..., now=True) belongs to a message in hand, and run() has none: publish without "
                "now=True, and commit"
            )
        self._sayings.publishes(hosted, topic, data, now)

    def reminds(
        self, hosted: HostedChild, name: str, method: Method, args: tuple[Any, ...], times: Times, late: str
    ) -> None:
        """``self.remind(...)`` of a child."""
        self._reminders.remind(hosted, name, method, args, times, late)

    def forgets(self, hosted: HostedChild, name: str) -> None:
        """``self.forget(...)`` of a child."""
        self._reminders.forget(hosted, name)

    def progresses(self, hosted: HostedChild, done: float, total: float | None, text: str) -> None:
        """``self.progress(...)`` of a child."""
        self._progresses.tell(hosted, done, total, text)

    async def reminders(self, hosted: HostedChild) -> list[Reminder]:
        """``self.reminders()`` of a child."""
        return await self._reminders.listed(hosted)


def _runs_here(task: asyncio.Task[Any] | None) -> bool:
    """Whether this is the task that calls. (A plain ``def`` handler calls from a thread, where there is none.)"""
    try:
        return task is not None and task is asyncio.current_task()
    except RuntimeError:
        return False
