"""Who had to wait for a CPU has an alibi for the time since the last look, however long ago that was."""

from __future__ import annotations

import threading

import pytest

from . import starved as module
from .alibis import Alibis
from .starved import MOST, Starved


def test_an_alibi_reaches_back_to_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    times, waited = iter([100.0, 109.0, 110.0]), {"w1": 0.0}
    monkeypatch.setattr(module.time, "time", lambda: next(times))
    monkeypatch.setattr(module, "waited_of", lambda pid: {"thread": waited["w1"]})
    alibis = Alibis(patience=1.0)
    starved = Starved(alibis)
    starved.look([("w1", 1)])
    waited["w1"] = 2.0
    starved.look([("w1", 1)])
    assert alibis.explain("w1", 99.0) and alibis.explain("w1", 102.0) and not alibis.explain("w1", 97.0)
    waited["w1"] += MOST
    starved.look([("w1", 1)])
    assert not alibis.explain("w1", 110.9), "it has waited a little, as everybody does"
    assert starved.seconds == 2.0


def test_it_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.001)
    looks, twice = list[int](), threading.Event()

    def processes() -> list[tuple[str, int]]:
        looks.append(1)
        if len(looks) > 1:
            twice.set()
        return []

    with Starved(Alibis(patience=1.0)).watching(processes):
        assert twice.wait(10)
    count = len(looks)
    assert not [thread for thread in threading.enumerate() if thread.name == "starved"] and len(looks) == count
