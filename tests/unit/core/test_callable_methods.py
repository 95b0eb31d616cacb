"""Which methods callers may call, and which classes a hub refuses."""

from __future__ import annotations

import abc
import collections
import functools
import os
import types
from typing import Any

import pytest

from hubq.core.callable_methods import methods_of
from hubq.core.child import Child
from hubq.core.classes import ClassBook, as_child_class
from hubq.errors import ConfigError


class Base(Child):
    """An own base of a user."""

    async def inherited(self) -> None: ...
    async def hidden(self) -> None: ...


class Mixin(collections.UserDict):  # type: ignore[type-arg]
    """Not derived from Child."""

    def helper(self) -> None: ...


class Room(Base, Mixin, abc.ABC):
    """A class with all that looks like a method."""

    shell = staticmethod(os.system)
    partial = functools.partial(print)
    attribute = 7
    hidden = None  # type: ignore[assignment]

    class Inner:
        """A class."""

    async def post(self) -> None: ...
    def read(self) -> None: ...
    async def on_start(self) -> None: ...
    async def _own(self) -> None: ...

    @classmethod
    def make(cls) -> None: ...

    @property
    def topic(self) -> str:
        return ""


def test_only_plain_functions_of_own_classes_are_callable() -> None:
    assert set(methods_of(Room)) == {"post", "read", "inherited"}
    assert methods_of(Room)["inherited"] is Base.inherited


def test_the_function_of_a_function_child_is_not_callable() -> None:
    async def pay(ctx: Any) -> None: ...

    assert methods_of(as_child_class(pay)) == {}


async def _stop(self: Any) -> None: ...
async def _run(self: Any, x: int) -> None: ...


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("stop", _stop, "Room.stop: hubq.Child has a 'stop' of its own that is needed"),
        ("commit", _stop, "Room.commit: hubq.Child has a 'commit'"),
        ("child_id", "x", "Room.child_id: hubq.Child has"),
        ("metadata", {}, "Room.metadata: hubq.Child has"),
        ("run", _run, "Room.run takes more than self"),
        ("on_stop", None, "Room.on_stop is a NoneType: hubq calls it as a method"),
        ("durability", property(lambda self: "commit"), "durability"),
        ("save_every", _stop, "Room.save_every is a setting of hubq.Child, and no method"),
    ],
)
def test_a_class_that_hides_what_child_needs_is_refused(name: str, value: Any, said: str) -> None:
    kind = type("Room", (Child,), {name: value})
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        ClassBook().register(kind)


def test_a_base_that_hides_it_is_named() -> None:
    class Stops:
        def stop(self) -> None: ...

    with pytest.raises(ConfigError, match=r"Both\.stop \(of .*Stops\)"):
        ClassBook().register(type("Both", (Stops, Child), {}))


def test_what_is_meant_to_be_overridden_is_fine() -> None:
    class Fine(Child):
        async def run(self) -> None: ...
        async def on_start(self) -> None: ...
        async def on_stop(self, reason: str) -> None: ...
        def prepare_handover_state(self) -> Any: ...
        def on_redundancy_signal(self, mode: str) -> None: ...

    ClassBook().register(Fine)


def test_two_classes_of_one_name_are_refused_and_the_same_one_again_is_not() -> None:
    book = ClassBook()
    first, again, other = (type("Room", (Child,), {"__module__": name}) for name in ("app.a", "app.a", "app.b"))
    book.register(first)
    book.register(again)
    assert book.resolve("Room", "app.a") is again
    with pytest.raises(ConfigError, match=r"two children called 'Room': app\.a\.Room and app\.b\.Room"):
        book.register(other)


def test_classes_that_are_imported_are_known_by_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("made_a", "made_b"):
        module: Any = types.ModuleType(name)
        module.Room = type("Room", (Child,), {"__module__": name})
        monkeypatch.setitem(__import__("sys").modules, name, module)
    book = ClassBook()
    assert book.resolve("Room", "made_a").__module__ == "made_a"
    assert book.resolve("Room", "made_b").__module__ == "made_b"
