"""Redis Clusters for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hubq.store.embedded import find_server
from hubq.store.embedded_cluster import EmbeddedCluster
from tests.real_redis import no_real_redis


@pytest.fixture(scope="session")
def three() -> Iterator[EmbeddedCluster]:
    """Three primaries."""
    if find_server()[0] is None:
        no_real_redis()
    with EmbeddedCluster(3) as cluster:
        yield cluster


@pytest.fixture
def with_replicas() -> Iterator[EmbeddedCluster]:
    """Three primaries, each with a replica."""
    if find_server()[0] is None:
        no_real_redis()
    with EmbeddedCluster(3, replicas=1) as cluster:
        yield cluster
