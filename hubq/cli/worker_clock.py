"""The clock of a worker. What code of a child did to it would be done to all children: leases, time-outs and Redis' client ask it.

Only ``hubq worker`` keeps it: its process is hubq's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

#: What hubq, asyncio, logging and Redis' client ask. (``sleep`` is not among them: gevent and its like replace it.)
ASKED = frozenset({"gmtime", "localtime", "monotonic", "perf_counter", "process_time", "strftime", "time", "time_ns"})


class _Kept(ModuleType):
    """The class of the module ``time`` meanwhile. To read from it costs what it always did."""

    def __setattr__(self, name: str, value: object) -> None:
        _refuse(name)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        _refuse(name)
        super().__delattr__(name)


def _refuse(name: str) -> None:
    if name in ASKED:
        raise AttributeError(
            f"time.{name} is the clock of a worker and of all its children: code of a child does not replace it. In a test: "
            "hubq.testing.Clock; of your own module: replace the name there (from time import ...)"
        )


@contextmanager
def kept_clock() -> Iterator[None]:
    """Who replaces or deletes a clock of the module ``time`` gets :class:`AttributeError`.

    >>> with kept_clock():
    ...     time.monotonic = None
    Traceback (most recent call last):
    AttributeError: time.monotonic is the clock of a worker and of all its children: ...
    """
    time.__class__ = _Kept
    try:
        yield
    finally:
        time.__class__ = ModuleType
