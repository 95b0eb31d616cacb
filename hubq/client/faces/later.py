"""Messages that are due later: ``ref.cast_in(30, Room.close)``, and the handle that takes one back."""

from __future__ import annotations

from typing import Any

from hubq.client.asking.driver import AsyncChildDriver, ChildDriver
from hubq.client.operations.reminders import cancel_later, cast_later
from hubq.core.reminders import checked_after, checked_at


class LaterCast:
    """A message that is due later. ``name`` is that of its reminder (``hubq reminders``)."""

    __slots__ = ("_driver", "child_id", "name")

    def __init__(self, driver: ChildDriver, child_id: str, name: str) -> None:
        self._driver = driver
        self.child_id = child_id
        self.name = name

    def cancel(self) -> bool:
        """Take it back. False: it was sent already, or its child has ended. Raises :class:`~hubq.errors.RedisUnavailable`."""
        return self._driver.drive(cancel_later(self._driver.context, self.child_id, self.name))


class AsyncLaterCast:
    """The same as :class:`LaterCast`, awaiting."""

    __slots__ = ("_driver", "child_id", "name")

    def __init__(self, driver: AsyncChildDriver, child_id: str, name: str) -> None:
        self._driver = driver
        self.child_id = child_id
        self.name = name

    async def cancel(self) -> bool:
        """See :meth:`LaterCast.cancel`."""
        return await self._driver.drive(cancel_later(self._driver.context, self.child_id, self.name))


def cast_in(
    driver: ChildDriver, child_id: str, seconds: float, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> LaterCast:
    """Send a message in so many seconds."""
    ms, payload = (
        checked_after(seconds, "cast_in"),
        driver.context.values.encode_arguments(args, kwargs, f"{child_id}.{method}"),
    )
    return LaterCast(driver, child_id, driver.drive(cast_later(driver.context, child_id, method, payload, "after", ms)))


def cast_at(
    driver: ChildDriver, child_id: str, when: object, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> LaterCast:
    """Send a message at a point in time."""
    ms, payload = (
        checked_at(when, "cast_at"),
        driver.context.values.encode_arguments(args, kwargs, f"{child_id}.{method}"),
    )
    return LaterCast(driver, child_id, driver.drive(cast_later(driver.context, child_id, method, payload, "at", ms)))


async def cast_in_async(
    driver: AsyncChildDriver, child_id: str, seconds: float, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncLaterCast:
    """Send a message in so many seconds."""
    ms, payload = (
        checked_after(seconds, "cast_in"),
        driver.context.values.encode_arguments(args, kwargs, f"{child_id}.{method}"),
    )
    name = await driver.drive(cast_later(driver.context, child_id, method, payload, "after", ms))
    return AsyncLaterCast(driver, child_id, name)


async def cast_at_async(
    driver: AsyncChildDriver, child_id: str, when: object, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncLaterCast:
    """Send a message at a point in time."""
    ms, payload = (
        checked_at(when, "cast_at"),
        driver.context.values.encode_arguments(args, kwargs, f"{child_id}.{method}"),
    )
    name = await driver.drive(cast_later(driver.context, child_id, method, payload, "at", ms))
    return AsyncLaterCast(driver, child_id, name)
