"""Whole-hub questions of which some groups do not answer: the answer is that of the others, for those who want that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from hubq.client.asking.steps import Outcome
from hubq.errors import RedisUnavailable


class Away(dict[int, RedisUnavailable]):
    """The groups that did not answer, and why. They are not asked again: each costs its time-out once."""

    def __init__(self) -> None:
        super().__init__()
        self.others_answer = False

    def without(self, outcomes: Mapping[int, Outcome]) -> dict[int, Outcome]:
        """What the groups that answer say. Those that do not are kept here."""
        for group, outcome in outcomes.items():
            if isinstance(outcome.error, RedisUnavailable):
                self[group] = outcome.error
        found = {group: outcome for group, outcome in outcomes.items() if group not in self}
        self.others_answer = self.others_answer or bool(found)
        return found


_AWAY: ContextVar[Away | None] = ContextVar("hubq_away", default=None)


def away_here() -> Away | None:
    """The groups that are left out here; None: all are asked, and each must answer."""
    return _AWAY.get()


@contextmanager
def of_those_that_answer() -> Iterator[Mapping[int, RedisUnavailable]]:
    """Within it a whole-hub question is answered by the groups that answer. Raises :class:`~hubq.errors.RedisUnavailable` at the end
    if none did.
    """
    away = Away()
    token = _AWAY.set(away)
    try:
        yield away
    finally:
        _AWAY.reset(token)
    if away and not away.others_answer:
        raise next(iter(away.values()))
