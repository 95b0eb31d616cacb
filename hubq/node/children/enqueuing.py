"""``self.enqueue(...)``: a job that a child enqueues is made ready for the commit that takes it along (docs/effects.md)."""

from __future__ import annotations

from typing import Any, Protocol

from hubq.client.faces.jobs import Prepared
from hubq.core.job_names import id_of_message, id_of_node
from hubq.core.spec import ChildSpec
from hubq.node.children.sayings import Sayings, check_may_say
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.sizes import Sizes
from hubq.node.runtime.standing import Standing
from hubq.store.codec import checked_size
from hubq.store.waiting_jobs import Enqueued


class Prepares(Protocol):
    """Checks a job (``hubq.client.faces.jobs.Jobs.prepared``)."""

    def __call__(
        self, job_id: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Prepared | ChildSpec: ...


class Enqueuing:
    """Turns what a child enqueues into jobs, and keeps them with its state. A resumable job is a child that it starts."""

    def __init__(self, hub_id: str, standing: Standing, sayings: Sayings, sizes: Sizes, prepared: Prepares) -> None:
        self._hub_id = hub_id
        self._standing = standing
        self._sayings = sayings
        self._sizes = sizes
        self._prepared = prepared
        self._numbers = 0

    def enqueues(self, hosted: HostedChild, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The id of the job. A copy only gets the id.

        Raises what :meth:`hubq.Child.enqueue` raises.
        """
        check_may_say(hosted)
        job = self._prepared(self._next_id(hosted), function, args, kwargs)
        if isinstance(job, ChildSpec):
            if not hosted.holding.is_copy:
                self._sayings.starts(hosted, job)
            return job.child_id
        checked_size(job.record, self._sizes.payload, f"job {job.job_id}")
        if not hosted.holding.is_copy:
            hosted.say(Enqueued(hosted.child_id, job.job_id, job.key, job.record))
        return job.job_id

    def _next_id(self, hosted: HostedChild) -> str:
        if (in_hand := hosted.in_hand) is not None:
            entry = in_hand.message.entry.decode()
            return id_of_message(self._hub_id, hosted.holding.shard, entry, in_hand.counts_job())
        self._numbers += 1
        standing = self._standing
        return id_of_node(self._hub_id, standing.node_name, standing.incarnation, self._numbers)
