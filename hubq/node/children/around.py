"""What is around the work of children: their middleware (docs/middleware.md), and the context of what they log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from hubq.client.asking.calling import Doing, set_handling
from hubq.core.middleware import Layers, Work
from hubq.node.children.methods import Finds, Found
from hubq.node.held.holding import HostedChild
from hubq.store.message import Message, sender_of


class Around:
    """Around ``run()`` and ``on_start`` of the children of a node, each in a task of its own."""

    def __init__(self, hub_id: str, node_name: str, layers: Layers) -> None:
        self._hub_id = hub_id
        self._node_name = node_name
        self._layers = layers

    def run(self, hosted: HostedChild) -> Awaitable[Any]:
        """``run()`` of a child."""
        instance: Any = hosted.instance
        return self._within("run", hosted, instance.run)

    def on_start(self, hosted: HostedChild) -> Awaitable[Any]:
        """``on_start()`` of a child."""
        assert hosted.instance is not None
        return self._within("start", hosted, hosted.instance.on_start)

    def _within(
        self, kind: Literal["run", "start"], hosted: HostedChild, function: Callable[[], Awaitable[Any]]
    ) -> Awaitable[Any]:
        method = "run" if kind == "run" else "on_start"
        set_handling(Doing(hosted.child_id, hosted.record.name, method))
        if not self._layers:
            return function()
        work = Work(kind, self._hub_id, self._node_name, hosted.child_id, f"{hosted.kind.__name__}.{method}", method)
        around: Awaitable[Any] = self._layers.around_async(work, function)()
        return around


class LayeredMethods:
    """The methods that callers may call, with the hub's middleware around each."""

    def __init__(self, hub_id: str, node_name: str, layers: Layers, methods: Finds) -> None:
        self._hub_id = hub_id
        self._node_name = node_name
        self._layers = layers
        self._methods = methods

    def find(self, hosted: HostedChild, message: Message) -> Found | None:
        """See :meth:`hubq.node.children.methods.Methods.find`."""
        found = self._methods.find(hosted, message)
        return None if found is None else self._layered("message", hosted, message, found)

    def read(self, hosted: HostedChild, message: Message) -> Found:
        """See :meth:`hubq.node.children.methods.Methods.read`."""
        return self._layered("read", hosted, message, self._methods.read(hosted, message))

    def _layered(self, kind: Literal["message", "read"], hosted: HostedChild, message: Message, found: Found) -> Found:
        method, is_async = found
        work = Work(
            kind, self._hub_id, self._node_name, hosted.child_id, f"{hosted.kind.__name__}.{message.method}",
            message.method, message.id, sender_of(message.id, message.reply_to),
        )  # fmt: skip
        layered = self._layers.around_async(work, method) if is_async else self._layers.around(work, method)
        return layered, is_async
