"""Every example in a docstring of the pure core is run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import hubq.core

MODULES = [
    "hubq.core",
    *(found.name for found in pkgutil.walk_packages(hubq.core.__path__, "hubq.core.")),
    "hubq.errors",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_modules_are_discovered() -> None:
    assert {"hubq.core.placement", "hubq.core.handover", "hubq.core.send_window"} <= set(MODULES)


def test_doctests_are_found() -> None:
    finder = doctest.DocTestFinder()
    assert any(test.examples for name in MODULES for test in finder.find(importlib.import_module(name)))
