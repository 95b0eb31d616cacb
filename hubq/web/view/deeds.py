"""What an operator does. Each deed is written down before it is done, with who did it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from hubq.client.asking.steps import Fetch, Operation
from hubq.client.faces.asks import call_async, cast_async
from hubq.client.hub import Hub
from hubq.client.operations import dead_letters, pausing
from hubq.client.operations.call_options import PLAIN
from hubq.client.operations.paging import LetterFilter, letters_page
from hubq.core.hashing import checked_child_id
from hubq.core.pauses import Pause
from hubq.errors import ConfigError, HubqError, Unreadable
from hubq.jobs.acts import cancel_job, retry_job
from hubq.store.events import add_deed
from hubq.web.users import User
from hubq.web.view.records import Done, Several

T = TypeVar("T")

#: Letters that one request sends again or drops.
MOST_LETTERS = 500


class Deeds:
    """Acts on one hub for one user. All of it raises what the hub's own methods raise."""

    def __init__(self, hub: Hub, user: User) -> None:
        self._hub = hub
        self._user = user

    async def call(self, child: str, method: str, args: list[Any], kwargs: dict[str, Any], timeout: float) -> Done:
        """Call a method of a child, and wait for its result at most ``timeout`` seconds."""
        options, driver = PLAIN.changed(timeout), self._hub.aio.driver.of(child)

        async def do() -> Done:
            try:
                result = await call_async(driver, child, (method, None), tuple(args), kwargs, options)
            except HubqError:
                raise
            except (ImportError, AttributeError) as error:
                raise Unreadable(
                    f"{child}.{method} was run, but its result cannot be read here ({error}): give HUB as module:attribute"
                ) from error
            return Done(f"{child}.{method} has answered", _plain(result))

        return await self._do("call", do, child=child, method=method)

    async def cast(self, child: str, method: str, args: list[Any], kwargs: dict[str, Any]) -> Done:
        """Send a message to a child."""

        async def do() -> Done:
            await cast_async(self._hub.aio.driver.of(child), child, (method, None), tuple(args), kwargs, PLAIN)
            return Done(f"{child}.{method} is in the mailbox")

        return await self._do("cast", do, child=child, method=method)

    async def move(self, child: str, node: str | None, timeout: float) -> Done:
        """Move a child to a node (None: to where it belongs), and wait until it is there."""

        async def do() -> Done:
            place = await self._hub.aio.move(child, node, timeout=timeout)
            return Done(f"{child} is on {place.node}")

        return await self._do("move", do, child=child, to=node or "where it belongs")

    async def stop(self, child: str, timeout: float, *, now: bool) -> Done:
        """End a child for good. ``now``: with what it has in hand."""

        async def do() -> Done:
            if now:
                return Done(f"{child} was stopped on {await self._hub.aio.stop_child_now(child, timeout=timeout)}")
            return Done(f"{child} was stopped on {(await self._hub.aio.stop_child(child, timeout=timeout)).node}")

        return await self._do("stop now" if now else "stop", do, child=child)

    async def kill(self, child: str, timeout: float) -> Done:
        """End the message that a child has in hand, and begin the child anew."""

        async def do() -> Done:
            node = await self._hub.aio.kill(child, timeout=timeout)
            return Done(f"the message in hand of {child} was ended on {node}; the child has begun anew")

        return await self._do("kill", do, child=child)

    async def drop_message(self, child: str, entry: str, timeout: float) -> Done:
        """Take a message that waits out of the mailbox."""

        async def do() -> Done:
            await self._hub.aio.drop_message(child, entry, timeout=timeout)
            return Done(f"{entry} is a dead letter now")

        return await self._do("drop message", do, child=child, entry=entry)

    async def pause(self, what: str, name: str, why: str, timeout: float) -> Done:
        """Have children begin no further message, and wait until each worker heeds it."""
        meant = _pause(what, name, why)

        async def do() -> Done:
            driver = self._hub.aio.driver
            fresh = await driver.drive(pausing.pause(driver.context, meant, timeout))
            return Done(str(meant) if fresh else f"{meant}; it was before")

        return await self._do("pause", do, **{what: name or self._hub.hub_id})

    async def resume(self, what: str, name: str) -> Done:
        """End a pause."""
        meant = _pause(what, name, "")

        async def do() -> Done:
            driver = self._hub.aio.driver
            was = await driver.drive(pausing.resume(driver.context, meant))
            return Done(f"{meant.field} goes on" if was else f"{meant.field} was not paused")

        return await self._do("resume", do, **{what: name or self._hub.hub_id})

    async def drain(self, node: str) -> Done:
        """Tell a worker to hand everything over and leave."""

        async def do() -> Done:
            await self._hub.aio.drain(node)
            return Done(f"{node} hands everything over, and leaves")

        return await self._do("drain", do, node=node)

    async def replay(self, letters: list[str], wanted: LetterFilter) -> Several:
        """Send dead letters again: the named ones, or those that are meant."""
        return await self._letters("replay", dead_letters.replay, letters, wanted)

    async def drop(self, letters: list[str], wanted: LetterFilter) -> Several:
        """Throw dead letters away: the named ones, or those that are meant."""
        return await self._letters("drop", dead_letters.drop, letters, wanted)

    async def retry_job(self, job: str) -> Done:
        """Queue a failed job of RQ again."""

        async def do() -> Done:
            return Done(await asyncio.to_thread(retry_job, self._hub, job))

        return await self._do("retry job", do, job=job)

    async def cancel_job(self, job: str) -> Done:
        """Cancel a job."""

        async def do() -> Done:
            return Done(await asyncio.to_thread(cancel_job, self._hub, job))

        return await self._do("cancel job", do, job=job)

    # -- what they have in common ----------------------------------------------------------------------------------

    async def _letters(
        self, what: str, act: Callable[..., Operation[list[str]]], names: list[str], wanted: LetterFilter
    ) -> Several:
        driver = self._hub.aio.driver

        async def do() -> Several:
            more = False
            if names:
                meant = names[:MOST_LETTERS]
                more = len(names) > MOST_LETTERS
            else:
                page = await driver.drive(letters_page(driver.context, wanted, "", MOST_LETTERS))
                meant, more = [letter.letter for letter in reversed(page.letters)], bool(page.next)
            done, stay = list[str](), dict[str, str]()
            for name in meant:
                try:
                    done += await driver.drive(act(driver.context, [name]))
                except HubqError as error:
                    stay[name] = str(error)
            return Several(done, stay, more)

        said = {"letters": " ".join(names[:10]), "why": wanted.why, "class": wanted.class_name, "of": wanted.child}
        return await self._do(f"{what} dead letters", do, **{name: value for name, value in said.items() if value})

    async def _do(self, what: str, act: Callable[[], Awaitable[T]], **on: str) -> T:
        await self._write(what, on)
        try:
            return await act()
        except HubqError as error:
            with contextlib.suppress(HubqError):  # the first event says that it was tried
                await self._write(what, {**on, "failed": f"{type(error).__name__}: {error}"[:500]})
            raise

    async def _write(self, what: str, on: dict[str, str]) -> None:
        driver = self._hub.groups.async_drivers[0]

        def write() -> Operation[None]:
            context = driver.context
            yield Fetch([add_deed(context.keys, context.config.events_kept, self._user.name, what, on)])

        await driver.drive(write())


def _pause(what: str, name: str, why: str) -> Pause:
    """A pause as its parts say. Raises :class:`~hubq.errors.ConfigError`."""
    if (what == "hub") == bool(name):
        raise ConfigError(f"what={what!r}, name={name!r}: give the name of a class or child, and none for the hub")
    named = pausing.pause_of(None, checked_child_id(name) if what == "child" else None, why)
    return Pause("class", checked_child_id(name), why=why) if what == "class" else named


def _plain(value: object) -> Any:
    """A result as JSON can say it.

    >>> _plain({"at": 1j, "n": (1, 2)})
    {'at': '1j', 'n': [1, 2]}
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=repr))
    except Exception:
        return repr(value)
