"""The hub of a Django project, from ``settings.HUBQ``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any

from django.conf import settings

from hubq.client.hub import Hub
from hubq.config import Config
from hubq.errors import ConfigError

#: Keys of ``HUBQ`` that are no settings of a hub.
OWN = ("HUB", "HUB_ID", "REDIS", "VIEW")


@cache
def the_hub() -> Hub:
    """The hub, made once. Raises :class:`~hubq.errors.ConfigError` that says what is wrong in the settings."""
    wanted = checked(getattr(settings, "HUBQ", None))
    if "HUB" in wanted:
        return _named(str(wanted["HUB"]))
    options = {name.lower(): value for name, value in wanted.items() if name not in OWN}
    return Hub(wanted["HUB_ID"], redis=wanted.get("REDIS"), **options)


def where() -> str:
    """``module:attribute`` of the hub, for a worker: a module that sets Django up first."""
    wanted = checked(getattr(settings, "HUBQ", None))
    return str(wanted.get("HUB") or "hubq.contrib.django.worker:hub")


def view_path() -> str:
    """The path below which the web view is served, without a slash at its end; empty: there is none."""
    return str(checked(getattr(settings, "HUBQ", None)).get("VIEW", "")).rstrip("/")


def checked(wanted: object) -> Mapping[str, Any]:
    """``settings.HUBQ``, or :class:`~hubq.errors.ConfigError` that says what is wrong with it.

    >>> checked({"HUB_ID": "shop", "SHARD": 8})
    Traceback (most recent call last):
    hubq.errors.ConfigError: settings.HUBQ has an unknown key 'SHARD': did you mean 'SHARDS'?
    """
    if wanted is None:
        raise ConfigError("there is no settings.HUBQ: give it at least the name of your hub, HUBQ = {'HUB_ID': 'shop'}")
    if not isinstance(wanted, Mapping):
        raise ConfigError(
            f"settings.HUBQ is of type {type(wanted).__name__}: give a dict, as HUBQ = {{'HUB_ID': 'shop'}}"
        )
    known = {field.name.upper() for field in fields(Config)}
    for key in wanted:
        if key not in known and key not in OWN:
            raise ConfigError(f"settings.HUBQ has an unknown key {key!r}: {_near(str(key), [*OWN, *sorted(known)])}")
    view = wanted.get("VIEW", "")
    if not isinstance(view, str) or (view and (view[0] != "/" or not view.strip("/"))):
        raise ConfigError(f"settings.HUBQ['VIEW'] = {view!r}: give the path of the web view, as '/hubq'")
    if "HUB" in wanted and set(wanted) - {"HUB", "VIEW"}:
        raise ConfigError(
            "settings.HUBQ names a hub with 'HUB': give that hub its settings itself, and nothing else here"
        )
    if "HUB" not in wanted and "HUB_ID" not in wanted:
        raise ConfigError(
            "settings.HUBQ has neither 'HUB_ID' (the name of a hub) nor 'HUB' ('module:attribute' of one)"
        )
    return wanted


def _near(key: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key.upper(), known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def _named(name: str) -> Hub:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(f"settings.HUBQ['HUB'] = {name!r}: give 'module:attribute', as 'carts.hubs:hub'")
    found: Any = getattr(import_module(module), attribute, None)
    if not isinstance(found, Hub):
        raise ConfigError(f"settings.HUBQ['HUB'] = {name!r}: there is no Hub of this name")
    return found
