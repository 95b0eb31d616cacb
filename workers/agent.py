"""Sessions with a language model, one child each: ``hubq worker workers.agent:hub``.

``ask`` returns at once; the reply grows word by word and can be read while it does, or cancelled. A deploy in the middle of
a reply moves the session: the next worker has the model go on from the words there are. The model is behind an
interface; :class:`StubModel` stands in for a real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from hubq import Child, Hub

hub = Hub("agents")

Turn = dict[str, str]  # who: "user" or "model"; text; status: "", "growing", "done", "cancelled"


class Model(Protocol):
    """What a session needs of a model."""

    def reply(self, turns: list[Turn], begun: str) -> AsyncIterator[str]:
        """The reply to a conversation, in pieces, going on from ``begun``."""


class StubModel:
    """Repeats what was asked, word by word.

    >>> async def words(): return [word async for word in StubModel(0.0).reply([{"who": "user", "text": "so be it"}], "You said: so")]
    >>> asyncio.run(words())
    [' be', ' it']
    """

    def __init__(self, pause: float) -> None:
        self.pause = pause

    async def reply(self, turns: list[Turn], begun: str) -> AsyncIterator[str]:
        """See :class:`Model`."""
        whole = "You said: " + turns[-1]["text"]
        for word in whole[len(begun) :].split(" "):
            if word:
                await asyncio.sleep(self.pause)
                yield " " + word if begun else word
                begun += word


@hub.child
class AgentSession(Child):
    """One conversation."""

    transient = ("asked", "model")

    def __init__(self, pause: float = 0.05) -> None:
        self.pause = pause
        self.turns: list[Turn] = []

    async def on_start(self) -> None:
        """Called on each node the session comes to."""
        self.asked = asyncio.Event()
        self.model: Model = StubModel(self.pause)

    async def ask(self, text: str) -> int:
        """Say something; the number of the turn that will be the reply. A reply that is still growing ends as it is."""
        self._end("cancelled")
        self.turns.append({"who": "user", "text": text, "status": "done"})
        self.turns.append({"who": "model", "text": "", "status": "growing"})
        self.asked.set()
        return len(self.turns) - 1

    async def read(self, number: int) -> Turn:
        """A turn as it is now. Raises :class:`IndexError` if there is none yet."""
        return self.turns[number]

    async def cancel(self) -> bool:
        """End the reply that is growing; whether there was one."""
        return self._end("cancelled")

    async def transcript(self) -> list[Turn]:
        """The whole conversation."""
        return self.turns

    async def run(self) -> None:
        """Lets replies grow."""
        while True:
            self.asked.clear()
            turn = self._growing()
            if turn is None:
                await self.asked.wait()
                continue
            async for piece in self.model.reply(self.turns[:-1], turn["text"]):
                if self._growing() is not turn:
                    break  # cancelled, or something else was asked
                turn["text"] += piece
                await self.commit()
            else:
                self._end("done")
                await self.commit()

    def _growing(self) -> Turn | None:
        return self.turns[-1] if self.turns and self.turns[-1]["status"] == "growing" else None

    def _end(self, status: str) -> bool:
        turn: Any = self._growing()
        if turn is None:
            return False
        turn["status"] = status
        return True
