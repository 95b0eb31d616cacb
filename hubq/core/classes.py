"""Which classes and functions a hub knows, and how a spec names them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar
from weakref import WeakSet

from hubq.core.callable_methods import FIXED, HEARD, OPTIONS, RESERVED, methods_of, reads_of
from hubq.core.child import Child, FunctionChild
from hubq.core.method_marks import checked_limit, is_read
from hubq.core.retry import MARK, Retry
from hubq.core.spec import DURABILITIES
from hubq.errors import ConfigError, StartFailed

#: Classes of hubq itself, which no app registers.
OWN = frozenset({("HubqClock", "hubq.jobs.clock"), ("HubqKeyedJobs", "hubq.jobs.keyed")})


class ClassBook:
    """The classes and functions registered with ``@hub.child``, by name.

    A spec keeps the name and the module; a worker looks among its registered ones first, so that an app that was run as
    a script (``__main__``) and a worker that imported it agree, and imports the module otherwise.

    ``check`` (with ``codec="data"``) looks at each class that is registered; then nothing is imported that is not hubq's own.
    """

    def __init__(self, check: Callable[[type[Child]], None] | None = None) -> None:
        self._check = check
        self._kinds: dict[str, type[Child]] = {}  # registered
        self._imported: dict[tuple[str, str], type[Child]] = {}
        self._sources: dict[str, Any] = {}

    def register(self, target: Any, **options: Any) -> None:
        """Make a class or ``async def`` function known. The same one again (its module was loaded anew) replaces it; another one
        of the same name is refused.
        """
        kind = as_child_class(target)
        known = self._sources.get(name_of(target))
        if known is not None and known.__module__ != target.__module__:
            raise ConfigError(
                f"the hub has two children called {name_of(target)!r}: {known.__module__}.{name_of(known)} and "
                f"{target.__module__}.{name_of(target)}. Their specs could not be told apart: give one of them another name"
            )
        for name, value in options.items():
            if name not in OPTIONS:
                raise ConfigError(f"unknown option {name!r} of @hub.child: see hubq.Child for those there are")
            setattr(kind, name, value)
        _check_class(kind)
        if self._check is not None:
            self._check(kind)
        self._kinds[name_of(target)] = kind
        self._sources[name_of(target)] = target

    @property
    def registered(self) -> dict[str, Any]:
        """What was registered, by name: the classes and functions as their authors wrote them."""
        return dict(self._sources)

    @property
    def state_versions(self) -> dict[str, int]:
        """The ``state_version`` of each registered class, by its name in specs."""
        return {name: kind.state_version for name, kind in self._kinds.items()}

    @property
    def downgrading(self) -> list[str]:
        """The registered classes that bring their states back to versions before."""
        return [name for name, kind in self._kinds.items() if kind.downgrade_state is not Child.downgrade_state]

    def resolve(self, name: str, module: str) -> type[Child]:
        """The class for a spec, or :class:`StartFailed` that says what cannot be imported."""
        if name in self._kinds:
            return self._kinds[name]
        if (name, module) in self._imported:
            return self._imported[name, module]
        if self._check is not None and (name, module) not in OWN:
            raise StartFailed(
                f'no class {name!r} is registered on this worker, and with codec="data" it imports none by its name: register it '
                f"with @hub.child in the app that the worker loads (the spec names module {module!r})"
            )
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
        kind = self._imported[name, module] = as_child_class(found)
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


K = TypeVar("K", bound=Child)


def child_class(target: type[K]) -> type[K]:
    """The class itself, if it is one of children.

    Raises :class:`~hubq.errors.ConfigError`.
    """
    if not inspect.isclass(target):
        raise ConfigError(
            f"{target!r} is no class: give a class derived from hubq.Child, or only the name of the child"
        )
    as_child_class(target)
    return target


def _check_class(kind: type[Child]) -> None:
    if kind.durability not in DURABILITIES:
        raise ConfigError(f"{kind.__name__}.durability={kind.durability!r}: give one of {', '.join(DURABILITIES)}")
    if kind.on_error not in ("rollback", "keep"):
        raise ConfigError(f"{kind.__name__}.on_error={kind.on_error!r}: give 'rollback' or 'keep'")
    kept: object = kind.feed_kept
    if not isinstance(kept, int) or isinstance(kept, bool) or not 1 <= kept <= 1_000_000:
        raise ConfigError(f"{kind.__name__}.feed_kept={kept!r}: give a number from 1 to 1000000")
    checked_limit(f"{kind.__name__}.handler_timeout", kind.handler_timeout)
    _check_version(kind)
    if not isinstance(kind.activate, bool):
        raise ConfigError(f"{kind.__name__}.activate={kind.activate!r}: give True or False")
    if isinstance(kind.transient, str):
        raise ConfigError(f"{kind.__name__}.transient={kind.transient!r}: give a tuple of attribute names")
    run = getattr(kind, "run", None)
    if run is not None and not inspect.iscoroutinefunction(run):
        raise ConfigError(f"{kind.__name__}.run must be `async def`")
    _check_retry(kind)
    _check_rest(kind)
    if kind not in _CHECKED:
        _check_names(kind)
        kind._reads = reads_of(kind) or None
        _CHECKED.add(kind)


def _check_version(kind: type[Child]) -> None:
    version = kind.state_version
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= 999_999:
        raise ConfigError(f"{kind.__name__}.state_version={version!r}: give a whole number from 1 on")
    if version > 1 and kind.upgrade_state is Child.upgrade_state:
        raise ConfigError(
            f"{kind.__name__}.state_version={version}, and it has no upgrade_state(self, state, version): without one, states of the "
            "versions before would be taken for those of this one"
        )


#: Classes whose names are good. (Each start looks at its class.)
_CHECKED: WeakSet[type[Child]] = WeakSet()


def _check_names(kind: type[Child]) -> None:
    """Refuse a class that hides what ``Child`` needs: it would fail later, at a place that names nothing."""
    for name in sorted(RESERVED):
        base = next((base for base in kind.__mro__ if name in vars(base)), Child)
        if base.__module__.partition(".")[0] == "hubq":
            continue  # nobody has defined it but hubq
        value, where = vars(base)[name], f"{kind.__name__}.{name}"
        if base is not kind:
            where += f" (of {base.__module__}.{base.__qualname__})"
        if name in FIXED:
            raise ConfigError(f"{where}: hubq.Child has a {name!r} of its own that is needed; choose another name")
        if name in HEARD and not isinstance(value, FunctionType):
            raise ConfigError(
                f"{where} is a {type(value).__name__}: hubq calls it as a method; make it a function, or rename it"
            )
        if (
            name in OPTIONS
            and not isinstance(value, Retry)
            and (callable(value) or isinstance(value, property | classmethod | staticmethod))
        ):
            raise ConfigError(f"{where} is a setting of hubq.Child, and no method: choose another name")
        if name in HEARD and is_read(value):
            raise ConfigError(f"{where} is marked as @read, but no caller can call it: mark methods of your own")
        if name == "run":
            _check_run(value, where)


def _check_rest(kind: type[Child]) -> None:
    """A child with a loop of its own is always at work."""
    idle_after, expire_after, name = kind.idle_after, kind.expire_after, kind.__name__
    for option, seconds in (("idle_after", idle_after), ("expire_after", expire_after)):
        if seconds is None:
            continue
        checked_limit(f"{name}.{option}", seconds)
        if hasattr(kind, "run"):
            raise ConfigError(
                f"{name}.{option}={seconds!r}, and it has a run(): a child with a loop of its own never rests; take one of the two away"
            )
    if idle_after is not None and expire_after is not None and expire_after < idle_after:
        raise ConfigError(
            f"{name}.expire_after={expire_after!r} is shorter than its idle_after={idle_after!r}: a child expires while it rests; give a "
            "longer one"
        )


def _check_retry(kind: type[Child]) -> None:
    """A second try must begin where the first one began."""
    terms: Any = kind.retry
    if (
        terms is not None and not isinstance(terms, Retry) and not callable(terms)
    ):  # (a method `retry`: see _check_names)
        raise ConfigError(
            f"{kind.__name__}.retry={terms!r} is a {type(terms).__name__}: give hubq.Retry(max=...), or None"
        )
    if kind.on_error == "rollback":
        return
    marked = [name for name, method in methods_of(kind).items() if hasattr(method, MARK)]
    if isinstance(terms, Retry) or marked:
        where = f"{kind.__name__}.{marked[0]}" if marked else kind.__name__
        raise ConfigError(
            f"{where} has a Retry, and {kind.__name__}.on_error={kind.on_error!r}: a second try would begin with what the first "
            'has left; take on_error="rollback", or no retry'
        )


def _check_run(run: FunctionType, where: str) -> None:
    try:
        inspect.signature(run).bind(None)
    except TypeError:
        raise ConfigError(
            f"{where} takes more than self ({inspect.signature(run)}): hubq calls it without arguments; take them in __init__"
        ) from None
