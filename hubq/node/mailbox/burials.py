"""Entries of a mailbox that are no messages: they go to the dead letters, and what stands around them goes on."""

from __future__ import annotations

from hubq.config import Config
from hubq.core.malformed import Malformed
from hubq.node.children.outcomes import error_payload
from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.dead_letters import NewLetter, Why
from hubq.store.message import Message
from hubq.store.replies import reply_line


class Burials:
    """Has malformed entries deleted by the next commit of their shard, so that only its owner does it, and once."""

    def __init__(self, node_name: str, config: Config, queue: CommitQueue, reports: MalformedReports) -> None:
        self._node_name = node_name
        self._kept = config.dead_kept
        self._queue = queue
        self._reports = reports

    def bury(self, holding: Holding, message: Message, why: str, word: Why = "malformed") -> None:
        """Keep the entry as a dead letter. If somebody waits for its reply, it is an error."""
        effects = holding.effects
        effects.done.setdefault(message.child, []).append(message.entry)
        effects.letters.append(NewLetter.of(message.entry, "", word, why, self._kept, self._kept))
        if message.reply_to:
            payload = error_payload(message, f"the node cannot read the message: {why}", word.capitalize())
            line = reply_line(message.id, "failed", self._node_name, payload)
            effects.replies.setdefault(message.reply_to, []).append(line)
        if word == "unsealed":
            self._reports.unsealed(f"a message to {message.child}", why)
        else:
            self._reports.report(Malformed(f"an entry of the mailbox of shard {holding.shard}", why))
        self._queue.changed()
