"""pytest fixtures for users of hubq. pytest loads them wherever hubq is installed; fakeredis comes with ``hubq[testing]``.

``hubq_server``: a fakeredis server. Override it in your ``conftest.py`` to run the same tests on a real one.
``hubq_run``: runs a coroutine to its end with all pending work cancelled after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest


@pytest.fixture
def hubq_server() -> Any:
    """The Redis for a test: fakeredis."""
    from hubq.testing.fake import FakeServer

    return FakeServer()


@pytest.fixture
def hubq_run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine: ``hubq_run(scenario())``."""
    return asyncio.run
