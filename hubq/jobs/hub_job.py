"""A job in the hands of a worker: within the middleware of its hub, with typed arguments, and a line in the log for what becomes of it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from rq.job import Job

from hubq.client.asking.calling import Doing, handling, set_handling
from hubq.client.current import current_hub, set_current_job
from hubq.core.middleware import Work
from hubq.errors import NotImportable
from hubq.jobs.progress import JobProgress
from hubq.jobs.queued_job import QueuedJob
from hubq.jobs.serializer import OWN, registered
from hubq.node.runtime.raised import in_short

if TYPE_CHECKING:
    from hubq.client.hub import Hub

log = logging.getLogger("hubq.jobs")


class HubJob(QueuedJob):
    """RQ's job, with a clear error for a function that this worker cannot import, and a line in the log for what becomes of it."""

    told_of: BaseException | None = None
    """What it has raised, and the log has told."""

    def perform(self) -> Any:
        """As RQ's, within the middleware of the hub."""
        name, before = self.func_name or "", handling()
        set_handling(Doing(method=name, job_id=self.id))
        progress = JobProgress(self)
        set_current_job(progress)
        try:
            return self._told(name)
        finally:
            progress.close()
            set_current_job(None)
            set_handling(before)

    def _told(self, name: str) -> Any:
        log.info("job %s %s: received", self.id, name)
        began = time.perf_counter()
        try:
            result = self._perform(name)
        except BaseException as error:
            left = f"; tries left: {self.retries_left}" if self.retries_left else ""
            spent = time.perf_counter() - began
            log.error(
                "job %s %s: failed after %.2f s%s: %s", self.id, name, spent, left, in_short(error), exc_info=error
            )
            self.told_of = error
            raise
        log.info("job %s %s: done in %.2f s", self.id, name, time.perf_counter() - began)
        return result

    def _perform(self, name: str) -> Any:
        hub = current_hub()
        if hub.config.codec == "data":
            self._made_typed(hub)
        if not hub.layers:
            return super().perform()
        work = Work("job", hub.hub_id, self.worker_name or "", self.id, name, name)
        return hub.layers.around(work, super().perform)()

    def _made_typed(self, hub: Hub) -> None:
        """With ``codec="data"``: arguments as the annotations of the function say, and no callbacks (RQ imports what they name)."""
        callbacks = (self._success_callback_name, self._failure_callback_name, self._stopped_callback_name)
        if any(callbacks):
            raise NotImportable(f'job {self.id} names a callback, and with codec="data" none is run')
        args, kwargs = hub.driver.context.values.typed(self.func, self.args, self.kwargs, 0)
        self.args, self.kwargs = args, kwargs

    # RQ imports what a job names as its callbacks, also when the job itself is refused.
    @property
    def success_callback(self) -> Any:
        """RQ's; none with ``codec="data"``."""
        return super().success_callback if current_hub().config.codec == "pickle" else None

    @property
    def failure_callback(self) -> Any:
        """RQ's; none with ``codec="data"``."""
        return super().failure_callback if current_hub().config.codec == "pickle" else None

    @property
    def stopped_callback(self) -> Any:
        """RQ's; none with ``codec="data"``."""
        return super().stopped_callback if current_hub().config.codec == "pickle" else None

    @property
    def func(self) -> Any:
        """The function."""
        try:
            hub = current_hub()
            if hub.config.codec == "data" and self.func_name not in OWN:
                return registered(hub, self.func_name or "")
            return super().func
        except Exception as error:
            raise NotImportable(
                f"job {self.id}: this worker cannot import {_name(self)!r} ({type(error).__name__}: {error}): "
                "deploy the module to the workers, and enqueue functions from the top of a module"
            ) from error


def _name(job: Job) -> str:
    try:
        return job.func_name or ""
    except Exception:  # what RQ kept of it cannot be read
        return "?"


class TellsOnce:
    """A worker whose log tells of a job's exception once: RQ's line would have the same traceback, and the job's arguments."""

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """As RQ's, if the job has not told. (This worker has no exception handlers, which RQ's would call.)"""
        if not isinstance(job, HubJob) or job.told_of is None or job.told_of is not exc_info[1]:
            super().handle_exception(job, *exc_info)  # type: ignore[misc]
