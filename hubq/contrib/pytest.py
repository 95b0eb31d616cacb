"""pytest fixtures. pytest loads this module wherever hubq is installed: the rest of hubq is imported when a fixture is used.

``hubq_server``: a fakeredis server. Override it in your ``conftest.py`` to run the same tests on a real one.
``hubq_run``: runs a coroutine to its end with all pending work cancelled after.
``hubq_clock``: a clock that the test can advance: ``hubq_clock.run(scenario())``, and in it ``await hubq_clock.advance(3600)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hubq.testing import Clock, FakeServer


@pytest.fixture
def hubq_server() -> FakeServer:
    """The Redis for a test: fakeredis."""
    from hubq.errors import ConfigError
    from hubq.testing.fake import FakeServer

    try:
        return FakeServer()
    except ConfigError as error:  # it says what to install
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def hubq_run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine: ``hubq_run(scenario())``."""
    return asyncio.run


@pytest.fixture
def hubq_clock() -> Clock:
    """A clock that the test can advance."""
    from hubq.testing.clock import Clock

    return Clock()
