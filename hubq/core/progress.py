"""How far a job or a child is: what it has told, and how that stands in Redis (docs/guide-progress.md)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from hubq.errors import InvalidProgress

#: The longest text, characters. What is longer is cut.
MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` (None: how much there is, is not known), with a text; told ``at``, seconds since 1970.

    >>> half = Progress(5, 10, "copying")
    >>> str(half), half.share, str(Progress(7))
    ('5/10 (50%) copying', 0.5, '7')
    """

    done: float
    total: float | None = None
    text: str = ""
    at: float = 0.0

    @property
    def share(self) -> float | None:
        """From 0 to 1; None if ``total`` is not known."""
        if self.total is None:
            return None
        return min(1.0, self.done / self.total) if self.total else 1.0

    def __str__(self) -> str:
        share = self.share
        of = "" if share is None else f"/{self.total:.12g} ({math.floor(share * 100)}%)"
        return f"{self.done:.12g}{of} {self.text}".rstrip()


def progress_of(done: float, total: float | None, text: str, at: float) -> Progress:
    """What a job or child tells.

    Raises :class:`~hubq.errors.InvalidProgress`.
    """
    if not _is_count(done) or not (total is None or _is_count(total)) or not isinstance(text, str):
        raise InvalidProgress(
            f"progress({done!r}, {total!r}, {text!r}): give how much is done and how much there is, numbers from 0 on "
            "(total may be None), and a text"
        )
    return Progress(done, total, text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…", at)


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300


def written(progress: Progress, life: str = "") -> str:
    """As it stands in Redis. ``life``: the start of the child that has told it.

    >>> read_progress(written(Progress(1, 2, "x", 7.0), "s:1").encode(), "s:1")
    Progress(done=1, total=2, text='x', at=7.0)
    """
    text = progress.text.encode("utf-8", "replace").decode()
    return json.dumps([progress.done, progress.total, text, round(progress.at, 3), life], ensure_ascii=False)


def read_progress(data: bytes | None, life: str = "") -> Progress | None:
    """The reverse. None: there is none, an earlier child of this name has told it, or it cannot be read."""
    try:
        done, total, text, at, told_by = json.loads(data or b"")
    except (ValueError, TypeError, RecursionError):
        return None
    if told_by != life or not _is_count(at):
        return None
    try:
        return progress_of(done, total, text, at)
    except InvalidProgress:
        return None
