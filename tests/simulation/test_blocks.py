"""What the checks of quiet schedules let pass, and what not."""

from __future__ import annotations

import pytest

from hubq.store.codec import encode
from hubq.store.keys import Keys
from tests.simulation.blocks import TRIAL, Blocks
from tests.simulation.loop import Loop, Process
from tests.simulation.observer import Observer

CULPRIT = ("blocking-1", "c0.0", 4)
LETTER = {
    b"kind": b"call", b"child": b"plain-0", b"method": b"record", b"entry": b"3-0", b"crashes": b"a#1 b#2 c#3",
    b"payload": encode((("c1.0", 9), {})),
}  # fmt: skip


class Bench:
    """A quiet schedule with one process, the node c in its incarnation 3."""

    def __init__(self) -> None:
        self.loop = Loop(1_000.0, 1_000)
        self.process = Process(self.loop, "c")
        self.blocks = Blocks(1, self.loop, 2.0, 0.25)
        self.blocks.quiet = True
        self.observer = Observer(Keys("sim"))
        self.observer.absolved = self.blocks.absolved
        nodes = self.observer.keys.nodes.encode()
        self.saw("join_node", [(b"HSET", [nodes, b"c", b'{"incarnation":3,"status":"up"}'], 1)])

    def saw(self, name: str, writes: list[tuple[bytes, list[bytes], object]]) -> None:
        self.observer.saw(self.process, name, [], list(writes), self.loop.now)

    def marks(self, count: int, at: float) -> None:
        self.loop.now = at
        line = b"3-0 %d c#3 a#1 b#2" % count
        self.saw("mark_tries", [(b"HSET", [self.observer.keys.tries(0).encode(), b"message plain-0", line], 1)])

    def is_held(self, at: float) -> None:
        self.loop.now = at
        self.blocks.is_held(self.process, *CULPRIT, 3.0)

    def condemned(self) -> int:
        self.observer.letters.append(LETTER)
        self.blocks.condemned(self.observer)
        return len(self.blocks.breaches)


@pytest.mark.parametrize("marked", [10.0, 10.9, 11.001])
def test_a_suspect_whose_process_is_held_by_another_message_during_its_trial_may_be_condemned(marked: float) -> None:
    bench = Bench()
    bench.marks(2, marked)
    bench.is_held(11.0)
    assert bench.condemned() == 0


@pytest.mark.parametrize(("count", "marked"), [(1, 10.9), (2, 11.0 - TRIAL - 0.1), (2, 14.5)])
def test_whatever_was_not_on_trial_then_may_not(count: int, marked: float) -> None:
    bench = Bench()
    bench.is_held(11.0)
    bench.marks(count, marked)
    assert bench.condemned() == 1


def test_nothing_may_be_condemned_if_nothing_held_its_process() -> None:
    bench = Bench()
    bench.marks(2, 10.0)
    assert bench.condemned() == 1


@pytest.mark.parametrize(("held_by", "breaches"), [(("blocking-1", "c0.0", 5), 0), (("blocking-1", "c0.0", 7), 1)])
def test_what_is_sent_again_is_counted_anew_unless_it_was_what_held_the_node(
    held_by: tuple[str, str, int], breaches: int
) -> None:
    bench = Bench()
    message = ("blocking-1", "c0.0", 7)
    for _ in range(3):
        bench.blocks.holds_process(*message, 7.0)
    bench.blocks.is_held(bench.process, *held_by, 7.0)
    fields = {
        b"kind": b"call", b"child": b"blocking-1", b"method": b"block", b"id": b"1", b"reply_to": b"", b"deadline": b"0",
        b"payload": encode((("c0.0", 7, 7.0, True), {})),
    }  # fmt: skip
    words = [word for pair in fields.items() for word in pair]
    mailbox = bench.observer.keys.mailbox(0).encode()
    bench.saw("absolve_node", [(b"XADD", [mailbox, b"*", *words], b"9-0")])
    bench.blocks.holds_process(*message, 7.0)
    assert len(bench.blocks.breaches) == breaches
