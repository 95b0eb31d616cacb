"""Collecting the states that children hand over when they leave this node."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from hubq.core.lifecycle import Life
from hubq.node.children.saver import Saver
from hubq.node.departures.boundaries import until_done
from hubq.node.held.holding import HostedChild
from hubq.node.held.older_code import OlderCode
from hubq.node.held.state import overrides
from hubq.node.runtime.pieces import Pieces
from hubq.store.effects import Effects

#: What a child hands over: its id, and its envelope (None: ``msk`` has it already).
Handed = tuple[str, bytes | None]


@dataclass(slots=True)
class Collected:
    """The states that children hand over."""

    states: dict[str, bytes] = field(default_factory=dict)
    """Envelopes; a child whose state is in ``msk`` already is not among them."""
    asked: set[str] = field(default_factory=set)
    """The children that have answered."""
    failed: dict[HostedChild, Exception] = field(default_factory=dict)

    def take(self, handed: Handed) -> None:
        """A child has answered."""
        child, envelope = handed
        self.asked.add(child)
        if envelope is not None:
            self.states[child] = envelope

    def shed(self, size: int) -> None:
        """Redis does not take states of this size: those children have not answered."""
        for child in [child for child, state in self.states.items() if len(state) >= size > 0]:
            del self.states[child]
            self.asked.discard(child)

    def effects(self, children: Iterable[HostedChild], forgotten: Iterable[str] = ()) -> Effects:
        """The effects of the handover: the states of these children, and the messages that the states hold."""
        handed = Effects(states=self.states, forgotten=list(forgotten))
        for hosted in children:
            if hosted.unsaved and hosted.child_id in self.asked:
                handed.done[hosted.child_id] = hosted.unsaved
            if hosted.said is not None and hosted.child_id in self.asked:
                handed.said += hosted.said[: hosted.holds_said]
        return handed


class Asked:
    """The children that were asked for a state, and may have to wait before they answer."""

    def __init__(self) -> None:
        self.tasks: dict[asyncio.Task[Handed], HostedChild] = {}
        self._begun = 0
        self._all_begun = asyncio.Event()

    def add(self, hosted: HostedChild, work: Coroutine[Any, Any, Handed]) -> None:
        """Ask a child. The work says :meth:`one_more` when it begins."""
        self.tasks[asyncio.get_running_loop().create_task(work)] = hosted

    def one_more(self) -> None:
        """One more of them has begun to answer."""
        self._begun += 1
        if self._begun == len(self.tasks):
            self._all_begun.set()

    async def answered(self, within: float) -> set[asyncio.Task[Handed]]:
        """Wait until all have begun to answer, then at most so many seconds. Those that are not done by then are cancelled."""
        if not self.tasks:
            return set()
        if self._begun < len(self.tasks):
            self._all_begun.clear()
            await self._all_begun.wait()
        return await until_done(self.tasks, within)

    def cancel(self) -> None:
        """No answer is waited for any more."""
        for task in self.tasks:
            task.cancel()


class NoState(TimeoutError):
    """A child did not hand its state over in time."""


class Interrupted(RuntimeError):
    """The handing over of a state was cancelled, and not by us."""


class Collecting:
    """Asks children for their states."""

    def __init__(self, saver: Saver, pieces: Pieces, older: OlderCode) -> None:
        self._saver = saver
        self._pieces = pieces
        self._older = older

    async def collect(
        self, children: Iterable[HostedChild], with_state: bool, within: float, target: str = ""
    ) -> Collected:
        """Ask the children that run, and have nothing in hand, for their states: one piece of the loop after the other, and
        without waiting for an answer in between. Each has ``within`` seconds from the moment that the last one was asked.
        ``target``: the node that they go to, if it is known. If its code is older, it gets states that it can read.
        """
        collected, asked = Collected(), Asked()
        try:
            for hosted in [hosted for hosted in children if hosted.life is Life.RUNNING and not hosted.busy]:
                if hosted.run_task is None and not overrides(hosted.kind, "prepare_handover_state"):
                    # Nothing to wait for: no task is needed.
                    if not self._pieces.at_once():
                        await self._pieces.turn()
                    try:
                        collected.take(
                            await self._saver.hand_over(hosted, with_state, self._older_version(hosted, target))
                        )
                    except Exception as error:
                        collected.failed[hosted] = error
                    except asyncio.CancelledError:
                        task = asyncio.current_task()
                        if task is not None and task.cancelling():
                            raise
                        collected.failed[hosted] = Interrupted("taking its state was cancelled")
                else:
                    asked.add(hosted, self._hand_over(hosted, with_state, target, asked))
            late = await asked.answered(within)
        except BaseException:
            asked.cancel()
            raise
        for task, hosted in asked.tasks.items():
            if task in late:
                collected.failed[hosted] = NoState(f"no state within {within:g} s")
            elif task.cancelled():
                collected.failed[hosted] = Interrupted("prepare_handover_state was cancelled")
            elif (raised := task.exception()) is not None:
                # (Other BaseExceptions end the loop.)
                collected.failed[hosted] = raised if isinstance(raised, Exception) else Interrupted(repr(raised))
            else:
                collected.take(task.result())
        return collected

    def _older_version(self, hosted: HostedChild, target: str) -> int | None:
        """The version in which the target reads its state, if it is another one than here, and there is a way back to it."""
        version = self._older.version_for(hosted, target) if target else hosted.kind.state_version
        if version == hosted.kind.state_version or not overrides(hosted.kind, "downgrade_state"):
            return None
        return version

    async def _hand_over(self, hosted: HostedChild, with_state: bool, target: str, asked: Asked) -> Handed:
        try:
            await self._pieces.turn()
        finally:
            asked.one_more()
        return await self._saver.hand_over(hosted, with_state, self._older_version(hosted, target))
