"""The clock of a worker is its own, and the process that runs tests has its own again."""

from __future__ import annotations

import time

import pytest

from hubq.cli.worker_clock import ASKED, kept_clock


@pytest.mark.parametrize("name", sorted(ASKED))
def test_a_clock_is_neither_replaced_nor_lost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = getattr(time, name)
    with kept_clock():
        with pytest.raises(AttributeError, match=rf"time\.{name} is the clock of a worker"):
            setattr(time, name, lambda: 0.0)
        with pytest.raises(AttributeError, match=rf"time\.{name} is the clock of a worker"):
            delattr(time, name)
        assert getattr(time, name) is before
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", None)  # as gevent does
            assert time.sleep is None
    with monkeypatch.context() as patch:
        patch.setattr(time, name, before)
