"""The sender's window against a model of the receiver (RFC 6479): an honest first try is never refused as too old."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubq.core.send_window import BLOCK, BLOCKS, WINDOW, SendWindow

quick = settings(
    deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow], database=None
)


class Receiver:
    """A bitmap of BLOCKS words of BLOCK bits; the words between the old and the new highest number are cleared.

    ``whole_blocks``: what is too old is told by the block, as ``store/lua/_window.lua`` does it (up to BLOCK - 1 numbers
    earlier), else by the number, as the text of the RFC does it.
    """

    def __init__(self, whole_blocks: bool) -> None:
        self.whole_blocks = whole_blocks
        self.top = 0
        self.words = [0] * BLOCKS

    def judge(self, number: int) -> str:
        if number > self.top:
            return "new"
        too_old_by_block = self.top // BLOCK - number // BLOCK >= BLOCKS - 1
        too_old_by_number = number + BLOCK * (BLOCKS - 1) < self.top
        if too_old_by_block if self.whole_blocks else too_old_by_number:
            return "stale"
        return "duplicate" if self.words[number // BLOCK % BLOCKS] >> number % BLOCK & 1 else "new"

    def deliver(self, number: int, refused: bool = False) -> str:
        """Judge the number, and mark it if it is new. A message refused for another reason leaves no mark."""
        answer = self.judge(number)
        if answer == "new" and not refused:
            block = number // BLOCK
            for cleared in range(max(self.top // BLOCK + 1, block - BLOCKS + 1), block + 1):
                self.words[cleared % BLOCKS] = 0
            self.top = max(self.top, number)
            self.words[block % BLOCKS] |= 1 << number % BLOCK
        return answer


def fill(window: SendWindow, most: int = 10**9) -> list[int]:
    taken: list[int] = []
    while len(taken) < most and (number := window.take()) is not None:
        taken.append(number)
    return taken


both = pytest.mark.parametrize("whole_blocks", [True, False], ids=["by block", "by number"])


@both
@pytest.mark.parametrize("before", range(BLOCK))
def test_a_full_window_delivered_from_the_highest_down(whole_blocks: bool, before: int) -> None:
    """The worst order, with the lowest number in flight at each place in its block."""
    window, receiver = SendWindow(), Receiver(whole_blocks)
    for number in fill(window, before + 5 * BLOCK):
        assert receiver.deliver(number) == "new"
        window.settle(number)
    flying = fill(window)
    assert len(flying) == WINDOW
    assert [number for number in reversed(flying) if receiver.deliver(number) != "new"] == []
    assert {receiver.deliver(number) for number in flying} == {"duplicate"}


# What happens, and how: numbers are taken; copies arrive (of numbers chosen by the seed, some twice, some refused); numbers
# that were answered are settled; one is given up.
happenings = st.lists(
    st.tuples(
        st.sampled_from(["take", "take all", "arrive", "arrive all", "lowest", "highest", "settle", "give up"]),
        st.integers(1, 3 * BLOCK),
    ),
    max_size=60,
)


@both
@quick
@given(happenings=happenings, seed=st.integers(0, 2**32))
def test_any_order_of_delivery_with_copies(whole_blocks: bool, happenings: list[tuple[str, int]], seed: int) -> None:
    random = Random(seed)
    window, receiver = SendWindow(), Receiver(whole_blocks)
    flying: set[int] = set()  # taken and not settled
    accepted: set[int] = set()
    taken: list[int] = []

    def arrive(number: int) -> None:
        refused = random.random() < 0.1
        answer = receiver.deliver(number, refused)
        if number in accepted:
            assert answer != "new"
        elif number in flying:
            assert answer == "new"
        else:
            assert answer in ("new", "stale")  # given up before it arrived
        if answer == "new" and not refused:
            accepted.add(number)

    for what, count in happenings:
        if what.startswith("take"):
            new = fill(window, count if what == "take" else 10**9)
            assert new == list(range(len(taken) + 1, len(taken) + 1 + len(new)))
            taken += new
            flying.update(new)
        elif what == "arrive" and taken:
            for _ in range(count):
                arrive(random.choice(taken))
        elif what == "arrive all":
            for number in random.sample(sorted(flying), len(flying)):
                arrive(number)
        elif what == "lowest":
            for number in sorted(flying)[:count]:
                arrive(number)
        elif what == "highest":
            for number in sorted(flying, reverse=True)[:count]:
                arrive(number)
        elif what == "settle":
            for number in [number for number in sorted(flying) if number in accepted][:count]:
                window.settle(number)
                flying.discard(number)
        elif what == "give up" and flying:
            number = random.choice(sorted(flying))
            window.settle(number)
            flying.discard(number)
        assert window.span == (len(taken) + 1 - min(flying) if flying else 0)
        assert window.span <= WINDOW
    for number in random.sample(taken, len(taken)):
        arrive(number)


@quick
@given(sends=st.integers(1, 3 * WINDOW), at_once=st.integers(1, WINDOW), seed=st.integers(0, 2**32), data=st.data())
def test_a_long_run_with_one_slow_message(sends: int, at_once: int, seed: int, data: st.DataObject) -> None:
    """One number stays out while the others come and go: the sender stops in time."""
    slow = data.draw(st.integers(1, sends), label="slow")
    random = Random(seed)
    window, receiver = SendWindow(), Receiver(whole_blocks=True)
    flying: list[int] = []
    for _ in range(sends):
        if len(flying) >= at_once or window.span >= WINDOW:
            ready = [number for number in flying if number != slow]
            if not ready:
                break
            number = random.choice(ready)
            flying.remove(number)
            assert receiver.deliver(number) == "new"
            window.settle(number)
        if (number := window.take()) is not None:
            flying.append(number)
    for number in reversed(flying):
        assert receiver.deliver(number) == "new"


def test_a_full_window_waits_for_the_lowest() -> None:
    window = SendWindow()
    flying = fill(window)
    assert window.take() is None
    for number in flying[1:]:
        window.settle(number)
    assert window.take() is None
    assert window.span == WINDOW
    window.settle(flying[0])
    assert window.span == 0
    assert window.take() == WINDOW + 1


def test_settling_is_repeatable_and_ignores_strangers() -> None:
    window = SendWindow()
    first, second = fill(window, 2)
    window.settle(first)
    window.settle(first)
    window.settle(99)
    assert window.span == 1
    window.settle(second)
    assert window.span == 0
    assert window.take() == 3
