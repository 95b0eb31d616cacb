"""Whether the code here can run a child with what is saved of it: tried beside the hub, which is not touched (``hubq check``)."""

from __future__ import annotations

from typing import Any, NoReturn

from hubq.core.child import Child, new_child
from hubq.core.classes import ClassBook
from hubq.core.reminders import Reminder
from hubq.errors import HubqError, OutsideHandler, StartFailed
from hubq.node.held.state import lay_saved
from hubq.node.runtime.raised import in_short
from hubq.store.envelope import Envelope
from hubq.store.seal import Seal
from hubq.store.spec_record import SpecRecord
from hubq.store.values import Values


def try_state(
    classes: ClassBook,
    values: Values,
    seal: Seal | None,
    child: str,
    record: SpecRecord,
    saved: Envelope | None,
    limit: int,
) -> str:
    """Build a child, lay its saved state, and encode what came of it. The answer: why it cannot be; empty: it can.

    Its class is imported, and ``__init__``, ``upgrade_state`` and ``alter_handover_state`` run. Nothing else of it does.
    ``limit``: the most bytes of a state.
    """
    try:
        if record.malformed:
            return f"its spec is malformed ({record.malformed})"
        kind = classes.resolve(record.name, record.module)
        arguments, by_worker = (record.arguments, False) if seal is None else seal.opens_spec(child, record)
        args, kwargs = values.start_arguments(kind, arguments, by_worker=by_worker)
        instance = new_child(kind, _Nowhere(child, record))
        instance.__init__(*args, **kwargs)  # type: ignore[misc]
    except StartFailed as error:
        return str(error)
    except BaseException as error:
        return f"{record.name} cannot be built: {in_short(error)}"
    try:
        if saved is not None:
            if seal is not None and not saved.malformed:
                data = seal.opens_state(child, record.start_id, saved.form, saved.cursor, saved.data)
                saved = saved.with_data(data)
            lay_saved(instance, saved, values)
        values.encode_state(kind, _attributes(instance), limit, child)
    except HubqError as error:
        return str(error)
    except BaseException as error:
        return f"its state cannot be restored: {in_short(error)}"
    return ""


def _attributes(instance: Child) -> dict[str, Any]:
    return {name: value for name, value in instance.__dict__.items() if name not in type(instance).transient}


class _Nowhere:
    """What a child that is only tried has for a node."""

    node_name = "check"
    redundancy_mode = "passive"

    def __init__(self, child_id: str, record: SpecRecord) -> None:
        self.child_id = child_id
        self.metadata: dict[str, Any] = dict(record.metadata)

    async def commit(self) -> None:
        self._refuse()

    def stop(self) -> None:
        self._refuse()

    def says(self, *_: object) -> None:
        self._refuse()

    def enqueues(self, *_: object) -> str:
        self._refuse()

    def publishes(self, *_: object) -> None:
        self._refuse()

    def reminds(self, *_: object) -> None:
        self._refuse()

    def forgets(self, *_: object) -> None:
        self._refuse()

    def progresses(self, *_: object) -> None:
        """Nobody sees it."""

    async def reminders(self) -> list[Reminder]:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise OutsideHandler(f"child {self.child_id!r} is only tried here (hubq check): it has no message in hand")
