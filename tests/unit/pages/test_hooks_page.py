"""The table in docs/hooks.md is that of the code, and the book of handlers keeps its order."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from hubq import ConfigError, Hub
from hubq.hooks import DATA, PAYLOADS, Hook, HookBook

PAGE = Path(__file__).resolve().parents[3] / "docs" / "hooks.md"
ROW = re.compile(r"^\| `(\w+)` \| .+ \| `(\w+)`: ([^|]+) \|$", re.MULTILINE)


def test_the_table_is_that_of_the_code() -> None:
    rows = {
        name: (payload, re.findall(r"`(\w+)`", rest)) for name, payload, rest in ROW.findall(PAGE.read_text("utf-8"))
    }
    code = {
        name: (kind.__name__, [field.name for field in fields(kind) if field.name not in ("hub_id", "node")])
        for name, kind in PAYLOADS.items()
    }
    assert rows == code
    assert all([field.name for field in fields(kind)][:2] == ["hub_id", "node"] for kind in PAYLOADS.values())


def test_every_hook_is_fired_somewhere() -> None:
    node = Path(__file__).resolve().parents[3] / "hubq" / "node"
    text = "".join(path.read_text("utf-8") for path in node.rglob("*.py"))
    assert [name for name in PAYLOADS if f'"{name}"' not in text] == ["child_data_alter"]  # by the name ALTER
    assert "hooks.wants(ALTER)" in text


def test_order_listing_and_cancelling() -> None:
    hub = Hub("x", hooks=[Hook("children_migrated", print)])

    @hub.hook("children_migrated", priority=5)
    def first(data: Any) -> None: ...

    low = hub.add_hook("children_migrated", repr, priority=-1)
    last = hub.add_hook("process_startups", repr)
    assert [hook.handler for hook in hub.hooks("children_migrated")] == [first, print, repr]
    assert hub.hooks() == [*hub.hooks("children_migrated"), last]
    assert hub.cancel_hook(low) and not hub.cancel_hook(low)
    assert [hook.handler for hook in hub.hooks("children_migrated")] == [first, print]
    assert hub.cancel_hook(last) and hub.hooks("process_startups") == []
    assert "process_startups" not in hub.hook_book.heard


def test_arguments_with_the_payload_anywhere() -> None:
    hook = Hook("children_migrated", print, args=("a", DATA), kwargs={"file": DATA, "end": ""})
    assert hook.arguments(7) == (("a", 7), {"file": 7, "end": ""})
    assert Hook("children_migrated", print).arguments(7) == ((7,), {})
    assert repr(DATA) == "DATA"


async def _alters(data: Any) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"hook_id": "children_moved", "handler": print}, "no hook 'children_moved'"),
        ({"hook_id": "x", "handler": print}, "no hook 'x': see docs/hooks.md"),
        ({"hook_id": "children_migrated", "handler": 3}, "cannot be called"),
        ({"hook_id": "children_migrated", "handler": print, "args": 3}, "give a tuple"),
        ({"hook_id": "children_migrated", "handler": print, "priority": "high"}, "give a whole number"),
        ({"hook_id": "child_data_alter", "handler": _alters}, "give a plain function"),
    ],
)
def test_wrong_hooks_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        HookBook().add(Hook(**wrong))
    with pytest.raises(ConfigError):
        Hub("x").hook("nothing")
