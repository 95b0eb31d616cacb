"""A strategy is imported when its name is first used. Every process has the default ones, and few have another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def at_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package of strategies. ``homes``: name -> module in the package.

    >>> at_first_use("hubq.strategies.migration", {"ColdSwap": "cold_swap"})("ColdSwap").__name__
    'ColdSwap'
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return find
