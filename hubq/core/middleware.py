"""What an app puts around every handler, ``run()`` and job: its middleware (docs/middleware.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work that middleware is around.

    ``kind``: a message, a read, ``on_start``, ``run()`` or a job. ``node``: where it runs. ``child_id``: the child, or the id of the
    job. ``name``: what runs, for people. ``sender``: the client that sent the message, or ``child <id>``; empty: not known.
    """

    kind: Literal["message", "read", "start", "run", "job"]
    hub_id: str
    node: str
    child_id: str
    name: str
    method: str = ""
    message_id: str = ""
    sender: str = ""


#: Takes the work, and returns what is entered before it and left after it.
Middleware = Callable[[Work], AbstractContextManager[Any]]


class Layers:
    """The middleware of a hub, the first one outermost.

    >>> @contextmanager
    ... def tell(work):
    ...     print("before", work.name)
    ...     yield
    ...     print("after")
    >>> Layers([tell]).around(Work("message", "chat", "a", "room-1", "Room.post"), lambda: print("post"))()
    before Room.post
    post
    after
    """

    def __init__(self, layers: Sequence[Middleware] = ()) -> None:
        self._layers = list(layers)

    def __bool__(self) -> bool:
        return bool(self._layers)

    def add(self, layer: Middleware) -> None:
        """Another one, within the others."""
        self._layers.append(layer)

    def composed(self) -> Layers:
        """Those there are now: what is added later does not come to them."""
        return Layers(self._layers)

    @contextmanager
    def over(self, work: Work) -> Iterator[None]:
        """All of them around a piece of work. What it raises is raised, even if one of them swallows it."""
        raised: BaseException | None = None
        with ExitStack() as stack:
            for layer in self._layers:
                stack.enter_context(layer(work))
            try:
                yield
            except BaseException as error:
                raised = error
                raise
        if raised is not None:
            raise raised

    def around(self, work: Work, function: Callable[..., Any]) -> Callable[..., Any]:
        """A plain function with all of them around it."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self.over(work):
                return function(*args, **kwargs)

        return run

    def around_async(self, work: Work, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same for an ``async def`` function."""

        async def run(*args: Any, **kwargs: Any) -> Any:
            with self.over(work):
                return await function(*args, **kwargs)

        return run
