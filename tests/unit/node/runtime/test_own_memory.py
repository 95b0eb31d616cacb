"""The memory of a process is looked at once for all parts that tell it."""

from __future__ import annotations

import pytest

from hubq.node.runtime.own_memory import FRESH, OwnMemory, resident


def test_parts_that_look_at_nearly_the_same_time_share_a_look() -> None:
    now, found = 100.0, iter([1_000, 2_000])
    memory = OwnMemory(lambda: now, lambda: next(found))
    assert [memory.used(), memory.used()] == [1_000, 1_000]
    now += FRESH - 0.01
    assert memory.used() == 1_000
    now += 0.01
    assert memory.used() == 2_000


def test_it_is_that_of_this_process() -> None:
    assert 1_000_000 < resident() < 100_000_000_000


def test_where_proc_does_not_tell_it_is_the_most_it_ever_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError("/proc")

    monkeypatch.setattr("hubq.node.runtime.own_memory.Path.read_text", missing)
    assert 1_000_000 < resident() < 100_000_000_000
