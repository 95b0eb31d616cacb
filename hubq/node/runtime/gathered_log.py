"""Log lines that may come for thousands of children at once: a line for each cause, not for each child."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from hubq.core.wording import names

log = logging.getLogger("hubq.node")

#: How long lines of one cause are gathered, seconds.
GATHERED = 1.0


class GatheredLog:
    """The first child of a cause is logged at once. Those that follow within ``GATHERED`` seconds are one line."""

    def __init__(self) -> None:
        self._more: dict[tuple[int, str, str], list[str]] = {}

    def add(self, level: int, child: str, what: str, cause: str = "", error: BaseException | None = None) -> None:
        """``what`` is said of the child, for example "is parked"; ``cause`` is why. The first line has the traceback of ``error``."""
        self.add_all(level, (child,), what, cause, error)

    def add_all(
        self, level: int, children: Collection[str], what: str, cause: str = "", error: BaseException | None = None
    ) -> None:
        """The same for several at once: one line."""
        if not children or not log.isEnabledFor(level):
            return
        key = (level, what, cause)
        if key in self._more:
            self._more[key] += children
            return
        many = len(children) > 1
        whom = f"{len(children)} children ({names(children)})" if many else f"child {next(iter(children))}"
        _say(level, whom, what, cause, error)
        self._more[key] = []
        asyncio.get_running_loop().call_later(GATHERED, self._tell, key)

    def tell(self) -> None:
        """Log what has been gathered so far (the node ends)."""
        for key in list(self._more):
            self._tell(key)

    def _tell(self, key: tuple[int, str, str]) -> None:
        children = self._more.pop(key, [])
        level, what, cause = key
        if len(children) == 1:
            _say(level, f"child {children[0]}", what, cause)
        elif children:
            _say(level, f"the same for {len(children)} more children ({names(children)}):", what, cause)


def _say(level: int, whom: str, what: str, cause: str, error: BaseException | None = None) -> None:
    log.log(level, "%s %s%s", whom, what, f": {cause}" if cause else "", exc_info=error)
