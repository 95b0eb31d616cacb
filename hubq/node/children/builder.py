"""Builds children: the class is found, and ``__init__`` runs."""

from __future__ import annotations

from msgspec.structs import replace

from hubq.core.classes import ClassBook
from hubq.errors import StartFailed, StateTooNew, Unreadable, Unsealed
from hubq.hooks.book import ALTER
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.services import Services
from hubq.node.held.state import checked_version, opened
from hubq.node.runtime.hook_runner import HookRunner
from hubq.node.runtime.raised import in_short
from hubq.node.runtime.tasks import enter_task, leave_task
from hubq.store.envelope import Envelope
from hubq.store.spec_record import SpecRecord


class Builder:
    """Makes a hosted child of a spec."""

    def __init__(self, services: Services[HostedChild], classes: ClassBook, hooks: HookRunner) -> None:
        self._services = services
        self._classes = classes
        self._hooks = hooks

    @property
    def node_name(self) -> str:
        """The node that it builds for."""
        return self._services.node_name

    def build(self, holding: Holding, child: str, record: SpecRecord) -> HostedChild:
        """Import the class and run ``__init__``. The child is not put into the holding yet.

        Raises :class:`~hubq.errors.StartFailed`.
        """
        try:
            return self._build(holding, child, record)
        except StartFailed:
            raise
        except BaseException as error:  # SystemExit and the like: a class, or its module, is no reason to end the node
            raise StartFailed(f"{record.name} cannot be built: {in_short(error)}") from error

    def check_state(self, hosted: HostedChild, saved: Envelope | None) -> None:
        """Raise :class:`~hubq.errors.StartFailed` if the saved state is of a version that the class here does not know yet."""
        if saved is not None and (saved.has_version or self._services.seal is not None):
            try:
                checked_version(hosted.kind, opened(hosted, saved))
            except StateTooNew as error:
                raise StartFailed(str(error)) from None
            except (Unreadable, Unsealed):
                pass  # said when it is laid

    def _build(self, holding: Holding, child: str, record: SpecRecord) -> HostedChild:
        if record.malformed:
            raise StartFailed(
                f"the spec of child {child!r} is malformed ({record.malformed}): stop the child, and start it again"
            )
        kind = self._classes.resolve(record.name, record.module)
        seal, arguments, by_worker = self._services.seal, record.arguments, False
        if seal is not None:
            arguments, by_worker = seal.opens_spec(child, record)
        args, kwargs = self._services.values.start_arguments(kind, arguments, by_worker=by_worker)
        if self._hooks.wants(ALTER):
            data = self._hooks.altered(child, record.name, args, kwargs, record.metadata)
            args, kwargs = data.args, data.kwargs
            record = replace(record, metadata=data.metadata)
        hosted = HostedChild(self._services, holding, child, record, kind)
        instance = kind.__new__(kind)
        hosted.made(instance)
        task = leave_task()
        try:
            instance.__init__(*args, **kwargs)  # type: ignore[misc]
        finally:
            enter_task(task)
        return hosted
