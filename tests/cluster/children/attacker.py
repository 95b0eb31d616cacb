"""Whoever can write to Redis, and what it writes against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubq import Child, Hub, read
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.keyring import Keyring, new_keys

ROOT = new_keys()
SEEN: list[str] = []


class Evil:
    def __reduce__(self) -> Any:
        return (SEEN.append, ("code ran",))


class Account(Child):
    def __init__(self) -> None:
        self.balance = 0

    async def add(self, amount: int) -> int:
        self.balance += amount
        self.publish("added", amount)
        return self.balance

    async def later(self, amount: int) -> None:
        self.remind("add", amount, call=Account.add, after=0.01)

    async def give(self, to: str, amount: int) -> None:
        self.balance -= amount
        self.ref(Account, to).cast(Account.add, amount)

    @read
    async def now(self) -> int:
        return self.balance


class Attacker:
    """Knows the names of all keys, reads them, and writes what it likes."""

    def __init__(self, hub: Hub, redis: AsyncRedis) -> None:
        self.keys, self.redis, self.context = hub.keys, redis, hub.driver.context

    async def do(self, *command: Any) -> Any:
        return await self.redis.run(plain(*command, read=lambda answer: answer))

    async def put(
        self, child: str, kind: str, method: str, payload: bytes, id: str = "x#1", reply_to: str = ""
    ) -> None:
        await self.do(
            "XADD", self.keys.mailbox(self.context.shard_of(child)), "*", "kind", kind, "child", child, "method", method, "id", id,
            "reply_to", reply_to, "deadline", "0", "payload", payload,
        )  # fmt: skip


#: The forms of the seal: what is only signed is refused as well if it was changed or moved.
FORMS = ("encrypt", "sign")


def hubs(make_hub: Callable[..., Hub], groups: int = 1, form: str = "auto") -> tuple[Hub, Hub, Hub]:
    """That of the workers, and those of two web apps. ``form``: how they seal."""
    SEEN.clear()
    workers = make_hub(shards=2, groups=groups, codec="data", seal="require", seal_form=form, keys=ROOT)
    workers.child(Account)
    roots = Keyring.read(ROOT)
    apps = [
        Hub(
            workers.hub_id,
            redis=workers.server,
            shards=2,
            groups=groups,
            codec="data",
            seal="require",
            seal_form=form,
            keys=roots.derive(name),
        )
        for name in ("shop", "desk")
    ]
    return workers, *apps  # type: ignore[return-value]


def ran() -> list[str]:
    """What has run that must not."""
    return list(SEEN)
