"""All keys of a hub, and deleting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubq.store.command import Command, plain, run_script, text
from hubq.store.keys import Keys


def read_keys(keys: Keys, cursor: str) -> Command[tuple[str, list[str]]]:
    """A page of the keys of a hub, and the cursor of the next page ("0": there is none). A key may come twice."""

    def read(answer: Any) -> tuple[str, list[str]]:
        return text(answer[0]), [text(key) for key in answer[1]]

    pattern = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in keys.prefix) + "*"
    return plain("SCAN", cursor, "MATCH", pattern, "COUNT", 1000, read=read)


def delete_keys(keys: Keys, victims: Sequence[str]) -> Command[str]:
    """Delete these keys: ``deleted``; ``served`` if the lease of any worker lives, and nothing is deleted."""
    return run_script("delete_keys", [keys.leases, *victims], [], text)
