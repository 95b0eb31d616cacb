"""What was sent and what the senders were told, to be compared with what the children's states hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.children import Entry

#: What the sender knows of a message.
YES, MAYBE, NO = "applied", "maybe applied", "not applied"


@dataclass(slots=True)
class Sent:
    """One message: its number, whether it must be in the state, the mark in its reply, whether its send returned."""

    number: int
    applied: str = MAYBE
    mark: int | None = None
    in_order: bool = False
    one_way: bool = False
    """A cast whose handler may raise: it is applied, or it is one dead letter."""
    letters: int = 0
    tries: int = 0
    """How often it was sent, if it has a key."""


@dataclass
class Ledger:
    """By sender and child."""

    sent: dict[tuple[str, str], list[Sent]] = field(default_factory=dict)
    saved: dict[str, int] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    numbers: int = 0

    def begin(self, sender: str, child: str) -> Sent:
        """A message is about to be sent: from now on it may be applied."""
        self.numbers += 1
        message = Sent(self.numbers)
        self.sent.setdefault((sender, child), []).append(message)
        return message

    def forget(self, child: str) -> None:
        """A child was stopped for good: what its state held is nobody's any more."""
        for key in [key for key in self.sent if key[1] == child]:
            del self.sent[key]
        self.stopped.add(child)

    def leave(self, child: str) -> None:
        """Nobody knows whether it was stopped, or will be: nothing is said about it any more."""
        self.forget(child)
        self.stopped.discard(child)
        self.left.add(child)

    def died(self, child: str, sender: str, number: int) -> None:
        """A message has become a dead letter: it is sent again, without its caller, behind others."""
        for message in self.sent.get((sender, child), []):
            if message.number == number:
                message.in_order, message.mark = False, None

    def failed(self, child: str, sender: str, number: int) -> None:
        """A message has become a dead letter since its handler raised."""
        for message in self.sent.get((sender, child), []):
            if message.number == number:
                message.letters += 1

    def children(self) -> list[str]:
        """Everybody who was written to, and has not been stopped."""
        return sorted({child for _, child in self.sent})

    def compare(self, child: str, applied: dict[str, list[Entry]], *, exact: bool = True) -> list[str]:
        """Everything that is wrong with the state of a child. ``exact=False``: its Redis has lost some writes, and with them what was
        acknowledged by them. Nothing is there twice all the same, nor out of order.
        """
        found: list[str] = []
        senders = {sender for sender, of in self.sent if of == child} | set(applied)
        for sender in sorted(senders):
            found += self._compare(
                f"{sender} -> {child}", self.sent.get((sender, child), []), applied.get(sender, []), child, exact
            )
        return found

    def _compare(self, name: str, sent: list[Sent], applied: list[Entry], child: str, exact: bool) -> list[str]:
        found: list[str] = []
        known = {message.number: message for message in sent}
        there: dict[int, int] = {}
        for number, mark in applied:
            if number in there:
                found.append(f"{name}: message {number} was applied twice")
            there[number] = mark
            if number not in known:
                found.append(f"{name}: message {number} was never sent")
        for message in sent if exact else ():
            there_or_dead = message.letters + (message.number in there)
            if message.letters and there_or_dead > 1:
                found.append(f"{name}: message {message.number} is a dead letter and more: {message.letters} letters")
            elif message.letters:
                continue
            elif message.one_way and message.in_order and not there_or_dead:
                found.append(
                    f"{name}: message {message.number} was acknowledged, and is neither applied nor a dead letter"
                )
            if message.applied == YES and message.number not in there:
                found.append(f"{name}: message {message.number} was acknowledged and is lost")
            elif message.applied == NO and message.number in there:
                found.append(
                    f"{name}: message {message.number} is in the state, but its sender was told that it is not"
                )
            elif (
                message.mark is not None and not child.startswith("interval") and there[message.number] != message.mark
            ):
                found.append(
                    f"{name}: the reply to message {message.number} was sent by an execution that does not count"
                )
        ordered = [number for number, _ in applied if number in known and known[number].in_order]
        if ordered != sorted(ordered):
            found.append(f"{name}: out of order: {ordered}")
        return found
