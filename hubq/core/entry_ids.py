"""The ids that Redis gives to the entries of streams."""

from __future__ import annotations


def entry_ms(entry: str) -> int:
    """When a stream entry was written, ms of Redis TIME: the first part of its id. 0 for none (``"0"``, ``""``, ``"-"``).

    >>> entry_ms("1795433907312-0"), entry_ms("0")
    (1795433907312, 0)
    """
    first = entry.partition("-")[0]
    return int(first) if first.isdecimal() and len(first) <= 20 else 0
