"""What the ``self`` of a child may ask of its node: the holding's own files see no more of the parts above them."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from hubq.core.methods import Method
from hubq.core.outgoing import Called, Target
from hubq.core.reminders import Reminder, Times
from hubq.store.seal import Seal
from hubq.store.values import Values

Asker = TypeVar("Asker", contravariant=True)  # a hosted child, which is made with its services


class Services(Protocol[Asker]):
    """What a node does for its hosted children (``hubq.node.children.services``)."""

    node_name: str
    values: Values
    seal: Seal | None

    def active(self, hosted: Asker) -> bool:
        """Whether this copy is the active one right now."""

    async def commit(self, hosted: Asker) -> None:
        """``await self.commit()`` of a child."""

    def stop(self, hosted: Asker) -> None:
        """``self.stop()`` of a child."""

    def says(
        self, hosted: Asker, target: Target | None, child_id: str, method: Called | None,
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> None:  # fmt: skip
        """``self.ref(...).cast(...)`` and ``.start(...)`` of a child."""

    def enqueues(self, hosted: Asker, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """``self.enqueue(...)`` of a child. A copy gets the id that the original gets."""

    def publishes(self, hosted: Asker, topic: str, data: object, now: bool) -> None:
        """``self.publish(...)`` of a child."""

    def reminds(self, hosted: Asker, name: str, method: Method, args: tuple[Any, ...], times: Times, late: str) -> None:
        """``self.remind(...)`` of a child."""

    def forgets(self, hosted: Asker, name: str) -> None:
        """``self.forget(...)`` of a child."""

    def progresses(self, hosted: Asker, done: float, total: float | None, text: str) -> None:
        """``self.progress(...)`` of a child."""

    async def reminders(self, hosted: Asker) -> list[Reminder]:
        """``self.reminders()`` of a child."""
