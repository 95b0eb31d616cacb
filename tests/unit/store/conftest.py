"""Primaries of a Redis Cluster that are closed with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.store.primaries import Primary


@pytest.fixture
def primaries() -> Iterator[Callable[..., Primary]]:
    made: list[Primary] = []

    def make(*args: str) -> Primary:
        made.append(Primary(*args))
        return made[-1]

    yield make
    for primary in made:
        primary.close()
