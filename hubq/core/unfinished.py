"""What a shard's owner has read of its mailbox, and has not finished. Where nothing is left, one cut takes all (docs/adr/0033-*)."""

from __future__ import annotations

from collections.abc import Iterable

#: With more entries than this in hand, what stood before the next one counts as not known. (Each takes some 100 bytes.)
MOST = 4_096
#: Of the commits that may not cut, one of so many asks whether the mailbox is empty now.
ASKS = 16
#: The largest number of an entry within its millisecond.
_LAST_NUMBER = (1 << 64) - 1


class Unfinished:
    """The entries that have been read and not finished, by when they were read.

    ``complete``: whether all entries that stand in the mailbox up to the last one read have passed through here. That is so if
    it is read from its beginning by nobody else.

    >>> unfinished = Unfinished(complete=True)
    >>> unfinished.read([b"7-0", b"7-1", b"7-2", b"8-0"])
    >>> unfinished.finished([[b"7-1"], [b"7-2"]])  # it asks
    (b'', 4)
    >>> unfinished.finished([[b"7-0", b"8-0"]])
    (b'8-1', 0)
    """

    __slots__ = ("_blocked", "_complete", "_entries", "_last", "_read", "_unknown")

    def __init__(self, *, complete: bool, read: int = 0, unknown: int = 0) -> None:
        """``read``: so many entries were read before. ``unknown``: see :meth:`emptied`."""
        self._complete = complete
        self._entries: dict[bytes, int] = {}
        self._read = read  # entries, ever
        self._unknown = unknown
        self._last = b""
        self._blocked = 0

    def __len__(self) -> int:
        return len(self._entries)

    def begun_anew(self) -> Unfinished:
        """What has been read says nothing any more. An answer to what was asked until now does not, either."""
        return Unfinished(complete=False, read=self._read, unknown=self._read + 1)

    def read(self, entries: Iterable[bytes]) -> None:
        """These come next in the mailbox."""
        known, n = self._entries, self._read
        for entry in entries:
            n += 1
            known[entry] = n
            self._last = entry
        self._read = n
        if len(known) > MOST:
            known.clear()
            self._complete, self._unknown = False, n

    def finished(self, done: Iterable[Iterable[bytes]]) -> tuple[bytes, int]:
        """These, of several children, leave the mailbox with the next commit, if they stand in it. Where that cuts
        (:meth:`cut`; empty: nowhere), and if it is to ask whether the mailbox is empty then (:meth:`emptied`), how much had been read.
        """
        known, n, unread = self._entries, 0, False
        for entries in done:
            for entry in entries:
                n += 1
                if known.pop(entry, None) is None:
                    unread = (
                        True  # a call that was withdrawn before it was read, for example: it may stand behind the cut
                    )
        if n < 2 or not self._read:  # (one is deleted as quickly)
            return b"", 0
        cut = b"" if unread else self.cut()
        if cut:
            return cut, 0
        # What another owner has deleted is waited for in vain.
        self._blocked += 1
        return b"", self._read if self._blocked % ASKS == 1 else 0

    def cut(self) -> bytes:
        """The entry before which all are finished: the one after the last that was read. Empty: not all are, for all that is known."""
        if self._entries or not self._complete or not self._last:
            return b""
        ms, _, number = self._last.partition(b"-")
        return b"" if int(number) == _LAST_NUMBER else b"%b-%d" % (ms, int(number) + 1)

    def emptied(self, read: int) -> None:
        """The mailbox was empty when so much had been read: nothing of that is left. Nor is anything of what is not known, unless that was
        read later.
        """
        for entry in [entry for entry, n in self._entries.items() if n <= read]:
            del self._entries[entry]
        if read >= self._unknown:
            self._complete = True
