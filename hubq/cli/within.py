"""The ``hubq`` command within another one (``flask hubq``, ``manage.py hubq``), which knows the hub: HUB is left out there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hubq.errors import ConfigError

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Commands that take no HUB, and those that have commands of their own.
WITHOUT_HUB = frozenset({"demo", "bench", "version", "hubs", "init", "keys new", "keys derive"})
GROUPS = frozenset({"dead", "mailbox", "keys"})


def with_hub(arguments: Sequence[str], hub: str) -> list[str]:
    """The arguments of ``hubq``, with HUB where it belongs.

    >>> with_hub(["ps", "--json"], "shop:hub"), with_hub(["dead", "list"], "shop:hub"), with_hub(["--help"], "shop:hub")
    (['ps', 'shop:hub', '--json'], ['dead', 'list', 'shop:hub'], ['--help'])
    """
    words = list(arguments)
    at = 2 if words and words[0] in GROUPS else 1
    if len(words) < at or any(word.startswith("-") for word in words[:at]) or " ".join(words[:at]) in WITHOUT_HUB:
        return words
    return [*words[:at], hub, *words[at:]]


def where_is(hub: Hub, first: str = "") -> str:
    """``module:attribute`` of a hub, among the modules that are imported (``first`` goes before the others).

    Raises :class:`~hubq.errors.ConfigError` if it is in none of them.
    """
    names = [first, *sorted(name for name in sys.modules if name != first)]
    for name in names:
        module = sys.modules.get(name)
        if module is None or name == "__main__":
            continue
        for attribute, value in list(vars(module).items()):
            if value is hub and not attribute.startswith("_"):
                return f"{name}:{attribute}"
    raise ConfigError(
        f"hub {hub.hub_id!r} is an attribute of no module, so no worker can find it: assign it to a name at the top of one"
    )
