"""What the codecs and the seal cost: microseconds for each value, and the share of the seal in the CPU of a call.

``python benchmarks/trust.py``: the values are interleaved, and of many rounds the least is taken. For the share, one process is client
and worker of two hubs, with the seal and without it, in turns.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import msgspec

from hubq import Child, Hub
from hubq.store.data_values import DataValues
from hubq.store.embedded import EmbeddedServer
from hubq.store.keyring import Keyring, new_keys
from hubq.store.message import Message
from hubq.store.pickled_values import PickledValues
from hubq.store.seal import Seal
from hubq.testing import Cluster

ROUNDS, TIMES, CALLS = 200, 50, 300
ROOT = new_keys()


@dataclass
class Post:
    who: str
    text: str
    at: float


class Room(Child):
    posts: list[Post]

    def __init__(self) -> None:
        self.count = 0

    async def post(self, post: Post, times: int = 1) -> int:
        self.count += times
        return self.count


def microseconds(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least time of each, in turns."""
    least = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = time.perf_counter()
            for _ in range(TIMES):
                work()
            least[name] = min(least[name], (time.perf_counter() - began) / TIMES * 1e6)
    return least


def values(size: int) -> dict[str, float]:
    """Encoding and decoding the arguments of one message, and sealing and opening it."""
    post = Post("ann", "x" * size, 1.5)
    pickled, data, plain = PickledValues(), DataValues(), ((post.who, post.text, post.at, 3), {})
    works: dict[str, Callable[[], object]] = {}
    for name, codec in (("pickle", pickled), ("data", data)):
        payload = codec.encode_arguments((post, 3), {}, "room.post")
        works[f"{name} encode"] = lambda codec=codec: codec.encode_arguments((post, 3), {}, "room.post")  # type: ignore[misc]
        works[f"{name} decode"] = lambda codec=codec, payload=payload: codec.arguments(Room, "post", payload)  # type: ignore[misc]
    works["JSON (msgspec) encode"] = lambda: msgspec.json.encode(plain)
    text = msgspec.json.encode(plain)
    works["JSON (msgspec) decode"] = lambda: msgspec.json.decode(text)
    works["pickle (bare) encode"] = lambda: pickle.dumps(plain, protocol=5)
    for name, encrypts in (("AES-GCM", True), ("BLAKE2b", False)):
        workers = Seal("chat", Keyring.read(ROOT), writes=True, required=True, encrypts=encrypts)
        shop = Seal(
            "chat", Keyring.read(Keyring.read(ROOT).derive("shop")), writes=True, required=True, encrypts=encrypts
        )
        payload = data.encode_arguments((post, 3), {}, "room.post")
        blob = shop.message("call", "room-1", "post", "shop.5f", "3", payload)
        works[f"{name} seal"] = lambda shop=shop, payload=payload: shop.message(
            "call", "room-1", "post", "shop.5f", "3", payload
        )  # type: ignore[misc]
        works[f"{name} open"] = lambda workers=workers, blob=blob: workers.opens(
            Message(b"7-0", "call", "room-1", "post", "3", "shop.5f", 0, blob)
        )  # type: ignore[misc]
    return microseconds(works)


async def share() -> tuple[float, float, float]:
    """CPU of a call, client and worker together, microseconds: pickled, as data, as data and sealed."""
    with EmbeddedServer() as server:
        kinds = {"pickle": {}, "data": {"codec": "data"}, "sealed": {"codec": "data", "seal": "require", "keys": ROOT}}
        clusters: dict[str, Cluster] = {}
        hubs: dict[str, Hub] = {}
        for name, settings in kinds.items():
            hubs[name] = Hub(f"t-{name}", redis=server.url, shards=4, **settings)  # type: ignore[arg-type]
            hubs[name].child(Room)
            clusters[name] = await Cluster(hubs[name]).__aenter__()
            await clusters[name].start("a")
            await hubs[name].aio.start_child("room", Room)
        rounds: dict[str, list[float]] = {name: [] for name in kinds}
        post = Post("ann", "x" * 150, 1.5)
        for _ in range(15):
            for name, hub in hubs.items():
                ref, began = hub.aio.ref(Room, "room"), time.process_time()
                for _ in range(CALLS):
                    await ref.call(Room.post, post)
                rounds[name].append((time.process_time() - began) / CALLS * 1e6)
        for name, cluster in clusters.items():
            await cluster.__aexit__(None, None, None)
            await hubs[name].aio.close()
        return tuple(median(each) for each in rounds.values())  # type: ignore[return-value]


def main() -> None:
    """Measure, and print."""
    small, large = values(150), values(10_000)
    print(f"{'us':<24}{'200 B':>8}{'10 KB':>8}")
    for name, us in small.items():
        print(f"{name:<24}{us:>8.2f}{large[name]:>8.2f}")
    pickled, data, sealed = asyncio.run(share())
    print(
        f"\nCPU of a call: pickle {pickled:.0f} us, data {data / pickled:.3f} of it, data and seal {sealed / pickled:.3f}"
    )
    print(f"the seal: {sealed / data - 1:+.1%} of a call with data")


if __name__ == "__main__":
    main()
