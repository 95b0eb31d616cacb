"""Locks that a forked process can use, at whatever moment it was forked.

A fork copies the locks, but only the thread that forks: a lock that another thread held is held for ever in the child. So each
lock of the client's side is made anew there. What a lock guards is kept by process id, and is made anew as well.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class HasLocks(Protocol):
    """An object with locks of its own."""

    def renew_locks(self) -> None:
        """Make the locks anew: nobody holds them in this process."""


_all: WeakSet[HasLocks] = WeakSet()


def renewed_after_fork(owner: HasLocks) -> None:
    """Have the locks of this object made anew in every process that is forked from now on."""
    _all.add(owner)


def _renew() -> None:
    for owner in list(_all):
        owner.renew_locks()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew)
