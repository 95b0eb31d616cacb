"""The sender's half of the anti-replay window (RFC 6479); the receiving half is ``store/lua/_window.lua``.

Numbers in flight may overtake one another, so the receiver keeps a window of ``WINDOW`` numbers below the highest it has
seen. The sender never hands out a number that is ``WINDOW`` or more above its lowest unsettled one: an honest first
try can then never fall below the window and be refused as too old.
"""

from __future__ import annotations

from collections.abc import Collection

#: Numbers per block of the receiver's bitmap (a block is a 32-bit word), and blocks kept.
BLOCK = 32
BLOCKS = 64
#: The receiver keeps ``BLOCKS - 1`` whole blocks, its highest number's own among them. However the lowest number in
#: flight lies in its block, this many numbers from it on never reach further.
WINDOW = BLOCK * (BLOCKS - 2) + 1


class SendWindow:
    """Hands out sequence numbers 1, 2, 3... while the window has room.

    >>> window = SendWindow()
    >>> first, second = window.take(), window.take()
    >>> first, second
    (1, 2)
    >>> window.settle(second); window.span
    2
    >>> window.settle(first); window.span
    0
    """

    __slots__ = ("_lowest", "_next", "_unsettled")

    def __init__(self) -> None:
        self._next = 1
        self._lowest = 1  # kept, since the first key of a dict whose first keys were removed takes a walk over the gaps
        self._unsettled: set[int] = set()

    @property
    def span(self) -> int:
        """How many numbers lie between the lowest unsettled one and the next."""
        return self._next - self._lowest

    def take(self) -> int | None:
        """The next number, or None: settle some first."""
        if self.span >= WINDOW:
            return None
        number = self._next
        self._next += 1
        self._unsettled.add(number)
        return number

    def take_some(self, most: int) -> range:
        """The next numbers: as many as there is room for, at most ``most``.

        >>> window = SendWindow()
        >>> window.take_some(3), len(window.take_some(10_000)) == WINDOW - 3, window.take_some(1)
        (range(1, 4), True, range(1986, 1986))
        """
        first = self._next
        self._next += min(most, WINDOW - self.span)
        numbers = range(first, self._next)
        self._unsettled.update(numbers)
        return numbers

    def settle(self, number: int) -> None:
        """The number was answered, or given up for good: it will never be sent again."""
        self.settle_all((number,))

    def settle_all(self, numbers: Collection[int]) -> None:
        """The same for several."""
        self._unsettled.difference_update(numbers)
        if not self._unsettled:
            self._lowest = self._next
            return
        while self._lowest < self._next and self._lowest not in self._unsettled:
            self._lowest += 1
