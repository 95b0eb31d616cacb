"""Who listens to which hook, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import iscoroutinefunction
from typing import Any, Final

from hubq.errors import ConfigError

#: The hook that changes what it is given.
ALTER = "child_data_alter"


class _Data:
    def __repr__(self) -> str:
        return "DATA"


#: Stands for the payload in a hook's ``args`` and ``kwargs``.
DATA: Final = _Data()


@dataclass(frozen=True, slots=True, eq=False)
class Hook:
    """A handler of a hook. ``args`` and ``kwargs`` are what it is called with; :data:`DATA` in them stands for the
    payload. Of several handlers, those of higher ``priority`` are called first, then those registered first.

    >>> Hook("children_migrated", print, args=("moved:", DATA)).arguments("...")
    (('moved:', '...'), {})
    """

    hook_id: str
    handler: Callable[..., Any]
    args: tuple[Any, ...] = (DATA,)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0

    def __post_init__(self) -> None:
        checked_hook_id(self.hook_id)
        if not callable(self.handler):
            raise ConfigError(f"handler {self.handler!r} of hook {self.hook_id!r} cannot be called: give a function")
        if not isinstance(self.args, tuple):
            raise ConfigError(f"args={self.args!r} of hook {self.hook_id!r}: give a tuple")
        if isinstance(self.priority, bool) or not isinstance(self.priority, int):
            raise ConfigError(f"priority={self.priority!r} of hook {self.hook_id!r}: give a whole number")
        if self.hook_id == ALTER and iscoroutinefunction(self.handler):
            raise ConfigError(
                f"{ALTER} handler {self.handler.__qualname__} is `async def`: a child is built in one go, "
                "give a plain function"
            )

    def arguments(self, data: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the handler is called with."""
        args = tuple(data if value is DATA else value for value in self.args)
        return args, {name: data if value is DATA else value for name, value in self.kwargs.items()}


def checked_hook_id(hook_id: str) -> str:
    """The id itself, or :class:`ConfigError`.

    >>> checked_hook_id("children_migratet")
    Traceback (most recent call last):
    hubq.errors.ConfigError: no hook 'children_migratet': did you mean 'children_migrated'?
    """
    from hubq.hooks.payloads import PAYLOADS  # a process without hooks does without

    if hook_id not in PAYLOADS:
        near = get_close_matches(str(hook_id), PAYLOADS, 1)
        raise ConfigError(f"no hook {hook_id!r}: " + (f"did you mean {near[0]!r}?" if near else "see docs/hooks.md"))
    return hook_id


class HookBook:
    """The handlers of a hub in this process. What nobody listens to is not in ``heard``, and costs a look-up there."""

    def __init__(self) -> None:
        self.heard: dict[str, tuple[Hook, ...]] = {}

    def add(self, hook: Hook) -> Hook:
        """Let a handler be called from now on."""
        hooks = (*self.heard.get(hook.hook_id, ()), hook)
        self.heard[hook.hook_id] = tuple(sorted(hooks, key=lambda each: -each.priority))
        return hook

    def cancel(self, hook: Hook) -> bool:
        """Let it be called no more. False: it was not registered."""
        before = self.heard.get(hook.hook_id, ())
        after = tuple(each for each in before if each is not hook)
        if after:
            self.heard[hook.hook_id] = after
        else:
            self.heard.pop(hook.hook_id, None)
        return len(after) < len(before)

    def listed(self, hook_id: str | None = None) -> list[Hook]:
        """All handlers (of one hook), those that are called first standing first."""
        if hook_id is not None:
            return list(self.heard.get(checked_hook_id(hook_id), ()))
        from hubq.hooks.payloads import PAYLOADS

        return [hook for name in PAYLOADS for hook in self.heard.get(name, ())]
