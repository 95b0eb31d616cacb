"""From the HUB argument of the command line to a :class:`~hubq.client.hub.Hub`.

The hub and redis-py are imported when a command runs, not when it is asked for its options.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubq.cli.importing import uncollected
from hubq.config import checked_name
from hubq.core.malformed import whole_number
from hubq.errors import ConfigError, HubqError, Unreadable
from hubq.store.command import text

if TYPE_CHECKING:
    from hubq.client.hub import Hub

App = Annotated[str, typer.Argument(metavar="HUB", help="Your Hub as module:attribute, for example `app:hub`.")]
HubName = Annotated[
    str, typer.Argument(metavar="HUB", help="Your Hub as module:attribute (`app:hub`), or the id of the hub.")
]
ChildId = Annotated[str, typer.Argument(metavar="CHILD", help="The id of the child.")]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis", metavar="URL", help="The Redis to use. Default: the app's own, then HUBQ_REDIS_URL, then localhost."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load_hub(app: str, redis: str | None = None) -> Hub:
    """The hub at ``module:attribute``. Modules of the current directory can be imported, as with uvicorn.

    Raises :class:`~hubq.errors.ConfigError` if ``app`` does not lead to a hub.
    """
    with uncollected():
        from hubq.client.hub import Hub

    module_name, colon, attribute = app.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigError(f"{app!r} does not name a Hub: give module:attribute, for example app:hub")
    module = _import(module_name)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            hubs = sorted(name for name, value in vars(module).items() if isinstance(value, Hub))
            hint = f"there is {module_name}:{hubs[0]}" if hubs else "the module has no Hub"
            raise ConfigError(f"module {module_name!r} has no attribute {attribute!r}: {hint}")
        found = getattr(found, part)
    if not isinstance(found, Hub):
        raise ConfigError(f"{app!r} is {_what(found)}, not a Hub: name the attribute to which `Hub(...)` is assigned")
    if redis is not None:
        found.connect_to(redis)
    return found


def _what(found: object) -> str:
    return "a class" if isinstance(found, type) else f"of type {type(found).__name__}"


def open_hub(hub: str, redis: str | None = None) -> Hub:
    """The hub at ``module:attribute``, or the hub of this id if Redis knows it.

    Raises :class:`~hubq.errors.HubqError` if there is no hub of this id.
    """
    with uncollected():
        from hubq.client.groups import servers_of
        from hubq.client.hub import Hub
        from hubq.client.known import fixed_settings_of

    if ":" in hub:
        return load_hub(hub, redis)
    _make_importable()  # a result may be an instance of a class of the app
    checked_name("hub id", hub)
    given = servers_of(redis)
    fixed = fixed_settings_of(given, hub)
    if fixed is None:
        raise HubqError(
            f"no hub {hub!r} in Redis at {given[0].address}: check the id and --redis, or start its first worker"
        )
    if not whole_number(fixed.shards):
        raise Unreadable(
            f"the number of shards of hub {hub!r} in Redis at {fixed.server.address} is {text(fixed.shards)!r}: put it right in "
            f"{fixed.key}, as it stands in the app"
        )
    return Hub(hub, redis=given, shards=whole_number(fixed.shards), groups=fixed.groups or 1)


def load_target(hub: Hub, name: str) -> Any:
    """The class or function of a child: a name registered with ``@hub.child``, or ``module:Qualname``."""
    module_name, colon, qualname = name.partition(":")
    if colon:
        found: Any = _import(module_name)
        for part in qualname.split("."):
            if not hasattr(found, part):
                raise ConfigError(f"module {module_name!r} has no class or function {qualname!r}: check the name")
            found = getattr(found, part)
        return found
    registered = hub.classes.registered
    if name not in registered:
        known = ", ".join(sorted(registered)) or "none"
        raise ConfigError(
            f"no class {name!r} is registered with hub {hub.hub_id!r}: give one of these, or module:Class. Registered: {known}"
        )
    return registered[name]


def _make_importable() -> None:
    if "" not in sys.path:
        sys.path.insert(0, "")


def _import(name: str) -> Any:
    _make_importable()
    try:
        _set_up_django()
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigError(
                f"no module {error.name!r} here: check its name, and run hubq in the directory that holds it"
            ) from error
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _set_up_django() -> None:
    """In a Django project: models and apps can be imported from here on."""
    if os.environ.get("DJANGO_SETTINGS_MODULE") and importlib.util.find_spec("django") is not None:
        django: Any = importlib.import_module("django")
        django.setup()


def _broken(name: str, error: Exception) -> ConfigError:
    if type(error).__name__ in ("ImproperlyConfigured", "AppRegistryNotReady") and not os.environ.get(
        "DJANGO_SETTINGS_MODULE"
    ):
        return ConfigError(
            f"module {name!r} needs the settings of its Django project: set DJANGO_SETTINGS_MODULE in the directory of manage.py, "
            "or put hubq.contrib.django into INSTALLED_APPS and run `python manage.py hubq`"
        )
    if isinstance(error, SyntaxError):  # the traceback ends in the import system
        what, place = error.msg, f"{error.filename}:{error.lineno}"
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        what, place = str(error), f"{last.filename}:{last.lineno}"
    return ConfigError(f"module {name!r} cannot be imported: {type(error).__name__}: {what} ({place})")
