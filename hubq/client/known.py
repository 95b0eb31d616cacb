"""What is known of a hub of which only the id is given: its first primary says it, or another one if that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from hubq.errors import RedisRefused, RedisUnavailable
from hubq.store.connection import RedisServer, Server
from hubq.store.fixed import Fixed, look_for_fixed, places_at, places_in_cluster, read_fixed
from hubq.store.server import of_hub, primaries

#: So long the first primary is waited for before the others are asked, too, seconds.
HEAD_START = 0.5

#: Who was asked first, and what became of it.
Said = tuple[bool, "Fixed | Exception | None"]


def fixed_settings_of(given: Sequence[Server], hub_id: str) -> Fixed | None:
    """The fixed settings of a hub; None: there is none of this id. If its first primary does not answer, any other one may say them.

    Raises :class:`~hubq.errors.RedisUnavailable` if none does.
    """
    first = of_hub(given[0], hub_id)
    if len(given) == 1 and not (isinstance(first, RedisServer) and first.cluster is not None):
        return read_fixed(first, hub_id)
    said: SimpleQueue[Said] = SimpleQueue()
    _ask(said, True, lambda: read_fixed(first, hub_id))
    try:
        answers = [said.get(timeout=HEAD_START)]
    except Empty:
        answers = []
    if answers and not _is_away(answers[0][1]):
        return _result(answers[0][1])
    others = _others(given, hub_id)
    for look in others:
        _ask(said, False, look)
    while len(answers) <= len(others):
        is_first, answer = said.get()
        answers.append((is_first, answer))
        if isinstance(answer, Fixed) or (is_first and not _is_away(answer)):
            return _result(answer)
    return _result(next(answer for is_first, answer in answers if is_first))


def _others(given: Sequence[Server], hub_id: str) -> list[Callable[[], Fixed | None]]:
    if len(given) == 1:
        return [lambda: _in_cluster(given[0], hub_id)]
    return [
        lambda primary=primary: look_for_fixed(given[primary], hub_id, places_at(primary, len(given)))  # type: ignore[misc]
        for primary in range(1, len(given))
    ]


def _in_cluster(cluster: Server, hub_id: str) -> Fixed | None:
    said: SimpleQueue[Said] = SimpleQueue()
    there = primaries(cluster)
    for primary in there:
        _ask(said, False, lambda primary=primary: look_for_fixed(primary, hub_id, places_in_cluster()))  # type: ignore[misc]
    answers = (said.get()[1] for _ in there)
    return next((answer for answer in answers if isinstance(answer, Fixed)), None)


def _ask(said: SimpleQueue[Said], is_first: bool, look: Callable[[], Fixed | None]) -> None:
    """Ask in a thread that nobody waits for at the end of the process: it may wait for a primary that stands still."""

    def run() -> None:
        try:
            said.put((is_first, look()))
        except Exception as error:
            said.put((is_first, error))

    threading.Thread(target=run, name="hubq-look", daemon=True).start()


def _is_away(answer: Fixed | Exception | None) -> bool:
    return isinstance(answer, RedisUnavailable) and not isinstance(answer, RedisRefused)


def _result(answer: Fixed | Exception | None) -> Fixed | None:
    if isinstance(answer, Exception):
        raise answer
    return answer
