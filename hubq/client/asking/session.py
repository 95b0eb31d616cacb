"""A session drives operations by waiting: one per thread, with a sender id, a window and a reply list of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.forks import renewed_after_fork
from hubq.client.asking.refusals import accepted, refused_sends, refused_starts, void_command
from hubq.client.asking.requests import (
    IN_FLIGHT,
    RETRY_FOR,
    STARTS,
    WITHDRAW_WAIT,
    new_intervention,
    new_sender,
    one_send,
    proof,
    remind_command,
    send_commands,
    start_command,
)
from hubq.client.asking.running_loop import refuse_in_event_loop
from hubq.client.asking.steps import (
    Cancel,
    Collect,
    Each,
    Fetch,
    Intervene,
    Operation,
    Pause,
    Remind,
    Reply,
    Scatter,
    Send,
    Start,
    Step,
    Withdraw,
)
from hubq.client.asking.sync_replies import SyncReplies
from hubq.core.send_window import SendWindow
from hubq.store.asks import Asks, intervene, withdraw_call
from hubq.store.command import Command
from hubq.store.connection import SyncRedis
from hubq.store.outgoing import Outgoing
from hubq.store.reminders import Later
from hubq.store.replication import shortfall, with_wait
from hubq.store.spec_record import SpecRecord

T = TypeVar("T")


class Session:
    """Drives operations for one thread."""

    def __init__(self, hub: HubContext, redis: SyncRedis) -> None:
        self.hub = hub
        self.sender = new_sender(hub.client)
        self.redis = redis
        self._window = SendWindow()
        self._replies = SyncReplies(hub, redis, self.sender)
        self._one_send = one_send(hub, self.sender)
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """In a forked process (:mod:`hubq.client.asking.forks`)."""
        self._lock = threading.RLock()  # a future may be awaited in another thread than the one that made it

    def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        refuse_in_event_loop()  # (a future brings its session along)
        with self._lock:
            return self._drive(operation)

    def _drive(self, operation: Operation[T]) -> T:
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                step = operation.throw(error) if error is not None else operation.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            answer, error = None, None
            try:
                answer = self._perform(step)
            except Exception as raised:
                error = raised

    def _perform(self, step: Step) -> Any:
        match step:
            case Send(messages, collected):
                return [self._send_one(messages[0], collected)] if len(messages) == 1 else self._send(messages)
            case Remind(later):
                return self._remind(later)
            case Start():
                return self._start(step)
            case Pause(seconds):
                return time.sleep(seconds)
            case Withdraw(shard, child, message_id):
                return self._withdraw(shard, child, message_id)
            case Cancel():
                return self._cancel(step)
            case Intervene():
                return self._intervene(step)
            case Collect(ids, timeout, again):
                return self._replies.collect(ids, timeout, again)
            case Fetch(commands):
                return self.redis.run_many(commands)
            case Each() | Scatter():
                raise TypeError("a session is of one group")

    def _number(self) -> int:
        # One thread sends at a time and settles before it goes on: the window is never full.
        seq = self._window.take()
        assert seq is not None
        return seq

    def _send(self, drafts: Sequence[Outgoing]) -> list[tuple[str, str]]:
        answers: list[tuple[str, str]] = []
        for first in range(0, len(drafts), IN_FLIGHT):
            some = drafts[first : first + IN_FLIGHT]
            numbers = self._window.take_some(len(some))  # (it is never full: see _number)
            try:
                repeated, words = self.redis.repeated, [""] * len(some)
                groups = send_commands(self.hub, self.sender, numbers, some)
                found = self._written([command for _, command in groups], "sent")
                for (places, _), batch in zip(groups, found, strict=True):
                    for place, word in zip(places, batch, strict=True):
                        words[place] = word
                if self.redis.repeated != repeated:
                    done = self._void(refused_sends(numbers, words))
                    words = ["ok" if seq in done else word for seq, word in zip(numbers, words, strict=True)]
            finally:
                self._window.settle_all(numbers)
            for seq, draft, word in zip(numbers, some, words, strict=True):
                if draft.reply and word in ("ok", "duplicate"):
                    self._replies.want((str(seq),))
                answers.append((str(seq), word))
        return answers

    def _send_one(self, draft: Outgoing, collected: bool) -> tuple[str, str]:
        """The same for one message. ``collected``: the wait for its reply goes along, since the reply is asked for next."""
        seq = self._number()
        try:
            repeated = self.redis.repeated
            command = self._one_send.command(self.hub.shard_of(draft.child), seq, draft)
            tried = self._replies.ask_ahead(command, draft.timeout) if collected else None
            ((word,),) = self._written([command], "sent", tried)
            if self.redis.repeated != repeated and self._void(refused_sends([seq], [word])):
                word = "ok"
        finally:
            self._window.settle(seq)
        if draft.reply and word in ("ok", "duplicate"):
            self._replies.want((str(seq),))
        return str(seq), str(word)

    def _remind(self, later: Later) -> str:
        seq = self._number()
        repeated = self.redis.repeated
        try:
            ((word,),) = self._written([remind_command(self.hub, self.sender, seq, later)], "set")
            if self.redis.repeated != repeated and self._void(refused_sends([seq], [word])):
                word = "ok"
        finally:
            self._window.settle(seq)
        return str(word)

    def _start(self, start: Start) -> dict[int, tuple[str, list[str]]]:
        answers: dict[int, tuple[str, list[str]]] = {}
        names = list(start.shards)
        for first in range(0, len(names), STARTS):
            answers |= self._start_some({shard: start.shards[shard] for shard in names[first : first + STARTS]}, start)
        return answers

    def _start_some(
        self, shards: Mapping[int, Mapping[str, SpecRecord]], start: Start
    ) -> dict[int, tuple[str, list[str]]]:
        numbers = {shard: self._number() for shard in shards}
        try:
            commands = [
                start_command(self.hub, self.sender, numbers[shard], shard, specs, start)
                for shard, specs in shards.items()
            ]
            repeated, found = self.redis.repeated, self._written(commands, "started")
            if self.redis.repeated != repeated:
                refused = refused_starts(numbers, found, start.all_or_nothing)
                done = self._void(list(refused.values()))
                for place, (seq, command) in enumerate(zip(numbers.values(), commands, strict=True)):
                    if seq in done:
                        found[place] = self.redis.run(command, retry_for=RETRY_FOR)
        finally:
            for seq in numbers.values():
                self._window.settle(seq)
        self._replies.want(str(seq) for seq in numbers.values())
        return {shard: (str(seq), words) for (shard, seq), words in zip(numbers.items(), found, strict=True)}

    def _void(self, numbers: list[int]) -> set[int]:
        """A message that was refused in the end must not be done by an earlier try that arrives late. The answer: the numbers
        that were done already.
        """
        if not numbers:
            return set()
        command = void_command(self.hub, self.sender, numbers)
        return accepted(numbers, self.redis.run(command, retry_for=RETRY_FOR))

    def _withdraw(self, shard: int, child: str, message_id: str) -> tuple[str, Reply | None]:
        self._replies.want((message_id,))
        node = self.redis.run(
            withdraw_call(
                self.hub.keys,
                shard,
                child,
                self.sender,
                message_id,
                proof=proof(self.hub, "withdraw", child, self.sender, message_id),
            )
        )
        wait = WITHDRAW_WAIT if node not in ("", "-") else 0.0
        return node, self._replies.collect([message_id], wait).get(message_id)

    def _cancel(self, step: Cancel) -> tuple[str, str | None]:
        answer_id, caller = new_intervention(), step.caller or self.sender
        self._replies.want((answer_id,))
        asks = Asks(self.sender, answer_id)
        node = self.redis.run(
            withdraw_call(
                self.hub.keys,
                step.shard,
                step.child,
                caller,
                step.message_id,
                asks,
                proof=proof(self.hub, "cancel", step.child, self.sender, caller, step.message_id, answer_id),
            )
        )
        answer = self._replies.collect([answer_id], step.timeout if node not in ("", "-") else 0.0).get(answer_id)
        return node, answer[0] if answer else None

    def _intervene(self, step: Intervene) -> tuple[str, Reply | None]:
        message_id = new_intervention()
        self._replies.want((message_id,))
        ask = (step.shard, step.child, self.sender, message_id, step.what, step.entry)
        node = self.redis.run(
            intervene(
                self.hub.keys,
                *ask,
                proof=proof(self.hub, step.what, step.child, self.sender, message_id, step.entry),
            )
        )
        return node, self._replies.collect([message_id], step.timeout if node not in ("", "-") else 0.0).get(message_id)

    def _written(
        self, commands: Sequence[Command[Any]], what: str, tried: list[Any] | Exception | None = None
    ) -> list[Any]:
        config = self.hub.config
        if not config.wait_replicas:
            return self.redis.run_many(commands, retry_for=RETRY_FOR, tried=tried)
        *found, confirmed = self.redis.run_many(with_wait(commands, config), retry_for=RETRY_FOR)
        error = shortfall(confirmed, config, what)
        if error is not None:
            raise error
        return found
