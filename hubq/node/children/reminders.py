"""``self.remind(...)``, ``self.forget(...)`` and ``self.reminders()`` of a child (docs/guide-reminders.md)."""

from __future__ import annotations

from typing import Any

from hubq.core.callable_methods import methods_of
from hubq.core.methods import Method, name_of_method
from hubq.core.reminders import Reminder, checked_late, checked_name, timing_of
from hubq.errors import UnknownMethod
from hubq.node.children.saver import Saver
from hubq.node.children.sayings import check_may_say
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.group import Group
from hubq.node.runtime.sizes import Sizes
from hubq.store.codec import checked_size
from hubq.store.reminders import Reminded, read_reminder_names, read_reminders


class Reminders:
    """Sets the reminders of children as effects, and lists them."""

    def __init__(self, group: Group, saver: Saver, sizes: Sizes) -> None:
        self._group = group
        self._saver = saver
        self._sizes = sizes

    def remind(
        self, hosted: HostedChild, name: str, method: Method, args: tuple[Any, ...], times: tuple[object, object, object],
        late: str,
    ) -> None:  # fmt: skip
        """Set a reminder. ``times``: after, at, every.

        Raises :class:`~hubq.errors.OutsideHandler`, :class:`~hubq.errors.InvalidReminder`,
        :class:`~hubq.errors.UnknownMethod`, :class:`~hubq.errors.NotSendable`, :class:`~hubq.errors.PayloadTooLarge`.
        """
        check_may_say(hosted)
        called = name_of_method(method)
        if called not in (methods := methods_of(hosted.kind)):
            known = ", ".join(sorted(methods)) or "none"
            raise UnknownMethod(f"{hosted.kind.__name__} has no method {called!r} to remind of; it has: {known}")
        timing = timing_of(self._group.standing.redis_now_ms(), *times)
        what = f"reminder {checked_name(name)!r} of child {hosted.child_id!r}"
        payload = hosted.services.values.encode_arguments(args, {}, what, methods[called])
        checked_size(payload, self._sizes.payload, f"the arguments of {what}")
        if (seal := hosted.services.seal) is not None:
            payload = seal.message("cast", hosted.child_id, called, f"reminder {name}", "0", payload)
        hosted.say(Reminded(hosted.child_id, name, timing, checked_late(late), called, payload))

    def forget(self, hosted: HostedChild, name: str) -> None:
        """Take a reminder back; nothing happens if there is none.

        Raises :class:`~hubq.errors.OutsideHandler` and :class:`~hubq.errors.InvalidReminder`.
        """
        check_may_say(hosted)
        hosted.say(Reminded(hosted.child_id, checked_name(name)))

    async def listed(self, hosted: HostedChild) -> list[Reminder]:
        """The reminders of a child as they will be with the next commit, the next one first.

        Raises :class:`~hubq.errors.RedisUnavailable`.
        """
        group, shard, child = self._group, hosted.holding.shard, hosted.child_id
        if not hosted.holding.frozen:
            await self._saver.committed(hosted.holding)  # what was said in earlier messages is in Redis then
        members = await group.redis.run(read_reminder_names(group.keys, shard, child))
        found = dict(await group.redis.run(read_reminders(group.keys, shard, members))) if members else {}
        reminders = {reminder.name: reminder for reminder in found.values()}
        for saying in (*hosted.holding.effects.said, *(hosted.said or ())):
            if isinstance(saying, Reminded) and saying.sender == child:
                shown = saying.shown()
                if shown is None:
                    reminders.pop(saying.name, None)
                else:
                    reminders[saying.name] = shown
        return sorted(reminders.values(), key=lambda reminder: reminder.due)
