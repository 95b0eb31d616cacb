"""Takes and saves children's states: at message boundaries, when a child asks, now and then, and when it moves."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from inspect import isawaitable

from hubq.config import Config
from hubq.core.lifecycle import Life
from hubq.errors import HubqError, NotReplicated, OutsideHandler, StateNotSavable
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.older_code import downgraded
from hubq.node.held.state import (
    ATTRIBUTES,
    HANDED,
    envelope_of,
    overrides,
    save_boundary,
    take_state,
    takes_boundaries,
    with_saved_state,
)
from hubq.node.runtime.background import Background
from hubq.node.runtime.raised import in_short
from hubq.node.runtime.sizes import Sizes

log = logging.getLogger("hubq.node")


class Saver:
    """Puts states into the effects of holdings, for the next commit."""

    def __init__(self, config: Config, sizes: Sizes, background: Background, queue: CommitQueue) -> None:
        self._config = config
        self._sizes = sizes
        self._background = background
        self._queue = queue
        self._ending_runs: set[asyncio.Task[object]] = set()

    # -- now -------------------------------------------------------------------------------------------------------

    async def committed(self, holding: Holding) -> None:
        """Wait for the holding's next commit. That replicas have it too (``wait_replicas``) is the concern of ``commit()`` alone."""
        with suppress(NotReplicated):
            await self._confirmed(holding)

    async def _confirmed(self, holding: Holding) -> None:
        waiter = holding.next_commit()
        self._queue.changed()
        await waiter

    async def commit_child(self, hosted: HostedChild) -> None:
        """``await self.commit()`` of a child."""
        in_hand = hosted.in_hand
        if in_hand is not None and in_hand.task is asyncio.current_task():
            return  # inside a handler: the commit that ends its message holds everything
        if hosted.life is not Life.STARTING:  # on_start may commit, too
            await hosted.at_boundary()
        await self._not_at_rest(hosted)
        self.save(hosted)
        await self._confirmed(hosted.holding)

    async def _not_at_rest(self, hosted: HostedChild) -> None:
        """A task of a child may ask for a commit while the child goes to rest."""
        while hosted.rests and hosted.life is Life.RUNNING:
            await asyncio.shield(hosted.changed())
        if hosted.rests:
            raise OutsideHandler(
                f"child {hosted.child_id!r} has gone to rest: what a task of it changes now is not saved. End such tasks in on_stop(), or "
                "have their changes made by messages"
            )

    def save(self, hosted: HostedChild) -> None:
        """Put the child's state, and the messages that it holds, into the next commit. Call at a boundary."""
        state = take_state(hosted, self._sizes.state)
        unexplained = hosted.taken(state)  # no message has made it so
        if not hosted.saved and unexplained:
            hosted.holding.recorder.state(hosted)
        self.save_boundary(hosted)

    def take_first(self, hosted: HostedChild) -> None:
        """The state with which a child begins is what its reads see. (If it cannot be saved, its first message is told so.)"""
        try:
            hosted.taken(take_state(hosted, self._sizes.state))
        except HubqError as error:
            log.debug("child %s: no state to read yet: %s", hosted.child_id, error)

    def save_boundary(self, hosted: HostedChild) -> None:
        """The same with the state of the last boundary. May be called at any time."""
        save_boundary(hosted)
        self._queue.changed()

    def holds(self, hosted: HostedChild) -> None:
        """The saved state holds every message that is done: they go with the commit that saves it."""
        with_saved_state(hosted)
        self._queue.changed()

    # -- now and then (durability="interval") ----------------------------------------------------------------------

    def interval_progress(self, hosted: HostedChild, waiting: int) -> None:
        """Another message is done; so many of them ``waiting`` for the next save."""
        if waiting >= hosted.kind.save_after:
            self._background.run(self._save_soon(hosted), "saving")
        elif hosted.save_timer is None:
            self._arm(hosted)

    def _arm(self, hosted: HostedChild) -> None:
        hosted.arm(asyncio.get_running_loop().call_later(hosted.kind.save_every, self._due, hosted))

    def _due(self, hosted: HostedChild) -> None:
        hosted.disarm()  # the next message sets another timer, even if this save does not happen
        self._background.run(self._save_soon(hosted), "saving")

    async def _save_soon(self, hosted: HostedChild) -> None:
        await hosted.at_boundary()
        if hosted.holding.gone or hosted.life is not Life.RUNNING:
            return
        if not hosted.holding.frozen and not hosted.rests:
            self.save(hosted)
        elif hosted.save_timer is None:
            self._arm(hosted)  # it is about to move, and may stay after all

    # -- when it moves ---------------------------------------------------------------------------------------------

    async def hand_over(
        self, hosted: HostedChild, with_state: bool, version: int | None = None
    ) -> tuple[str, bytes | None]:
        """End ``run()`` and take the state that the child hands over: (child, envelope; None: msk has it already). ``version``: the
        older one that the code has where it goes.

        Raises what ``prepare_handover_state`` and ``downgrade_state`` raise, or that the result cannot be saved.
        """
        await self.end_run(hosted)
        if not with_state:
            hosted.hold_said()
            return hosted.child_id, None
        assert hosted.instance is not None
        if hosted.abandoned and takes_boundaries(hosted):
            # Its thread still runs and may change the instance: the last message boundary is what moves.
            if hosted.boundary is None:
                return hosted.child_id, None
            return hosted.child_id, self._handed(hosted, hosted.boundary, ATTRIBUTES, version)
        hosted.hold_said()
        if overrides(hosted.kind, "prepare_handover_state"):
            try:
                handed = hosted.instance.prepare_handover_state()
                if isawaitable(handed):
                    handed = await handed
            except (Exception, asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:  # a task that raises it would end the event loop
                raise StateNotSavable(f"prepare_handover_state raised {in_short(error)}") from error
            values, limit = hosted.services.values, self._sizes.state
            data = values.encode_state(hosted.kind, handed, limit, hosted.child_id, handed=True, surely=True)
            return hosted.child_id, self._handed(hosted, data, HANDED, version)
        data = take_state(hosted, self._sizes.state, surely=True)
        if (
            version is None
            and hosted.saved
            and data == hosted.boundary
            and hosted.child_id not in hosted.holding.effects.states
        ):
            return hosted.child_id, None
        return hosted.child_id, self._handed(hosted, data, ATTRIBUTES, version)

    def _handed(self, hosted: HostedChild, data: bytes, form: str, version: int | None) -> bytes:
        if version is not None:
            data = downgraded(hosted, data, form, version, self._sizes.state)
            hosted.is_changed()  # if it stays after all, its next commit saves it as it is here
        return envelope_of(hosted, data, form)

    def ends_run(self, task: asyncio.Task[object] | None) -> bool:
        """Whether this ``run()`` was cancelled here, and not by itself."""
        return task in self._ending_runs

    async def end_run(self, hosted: HostedChild) -> None:
        """Cancel the child's loop and wait until it has ended."""
        task = hosted.run_task
        if task is not None and task is not asyncio.current_task() and not task.done():
            self._ending_runs.add(task)
            task.add_done_callback(self._ending_runs.discard)
            task.cancel()
            if (await asyncio.wait([task], timeout=self._config.stop_timeout))[1]:
                log.warning(
                    "run() of child %s goes on though it was cancelled: let CancelledError through", hosted.child_id
                )
        if hosted.run_task is task and (task is None or task.done()):
            hosted.runs(None)
