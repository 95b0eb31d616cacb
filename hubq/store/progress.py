"""What children and jobs have told of their progress (docs/guide-progress.md)."""

from __future__ import annotations

from collections.abc import Sequence

from hubq.core.progress import Progress, read_progress
from hubq.store.command import Command, run_script
from hubq.store.keys import Keys

#: How long what the children of a shard have told is kept when none of them tells anything more, ms.
KEPT_MS = 7 * 86_400_000
#: The field of RQ's job hash.
JOB_FIELD = "hubq_progress"

#: A child, the token of its shard, and what it has told (empty: it has ended).
Note = tuple[str, int, str]


def note_progress(keys: Keys, shard: int, notes: Sequence[Note]) -> Command[int]:
    """Write what children of a shard have told: the answer is how many were written."""
    arguments = [part for note in notes for part in note]
    return run_script("note_progress", [keys.progress(shard), keys.children(shard)], [KEPT_MS, *arguments], int)


def told_by(line: bytes | None, start_id: str) -> Progress | None:
    """What this start of a child has told, from its line in Redis."""
    return None if line is None else read_progress(line.partition(b" ")[2], start_id)
