"""Moments in the work of all nodes of this process: heard, delayed, or taken away. See :mod:`hubq.testing.probe`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hubq.core.messages import ControlMessage
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.shards import ShardArrivals
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children import lives
from hubq.node.commits.committer import Committer
from hubq.node.departures.shard_handover import ShardHandover
from hubq.node.mailbox import far_forwarder, reader
from hubq.node.mailbox.catching_up import CatchingUp
from hubq.node.mailbox.delivery import Delivery
from hubq.node.planning.control import ControlLoop
from hubq.node.runtime import hook_runner
from hubq.store import far
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis
from hubq.store.primary import PrimaryWatch
from hubq.testing.patching import replaced

#: Messages that one read takes at most from one mailbox.
MOST_READ_AT_ONCE = reader.DEEP


@dataclass
class Heard:
    """Counts of the messages that the nodes have read."""

    messages: int = 0
    """Messages read for the first time."""

    again: int = 0
    """Messages read once more, since there had been no room for them in memory."""

    counts: list[int] = field(default_factory=list)
    """For each read of mailboxes, how many messages it asked for."""


@contextmanager
def reading_heard() -> Iterator[Heard]:
    """Counts what is read from mailboxes."""
    heard = Heard()

    def counting(dispatch: Any) -> Any:
        def count(self: Delivery, holding: Any, message: Any) -> None:
            heard.messages += 1
            dispatch(self, holding, message)

        return count

    def counting_again(bring: Any) -> Any:
        def count(self: CatchingUp, holding: Any, messages: Any, *more: Any) -> None:
            heard.again += len(messages)
            bring(self, holding, messages, *more)

        return count

    def noting(read_mailboxes: Any) -> Any:
        def note(keys: Any, cursors: Any, count: int, *more: Any) -> Any:
            heard.counts.append(count)
            return read_mailboxes(keys, cursors, count, *more)

        return note

    with (
        replaced(Delivery, "deliver", counting),
        replaced(CatchingUp, "_bring", counting_again),
        replaced(reader, "read_mailboxes", noting),
    ):
        yield heard


# -- commits -------------------------------------------------------------------------------------------------------


@contextmanager
def no_commits() -> Iterator[None]:
    """Nothing is committed, but what goes with a shard."""

    async def nothing(self: Committer) -> None:
        pass

    with replaced(Committer, "_commit", lambda commit: nothing):
        yield


@contextmanager
def before_each_last_commit(wait: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Waits before each commit of one shard alone, as a failed move makes it before the shard is built again."""

    def late(commit: Any) -> Any:
        async def commit_late(self: Committer, *args: Any) -> str:
            await wait()
            answer: str = await commit(self, *args)
            return answer

        return commit_late

    with replaced(Committer, "commit", late):
        yield


@contextmanager
def before_each_commit_sent(do: Callable[[AsyncRedis], Awaitable[None]]) -> Iterator[None]:
    """Calls something before each commit that is sent by itself, as that of a take-over is."""

    def first(run: Any) -> Any:
        async def do_and_run(self: AsyncRedis, command: Command[Any], **options: Any) -> Any:
            if command.script is not None and command.script.name == "commit_shards":
                await do(self)
            return await run(self, command, **options)

        return do_and_run

    with replaced(AsyncRedis, "run", first):
        yield


# -- control messages ----------------------------------------------------------------------------------------------


@contextmanager
def control_messages_lost(kind: type[ControlMessage]) -> Iterator[list[ControlMessage]]:
    """No node gets a control message of this kind; those that were lost are in the list."""
    lost: list[ControlMessage] = []

    def losing(receive: Any) -> Any:
        def take(self: ControlLoop, message: ControlMessage) -> None:
            if isinstance(message, kind):
                lost.append(message)
            else:
                receive(self, message)

        return take

    with replaced(ControlLoop, "_receive", losing):
        yield lost


@contextmanager
def straggler_released_while_adopting(node_name: str) -> Iterator[None]:
    """While this node adopts a shard it does not learn where single children live, until it was told that a straggler is
    released to it.
    """
    news, adopting = asyncio.Event(), set[str]()

    def watched(adopt: Any) -> Any:
        async def adopt_and_say(self: ShardArrivals, *args: Any, **options: Any) -> bool:
            adopting.add(self._group.node_name)
            confirmed: bool = await adopt(self, *args, **options)
            adopting.discard(self._group.node_name)
            return confirmed

        return adopt_and_say

    def slow(refresh: Any) -> Any:
        async def refresh_late(self: Wishes, epoch: int) -> bool:
            if self._group.node_name == node_name and node_name in adopting:  # it has read who owns what
                await news.wait()
            answer: bool = await refresh(self, epoch)
            return answer

        return refresh_late

    def heard(pin_released: Any) -> Any:
        async def release(self: Arrivals, message: Any) -> None:
            await pin_released(self, message)
            news.set()

        return release

    with (
        replaced(ShardArrivals, "adopt", watched),
        replaced(Wishes, "refresh", slow),
        replaced(Arrivals, "pin_released", heard),
    ):
        yield


# -- handovers -----------------------------------------------------------------------------------------------------


class HandoverSeen:
    """A handover whose source waits for the target's confirmation, or has done so."""

    def __init__(self, inside: ShardHandover) -> None:
        self._inside = inside
        self.handover_id = inside._answer.handover_id
        self.shard = inside.shard

    @property
    def confirmed(self) -> bool:
        """Whether the confirmation is here."""
        return self._inside._answer.confirmed.done()


@contextmanager
def confirmations_awaited() -> Iterator[list[HandoverSeen]]:
    """The handovers that wait for a confirmation, in the order in which they begin to wait."""
    seen: list[HandoverSeen] = []

    def watched(await_confirmation: Any) -> Any:
        async def note(self: ShardHandover, timeout: float) -> bool:
            seen.append(HandoverSeen(self))
            answer: bool = await await_confirmation(self, timeout)
            return answer

        return note

    with replaced(ShardHandover, "await_confirmation", watched):
        yield seen


# -- the rest ------------------------------------------------------------------------------------------------------


@contextmanager
def hooks_awaited_for(seconds: float) -> Iterator[None]:
    """Handlers of hooks that are waited for may take so long."""
    with replaced(hook_runner, "BEFORE", lambda _: seconds):
        yield


@contextmanager
def pages_between_groups(at_once: int, ahead: int) -> Iterator[None]:
    """So many messages are forwarded to another group at a time, and none is so many numbers ahead of the first that waits."""
    with (
        replaced(far, "AT_ONCE", lambda _: at_once),
        replaced(far_forwarder, "AT_ONCE", lambda _: at_once),
        replaced(far_forwarder, "AHEAD", lambda _: ahead),
    ):
        yield


@contextmanager
def patience_with_what_is_cancelled(seconds: float) -> Iterator[None]:
    """A start that was ended, and does not heed it, is waited for so long."""
    with replaced(lives, "LETTING_GO", lambda before: seconds):
        yield


@contextmanager
def nobody_asks_who_answers() -> Iterator[None]:
    """A new connection does not ask which Redis it leads to (as if INFO were forbidden)."""

    async def greet(self: PrimaryWatch, connection: Any, slots: Any = None) -> None:
        pass

    with replaced(PrimaryWatch, "greet", lambda _: greet):
        yield
