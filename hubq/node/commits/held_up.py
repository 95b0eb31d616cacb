"""A holding whose commit Redis refuses for what stands in one of its keys: it waits by itself, and all others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hubq.core.malformed import Malformed
from hubq.core.phase import Phase
from hubq.errors import RedisRefused
from hubq.node.children.pumps import Pumps
from hubq.node.held.holding import Holding
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.answers import WRONG_TYPE

#: The word for a commit that Redis has refused.
REFUSED = "refused"
#: How often such a commit is tried again, seconds.
AGAIN = 1.0


#: How Redis refuses a script for what stands in one of its keys: another type, or garbage that the script does not pass over.
OF_ONE_KEY = (
    WRONG_TYPE, "attempt to ", "bad argument", "must be strings or integers", "is not an integer", "not a valid float",
    "exhausted the last possible ID", "equal or smaller than the target stream", "Invalid stream ID",
)  # fmt: skip


def is_of_one_key(error: Exception) -> bool:
    """Whether a refusal is about one key, and no other commit needs to wait for it.

    >>> is_of_one_key(RedisRefused("... (WRONGTYPE Operation against a key ...)")), is_of_one_key(RedisRefused("... (OOM ...)"))
    (True, False)
    """
    return isinstance(error, RedisRefused) and any(said in str(error) for said in OF_ONE_KEY)


class HeldUp:
    """Keeps such a holding as it is: no handler starts, nothing later is committed, until its commit is taken or it is lost. (Its
    effects may stand in Redis in part. To write them again is the same as once.)
    """

    def __init__(self, reports: MalformedReports, pumps: Pumps) -> None:
        self._reports = reports
        self._pumps = pumps

    def begin(self, holding: Holding, error: Exception) -> None:
        """Tell of it, and let nothing of the holding begin."""
        holding.hold_up()
        if holding.phase is Phase.OPEN:
            holding.close_intake()
        self._reports.report(Malformed(f"shard {holding.shard}", f"its commits wait: {error}"))

    async def until_taken(self, holding: Holding, commit: Callable[[], Awaitable[str]]) -> str:
        """Try again until Redis takes it, or until the holding is gone (``fenced``). ``commit``: one try, and its word."""
        word = REFUSED
        while word == REFUSED and not holding.gone:
            await asyncio.sleep(AGAIN)
            if not holding.gone:
                word = await commit()
        return "fenced" if word == REFUSED else word

    def end(self, holding: Holding) -> None:
        """Its commit was taken: it goes on."""
        holding.go_on()
        if holding.phase is Phase.CLOSED and not holding.in_motion:
            holding.open_intake()
            for hosted in list(holding.children.values()):
                self._pumps.resume(hosted)  # what has come meanwhile waits
