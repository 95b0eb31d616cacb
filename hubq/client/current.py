"""The hub and the job at hand: inside children and jobs, without passing them around."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from hubq.errors import NoCurrentHub, NoCurrentJob

if TYPE_CHECKING:
    from hubq.client.hub import Hub

_current: ContextVar[Hub] = ContextVar("hubq_current_hub")


class CurrentJob(Protocol):
    """The job that runs this code (``hubq.jobs.progress``)."""

    id: str

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Tell people how far the job is. See :meth:`hubq.Child.progress`."""


_job: ContextVar[CurrentJob | None] = ContextVar("hubq_current_job", default=None)


def current_job() -> CurrentJob:
    """The job of ``hub.enqueue`` that is running this code: its ``id``, and ``progress(done, total, text)``.

    Raises :class:`~hubq.errors.NoCurrentJob` everywhere else.

    >>> current_job()
    Traceback (most recent call last):
    hubq.errors.NoCurrentJob: no job at hand: current_job() works inside jobs of hub.enqueue; a resumable job has its ctx
    """
    job = _job.get()
    if job is None:
        raise NoCurrentJob(
            "no job at hand: current_job() works inside jobs of hub.enqueue; a resumable job has its ctx"
        )
    return job


def set_current_job(job: CurrentJob | None) -> None:
    """Make it the current job of this context (for job processes)."""
    _job.set(job)


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
