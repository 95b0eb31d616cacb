"""What the codecs and the seal cost: microseconds for each value, and the share of the seal in the CPU of a call.

``python -m benchmarks.trust`` (six minutes): the values are interleaved, and of many rounds the least is taken. The share:
`benchmarks/trust_share.py`.
"""

from __future__ import annotations

import json
import pickle
import random
import time
from collections.abc import Callable
from statistics import median

import msgspec

from benchmarks.trust_share import FORMS, Post, Room, report
from hubq.store.data_values import DataValues
from hubq.store.keyring import Keyring, new_keys
from hubq.store.message import Message
from hubq.store.pickled_values import PickledValues
from hubq.store.seal import Seal

ROUNDS, TIMES = 200, 50
ROOT = new_keys()


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


def after_other_work(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median of each, done once after work that has filled the caches with something else, as in a call."""
    numbers, times = list(range(400_000)), dict[str, list[float]]()
    for _ in range(ROUNDS):
        for name, work in random.sample(list(works.items()), len(works)):
            json.dumps({"a": numbers[:60]})
            sum(numbers[::64])
            sorted(numbers[:2_000], key=lambda number: -number)
            began = time.perf_counter()
            work()
            times.setdefault(name, []).append((time.perf_counter() - began) * 1e6)
    return {name: median(each) for name, each in times.items()}


def works_of(size: int) -> dict[str, Callable[[], object]]:
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
    for name, form in (("AES-GCM", "encrypt"), ("BLAKE2b", "sign")):
        workers = Seal("chat", Keyring.read(ROOT), writes=True, required=True, form=form)
        shop = Seal("chat", Keyring.read(Keyring.read(ROOT).derive("shop")), writes=True, required=True, form=form)
        payload = data.encode_arguments((post, 3), {}, "room.post")
        blob = shop.message("call", "room-1", "post", "shop.5f", "3", payload)
        works[f"{name} seal"] = lambda shop=shop, payload=payload: shop.message(
            "call", "room-1", "post", "shop.5f", "3", payload
        )  # type: ignore[misc]
        works[f"{name} open"] = lambda workers=workers, blob=blob: workers.opens(
            [Message(b"7-0", "call", "room-1", "post", "3", "shop.5f", 0, blob)]
        )  # type: ignore[misc]
    return works


def main() -> None:
    """Measure, and print."""
    small, large, once = microseconds(works_of(150)), microseconds(works_of(10_000)), after_other_work(works_of(150))
    print(f"{'us':<24}{'200 B':>8}{'10 KB':>8}{'200 B, after other work':>26}")
    for name, us in small.items():
        print(f"{name:<24}{us:>8.2f}{large[name]:>8.2f}{once[name]:>26.1f}")
    print()
    for form in FORMS:
        report(form)


if __name__ == "__main__":
    main()
