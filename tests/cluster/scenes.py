"""What tests of whole clusters begin with."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from hubq import Child, Hub


def awaited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is one coroutine."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


async def started(hub: Hub, /, *kinds: type[Child], **children: type[Child]) -> None:
    """Start children of these names (``_`` stands for ``-``). The hub knows their classes then, and ``kinds``."""
    for kind in {*kinds, *children.values()}:
        hub.child(kind)
    for child, kind in children.items():
        await hub.aio.start_child(child.replace("_", "-"), kind)
