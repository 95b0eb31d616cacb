"""Handles of resumable jobs."""

from __future__ import annotations

from typing import Any

from hubq.client.asking.driver import AsyncChildDriver, ChildDriver
from hubq.client.operations.resumable_jobs import cancel_of, progress_of_child, result_of, status_of
from hubq.core.hashing import checked_child_id
from hubq.core.progress import Progress


class ResumableJob:
    """A resumable job by its id, for code that waits."""

    def __init__(self, driver: ChildDriver, job_id: str) -> None:
        self.id = checked_child_id(job_id)
        self._driver = driver

    @property
    def status(self) -> str:
        """``"queued"`` (no node serves it), ``"started"``, ``"finished"``, ``"failed"`` or ``"canceled"``.

        Raises :class:`~hubq.errors.NoSuchJob` when its result is kept no more.
        """
        return self._driver.drive(status_of(self._driver.context, self.id))

    def result(self, timeout: float = 60.0) -> Any:
        """Wait for what the function returns, at most ``timeout`` seconds.

        Raises :class:`~hubq.errors.JobFailed` (it raised, took too long, or was canceled),
        :class:`~hubq.errors.CallTimeout` (it goes on), :class:`~hubq.errors.NoSuchJob`.
        """
        return self._driver.drive(result_of(self._driver.context, self.id, timeout))

    def progress(self) -> Progress | None:
        """What the job has told last with ``ctx.progress(...)``; None: nothing yet. Kept as long as its result.

        Raises :class:`~hubq.errors.NoSuchJob`.
        """
        return self._driver.drive(progress_of_child(self._driver.context, self.id))

    def cancel(self) -> bool:
        """End the job where it stands; False if it has ended already. Returns when the order is safe in its mailbox."""
        return self._driver.drive(cancel_of(self._driver.context, self.id))

    def __repr__(self) -> str:
        return f"<ResumableJob {self.id!r} of hub {self._driver.context.keys.hub_id!r}>"


class AsyncResumableJob:
    """The same, awaiting."""

    def __init__(self, driver: AsyncChildDriver, job_id: str) -> None:
        self.id = checked_child_id(job_id)
        self._driver = driver

    async def status(self) -> str:
        """See :attr:`ResumableJob.status`."""
        return await self._driver.drive(status_of(self._driver.context, self.id))

    async def result(self, timeout: float = 60.0) -> Any:
        """See :meth:`ResumableJob.result`."""
        return await self._driver.drive(result_of(self._driver.context, self.id, timeout))

    async def progress(self) -> Progress | None:
        """See :meth:`ResumableJob.progress`."""
        return await self._driver.drive(progress_of_child(self._driver.context, self.id))

    async def cancel(self) -> bool:
        """See :meth:`ResumableJob.cancel`."""
        return await self._driver.drive(cancel_of(self._driver.context, self.id))

    def __repr__(self) -> str:
        return f"<AsyncResumableJob {self.id!r} of hub {self._driver.context.keys.hub_id!r}>"
