"""Interventions: somebody ends the message in hand of a child, or drops a message that waits (docs/protocol.md, section 3)."""

from __future__ import annotations

from hubq.config import Config
from hubq.core.lifecycle import Life, LifeEvent
from hubq.core.messages import Intervene
from hubq.errors import HandlerKilled
from hubq.node.children.endings import Endings
from hubq.node.children.lives import Lives
from hubq.node.children.outcomes import Outcomes, error_payload
from hubq.node.children.pumps import Pumps
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.store.dead_letters import NewLetter
from hubq.store.mailbox import read_back
from hubq.store.message import Message
from hubq.store.replies import reply_line
from hubq.store.values import TRUE


class Interventions:
    """Handles ``intervene`` messages. Each is answered by the commit that holds what was done; silence is an answer, too."""

    def __init__(
        self, group: Group, background: Background, events: EventLog, register: Register, cursors: Cursors,
        queue: CommitQueue, pumps: Pumps, outcomes: Outcomes, endings: Endings, lives: Lives,
    ) -> None:  # fmt: skip
        self._group = group
        self._config: Config = group.config
        self._node_name = group.node_name
        self._background = background
        self._events = events
        self._register = register
        self._cursors = cursors
        self._queue = queue
        self._pumps = pumps
        self._outcomes = outcomes
        self._endings = endings
        self._lives = lives

    def intervene(self, ask: Intervene) -> None:
        """Do what is asked, if the child is here."""
        holding = self._register.of_child(ask.shard, ask.child)
        hosted = None if holding is None or holding.gone else holding.children.get(ask.child)
        if hosted is None:
            return  # it is on its way to another node
        if ask.what == "drop":
            self._drop(hosted, ask)
        elif ask.what == "stop":
            self._background.run(self._stop(hosted, ask), f"stopping child {ask.child} now")
        elif ask.what == "kill":
            self._background.run(self._kill(hosted, ask), f"killing child {ask.child}")

    # -- the message in hand ---------------------------------------------------------------------------------------

    async def _stop(self, hosted: HostedChild, ask: Intervene) -> None:
        holding = hosted.holding
        if hosted.life is Life.PARKED:
            self._endings.end(hosted)
            self._cursors.orphans(holding, hosted.child_id)
        elif hosted.life is Life.STARTING:
            self._endings.end(hosted)  # its on_start may never end
            await self._lives.end_start(hosted)
        else:
            hosted.stop_after_message()
            self._end_hand(hosted, "stopped at once")
            await hosted.at_boundary()
            self._endings.end(hosted)
        self._answer(hosted, ask)

    async def _kill(self, hosted: HostedChild, ask: Intervene) -> None:
        if hosted.life is not Life.RUNNING:
            self._refuse(
                hosted, ask, f"child {ask.child!r} is {hosted.life.value}: {hosted.reason or 'it has nothing in hand'}"
            )
            return
        hosted.moved(LifeEvent.RESTART)  # its next message waits for the new instance
        self._events.add("child_killed", child=ask.child, shard=ask.shard)
        self._end_hand(hosted, "killed")
        await self._lives.rebuild(hosted)
        self._answer(hosted, ask)

    def _end_hand(self, hosted: HostedChild, how: str) -> None:
        if hosted.in_hand is not None:
            message = hosted.in_hand.message
            hosted.in_hand.kill(HandlerKilled(f"{hosted.child_id}.{message.method} was undone: the child was {how}"))

    # -- a message that waits --------------------------------------------------------------------------------------

    def _drop(self, hosted: HostedChild, ask: Intervene) -> None:
        in_hand, entry = hosted.in_hand, ask.entry.encode()
        if in_hand is not None and in_hand.message.entry == entry:
            self._refuse(hosted, ask, f"{ask.entry} ({in_hand.message.method}) is in hand: `hubq kill` ends it")
            return
        for place, message in enumerate(hosted.queue or ()):
            if message.entry == entry:
                hosted.withdraw(place)
                self._cursors.room(hosted)
                self._bury(hosted, message)
                self._answer(hosted, ask)
                self._pumps.resume(hosted)  # it may have been held back by this very message
                return
        if hosted.life in (Life.RUNNING, Life.PARKED) and self._cursors.in_step(hosted.holding):
            self._background.run(self._drop_unread(hosted, ask), f"dropping a message of {ask.child}")
        else:
            self._refuse(hosted, ask, f"child {ask.child!r} is {hosted.life.value}, and has just come here: try again")

    async def _drop_unread(self, hosted: HostedChild, ask: Intervene) -> None:
        """It is not in memory. The queue of a child has a limit, and a child that is parked has none: the others are still in the
        mailbox.
        """
        holding, entry = hosted.holding, ask.entry.encode()
        found = await self._group.redis.run(read_back(self._group.keys, ask.shard, entry, 1), retry_for=1.0)
        if holding.gone or holding.frozen or holding.children.get(ask.child) is not hosted:
            return  # it is on its way to another node
        waits = next((message for message in found if message.entry == entry and message.child == ask.child), None)
        unread = hosted.life is Life.PARKED or self._cursors.is_unread(hosted, entry)
        if waits is None or not unread or entry in (hosted.unsaved or ()):
            if any(message.entry == entry for message in hosted.queue or ()):
                self._drop(hosted, ask)  # it has just been read
            else:
                self._refuse(
                    hosted, ask, f"{ask.entry} does not wait for {ask.child!r}: it is done, or is another child's"
                )
            return
        self._cursors.drop(holding.shard, entry)
        self._bury(hosted, waits)
        self._answer(hosted, ask)

    def _bury(self, hosted: HostedChild, message: Message) -> None:
        holding, kept = hosted.holding, self._config.dead_kept
        why = f"{message.method or message.kind} of child {hosted.child_id!r} was dropped by hand before its turn"
        name = hosted.record.name
        holding.effects.letters.append(NewLetter.of(message.entry, name, "dropped", why, kept, kept))
        in_hand = InHand(message)
        in_hand.failed("message_dropped", error_payload(message, why))
        self._outcomes.settle(hosted, in_hand)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _answer(self, hosted: HostedChild, ask: Intervene) -> None:
        self._reply(hosted, ask, "ok", TRUE)

    def _refuse(self, hosted: HostedChild, ask: Intervene, why: str) -> None:
        asked = Message(b"", "call", ask.child, "", ask.message_id, ask.sender, 0, b"")
        self._reply(hosted, ask, "not_done", error_payload(asked, why))

    def _reply(self, hosted: HostedChild, ask: Intervene, word: str, payload: bytes) -> None:
        line = reply_line(ask.message_id, word, self._node_name, payload)
        hosted.holding.effects.replies.setdefault(ask.sender, []).append(line)
        self._queue.changed()
