"""The words of ACL rules: commands that are allowed, and selectors of Redis 7."""

from __future__ import annotations

from collections.abc import Iterable


def allowed(*groups: Iterable[str]) -> list[str]:
    """Commands, each once.

    >>> allowed(("get", "set"), ("get",))
    ['+get', '+set']
    """
    return [f"+{command}" for command in sorted({command for group in groups for command in group})]


def selector(patterns: Iterable[str], *commands: Iterable[str]) -> str:
    """Commands on keys of these patterns alone.

    >>> selector(["%R~a:*"], ("get",))
    '(%R~a:* +get)'
    """
    return f"({' '.join([*patterns, *allowed(*commands)])})"


def key_names(words: Iterable[str], *, read_only: bool = False) -> list[str]:
    """Patterns of keys.

    >>> key_names(["a", "b:*"], read_only=True)
    ['%R~a', '%R~b:*']
    """
    return [f"{'%R' if read_only else ''}~{word}" for word in words]
