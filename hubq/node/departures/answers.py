"""Answers of other nodes to the requests of this one, by the id of the move."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from hubq.core.messages import ChildStartProgress, ChildStartResp, HandoverConfirmed
from hubq.store.membership import NodeInfo


class Answer:
    """Two answers are expected of a target: that it has built the children, and that it serves them."""

    def __init__(self, handover_id: str, target: str, incarnation: int, *, watched: bool) -> None:
        loop = asyncio.get_running_loop()
        self.watched = watched
        self.handover_id = handover_id
        self.target = target
        self.incarnation = incarnation
        self.resp: asyncio.Future[ChildStartResp] = loop.create_future()
        self.confirmed: asyncio.Future[None] = loop.create_future()
        self._patience: asyncio.Timeout | None = None
        self._within = 0.0

    async def built(self, within: float) -> ChildStartResp:
        """Wait until the target has built what it can build. Raises :class:`TimeoutError`: for ``within`` seconds it has neither
        answered nor said that it goes on.
        """
        try:
            async with asyncio.timeout(within) as self._patience:
                self._within = within
                return await asyncio.shield(self.resp)
        finally:
            self._patience = None

    def goes_on(self) -> None:
        """The target builds: its time begins anew."""
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + self._within)

    def started(self, message: ChildStartResp) -> None:
        """The target has built what it can build."""
        if not self.resp.done():
            self.resp.set_result(message)

    def confirm(self) -> None:
        """The target serves."""
        if not self.confirmed.done():
            self.confirmed.set_result(None)


class Answers:
    """The answers that are expected on a node."""

    def __init__(self) -> None:
        self._expected: dict[str, Answer] = {}

    @property
    def expected(self) -> Collection[str]:
        """The moves whose answers are taken in now, by their ids."""
        return self._expected.keys()

    def expect(
        self, handover_id: str, target: str = "", incarnation: int = 0, *, watched: bool = False
    ) -> Answer:  # fmt: skip
        """Take in the answers to this move until :meth:`forget`. ``watched``: if its target leaves, do not wait for it."""
        answer = self._expected[handover_id] = Answer(handover_id, target, incarnation, watched=watched)
        return answer

    def forget(self, answer: Answer, after: float = 0.0) -> None:
        """Take in no answer any more, ``after`` so many seconds."""
        if after:
            asyncio.get_running_loop().call_later(after, self._expected.pop, answer.handover_id, None)
        else:
            self._expected.pop(answer.handover_id, None)

    def goes_on(self, message: ChildStartProgress) -> None:
        """``child_start_progress``."""
        answer = self._expected.get(message.handover_id)
        if answer is not None:
            answer.goes_on()

    def started(self, message: ChildStartResp) -> None:
        """``child_start_resp``."""
        answer = self._expected.get(message.handover_id)
        if answer is not None:
            answer.started(message)

    def confirmed(self, message: HandoverConfirmed) -> None:
        """``handover_confirmed``."""
        answer = self._expected.get(message.handover_id)
        if answer is not None:
            answer.confirm()

    def members_seen(self, nodes: Mapping[str, NodeInfo]) -> None:
        """A target that has left does not answer any more: end the wait. (Redis knows whether it got the token.)"""
        for answer in self._expected.values():
            info = nodes.get(answer.target)
            if answer.watched and (info is None or info.incarnation != answer.incarnation):
                answer.started(ChildStartResp(answer.target, -1, answer.handover_id, failed=""))
                answer.confirm()
