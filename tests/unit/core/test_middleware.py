"""Middleware around work: the first one outermost, and what the work raises is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest

from hubq.core.middleware import Layers, Work

WORK = Work("message", "chat", "a", "room-1", "Room.post", "post", "7", "c1")


class Told:
    """Middleware that writes down what it sees."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def layer(self, name: str) -> Callable[[Work], AbstractContextManager[None]]:
        @contextmanager
        def tell(work: Work) -> Iterator[None]:
            self.lines.append(f"{name} before {work.name}")
            try:
                yield
            except BaseException as error:
                self.lines.append(f"{name} sees {error}")
                raise
            self.lines.append(f"{name} after")

        return tell


def post(text: str) -> str:
    if text == "bad":
        raise ValueError("no")
    return text


async def post_async(text: str) -> str:
    return post(text)


def test_the_first_is_outermost_for_both_kinds_of_functions() -> None:
    told = Told()
    layers = Layers([told.layer("x"), told.layer("y")])
    lines = ["x before Room.post", "y before Room.post", "y after", "x after"]
    assert layers.around(WORK, post)("hi") == "hi" and told.lines == lines
    told.lines.clear()
    assert asyncio.run(layers.around_async(WORK, post_async)("hi")) == "hi" and told.lines == lines


def test_each_sees_what_the_work_raises() -> None:
    told = Told()
    with pytest.raises(ValueError, match="no"):
        Layers([told.layer("x"), told.layer("y")]).around(WORK, post)("bad")
    assert told.lines[2:] == ["y sees no", "x sees no"]


def test_a_failure_that_is_swallowed_is_a_failure_all_the_same() -> None:
    with pytest.raises(ValueError, match="no"):
        Layers([lambda work: suppress(ValueError)]).around(WORK, post)("bad")
    with pytest.raises(ValueError, match="no"):
        asyncio.run(Layers([lambda work: suppress(ValueError)]).around_async(WORK, post_async)("bad"))


def test_the_work_does_not_begin_if_one_raises_before_it() -> None:
    told = Told()

    @contextmanager
    def refuse(work: Work) -> Iterator[None]:
        if work.sender == "c1":
            raise PermissionError(work.name)
        yield

    with pytest.raises(PermissionError):
        Layers([told.layer("x"), refuse, told.layer("y")]).around(WORK, post)("hi")
    assert told.lines == ["x before Room.post", "x sees Room.post"]


def test_what_is_added_later_does_not_come_to_those_that_are_composed() -> None:
    layers = Layers()
    composed = layers.composed()
    layers.add(Told().layer("x"))
    assert layers and not composed
