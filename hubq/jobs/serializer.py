"""What RQ writes of the jobs of a hub, and which functions its workers run (docs/trust.md)."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import msgspec

from hubq.core.job_names import Purpose
from hubq.errors import InvalidJob, NotImportable, NotSendable, Unsealed
from hubq.store.keyring import ALL, WORKERS
from hubq.store.seal import Seal
from hubq.store.values import DATA

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Functions of hubq itself that are run as jobs.
OWN = frozenset({"hubq.jobs.cron.enqueue_now", "hubq.jobs.cron.start_from_record"})
#: RQ's options that name functions: RQ imports whatever they name.
CALLBACKS = ("on_success", "on_failure", "on_stopped")

#: RQ's field for the URLs that its worker calls when a job has ended.
WEBHOOKS = b"webhooks"

_of_hubs: WeakKeyDictionary[Hub, Any] = WeakKeyDictionary()


class Named(Protocol):
    """A job, as far as it is needed here."""

    @property
    def id(self) -> str: ...


class JobSerializer:
    """Reads and writes what RQ keeps of the jobs of a hub. What is sealed is bound to the id of ``job``, and to what it is of it: its
    arguments (with the function), its meta, a result. Without a job it is bound to the hub alone, and no worker of the hub reads it.
    """

    def __init__(
        self,
        writes: Callable[[object], bytes],
        reads_pickles: bool,
        seal: Seal | None,
        job: Named | None = None,
        purpose: Purpose = "result",
    ) -> None:
        self._writes = writes
        self._reads_pickles = reads_pickles
        self._seal = seal
        self._job = job
        self._purpose = purpose

    def of_job(self, job: Named) -> JobSerializer:
        """The same for one job (whose id may still come), and its results."""
        return self if self._seal is None else JobSerializer(self._writes, self._reads_pickles, self._seal, job)

    def of(self, purpose: Purpose) -> JobSerializer:
        """The same for other values of the job."""
        return (
            self
            if self._seal is None
            else JobSerializer(self._writes, self._reads_pickles, self._seal, self._job, purpose)
        )

    def believes(self, field: bytes) -> bool:
        """Whether a field is followed that RQ keeps beside what is sealed: with ``seal="require"`` no URL is called that anybody may have
        written.
        """
        return self._seal is None or not self._seal.required or field != WEBHOOKS

    def _place(self) -> tuple[str, ...]:
        return ("job",) if self._job is None else ("job", self._purpose, self._job.id)

    def loads(self, data: bytes) -> Any:
        """What RQ kept. Raises ValueError, and :class:`~hubq.errors.Unsealed`."""
        if self._seal is not None:
            data = self._opened(self._seal, data)
        return read(data, self._reads_pickles)

    def _opened(self, seal: Seal, data: bytes) -> bytes:
        try:
            name, plain = seal.opens_any(data, *self._place())
        except Unsealed:
            if seal.required or self._job is None:
                raise
            # An older process has written it, and bound it to its job alone.
            return seal.opens_any(data, "job", self._job.id)[1]
        if self._purpose == "result" and name not in ("", ALL, WORKERS):
            raise Unsealed(f"this result is sealed with the key of {name!r}, and only workers write such")
        return plain

    def dumps(self, value: object) -> bytes:
        """For RQ to keep. Raises :class:`~hubq.errors.NotSendable`."""
        data, seal = self._writes(value), self._seal
        if seal is None:
            return data
        # A worker writes results, which clients read; and what it enqueues itself, workers read.
        return seal.for_all(data, *self._place()) if seal.keys.root else seal.own(data, *self._place())


def serializer_of(hub: Hub) -> Any:
    """The serializer of a hub's jobs, as RQ takes it: a class with ``dumps`` and ``loads``. Jobs that workers are to run want
    ``job_class=QueuedJob``, too (:mod:`hubq.jobs.queued_job`): it binds to a job what is sealed of it, by ``of_job``.
    """
    found = _of_hubs.get(hub)
    if found is None:
        config = hub.config
        writes = pickled if config.codec == "pickle" else as_data
        reads_pickles = config.codec == "pickle" or config.reads_pickles
        its = JobSerializer(writes, reads_pickles, hub.driver.context.seal)
        members = {name: staticmethod(getattr(its, name)) for name in ("dumps", "loads", "of_job", "of", "believes")}
        found = _of_hubs[hub] = type("HubSerializer", (), members)
    return found


def pickled(value: object) -> bytes:
    """As RQ itself writes: any client of RQ can read it."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def as_data(value: object) -> bytes:
    """As data, or :class:`~hubq.errors.NotSendable`."""
    try:
        return DATA + msgspec.msgpack.encode(value)
    except Exception as error:
        raise NotSendable(
            f"a job, or its result, is no data ({error}): give plain values, dataclasses or Structs"
        ) from error


def read(data: bytes, reads_pickles: bool) -> Any:
    """What RQ kept. Raises ValueError for a pickle, if none is read.

    >>> read(as_data([1, "two"]), False)
    [1, 'two']
    """
    if data[:1] == DATA:
        return msgspec.msgpack.decode(memoryview(data)[1:])
    if reads_pickles:
        return pickle.loads(data)
    raise ValueError('a pickle, and codec="data" unpickles nothing: whoever enqueued it has codec="pickle"')


def path_of(function: Any) -> str:
    """The name of a function as RQ writes it."""
    return function if isinstance(function, str) else f"{function.__module__}.{function.__qualname__}"


def checked_registered(hub: Hub, function: Any, options: dict[str, Any]) -> Any:
    """The function, or, with ``codec="data"``, :class:`~hubq.errors.NotImportable` if no worker would run it, and
    :class:`~hubq.errors.InvalidJob` for options that no worker would follow.
    """
    if hub.config.seal == "require" and options.get("webhooks"):
        raise InvalidJob(
            'webhooks: with seal="require" none is called, since anybody who can write to Redis may have written it'
        )
    if hub.config.codec == "pickle":
        return function
    named = [name for name in CALLBACKS if options.get(name) is not None]
    if named:
        raise InvalidJob(f'{named[0]}={options[named[0]]!r}: with codec="data" no function runs that is not registered')
    path = path_of(function)
    if path not in hub.job_functions and path not in OWN and not isinstance(function, str):
        raise NotImportable(
            f'{path} is not registered, and with codec="data" workers run only functions that are: mark it with @hub.job, in the '
            "app that the workers load"
        )
    return function


def registered(hub: Hub, path: str) -> Callable[..., Any]:
    """The registered function of this name. Raises LookupError."""
    found = hub.job_functions.get(path)
    if found is None:
        raise LookupError(
            'it is not registered with @hub.job, and with codec="data" a worker imports nothing by its name'
        )
    return found
