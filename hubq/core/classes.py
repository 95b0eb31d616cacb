"""Which classes and functions a hub knows, and how a spec names them."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from hubq.core.child import Child, FunctionChild
from hubq.core.spec import DURABILITIES
from hubq.errors import ConfigError, StartFailed


class ClassBook:
    """The classes and functions registered with ``@hub.child``, by name.

    A spec keeps the name and the module; a worker looks among its registered ones first, so that an app that was run as
    a script (``__main__``) and a worker that imported it agree, and imports the module otherwise.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, type[Child]] = {}
        self._sources: dict[str, Any] = {}

    def register(self, target: Any, **options: Any) -> None:
        """Make a class or ``async def`` function known; a second one of the same name replaces the first."""
        kind = as_child_class(target)
        for name, value in options.items():
            if not hasattr(Child, name):
                raise ConfigError(f"unknown option {name!r} of @hub.child: see hubq.Child for those there are")
            setattr(kind, name, value)
        _check_class(kind)
        self._kinds[name_of(target)] = kind
        self._sources[name_of(target)] = target

    @property
    def registered(self) -> dict[str, Any]:
        """What was registered, by name: the classes and functions as their authors wrote them."""
        return dict(self._sources)

    def resolve(self, name: str, module: str) -> type[Child]:
        """The class for a spec, or :class:`StartFailed` that says what cannot be imported."""
        if name in self._kinds:
            return self._kinds[name]
        try:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except Exception as error:
            if module == "__main__":
                raise StartFailed(
                    f"the class {name!r} is one of the script that started the child (__main__), which workers cannot import: "
                    "move it into a module"
                ) from error
            raise StartFailed(
                f"cannot import {name!r} from module {module!r} on this worker ({type(error).__name__}: {error}): "
                "deploy the code to the workers, or register the class with @hub.child in the app they load"
            ) from error
        kind = as_child_class(found)
        self._kinds[name] = kind
        return kind


def name_of(target: Any) -> str:
    """The name under which a class or function is kept in specs."""
    return str(target.__qualname__)


def as_child_class(target: Any) -> type[Child]:
    """The :class:`Child` class of a class or an ``async def`` function, or :class:`ConfigError`."""
    if inspect.isclass(target) and issubclass(target, Child):
        _check_class(target)
        return target
    own = getattr(target, "hubq_child_class", None)  # of a resumable job (hubq.jobs)
    if own is not None:
        return as_child_class(own)
    if inspect.iscoroutinefunction(target):
        wrapper = type(
            target.__name__, (FunctionChild,), {"function": staticmethod(target), "__module__": target.__module__}
        )
        return wrapper
    raise ConfigError(
        f"{target!r} cannot be a child: give a class derived from hubq.Child, or an `async def` function "
        "that takes a context first"
    )


def _check_class(kind: type[Child]) -> None:
    if kind.durability not in DURABILITIES:
        raise ConfigError(f"{kind.__name__}.durability={kind.durability!r}: give one of {', '.join(DURABILITIES)}")
    if kind.on_error not in ("rollback", "keep"):
        raise ConfigError(f"{kind.__name__}.on_error={kind.on_error!r}: give 'rollback' or 'keep'")
    if isinstance(kind.transient, str):
        raise ConfigError(f"{kind.__name__}.transient={kind.transient!r}: give a tuple of attribute names")
    run = getattr(kind, "run", None)
    if run is not None and not inspect.iscoroutinefunction(run):
        raise ConfigError(f"{kind.__name__}.run must be `async def`")
