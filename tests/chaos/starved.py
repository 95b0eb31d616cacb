"""Whether the machine had no time for a process of the run: Linux counts how long each thread has waited for a CPU."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .alibis import Alibis

#: How often it is looked at, and how long a thread may have waited since the last look, seconds.
EVERY, MOST = 0.5, 0.25


#: Who (``ALL``: a server), and a process of theirs.
Processes = Iterable[tuple[str, int]]


class Starved:
    """Gives an alibi to who had to wait: a lease that is lost for want of a CPU says nothing about hubq.

    ``seconds``: how long processes have waited in all, while one had an alibi for that.
    """

    def __init__(self, alibis: Alibis) -> None:
        self.seconds = 0.0
        self._alibis = alibis
        self._waited: dict[int, dict[str, float]] = {}  # process -> thread -> seconds
        self._last = 0.0

    @contextlib.contextmanager
    def watching(self, processes: Callable[[], Processes]) -> Iterator[None]:
        """Within it, look again and again, whatever the run waits for."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(EVERY):
                self.look(processes())

        thread = threading.Thread(target=look, name="starved", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def look(self, processes: Processes) -> None:
        """Look at these processes."""
        now, seen = time.time(), dict[int, dict[str, float]]()
        for who, pid in processes:
            seen[pid] = waited_of(pid)
            before = self._waited.get(pid)
            if before is None:
                continue
            longest = max((waited - before.get(thread, 0.0) for thread, waited in seen[pid].items()), default=0.0)
            if longest > MOST:
                self.seconds += longest
                self._alibis.had(who, self._last - longest, now)
        self._waited, self._last = seen, now


def waited_of(pid: int) -> dict[str, float]:
    """How long each thread of a process has waited for a CPU so far, seconds. Empty if this system does not say, or it has ended."""
    found: dict[str, float] = {}
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return found
