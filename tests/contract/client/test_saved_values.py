"""The state that ``hub.inspect.state`` gives, as Python values: what it unpickles, and what it refuses."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from hubq import Child, Hub, HubqError
from hubq.client.operations.inspection import SavedState
from hubq.testing import Cluster

RAN: list[str] = []


class Evil:
    def __reduce__(self) -> Any:
        return (RAN.append, ("code ran",))


def saved(data: bytes, *, unpickles: bool) -> SavedState:
    return SavedState("room-1", 0, "attributes", "", len(data), None, data, unpickles)


def test_no_pickle_is_unpickled_where_none_is_read() -> None:
    RAN.clear()
    state = saved(b"p" + pickle.dumps({"who": Evil()}), unpickles=False)
    with pytest.raises(HubqError, match=r"the state of 'room-1' cannot be read here .*unpickles nothing.*`hubq state`"):
        state.value()
    assert RAN == []
    assert saved(b"p" + pickle.dumps({"posts": [1]}), unpickles=True).value() == {"posts": [1]}


@pytest.mark.parametrize(
    "data", [b"", b"m", b"m\xc1", b"j{", b"?x", b"v2\n", b"p" + b"\x80\x05cno_such_module\nRoom\n."], ids=repr
)
def test_what_cannot_be_read_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(HubqError, match=r"the state of 'room-1' cannot be read here \(\w+: .*`hubq state` shows it"):
        saved(data, unpickles=True).value()


@pytest.mark.parametrize("reads_pickles", [False, True])
def test_the_settings_of_the_hub_say_what_is_read(make_hub: Callable[..., Hub], reads_pickles: bool) -> None:
    hub = make_hub(codec="data", reads_pickles=reads_pickles, shards=1)

    @hub.child
    class Room(Child):
        def __init__(self) -> None:
            self.posts = 1

        async def post(self) -> int:
            self.posts += 1
            return self.posts

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("room-1", Room)
            assert await hub.aio.ref("room-1").call("post") == 2
            state = await hub.aio.inspect.state("room-1")
            assert state is not None and state.unpickles is reads_pickles
            assert (state.format, state.value()) == ("m", {"posts": 2})

    asyncio.run(scenario())
