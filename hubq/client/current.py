"""The hub at hand: inside children and jobs, without passing it around."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from hubq.errors import NoCurrentHub

if TYPE_CHECKING:
    from hubq.client.hub import Hub

_current: ContextVar[Hub] = ContextVar("hubq_current_hub")


def current_hub() -> Hub:
    """The hub whose child or job is running this code.

    In a method of a child, in ``run()`` and in an ``async def`` job use its ``aio`` half (``current_hub().aio``): the
    other one waits; as it would make the whole node wait with it, it raises :class:`~hubq.errors.WaitsInEventLoop` there. In a
    plain ``def`` method, which runs in a thread, it is the one to use.

    Raises :class:`~hubq.errors.NoCurrentHub` everywhere else.

    >>> current_hub()
    Traceback (most recent call last):
    hubq.errors.NoCurrentHub: no hub at hand: current_hub() works inside children and jobs; elsewhere use your own Hub
    """
    hub = _current.get(None)
    if hub is None:
        raise NoCurrentHub("no hub at hand: current_hub() works inside children and jobs; elsewhere use your own Hub")
    return hub


def set_current_hub(hub: Hub) -> None:
    """Make it the current hub of this context, and of the tasks that are made in it (for nodes and job processes)."""
    _current.set(hub)
