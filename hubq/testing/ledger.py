"""The ledger: no child ran twice, no acknowledged message lost, none applied twice, order kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hubq.client.hub import Hub
from hubq.core.child import Child
from hubq.errors import CallTimeout, NotReplicated, RedisUnavailable


class LedgerChild(Child):
    """A child that writes down, in its state, every message it has applied, by sender and number."""

    def __init__(self) -> None:
        self.applied: dict[str, list[int]] = {}

    async def record(self, sender: str, number: int) -> int:
        """Apply one message; the answer is how many of this sender are in the state."""
        entries = self.applied.setdefault(sender, [])
        entries.append(number)
        return len(entries)

    async def entries(self) -> dict[str, list[int]]:
        """All that has been applied."""
        return self.applied


@dataclass
class Ledger:
    """What was sent, by sender and child, to be compared with what the children say.

    A message whose send returned must have been applied exactly once; one whose send raised a time-out, a lost
    connection or ``NotReplicated`` may have been applied once or not at all.
    """

    hub: Hub
    sent: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    unsure: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    failed: list[BaseException] = field(default_factory=list)
    worst: float = 0.0

    def next_number(self, sender: str, child: str) -> int:
        """The number of a sender's next message to a child."""
        key = (sender, child)
        sent = self.sent.get(key) or [0]
        return max(sent[-1], *self.unsure.get(key, set()), 0) + 1

    async def call(self, sender: str, child: str, timeout: float = 20.0) -> Any:
        """Call ``record`` and write down how it went."""
        return await self._send(sender, child, timeout)

    async def cast(self, sender: str, child: str) -> None:
        """Cast ``record`` and write down how it went."""
        await self._send(sender, child, None)

    async def _send(self, sender: str, child: str, timeout: float | None) -> Any:
        number = self.next_number(sender, child)
        ref = self.hub.aio.ref(child)
        try:
            answer = None
            if timeout is None:
                await ref.cast("record", sender, number)
            else:
                answer = await ref.call("record", sender, number, timeout=timeout)
        except (CallTimeout, NotReplicated, RedisUnavailable) as error:
            self.failed.append(error)
            if not (isinstance(error, CallTimeout) and not error.may_run):
                self.unsure.setdefault((sender, child), set()).add(number)
            return None
        self.sent.setdefault((sender, child), []).append(number)
        return answer

    async def breaches(self, timeout: float = 20.0) -> list[str]:
        """Everything that is wrong, one line each; empty when the ledger is clean."""
        found: list[str] = []
        children = {child for _, child in [*self.sent, *self.unsure]}
        for child in sorted(children):
            applied: dict[str, list[int]] = await self.hub.aio.ref(child).call("entries", timeout=timeout)
            senders = {sender for sender, of in [*self.sent, *self.unsure] if of == child} | set(applied)
            for sender in sorted(senders):
                found += self._compare(sender, child, applied.get(sender, []))
        return found

    def _compare(self, sender: str, child: str, applied: list[int]) -> list[str]:
        sent, unsure = self.sent.get((sender, child), []), self.unsure.get((sender, child), set())
        name = f"{sender} -> {child}"
        found = [f"{name}: {number} lost" for number in sent if number not in set(applied)]
        twice = (
            sorted({number for number in applied if applied.count(number) > 1})
            if len(set(applied)) < len(applied)
            else []
        )
        found += [f"{name}: {number} applied {applied.count(number)} times" for number in twice]
        found += [f"{name}: {number} was never sent" for number in set(applied) - set(sent) - unsure]
        certain = [number for number in applied if number not in unsure]
        if certain != sorted(certain):
            found.append(f"{name}: out of order: {certain[:20]}")
        return found

    async def check(self, timeout: float = 20.0) -> None:
        """Raise :class:`AssertionError` with every breach."""
        found = await self.breaches(timeout)
        if found:
            raise AssertionError(f"{len(found)} breaches of the guarantees: " + "; ".join(found[:20]))
